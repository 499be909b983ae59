//! Requests for access control lists.

use s3s::{S3Request, S3Response, S3Result, dto};

use crate::door::puts::header;
use crate::door::refuse::told;
use crate::door::{Inner, convert, place, present};
use crate::error::{Code, Error, Result};
use crate::op::acl::{AclWish, Canned, Listed};
use crate::op::object::Which;
use crate::record::{Grant, Group, Owner, Permission};

const EVERYBODY: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
/// The most grants in a list.
const GRANTS_MAX: usize = 100;

/// A header with grants, and what it grants.
type Granting<'a> = (Option<&'a str>, Permission);

impl Inner {
    /// What the headers of a request wish for an object.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidArgument`], [`Code::InvalidRequest`], [`Code::UnresolvableGrantByEmailAddress`].
    pub(super) fn object_acl_wish<const N: usize>(
        &self,
        headers: &http::HeaderMap,
        canned: Option<&dto::ObjectCannedACL>,
        grants: [Granting<'_>; N],
    ) -> Result<AclWish> {
        // To write to an object means nothing, but lists say it.
        let write = header(headers, "x-amz-grant-write");
        let mut grants = grants.to_vec();
        grants.insert(1.min(N), (write.as_deref(), Permission::Write));
        self.acl_wish(canned.map(dto::ObjectCannedACL::as_str), &grants)
    }

    pub(super) fn acl_wish(
        &self,
        canned: Option<&str>,
        headers: &[Granting<'_>],
    ) -> Result<AclWish> {
        let mut grants = Vec::new();
        for (header, permission) in headers {
            for grantee in
                header.unwrap_or_default().split(',').filter(|text| !text.trim().is_empty())
            {
                let (kind, value) = grantee.split_once('=').unwrap_or((grantee, ""));
                let value = value.trim().trim_matches('"');
                let (user, group) = self.grantee(kind.trim(), value)?;
                grants.push(Grant { user, group: group as i32, permission: *permission as i32 });
            }
        }
        match (canned, grants.is_empty()) {
            (Some(_), false) => Err(Error::new(
                Code::InvalidRequest,
                "a canned list and grants cannot be set at once",
            )),
            (Some(name), true) => Canned::named(name).map(AclWish::Canned).ok_or_else(|| {
                Error::new(Code::InvalidArgument, format!("{name:?} is no canned list"))
            }),
            (None, true) => Ok(AclWish::Default),
            (None, false) if grants.len() > GRANTS_MAX => {
                Err(Error::new(Code::InvalidArgument, format!("more than {GRANTS_MAX} grants")))
            }
            (None, false) => Ok(AclWish::Grants(grants)),
        }
    }

    fn grantee(&self, kind: &str, value: &str) -> Result<(Option<Owner>, Group)> {
        let user = || {
            let user = self.access.user(value)?;
            let name = if user.display_name == user.id { String::new() } else { user.display_name };
            Some(Owner { id: user.id, name })
        };
        match kind {
            "id" => match user() {
                Some(user) => Ok((Some(user), Group::None)),
                None => {
                    Err(Error::new(Code::InvalidArgument, format!("there is no user {value:?}")))
                }
            },
            "emailAddress" => match user() {
                Some(user) => Ok((Some(user), Group::None)),
                None => Err(Code::UnresolvableGrantByEmailAddress.into()),
            },
            "uri" if value == EVERYBODY => Ok((None, Group::Everybody)),
            "uri" if value == AUTHENTICATED => Ok((None, Group::Authenticated)),
            _ => Err(Error::new(
                Code::InvalidArgument,
                format!("{kind}={value} is nobody to grant to"),
            )),
        }
    }

    /// What a list in a body wishes for.
    fn policy(&self, policy: dto::AccessControlPolicy) -> Result<AclWish> {
        let malformed = |why: &str| Error::new(Code::MalformedACLError, why);
        let grants = policy.grants.unwrap_or_default();
        if grants.len() > GRANTS_MAX {
            return Err(malformed("there are too many grants"));
        }
        let grant = |grant: dto::Grant| {
            let permission = match grant.permission.as_ref().map(dto::Permission::as_str) {
                Some("FULL_CONTROL") => Permission::FullControl,
                Some("READ") => Permission::Read,
                Some("WRITE") => Permission::Write,
                Some("READ_ACP") => Permission::ReadAcp,
                Some("WRITE_ACP") => Permission::WriteAcp,
                _ => return Err(malformed("a grant has no permission")),
            };
            let grantee = grant.grantee.ok_or_else(|| malformed("a grant is for nobody"))?;
            let (user, group) = match (&grantee.id, &grantee.uri, &grantee.email_address) {
                (Some(id), _, _) => self.grantee("id", id)?,
                (None, Some(uri), _) => self.grantee("uri", uri)?,
                (None, None, Some(email)) => self.grantee("emailAddress", email)?,
                (None, None, None) => return Err(malformed("a grant is for nobody")),
            };
            Ok(Grant { user, group: group as i32, permission: permission as i32 })
        };
        Ok(AclWish::Grants(grants.into_iter().map(grant).collect::<Result<_>>()?))
    }

    pub(super) async fn get_bucket_acl(
        &self,
        request: S3Request<dto::GetBucketAclInput>,
    ) -> S3Result<S3Response<dto::GetBucketAclOutput>> {
        let caller = self.caller(&request);
        let (name, moment) = place(&request.input.bucket, &request.headers).map_err(told)?;
        let listed = self.core.bucket_acl(&caller, &name, moment).await.map_err(told)?;
        let (owner, grants) = shown(&listed);
        Ok(S3Response::new(dto::GetBucketAclOutput { grants, owner }))
    }

    pub(super) async fn put_bucket_acl(
        &self,
        request: S3Request<dto::PutBucketAclInput>,
    ) -> S3Result<S3Response<dto::PutBucketAclOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let done = async {
            let name = present(&input.bucket, &request.headers)?;
            let wish = match input.access_control_policy {
                Some(policy) => self.policy(policy)?,
                None => self.acl_wish(
                    input.acl.as_ref().map(dto::BucketCannedACL::as_str),
                    &[
                        (input.grant_read.as_deref(), Permission::Read),
                        (input.grant_write.as_deref(), Permission::Write),
                        (input.grant_read_acp.as_deref(), Permission::ReadAcp),
                        (input.grant_write_acp.as_deref(), Permission::WriteAcp),
                        (input.grant_full_control.as_deref(), Permission::FullControl),
                    ],
                )?,
            };
            if wish == AclWish::Default {
                return Err(Error::new(Code::InvalidRequest, "no list was said"));
            }
            self.core.set_bucket_acl(&caller, &name, &wish).await
        };
        done.await.map_err(told)?;
        Ok(S3Response::new(dto::PutBucketAclOutput::default()))
    }

    pub(super) async fn get_object_acl(
        &self,
        request: S3Request<dto::GetObjectAclInput>,
    ) -> S3Result<S3Response<dto::GetObjectAclOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let listed = async {
            let (name, moment) = place(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            self.core.object_acl(&caller, (&name, &input.key, moment), &which).await
        };
        let (listed, _) = listed.await.map_err(told)?;
        let (owner, grants) = shown(&listed);
        Ok(S3Response::new(dto::GetObjectAclOutput { grants, owner, request_charged: None }))
    }

    pub(super) async fn put_object_acl(
        &self,
        request: S3Request<dto::PutObjectAclInput>,
    ) -> S3Result<S3Response<dto::PutObjectAclOutput>> {
        let caller = self.caller(&request);
        let input = request.input;
        let done = async {
            let name = present(&input.bucket, &request.headers)?;
            let which = Which::parse(input.version_id.as_deref())?;
            let wish = match input.access_control_policy {
                Some(policy) => self.policy(policy)?,
                None => self.object_acl_wish(
                    &request.headers,
                    input.acl.as_ref(),
                    [
                        (input.grant_read.as_deref(), Permission::Read),
                        (input.grant_read_acp.as_deref(), Permission::ReadAcp),
                        (input.grant_write_acp.as_deref(), Permission::WriteAcp),
                        (input.grant_full_control.as_deref(), Permission::FullControl),
                    ],
                )?,
            };
            if wish == AclWish::Default {
                return Err(Error::new(Code::InvalidRequest, "no list was said"));
            }
            self.core.set_object_acl(&caller, (&name, &input.key), &which, &wish).await
        };
        done.await.map_err(told)?;
        Ok(S3Response::new(dto::PutObjectAclOutput::default()))
    }
}

fn shown(listed: &Listed) -> (Option<dto::Owner>, Option<Vec<dto::Grant>>) {
    let grant = |grant: &Grant| {
        let permission = match grant.permission() {
            Permission::FullControl => "FULL_CONTROL",
            Permission::Read => "READ",
            Permission::Write => "WRITE",
            Permission::ReadAcp => "READ_ACP",
            Permission::WriteAcp => "WRITE_ACP",
        };
        let user = grant.user.as_ref();
        let uri = match grant.group() {
            Group::None => None,
            Group::Everybody => Some(EVERYBODY.to_owned()),
            Group::Authenticated => Some(AUTHENTICATED.to_owned()),
        };
        let kind = if uri.is_some() { dto::Type::GROUP } else { dto::Type::CANONICAL_USER };
        dto::Grant {
            grantee: Some(dto::Grantee {
                display_name: user.map(|user| user.display().to_owned()),
                email_address: None,
                id: user.map(|user| user.id.clone()),
                type_: dto::Type::from_static(kind),
                uri,
            }),
            permission: Some(dto::Permission::from_static(permission)),
        }
    };
    // Groups come first, as clients are used to.
    let (users, groups): (Vec<&Grant>, Vec<&Grant>) =
        listed.grants.iter().partition(|grant| grant.group() == Group::None);
    let grants = groups.into_iter().chain(users).map(grant).collect();
    (Some(convert::owner(&listed.owner)), Some(grants))
}
