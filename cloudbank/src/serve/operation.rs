//! What a request asks for, in a word for metrics and logs: one of a bounded number.

use http::{HeaderMap, Method, Uri};

/// What there is to ask of a bucket beside its content.
const OF_BUCKETS: [&str; 4] = ["uploads", "versions", "list-type", "delete"];

/// The operation's name in S3, as far as it matters: settings of buckets and of objects are one each. `in_host` says
/// that the host names the bucket.
pub(super) fn operation(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    in_host: bool,
) -> &'static str {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("-/") {
        return "Health";
    }
    if *method == Method::OPTIONS {
        return "Preflight";
    }
    let asks = |word: &str| {
        let query = uri.query().unwrap_or_default();
        query.split('&').any(|part| part.split('=').next() == Some(word))
    };
    let has_key = match in_host {
        true => !path.is_empty(),
        false => path.split_once('/').is_some_and(|(_, key)| !key.is_empty()),
    };
    if has_key {
        return of_object(method, &asks, headers.contains_key("x-amz-copy-source"));
    }
    if path.is_empty() && !in_host {
        return match *method {
            Method::GET => "ListBuckets",
            Method::POST if asks("batch") => "Batch",
            _ => "Other",
        };
    }
    let setting = uri.query().is_some_and(|query| {
        let own = |part: &str| {
            let word = part.split('=').next().unwrap_or_default();
            // Signatures and the like say nothing of what is asked for.
            SETTINGS.contains(&word) && !OF_BUCKETS.contains(&word)
        };
        query.split('&').any(own)
    });
    match (method.as_str(), setting) {
        ("GET", _) if asks("changes") => "ListChanges",
        ("DELETE", _) if asks("changes") => "DeleteCursor",
        ("GET", true) => "GetBucketSetting",
        ("GET", false) if asks("uploads") => "ListMultipartUploads",
        ("GET", false) if asks("versions") => "ListObjectVersions",
        ("GET", false) if asks("list-type") => "ListObjectsV2",
        ("GET", false) => "ListObjects",
        ("HEAD", _) => "HeadBucket",
        ("PUT", true) => "PutBucketSetting",
        ("PUT", false) => "CreateBucket",
        ("DELETE", true) => "DeleteBucketSetting",
        ("DELETE", false) => "DeleteBucket",
        ("POST", _) if asks("delete") => "DeleteObjects",
        ("POST", _) => "PostObject",
        _ => "Other",
    }
}

/// Names of settings in addresses.
const SETTINGS: [&str; 24] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "retention",
    "tagging",
    "versioning",
];

fn of_object(method: &Method, asks: &dyn Fn(&str) -> bool, copies: bool) -> &'static str {
    let setting = SETTINGS.iter().any(|word| asks(word));
    match method.as_str() {
        "GET" if setting => "GetObjectSetting",
        "GET" if asks("uploadId") => "ListParts",
        "GET" => "GetObject",
        "HEAD" => "HeadObject",
        "PUT" if setting => "PutObjectSetting",
        "PUT" if asks("uploadId") && copies => "UploadPartCopy",
        "PUT" if asks("uploadId") => "UploadPart",
        "PUT" if copies => "CopyObject",
        "PUT" => "PutObject",
        "POST" if asks("uploads") => "CreateMultipartUpload",
        "POST" if asks("uploadId") => "CompleteMultipartUpload",
        "DELETE" if setting => "DeleteObjectSetting",
        "DELETE" if asks("uploadId") => "AbortMultipartUpload",
        "DELETE" => "DeleteObject",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_names_of_their_operations() {
        let cases = [
            ("GET", "/", "ListBuckets"),
            ("POST", "/?batch", "Batch"),
            ("POST", "/", "Other"),
            ("GET", "/-/ready", "Health"),
            ("OPTIONS", "/b/k", "Preflight"),
            ("GET", "/b", "ListObjects"),
            ("GET", "/b/", "ListObjects"),
            ("GET", "/b?list-type=2&prefix=acl", "ListObjectsV2"),
            ("GET", "/b?changes&from=7", "ListChanges"),
            ("DELETE", "/b?changes&cursor=a", "DeleteCursor"),
            ("GET", "/b?versions", "ListObjectVersions"),
            ("GET", "/b?uploads=", "ListMultipartUploads"),
            ("GET", "/b?location", "GetBucketSetting"),
            ("PUT", "/b", "CreateBucket"),
            ("PUT", "/b?x-id=CreateBucket", "CreateBucket"),
            ("PUT", "/b?versioning", "PutBucketSetting"),
            ("HEAD", "/b", "HeadBucket"),
            ("DELETE", "/b", "DeleteBucket"),
            ("DELETE", "/b?cors", "DeleteBucketSetting"),
            ("POST", "/b?delete", "DeleteObjects"),
            ("POST", "/b", "PostObject"),
            ("GET", "/b/k/l", "GetObject"),
            ("GET", "/b/k?X-Amz-Signature=acl", "GetObject"),
            ("GET", "/b/k?uploadId=1", "ListParts"),
            ("GET", "/b/k?tagging", "GetObjectSetting"),
            ("HEAD", "/b/k", "HeadObject"),
            ("PUT", "/b/k", "PutObject"),
            ("PUT", "/b/k?partNumber=1&uploadId=1", "UploadPart"),
            ("PUT", "/b/k?acl", "PutObjectSetting"),
            ("POST", "/b/k?uploads", "CreateMultipartUpload"),
            ("POST", "/b/k?uploadId=1", "CompleteMultipartUpload"),
            ("DELETE", "/b/k?uploadId=1", "AbortMultipartUpload"),
            ("DELETE", "/b/k", "DeleteObject"),
            ("PATCH", "/b/k", "Other"),
        ];
        for (method, address, expected) in cases {
            let method: Method = method.parse().unwrap();
            let uri: Uri = address.parse().unwrap();
            let found = operation(&method, &uri, &HeaderMap::new(), false);
            assert_eq!(found, expected, "{method} {address}");
        }
        let copies = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-amz-copy-source"),
            http::HeaderValue::from_static("/b/k"),
        )]);
        let put =
            |address: &str| operation(&Method::PUT, &address.parse().unwrap(), &copies, false);
        assert_eq!(put("/b/l"), "CopyObject");
        assert_eq!(put("/b/l?uploadId=1&partNumber=2"), "UploadPartCopy");
        let in_host =
            |address: &str| operation(&Method::GET, &address.parse().unwrap(), &copies, true);
        assert_eq!((in_host("/"), in_host("/k")), ("ListObjects", "GetObject"));
    }
}
