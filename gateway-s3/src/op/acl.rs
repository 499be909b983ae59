//! Access control lists: what clients wish for, and what is kept.

use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::object::{Slot, Which};
use crate::op::{Core, Moment, View, put};
use crate::record::{Acl, Bucket, Grant, Group, Object, Owner, Permission};

/// What a client wishes for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum AclWish {
    /// Nothing was said: the owner alone.
    #[default]
    Default,
    Canned(Canned),
    /// Just these.
    Grants(Vec<Grant>),
}

/// The lists that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canned {
    Private,
    PublicRead,
    PublicReadWrite,
    AuthenticatedRead,
    BucketOwnerRead,
    BucketOwnerFullControl,
}

/// A list with its owner, and the owner of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) owner: Owner,
    pub(crate) grants: Vec<Grant>,
}

impl Canned {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "private" | "aws-exec-read" | "log-delivery-write" => Self::Private,
            "public-read" => Self::PublicRead,
            "public-read-write" => Self::PublicReadWrite,
            "authenticated-read" => Self::AuthenticatedRead,
            "bucket-owner-read" => Self::BucketOwnerRead,
            "bucket-owner-full-control" => Self::BucketOwnerFullControl,
            _ => return None,
        })
    }

    fn grants(self, bucket_owner: &Owner) -> Vec<Grant> {
        let group = |group: Group, permission: Permission| Grant {
            user: None,
            group: group as i32,
            permission: permission as i32,
        };
        let owner = |permission: Permission| grant(bucket_owner, permission);
        match self {
            Self::Private => vec![],
            Self::PublicRead => vec![group(Group::Everybody, Permission::Read)],
            Self::PublicReadWrite => vec![
                group(Group::Everybody, Permission::Read),
                group(Group::Everybody, Permission::Write),
            ],
            Self::AuthenticatedRead => vec![group(Group::Authenticated, Permission::Read)],
            Self::BucketOwnerRead => vec![owner(Permission::Read)],
            Self::BucketOwnerFullControl => vec![owner(Permission::FullControl)],
        }
    }
}

impl AclWish {
    /// What is kept: nothing where the owner alone has all rights.
    pub(crate) fn resolve(&self, owner: &Owner, bucket_owner: &Owner) -> Option<Acl> {
        let own = grant(owner, Permission::FullControl);
        let grants = match self {
            Self::Default => return None,
            Self::Grants(grants) => grants.clone(),
            Self::Canned(canned) => {
                let mut grants = vec![own.clone()];
                let others = canned.grants(bucket_owner).into_iter();
                grants.extend(others.filter(|grant| grant.user.as_ref() != Some(owner)));
                grants
            }
        };
        (grants != [own]).then_some(Acl { grants })
    }

    /// # Errors
    ///
    /// [`Code::AccessDenied`], for one that lets everybody in where that is blocked;
    /// [`Code::AccessControlListNotSupported`].
    pub(crate) fn check(&self, bucket: &Bucket) -> Result<()> {
        let says_nothing =
            matches!(self, Self::Default | Self::Canned(Canned::BucketOwnerFullControl));
        if bucket.is_enforced() && !says_nothing {
            return Err(Code::AccessControlListNotSupported.into());
        }
        if self.is_public() && bucket.public_access_block.is_some_and(|block| block.block_acls) {
            return Err(Error::new(Code::AccessDenied, "public access to the bucket is blocked"));
        }
        Ok(())
    }

    /// Whose an object is that somebody puts with it.
    pub(crate) fn owner(&self, bucket: &Bucket, writer: Owner) -> Owner {
        let given = *self == Self::Canned(Canned::BucketOwnerFullControl)
            && bucket.object_ownership == "BucketOwnerPreferred";
        if given || bucket.is_enforced() { bucket.owner.clone() } else { writer }
    }

    /// Whether it lets everybody in.
    fn is_public(&self) -> bool {
        match self {
            Self::Default => false,
            Self::Canned(canned) => matches!(
                canned,
                Canned::PublicRead | Canned::PublicReadWrite | Canned::AuthenticatedRead
            ),
            Self::Grants(grants) => grants.iter().any(|grant| grant.group() != Group::None),
        }
    }
}

