//! The answer to List Blobs:
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/list-blobs>.

use backend_object_store::{PageRequest, RawPage};
use serde::Deserialize;

/// The version of the interface that has `startFrom`. Services that do not know it begin at the beginning,
/// which the reader of pages notices.
pub(crate) const VERSION: &str = "2026-02-06";

/// The query that asks for a page.
pub(crate) fn query(page: &PageRequest<'_>) -> Vec<(&'static str, String)> {
    let mut query = vec![
        ("restype", "container".to_owned()),
        ("comp", "list".to_owned()),
        ("maxresults", page.limit.to_string()),
    ];
    if !page.prefix.is_empty() {
        query.push(("prefix", page.prefix.to_owned()));
    }
    query.extend(page.token.map(|token| ("marker", token.to_owned())));
    // Inclusive: the name itself is left out by the reader.
    query.extend(page.start_after.map(|start| ("startFrom", start.to_owned())));
    query
}

/// Reads a page.
pub(crate) fn read(body: &[u8]) -> Result<RawPage, String> {
    // Azure begins its XML with a byte order mark.
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let results: EnumerationResults =
        quick_xml::de::from_reader(body).map_err(|error| error.to_string())?;
    let files = results.blobs.blob.into_iter().filter(|blob| {
        // Accounts with a hierarchical namespace list their folders as well.
        blob.properties.resource_type.as_deref() != Some("directory")
    });
    let objects = files.map(|blob| (blob.name, blob.properties.content_length)).collect();
    Ok(RawPage { objects, token: results.next_marker.filter(|marker| !marker.is_empty()) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnumerationResults {
    /// There is no listing without it, which tells one from a web page.
    blobs: Blobs,
    next_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Blobs {
    #[serde(default)]
    blob: Vec<Blob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Blob {
    name: String,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    #[serde(rename = "Content-Length")]
    content_length: u64,
    resource_type: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_without_folders_and_with_names_as_they_are() {
        let page = read(
            b"\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Prefix/><Blobs>\
              <Blob><Name>a//b</Name><Properties><Content-Length>3</Content-Length></Properties></Blob>\
              <Blob><Name>d</Name><Properties><ResourceType>directory</ResourceType>\
              <Content-Length>0</Content-Length></Properties></Blob>\
              <Blob><Name>R&amp;D</Name><Properties><ResourceType>file</ResourceType>\
              <Content-Length>18446744073709551615</Content-Length></Properties></Blob>\
              </Blobs><NextMarker>m</NextMarker></EnumerationResults>",
        );
        let objects = vec![("a//b".to_owned(), 3), ("R&D".to_owned(), u64::MAX)];
        assert_eq!(page, Ok(RawPage { objects, token: Some("m".into()) }));
    }

    #[test]
    fn an_empty_page_is_the_last() {
        for body in [
            "<EnumerationResults><Blobs /><NextMarker /></EnumerationResults>",
            "<EnumerationResults><Blobs></Blobs></EnumerationResults>",
        ] {
            assert_eq!(read(body.as_bytes()), Ok(RawPage::default()), "{body}");
        }
    }

    #[test]
    fn what_is_no_listing_is_not_an_empty_one() {
        for body in [
            "",
            "<html><body>It works!</body></html>",
            "{}",
            "<Error><Code>ContainerNotFound</Code></Error>",
            "<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs></EnumerationResults>",
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
