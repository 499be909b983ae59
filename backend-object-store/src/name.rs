//! The name of an object in the bucket: its key, so spelled that a service which keeps a tree of folders
//! can hold `a` beside `a/b`.
//!
//! Such services (SeaweedFS, MinIO, Azure's hierarchical namespace) take `a` for a folder once there is
//! `a/b`, and then lose, hide or refuse one of the two. With [`Names::Folders`], a folder is called
//! differently from any object: `/` is spelled `-/`. No key has a `-`, and it is less than all that keys
//! have, as `/` is; so order and prefixes are those of the keys, also in a sorted walk over the tree.

use std::borrow::Cow;

use storage_core::{Error, KEY_BYTES_MAX, Prefix, Result};

use crate::settings::misconfigured;

/// The most bytes S3 and Azure take in a name.
const NAME_BYTES_MAX: usize = 1024;
/// How a folder ends in [`Names::Folders`].
const FOLDER_END: &str = "-/";

/// How keys are spelled as names in the bucket. All who share the objects have to agree on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// `folders`: `a/b` is called `a-/b`, so that no folder is called as an object is.
    #[default]
    Folders,
    /// `plain`: a key is its name. For services that keep no folders, and for names that others wrote.
    Plain,
}

impl Names {
    /// The name, or beginning of names, of a key or prefix within the prefix of a place.
    pub fn spell(self, prefix: &Prefix, rest: &str) -> String {
        let key = format!("{prefix}{rest}");
        match self {
            Self::Plain => key,
            Self::Folders => key.replace('/', FOLDER_END),
        }
    }

    /// The key of a name, or `None` where it is the name of none.
    pub fn read<'a>(self, prefix: &Prefix, name: &'a str) -> Option<Cow<'a, str>> {
        let key = match self {
            Self::Plain => Cow::Borrowed(name),
            Self::Folders => {
                let key = name.replace(FOLDER_END, "/");
                if key.replace('/', FOLDER_END) != name {
                    return None;
                }
                Cow::Owned(key)
            }
        };
        let start = prefix.as_str().len();
        if !key.starts_with(prefix.as_str()) {
            return None;
        }
        Some(match key {
            Cow::Borrowed(key) => Cow::Borrowed(&key[start..]),
            Cow::Owned(mut key) => Cow::Owned(key.split_off(start)),
        })
    }

    /// Checks that every key still has a name after this prefix.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`](storage_core::ErrorKind::Misconfigured) naming `prefix`.
    pub fn check(self, prefix: &Prefix) -> Result<()> {
        // A key has at least one byte between two slashes.
        let slashes_max = if self == Self::Folders { (KEY_BYTES_MAX - 1) / 2 } else { 0 };
        let limit = NAME_BYTES_MAX - KEY_BYTES_MAX - slashes_max;
        let bytes = self.spell(prefix, "").len();
        if bytes <= limit {
            return Ok(());
        }
        let problem: Error = misconfigured(format!(
            "`prefix` is {bytes} bytes long as it is spelled in names, but with keys of up to \
             {KEY_BYTES_MAX} after it, it may have at most {limit}"
        ));
        Err(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage_core::Key;

    const KEYS: [&str; 9] = ["a", "a/0", "a/a", "a/a/b", "a/b", "a0", "a=", "a~/b", "b"];

    #[test]
    fn names_are_in_the_order_of_keys_and_read_back() {
        for names in [Names::Plain, Names::Folders] {
            for prefix in ["", "p/", "p", "p/q/"] {
                let prefix = Prefix::new(prefix).unwrap();
                let spelled: Vec<_> = KEYS.iter().map(|key| names.spell(&prefix, key)).collect();
                assert!(spelled.is_sorted(), "{spelled:?}");
                for (key, name) in KEYS.iter().zip(&spelled) {
                    assert_eq!(names.read(&prefix, name).as_deref(), Some(*key), "{name}");
                    assert!(Key::new(key).is_ok());
                }
            }
        }
    }

    #[test]
    fn no_folder_is_called_as_an_object_is_and_a_walk_over_the_tree_is_in_order() {
        let spelled: Vec<_> =
            KEYS.iter().map(|key| Names::Folders.spell(&Prefix::all(), key)).collect();
        let by_folder: Vec<Vec<&str>> =
            spelled.iter().map(|name| name.split('/').collect()).collect();
        assert!(by_folder.is_sorted(), "{by_folder:?}");
        for name in &spelled {
            assert!(!spelled.iter().any(|other| other.starts_with(&format!("{name}/"))), "{name}");
        }
    }

    #[test]
    fn what_others_wrote_is_no_key() {
        for name in ["a/b", "a-b", "a-", "-/a", "a--/b", "a-/b-"] {
            let key = Names::Folders.read(&Prefix::all(), name);
            assert!(key.is_none_or(|key| Key::new(key).is_err()), "{name}");
        }
        assert_eq!(Names::Folders.read(&Prefix::new("p/").unwrap(), "q-/a"), None);
    }

    #[test]
    fn a_prefix_leaves_room_for_the_longest_key() {
        let prefix = |bytes: usize| {
            Prefix::new(format!("{}/{}", "p".repeat(100), "q".repeat(bytes - 101))).unwrap()
        };
        assert!(Names::Folders.check(&prefix(256)).is_ok());
        assert!(Names::Folders.check(&prefix(257)).is_err());
        assert!(
            Names::Plain
                .check(
                    &Prefix::new(format!(
                        "{}/{}/{}",
                        "p".repeat(200),
                        "q".repeat(200),
                        "r".repeat(110)
                    ))
                    .unwrap()
                )
                .is_ok()
        );
    }
}
