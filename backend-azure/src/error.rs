//! What Azure's error codes mean:
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes>.

use backend_object_store::{Answer, Call, Place, in_doubt, refused};
use storage_core::{Error, ErrorKind, PutIf};

/// The error for an answer, where the code says more than the status.
pub(crate) fn explain(place: &Place, call: Call<'_>, answer: &Answer) -> Option<Error> {
    use ErrorKind as Kind;
    let words = answer.words();
    let status = answer.status.as_u16();
    let name = &place.name;
    let credentials = &place.credentials;
    let nothing = || refused(Kind::NotFound, "there is no object");
    Some(match (status, answer.code()?) {
        // Container before blob: a missing container must not look like a missing object.
        (404, "ContainerNotFound") => refused(
            Kind::Misconfigured,
            format!("{words}: there is no such container; check `container`, or create it"),
        ),
        (404, "BlobNotFound" | "ResourceNotFound") => match call {
            Call::Put(PutIf::Matches(_)) => refused(Kind::Conflict, "there is no object"),
            Call::Get | Call::Delete => nothing(),
            Call::Put(_) | Call::List | Call::Create | Call::Destroy => return None,
        },
        // The answer to `If-None-Match: *`, where S3 says 412.
        (409, "BlobAlreadyExists") => refused(Kind::Conflict, "the object exists"),
        (409, "ContainerAlreadyExists") => {
            refused(Kind::Conflict, format!("{name} exists already: {words}"))
        }
        (409, "ContainerBeingDeleted" | "ContainerDisabled") => refused(
            Kind::Unavailable,
            format!("{words}: a container takes its time to be deleted; wait, or name another"),
        ),
        (409, "BlobArchived" | "BlobBeingRehydrated") => {
            refused(Kind::Unexpected, format!("{words}: the blob is archived; rehydrate it first"))
        }
        (409, "BlobImmutableDueToPolicy") => {
            refused(Kind::PermissionDenied, format!("{words}: a policy on `container` forbids it"))
        }
        (409, "InvalidBlobType") => {
            refused(Kind::Unexpected, format!("{words}: it is not a block blob, and not ours"))
        }
        // Somebody holds a lease on the blob: the condition was not even looked at.
        (412, code) if code.starts_with("Lease") => refused(Kind::Unavailable, words),
        (
            401 | 403,
            "AuthorizationPermissionMismatch"
            | "InsufficientAccountPermissions"
            | "AuthorizationResourceTypeMismatch"
            | "AuthorizationServiceMismatch",
        ) => refused(
            Kind::PermissionDenied,
            format!("{words}: a right is missing; check {credentials}"),
        ),
        (
            403,
            "AuthorizationFailure"
            | "AuthorizationSourceIPMismatch"
            | "AuthorizationProtocolMismatch",
        ) => refused(
            Kind::PermissionDenied,
            format!("{words}: perhaps the account's firewall; otherwise check {credentials}"),
        ),
        (
            400 | 401 | 403,
            "InvalidAuthenticationInfo"
            | "NoAuthenticationInformation"
            | "AuthenticationFailed"
            | "AccountIsDisabled"
            | "InvalidResourceToken",
        ) => refused(Kind::PermissionDenied, format!("{words}; check {credentials}")),
        (400, "InvalidResourceName" | "OutOfRangeInput") if matches!(call, Call::Create) => {
            refused(Kind::Misconfigured, format!("{words}; check `container`"))
        }
        (400, "Md5Mismatch" | "Crc64Mismatch" | "IncompleteBody") => {
            refused(Kind::Unavailable, words)
        }
        (413, "RequestBodyTooLarge") => refused(Kind::TooLarge, words),
        (409, "AccountBeingCreated") => refused(Kind::Unavailable, words),
        (500, "OperationTimedOut") => in_doubt(call, Kind::Unavailable, words),
        _ => return None,
    })
}
