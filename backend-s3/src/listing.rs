//! The answer to ListObjectsV2:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.

use backend_object_store::{PageRequest, RawPage};
use serde::Deserialize;

/// The query that asks for a page.
pub(crate) fn query(page: &PageRequest<'_>) -> Vec<(&'static str, String)> {
    let mut query = vec![("list-type", "2".to_owned()), ("max-keys", page.limit.to_string())];
    query.extend(page.token.map(|token| ("continuation-token", token.to_owned())));
    if !page.prefix.is_empty() {
        query.push(("prefix", page.prefix.to_owned()));
    }
    query.extend(page.start_after.map(|start| ("start-after", start.to_owned())));
    query
}

/// Reads a page.
pub(crate) fn read(body: &[u8]) -> Result<RawPage, String> {
    let result: ListBucketResult =
        quick_xml::de::from_reader(body).map_err(|error| error.to_string())?;
    let objects = result.contents.into_iter().map(|object| (object.key, object.size)).collect();
    let token = match (result.is_truncated, result.next_continuation_token) {
        (true, None) => return Err("it is truncated, but says not where to go on".into()),
        (true, token) => token,
        (false, _) => None,
    };
    Ok(RawPage { objects, token })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListBucketResult {
    /// There is no listing without it, which tells one from a web page.
    is_truncated: bool,
    #[serde(default)]
    contents: Vec<Contents>,
    next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";

    #[test]
    fn a_page_is_read_with_names_that_are_no_keys_as_they_are() {
        let page = read(
            format!(
                "{HEAD}<Name>b</Name><IsTruncated>true</IsTruncated>\
                 <Contents><Key>a//b</Key><Size>3</Size><ETag>&quot;x&quot;</ETag></Contents>\
                 <Contents><Key>dir/</Key><Size>0</Size></Contents>\
                 <Contents><Key>R&amp;D &#65;</Key><Size>18446744073709551615</Size></Contents>\
                 <NextContinuationToken>t=</NextContinuationToken></ListBucketResult>"
            )
            .as_bytes(),
        );
        let objects =
            vec![("a//b".to_owned(), 3), ("dir/".to_owned(), 0), ("R&D A".to_owned(), u64::MAX)];
        assert_eq!(page, Ok(RawPage { objects, token: Some("t=".into()) }));
    }

    #[test]
    fn what_is_no_listing_is_not_an_empty_one() {
        for body in [
            "",
            "<html><body>It works!</body></html>",
            "{\"ok\":true}",
            "<Error><Code>NoSuchBucket</Code></Error>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>",
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
