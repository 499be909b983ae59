//! What S3's error codes mean:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use backend_object_store::{Answer, Call, Place, in_doubt, refused};
use storage_core::{Error, ErrorKind, PutIf};

/// The error for an answer, where the code says more than the status.
pub(crate) fn explain(
    place: &Place,
    region: &str,
    call: Call<'_>,
    answer: &Answer,
) -> Option<Error> {
    use ErrorKind as Kind;
    let words = answer.words();
    let status = answer.status.as_u16();
    let name = &place.name;
    let credentials = &place.credentials;
    let elsewhere = || {
        let there = answer.header("x-amz-bucket-region").map_or_else(String::new, |there| {
            let there: String = there.chars().filter(|c| !c.is_control()).take(40).collect();
            format!("; it is in \"{there}\"")
        });
        refused(
            Kind::Misconfigured,
            format!(
                "{name} is not in `region` \"{region}\"{there} ({words}); or `endpoint` is another's"
            ),
        )
    };
    let denied = |what: String| refused(Kind::PermissionDenied, format!("{words}; {what}"));
    Some(match (status, answer.code()) {
        // Bucket before object: a missing bucket must not look like a missing object.
        (404, Some("NoSuchBucket")) => refused(
            Kind::Misconfigured,
            format!("{words}: there is no such bucket; check `bucket`, or create it"),
        ),
        (404, Some("NoSuchKey")) => match call {
            // S3 says so where others say 412.
            Call::Put(PutIf::Matches(_)) => refused(Kind::Conflict, "there is no object"),
            Call::Put(_) | Call::List | Call::Create | Call::Destroy => return None,
            Call::Get | Call::Delete => refused(Kind::NotFound, "there is no object"),
        },
        // Busy with another request on the same object: nothing was done.
        (409, Some("ConditionalRequestConflict" | "OperationAborted")) => {
            refused(Kind::Unavailable, words)
        }
        (409, Some("BucketAlreadyExists" | "BucketAlreadyOwnedByYou")) => {
            refused(Kind::Conflict, format!("{name} exists already: {words}"))
        }
        (409, Some("BucketNotEmpty")) => refused(
            Kind::Conflict,
            format!("{name} is not empty: {words}; delete its objects first"),
        ),
        (400 | 403, Some("AuthorizationHeaderMalformed"))
        | (400, Some("IllegalLocationConstraintException" | "InvalidLocationConstraint"))
        | (301 | 308, _) => elsewhere(),
        // A bucket so new that its name does not lead to its region yet: AWS says to ask again.
        (307, Some("TemporaryRedirect")) => {
            refused(Kind::Unavailable, format!("{words}: the bucket is temporarily elsewhere"))
        }
        (_, Some("InvalidBucketName")) => {
            refused(Kind::Misconfigured, format!("{words}; check `bucket`"))
        }
        (400 | 401 | 403, Some("SignatureDoesNotMatch")) => denied(format!("check {credentials}")),
        (400 | 401 | 403, Some("InvalidAccessKeyId")) => {
            denied(format!("nobody there has this key; check {credentials}, and `endpoint`"))
        }
        (400 | 401 | 403, Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired")) => {
            denied(format!("the session is over or not of this service; check {credentials}"))
        }
        (400 | 401 | 403, Some("RequestTimeTooSkewed")) => {
            denied("the clocks of this machine and the service differ too much".into())
        }
        (403, Some("InvalidObjectState")) => {
            refused(Kind::Unexpected, format!("{words}: the object is archived; restore it first"))
        }
        (403, Some("QuotaExceeded" | "XMinioAdminBucketQuotaExceeded")) => {
            refused(Kind::StorageFull, words)
        }
        (507, Some("XMinioStorageFull")) | (_, Some("XMinioAdminBucketQuotaExceeded")) => {
            in_doubt(call, Kind::StorageFull, words)
        }
        (400, Some("EntityTooLarge")) => refused(Kind::TooLarge, words),
        (400, Some("KeyTooLongError")) => refused(Kind::InvalidKey, words),
        // The body was damaged or cut off on the way, and the service noticed.
        (400, Some("BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody")) => {
            refused(Kind::Unavailable, words)
        }
        (400, Some("RequestTimeout")) => in_doubt(call, Kind::Unavailable, words),
        (
            _,
            Some(
                "SlowDown"
                | "SlowDownWrite"
                | "SlowDownRead"
                | "Throttling"
                | "RequestLimitExceeded",
            ),
        ) if status != 429 => in_doubt(call, Kind::Throttled, words),
        _ => return None,
    })
}