impl Listed {
    fn new(owner: &Owner, acl: Option<&Acl>) -> Self {
        let grants = match acl {
            Some(acl) => acl.grants.clone(),
            None => vec![grant(owner, Permission::FullControl)],
        };
        Self { owner: owner.clone(), grants }
    }
}

impl Core {
    /// The list of a bucket.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`].
    pub(crate) async fn bucket_acl(
        &self,
        caller: &Caller,
        name: &str,
        moment: Moment,
    ) -> Result<Listed> {
        let bucket = self.open(name, moment).await?.bucket;
        caller.may(action::GET_BUCKET_ACL, name, &bucket)?;
        Ok(Listed::new(&bucket.owner, bucket.acl.as_ref()))
    }

    /// Gives a bucket a list.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`].
    pub(crate) async fn set_bucket_acl(
        &self,
        caller: &Caller,
        name: &str,
        wish: &AclWish,
    ) -> Result<()> {
        self.transact(move |transaction| async move {
            let mut bucket = View::Inside(&transaction).bucket(name).await?;
            caller.may(action::PUT_BUCKET_ACL, name, &bucket)?;
            wish.check(&bucket)?;
            bucket.acl = wish.resolve(&bucket.owner, &bucket.owner);
            put(&transaction, &layout::bucket(name), &bucket)
        })
        .await
    }

    /// The list of an object, which is given too.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], those of [`View::existing`], [`Code::AccessDenied`].
    pub(crate) async fn object_acl(
        &self,
        caller: &Caller,
        (name, key, moment): (&str, &str, Moment),
        which: &Which,
    ) -> Result<(Listed, Object)> {
        let opened = self.open(name, moment).await?;
        let found = View::At(&opened.snapshot).existing(name, key, which).await;
        let object = found.map_err(|error| caller.missing((name, key), &opened.bucket, error))?;
        caller.may_key(action::GET_ACL, (name, key), &opened.bucket, Some(&object))?;
        let listed = if opened.bucket.is_enforced() {
            Listed::new(&opened.bucket.owner, None)
        } else {
            Listed::new(&object.owner, object.acl.as_ref())
        };
        Ok((listed, object))
    }

    /// Gives an object a list.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], those of [`View::existing`], [`Code::AccessDenied`].
    pub(crate) async fn set_object_acl(
        &self,
        caller: &Caller,
        (name, key): (&str, &str),
        which: &Which,
        wish: &AclWish,
    ) -> Result<Object> {
        self.transact(move |transaction| async move {
            let view = View::Inside(&transaction);
            let bucket = view.bucket(name).await?;
            let found = view.existing(name, key, which).await;
            let mut object = found.map_err(|error| caller.missing((name, key), &bucket, error))?;
            caller.may_key(action::PUT_ACL, (name, key), &bucket, Some(&object))?;
            wish.check(&bucket)?;
            object.acl = wish.resolve(&object.owner, &bucket.owner);
            Slot { transaction: &transaction, bucket: name, key }.rewrite(&object).await?;
            Ok(object)
        })
        .await
    }
}

fn grant(user: &Owner, permission: Permission) -> Grant {
    Grant { user: Some(user.clone()), group: Group::None as i32, permission: permission as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_says_nothing_new_is_not_kept() {
        let owner = Owner { id: "alice".to_owned(), name: String::new() };
        let other = Owner { id: "bob".to_owned(), name: String::new() };
        let own = grant(&owner, Permission::FullControl);
        let cases = [
            (AclWish::Default, 0),
            (AclWish::Canned(Canned::Private), 0),
            (AclWish::Grants(vec![own.clone()]), 0),
            (AclWish::Canned(Canned::PublicRead), 2),
            (AclWish::Canned(Canned::PublicReadWrite), 3),
            (AclWish::Canned(Canned::BucketOwnerFullControl), 2),
        ];
        for (wish, grants) in cases {
            let kept = wish.resolve(&owner, &other).map_or(0, |acl| acl.grants.len());
            assert_eq!(kept, grants, "{wish:?}");
        }
        // The owner of the bucket has all rights already.
        assert_eq!(AclWish::Canned(Canned::BucketOwnerRead).resolve(&owner, &owner), None);
        assert_eq!(AclWish::Grants(vec![]).resolve(&owner, &owner), Some(Acl { grants: vec![] }));
    }
}
