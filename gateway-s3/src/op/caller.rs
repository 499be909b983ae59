//! Who asks, and what they may do: rights of the key, the policy of the bucket, ownership, and what others have granted.

use crate::access::{AccessKey, Level};
use crate::error::{Code, Error, Result};
use crate::op::action::{Action, LIST, Need};
use crate::op::said::Said;
use crate::policy::{Ask, Policy, Values, Verdict};
use crate::record::{Acl, Bucket, Grant, Group, Object, Owner, Permission};

/// Who asks: a user with a key, or anybody; and what the request says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    pub(crate) key: Option<AccessKey>,
    pub(crate) request: Said,
}

/// What somebody wants to do it to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The bucket's.
    pub(crate) name: &'a str,
    pub(crate) bucket: &'a Bucket,
    pub(crate) key: Option<&'a str>,
    /// What is there.
    pub(crate) object: Option<&'a Object>,
}

impl Caller {
    /// Somebody with a key.
    #[cfg(test)]
    pub(crate) fn of(key: AccessKey) -> Self {
        Self { key: Some(key), request: Said::default() }
    }

    /// Who owns what the caller makes; nobody for somebody without a key.
    pub(crate) fn owner(&self) -> Option<Owner> {
        let key = self.key.as_ref()?;
        let name =
            if key.display_name == key.user { String::new() } else { key.display_name.clone() };
        Some(Owner { id: key.user.clone(), name })
    }

    pub(crate) fn is(&self, owner: &Owner) -> bool {
        self.key.as_ref().is_some_and(|key| key.rights.is_empty() && key.user == owner.id)
    }

    /// Whether the rights of the key are enough.
    fn has_right(&self, level: Level, bucket: &str) -> bool {
        self.key.as_ref().is_some_and(|key| key.may(level, bucket))
    }

    /// To make a bucket of this name.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`].
    pub(crate) fn may_create(&self, name: &str) -> Result<Owner> {
        let key = self.key.as_ref();
        let may = key.is_some_and(|key| key.rights.is_empty() || key.may(Level::Admin, name));
        self.owner().filter(|_| may).ok_or_else(denied)
    }

    /// Whether a listing of buckets shows this one.
    pub(crate) fn sees(&self, name: &str, bucket: &Bucket) -> bool {
        self.is(&bucket.owner) || self.has_right(Level::Read, name)
    }

    /// To do something to a bucket.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`].
    pub(crate) fn may(&self, action: Action, name: &str, bucket: &Bucket) -> Result<()> {
        self.decide(action, &Target { name, bucket, key: None, object: None })
    }

    /// To do something to what is, or will be, under a key.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`].
    pub(crate) fn may_key(
        &self,
        action: Action,
        (name, key): (&str, &str),
        bucket: &Bucket,
        object: Option<&Object>,
    ) -> Result<()> {
        self.decide(action, &Target { name, bucket, key: Some(key), object })
    }

    /// What somebody is told who looks for an object that is not there: only who may list the bucket hears that.
    pub(crate) fn missing(
        &self,
        (name, key): (&str, &str),
        bucket: &Bucket,
        missing: Error,
    ) -> Error {
        if bucket.policy.is_empty() {
            return if self.may(LIST, name, bucket).is_ok() { missing } else { denied() };
        }
        let asks = Self { key: self.key.clone(), request: self.request.listing(key) };
        if asks.may(LIST, name, bucket).is_ok() { missing } else { denied() }
    }

    fn decide(&self, action: Action, target: &Target<'_>) -> Result<()> {
        let owner = self.is(&target.bucket.owner);
        let verdict = self.verdict(action, target)?;
        let lists = || match action.need {
            Need::Bucket(need) => {
                let bucket = target.bucket;
                self.allowed(need, target, &bucket.owner, bucket.acl.as_ref())
            }
            Need::Object(need) => match target.object {
                Some(object) => self.allowed(need, target, &object.owner, object.acl.as_ref()),
                None => false,
            },
            Need::Manage => owner || self.has_right(Level::Admin, target.name),
        };
        let may = match verdict {
            // Else nobody could mend it.
            Verdict::Deny if action.is_of_policy() => {
                owner || self.has_right(Level::Admin, target.name)
            }
            Verdict::Deny => false,
            Verdict::Allow => true,
            Verdict::Silent => lists(),
        };
        if may { Ok(()) } else { Err(denied()) }
    }

