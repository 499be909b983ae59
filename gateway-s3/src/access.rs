//! Who may do what: access keys, their users and their rights.

use std::fmt;

/// Where the access keys are. Asked at every request, so that keys can come and go while the gateway runs.
///
/// # Examples
///
/// ```
/// use gateway_s3::{Access, AccessKey};
///
/// struct One;
///
/// impl Access for One {
///     fn key(&self, access_key: &str) -> Option<AccessKey> {
///         (access_key == "alice").then(|| AccessKey::new("secret", "alice"))
///     }
/// }
/// assert!(One.key("bob").is_none());
/// ```
pub trait Access: Send + Sync {
    /// The key of this id, if there is one.
    fn key(&self, access_key: &str) -> Option<AccessKey>;

    /// The user of this id or address, to whom somebody grants something, if there is one. As it stands here it takes any
    /// id for that of a user, and knows no addresses.
    fn user(&self, id_or_email: &str) -> Option<User> {
        let id = id_or_email.to_owned();
        (!id.contains('@')).then(|| User { display_name: id.clone(), id })
    }
}

/// A user, as others see one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id, under which buckets and objects are owned.
    pub id: String,
    /// The name that is shown.
    pub display_name: String,
}

/// An access key: its secret, whose it is, and what may be done with it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// What requests are signed with.
    pub secret: String,
    /// The id of its user, who owns the buckets and objects that are made with it. Several keys can be of one user.
    pub user: String,
    /// The name of the user that others are shown.
    pub display_name: String,
    /// An address by which others can grant the user something; may be empty.
    pub email: String,
    /// What it may be used for. With no rights at all it is a key of a plain user, who makes buckets, owns
    /// what it has made, and gets at what others have granted. With rights it is a restricted key: it may do what they
    /// say, whoever owns the buckets, and what is granted to everybody, and no more.
    pub rights: Vec<Right>,
}

/// What may be done in the buckets whose names a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The name of a bucket, in which `*` stands for any characters and `?` for any one.
    pub buckets: String,
    /// How much.
    pub level: Level,
}

/// How much may be done in a bucket. Each includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// List it and read its objects.
    Read,
    /// Also put and delete objects.
    Write,
    /// Also make and delete the bucket, and change its settings and access control lists.
    Admin,
}

impl AccessKey {
    /// A key of a plain user.
    pub fn new(secret: impl Into<String>, user: impl Into<String>) -> Self {
        let user = user.into();
        Self {
            secret: secret.into(),
            display_name: user.clone(),
            email: String::new(),
            user,
            rights: Vec::new(),
        }
    }

    /// Whether its rights let it do so much in a bucket.
    pub(crate) fn may(&self, level: Level, bucket: &str) -> bool {
        self.rights.iter().any(|right| right.level >= level && right.covers(bucket))
    }
}

impl fmt::Debug for AccessKey {
    /// Says everything but the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("user", &self.user)
            .field("display_name", &self.display_name)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

impl Right {
    /// So much in the buckets of a pattern.
    pub fn new(buckets: impl Into<String>, level: Level) -> Self {
        Self { buckets: buckets.into(), level }
    }

    fn covers(&self, bucket: &str) -> bool {
        matches(self.buckets.as_bytes(), bucket.as_bytes())
    }
}

/// Whether a pattern with `*` and `?` matches all of a text. Takes time in proportion to both lengths at most: only the
/// last star is ever tried again.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_pattern) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                star = Some((in_pattern, at));
                in_pattern += 1;
            }
            Some(b'?') => (at, in_pattern) = (at + 1, in_pattern + 1),
            Some(byte) if *byte == text[at] => (at, in_pattern) = (at + 1, in_pattern + 1),
            _ => {
                let Some((star_at, from)) = star else { return false };
                star = Some((star_at, from + 1));
                (at, in_pattern) = (from + 1, star_at + 1);
            }
        }
    }
    pattern[in_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let cases = [
            ("photos", "photos", true),
            ("photos", "photos2", false),
            ("photo?", "photos", true),
            ("photo?", "photo", false),
            ("*", "anything", true),
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("*-logs", "a-logs-logs", true),
            ("*a*b*", "xxaxxb", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_right_includes_the_lesser_ones_and_no_secret_is_shown() {
        let mut key = AccessKey::new("hush", "alice");
        assert!(!key.may(Level::Read, "photos"));
        key.rights = vec![Right::new("photos*", Level::Write)];
        assert!(key.may(Level::Read, "photos-1") && key.may(Level::Write, "photos"));
        assert!(!key.may(Level::Admin, "photos") && !key.may(Level::Read, "films"));
        assert!(!format!("{key:?}").contains("hush"));
    }
}
