//! Who asks, and what they may do: rights of the key, ownership, and what others have granted.

use crate::access::{AccessKey, Level};
use crate::error::{Code, Error, Result};
use crate::record::{Acl, Bucket, Grant, Group, Object, Owner, Permission};

/// Who asks: a user with a key, or anybody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(pub(crate) Option<AccessKey>);

impl Caller {
    /// Who owns what the caller makes; nobody for somebody without a key.
    pub(crate) fn owner(&self) -> Option<Owner> {
        let key = self.0.as_ref()?;
        let name =
            if key.display_name == key.user { String::new() } else { key.display_name.clone() };
        Some(Owner { id: key.user.clone(), name })
    }

    pub(crate) fn is(&self, owner: &Owner) -> bool {
        self.0.as_ref().is_some_and(|key| key.rights.is_empty() && key.user == owner.id)
    }

    /// Whether the rights of the key are enough.
    fn has_right(&self, level: Level, bucket: &str) -> bool {
        self.0.as_ref().is_some_and(|key| key.may(level, bucket))
    }

    /// To make a bucket of this name.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`].
    pub(crate) fn may_create(&self, name: &str) -> Result<Owner> {
        let key = self.0.as_ref();
        let may = key.is_some_and(|key| key.rights.is_empty() || key.may(Level::Admin, name));
        self.owner().filter(|_| may).ok_or_else(denied)
    }

    /// Whether a listing of buckets shows this one.
    pub(crate) fn sees(&self, name: &str, bucket: &Bucket) -> bool {
        self.is(&bucket.owner) || self.has_right(Level::Read, name)
    }

    /// To change its settings, or delete it.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`].
    pub(crate) fn may_manage(&self, name: &str, bucket: &Bucket) -> Result<()> {
        let may = self.is(&bucket.owner) || self.has_right(Level::Admin, name);
        if may { Ok(()) } else { Err(denied()) }
    }

    /// To do something to a bucket that can be granted.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`].
    pub(crate) fn may(&self, need: Permission, name: &str, bucket: &Bucket) -> Result<()> {
        if self.allowed(need, name, bucket, &bucket.owner, bucket.acl.as_ref()) {
            Ok(())
        } else {
            Err(denied())
        }
    }

    /// To do something to an object that can be granted.
    ///
    /// # Errors
    ///
    /// [`Code::AccessDenied`].
    pub(crate) fn may_object(
        &self,
        need: Permission,
        name: &str,
        bucket: &Bucket,
        object: &Object,
    ) -> Result<()> {
        if self.allowed(need, name, bucket, &object.owner, object.acl.as_ref()) {
            Ok(())
        } else {
            Err(denied())
        }
    }

    /// What somebody is told who looks for an object that is not there: only who may list the bucket hears that.
    pub(crate) fn missing(&self, name: &str, bucket: &Bucket, missing: Error) -> Error {
        if self.may(Permission::Read, name, bucket).is_ok() { missing } else { denied() }
    }

    fn allowed(
        &self,
        need: Permission,
        name: &str,
        bucket: &Bucket,
        owner: &Owner,
        acl: Option<&Acl>,
    ) -> bool {
        let level = match need {
            Permission::Read => Level::Read,
            Permission::Write => Level::Write,
            _ => Level::Admin,
        };
        if self.has_right(level, name) {
            return true;
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
            Group::Authenticated => public && self.0.is_some(),
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
    use crate::record::PublicAccessBlock;

    fn caller(user: &str, rights: &[(&str, Level)]) -> Caller {
        let mut key = AccessKey::new("secret", user);
        key.rights = rights.iter().map(|(name, level)| Right::new(*name, *level)).collect();
        Caller(Some(key))
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
        let all = [Permission::Read, Permission::Write, Permission::ReadAcp, Permission::WriteAcp];
        for need in all {
            assert!(alice.may(need, "b", &bucket(None)).is_ok(), "{need:?}");
            assert!(caller("bob", &[]).may(need, "b", &bucket(None)).is_err(), "{need:?}");
            assert!(Caller(None).may(need, "b", &bucket(None)).is_err(), "{need:?}");
            let acp = matches!(need, Permission::ReadAcp | Permission::WriteAcp);
            assert_eq!(alice.may(need, "b", &bucket(Some(vec![]))).is_ok(), acp, "{need:?}");
        }
        assert!(alice.may_manage("b", &bucket(Some(vec![]))).is_ok());
    }

    #[test]
    fn groups_get_what_is_granted_to_them_unless_that_is_blocked() {
        let public = to_group(Group::Everybody, Permission::Read);
        let known = to_group(Group::Authenticated, Permission::Read);
        let cases = [
            (Caller(None), public.clone(), true),
            (caller("bob", &[]), public, true),
            (Caller(None), known.clone(), false),
            (caller("bob", &[]), known, true),
        ];
        for (who, grant, expected) in cases {
            let mut bucket = bucket(Some(vec![grant]));
            assert_eq!(who.may(Permission::Read, "b", &bucket).is_ok(), expected, "{who:?}");
            assert!(who.may(Permission::Write, "b", &bucket).is_err(), "{who:?}");
            assert!(who.may_manage("b", &bucket).is_err(), "{who:?}");
            let ignore = PublicAccessBlock { ignore_acls: true, ..Default::default() };
            bucket.public_access_block = Some(ignore);
            assert!(who.may(Permission::Read, "b", &bucket).is_err(), "{who:?}");
        }
    }

    #[test]
    fn a_restricted_key_may_what_its_rights_say_and_owns_nothing() {
        let reader = caller("alice", &[("photos-*", Level::Read)]);
        let owned = bucket(None);
        assert!(reader.may(Permission::Read, "photos-1", &owned).is_ok());
        assert!(reader.may(Permission::Write, "photos-1", &owned).is_err());
        assert!(reader.may(Permission::Read, "films", &owned).is_err());
        assert!(reader.may_manage("photos-1", &owned).is_err());
        assert!(reader.may_create("photos-2").is_err() && reader.sees("photos-1", &owned));
        let admin = caller("root", &[("*", Level::Admin)]);
        assert!(admin.may(Permission::WriteAcp, "films", &owned).is_ok());
        assert!(admin.may_manage("films", &owned).is_ok() && admin.may_create("x").is_ok());
    }
}