    /// What the policy of the bucket says.
    fn verdict(&self, action: Action, target: &Target<'_>) -> Result<Verdict> {
        let bucket = target.bucket;
        if bucket.policy.is_empty() {
            return Ok(Verdict::Silent);
        }
        let policy = Policy::parse(&bucket.policy, target.name)?;
        if self.request.is_batch() && policy.has_conditions() {
            let why = "a batch cannot be decided on by a policy with conditions";
            return Err(Error::new(Code::AccessDenied, why));
        }
        let resource = match target.key {
            Some(key) => format!("{}/{key}", target.name),
            None => target.name.to_owned(),
        };
        let user = self.key.as_ref().map(|key| &key.user[..]);
        let values = |key: &str| self.request.values(key, user, target.object);
        let values: &Values<'_> = &values;
        let ask = Ask { user, action: action.name, resource: &resource, values };
        let restricted = bucket.public_access_block.is_some_and(|block| block.restrict_buckets);
        Ok(match policy.verdict(&ask) {
            Verdict::Allow if restricted && !self.is(&bucket.owner) && policy.is_public() => {
                Verdict::Silent
            }
            verdict => verdict,
        })
    }

    fn allowed(
        &self,
        need: Permission,
        target: &Target<'_>,
        owner: &Owner,
        acl: Option<&Acl>,
    ) -> bool {
        let level = match need {
            Permission::Read => Level::Read,
            Permission::Write => Level::Write,
            _ => Level::Admin,
        };
        let bucket = target.bucket;
        if self.has_right(level, target.name) {
            return true;
        }
        if bucket.is_enforced() {
            return self.is(&bucket.owner);
        }
        if self.is(owner) {
            let acp = matches!(need, Permission::ReadAcp | Permission::WriteAcp);
            if acp || acl.is_none() {
                return true;
            }
        }
        let public = !bucket.public_access_block.is_some_and(|block| block.ignore_acls);
        acl.is_some_and(|acl| {
            acl.grants.iter().any(|grant| self.is_granted(grant, public) && covers(grant, need))
        })
    }

    fn is_granted(&self, grant: &Grant, public: bool) -> bool {
        match grant.group() {
            Group::Everybody => public,
            Group::Authenticated => public && self.key.is_some(),
            Group::None => grant.user.as_ref().is_some_and(|user| self.is(user)),
        }
    }
}

fn covers(grant: &Grant, need: Permission) -> bool {
    let permission = grant.permission();
    permission == Permission::FullControl || permission == need
}

pub(crate) fn denied() -> Error {
    Code::AccessDenied.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Right;
    use crate::op::action::{GET, GET_BUCKET_ACL, GET_POLICY, PUT, PUT_BUCKET_ACL, PUT_CORS};
    use crate::record::PublicAccessBlock;

    fn caller(user: &str, rights: &[(&str, Level)]) -> Caller {
        let mut key = AccessKey::new("secret", user);
        key.rights = rights.iter().map(|(name, level)| Right::new(*name, *level)).collect();
        Caller::of(key)
    }

    fn bucket(grants: Option<Vec<Grant>>) -> Bucket {
        Bucket {
            owner: Owner { id: "alice".to_owned(), name: String::new() },
            acl: grants.map(|grants| Acl { grants }),
            ..Bucket::default()
        }
    }

    fn to_group(group: Group, permission: Permission) -> Grant {
        Grant { user: None, group: group as i32, permission: permission as i32 }
    }

    #[test]
    fn the_owner_has_all_rights_until_the_list_says_otherwise_but_those_on_the_list() {
        let alice = caller("alice", &[]);
        let all = [LIST, PUT, GET_BUCKET_ACL, PUT_BUCKET_ACL];
        for need in all {
            assert!(alice.may(need, "b", &bucket(None)).is_ok(), "{need:?}");
            assert!(caller("bob", &[]).may(need, "b", &bucket(None)).is_err(), "{need:?}");
            assert!(Caller::default().may(need, "b", &bucket(None)).is_err(), "{need:?}");
            let acp = [GET_BUCKET_ACL, PUT_BUCKET_ACL].contains(&need);
            assert_eq!(alice.may(need, "b", &bucket(Some(vec![]))).is_ok(), acp, "{need:?}");
        }
        assert!(alice.may(PUT_CORS, "b", &bucket(Some(vec![]))).is_ok());
    }

    #[test]
    fn groups_get_what_is_granted_to_them_unless_that_is_blocked() {
        let public = to_group(Group::Everybody, Permission::Read);
        let known = to_group(Group::Authenticated, Permission::Read);
        let cases = [
            (Caller::default(), public.clone(), true),
            (caller("bob", &[]), public, true),
            (Caller::default(), known.clone(), false),
            (caller("bob", &[]), known, true),
        ];
        for (who, grant, expected) in cases {
            let mut bucket = bucket(Some(vec![grant]));
            assert_eq!(who.may(LIST, "b", &bucket).is_ok(), expected, "{who:?}");
            assert!(who.may(PUT, "b", &bucket).is_err(), "{who:?}");
            assert!(who.may(PUT_CORS, "b", &bucket).is_err(), "{who:?}");
            let ignore = PublicAccessBlock { ignore_acls: true, ..Default::default() };
            bucket.public_access_block = Some(ignore);
            assert!(who.may(LIST, "b", &bucket).is_err(), "{who:?}");
        }
    }

    #[test]
    fn a_restricted_key_may_what_its_rights_say_and_owns_nothing() {
        let reader = caller("alice", &[("photos-*", Level::Read)]);
        let owned = bucket(None);
        assert!(reader.may(LIST, "photos-1", &owned).is_ok());
        assert!(reader.may(PUT, "photos-1", &owned).is_err());
        assert!(reader.may(LIST, "films", &owned).is_err());
        assert!(reader.may(PUT_CORS, "photos-1", &owned).is_err());
        assert!(reader.may_create("photos-2").is_err() && reader.sees("photos-1", &owned));
        let admin = caller("root", &[("*", Level::Admin)]);
        assert!(admin.may(PUT_BUCKET_ACL, "films", &owned).is_ok());
        assert!(admin.may(PUT_CORS, "films", &owned).is_ok() && admin.may_create("x").is_ok());
    }

    fn with_policy(statements: &str) -> Bucket {
        let policy = format!(r#"{{"Statement": [{statements}]}}"#);
        Bucket { policy, ..bucket(None) }
    }

    #[test]
    fn a_policy_comes_before_lists_and_a_denial_before_all() {
        let everybody = r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}"#;
        let not_secret = r#"{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/secret*"]}"#;
        let both = with_policy(&format!("{everybody}, {not_secret}"));
        let (alice, nobody) = (caller("alice", &[]), Caller::default());
        let object = Object { owner: both.owner.clone(), ..Object::default() };
        let cases = [
            (&nobody, GET, "open", true),
            (&nobody, PUT, "open", false),
            (&nobody, GET, "secret", false),
            (&alice, GET, "secret", false),
            (&alice, PUT, "open", true),
        ];
        for (who, action, key, expected) in cases {
            let may = who.may_key(action, ("b", key), &both, Some(&object)).is_ok();
            assert_eq!(may, expected, "{action:?} {key}");
        }
        // The owner can mend it, and nobody else.
        assert!(alice.may(LIST, "b", &both).is_err());
        assert!(alice.may(GET_POLICY, "b", &both).is_ok());
        assert!(caller("bob", &[]).may(GET_POLICY, "b", &both).is_err());
        let admin = caller("root", &[("*", Level::Admin)]);
        assert!(admin.may(GET_POLICY, "b", &both).is_ok() && admin.may(LIST, "b", &both).is_err());
    }

    #[test]
    fn a_public_policy_counts_for_the_owner_only_where_that_is_restricted() {
        let mut open =
            with_policy(r#"{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}"#);
        assert!(Caller::default().may(LIST, "b", &open).is_ok());
        let restrict = PublicAccessBlock { restrict_buckets: true, ..Default::default() };
        open.public_access_block = Some(restrict);
        assert!(Caller::default().may(LIST, "b", &open).is_err());
        assert!(caller("bob", &[]).may(LIST, "b", &open).is_err());
        assert!(caller("alice", &[]).may(LIST, "b", &open).is_ok());
    }

    #[test]
    fn lists_do_not_count_where_the_owner_of_the_bucket_owns_all() {
        let mut bucket = bucket(Some(vec![to_group(Group::Everybody, Permission::Read)]));
        bucket.object_ownership = "BucketOwnerEnforced".to_owned();
        assert!(Caller::default().may(LIST, "b", &bucket).is_err());
        let bobs = Owner { id: "bob".to_owned(), name: String::new() };
        let object = Object { owner: bobs, ..Object::default() };
        assert!(caller("bob", &[]).may_key(GET, ("b", "k"), &bucket, Some(&object)).is_err());
        assert!(caller("alice", &[]).may_key(GET, ("b", "k"), &bucket, Some(&object)).is_ok());
    }
}
