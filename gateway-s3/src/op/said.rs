//! What a request says of itself: what conditions of policies are about.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::record::{Object, Pair};

/// The headers and the query of a request, and where it came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said(Arc<Parts>);

#[derive(Debug, Clone, Default)]
struct Parts {
    headers: HeaderMap,
    query: String,
    address: Option<IpAddr>,
    tls: bool,
    /// It is a batch, whose operations say in their own words what headers say of others.
    batch: bool,
    /// It stands for the listing that would have shown this key.
    listing: Option<String>,
}

impl Said {
    pub(crate) fn new(
        headers: HeaderMap,
        query: Option<&str>,
        address: Option<IpAddr>,
        tls: bool,
    ) -> Self {
        let query = query.unwrap_or_default().to_owned();
        Self(Arc::new(Parts { headers, query, address, tls, batch: false, listing: None }))
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        // Values may be of any encoding; what is no text is not compared with any.
        let value = self.0.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// As what a batch says.
    pub(crate) fn batch(&self) -> Self {
        Self(Arc::new(Parts { batch: true, ..(*self.0).clone() }))
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.0.batch
    }

    /// As if what is asked for was the listing that shows just this key.
    pub(crate) fn listing(&self, key: &str) -> Self {
        Self(Arc::new(Parts { listing: Some(key.to_owned()), ..(*self.0).clone() }))
    }

    /// What there is under the key of a condition, which is in small letters.
    pub(crate) fn values(
        &self,
        key: &str,
        user: Option<&str>,
        object: Option<&Object>,
    ) -> Vec<String> {
        let now = OffsetDateTime::now_utc();
        let one = match key {
            "aws:currenttime" => now.format(&Rfc3339).ok(),
            "aws:epochtime" => Some(now.unix_timestamp().to_string()),
            "aws:principalarn" => user.map(|user| format!("arn:aws:iam:::user/{user}")),
            "aws:principaltype" => Some(user.map_or("Anonymous", |_| "User").to_owned()),
            "aws:referer" => self.header("referer"),
            "aws:securetransport" => Some(self.0.tls.to_string()),
            "aws:sourceip" => self.0.address.map(|address| address.to_canonical().to_string()),
            "aws:useragent" => self.header("user-agent"),
            "aws:userid" | "aws:username" => user.map(str::to_owned),
            "s3:authtype" => self.auth_type(user),
            "s3:signatureversion" => user.map(|_| "AWS4-HMAC-SHA256".to_owned()),
            "s3:delimiter" | "s3:max-keys" => self.query(&key[3..]),
            "s3:prefix" => self.0.listing.clone().or_else(|| self.query("prefix")),
            "s3:versionid" => self.query("versionId"),
            "s3:if-match" | "s3:if-none-match" => self.header(&key[3..]),
            "s3:x-amz-copy-source" => self.header("x-amz-copy-source").map(|text| {
                let text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy();
                text.trim_start_matches('/').to_owned()
            }),
            "s3:requestobjecttagkeys" => {
                return self.tags().into_iter().map(|tag| tag.name).collect();
            }
            _ => match key.split_once('/') {
                Some(("s3:existingobjecttag", name)) => {
                    tag(object.map_or(&[], |object| &object.tags), name)
                }
                Some(("s3:requestobjecttag", name)) => tag(&self.tags(), name),
                _ => self.of_header(key),
            },
        };
        one.into_iter().collect()
    }

    /// Keys that are called as the header is.
    fn of_header(&self, key: &str) -> Option<String> {
        let name = key.strip_prefix("s3:")?;
        match name.strip_prefix("object-lock-") {
            Some(rest) => self.header(&format!("x-amz-object-lock-{rest}")),
            None if name.starts_with("x-amz-") => self.header(name),
            None => None,
        }
    }

    fn auth_type(&self, user: Option<&str>) -> Option<String> {
        user?;
        let kind = if self.0.headers.contains_key(http::header::AUTHORIZATION) {
            "REST-HEADER"
        } else if self.query("X-Amz-Signature").is_some() {
            "REST-QUERY-STRING"
        } else {
            "POST"
        };
        Some(kind.to_owned())
    }

    fn query(&self, name: &str) -> Option<String> {
        self.0.query.split('&').find_map(|pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| {
                let text = text.replace('+', " ");
                percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
            };
            (decoded(found) == name).then(|| decoded(value))
        })
    }

    fn tags(&self) -> Vec<Pair> {
        let header = self.header("x-amz-tagging").unwrap_or_default();
        crate::op::tags::parse_tags(&header)
    }
}

/// The value of a tag, whose name is in any letters.
fn tag(tags: &[Pair], name: &str) -> Option<String> {
    let found = tags.iter().find(|tag| tag.name.eq_ignore_ascii_case(name));
    found.map(|tag| tag.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_find_what_a_request_says() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("referer", "http://a/"),
            ("x-amz-acl", "private"),
            ("x-amz-tagging", "kind=public&b+c=d"),
            ("x-amz-copy-source", "/bucket/a%20b"),
            ("authorization", "x"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let address = Some("::ffff:10.0.0.1".parse().unwrap());
        let said = Said::new(headers, Some("prefix=a%2Fb+c&max-keys=7"), address, true);
        let tags = vec![Pair { name: "Old".to_owned(), value: "1".to_owned() }];
        let object = Object { tags, ..Object::default() };
        let cases = [
            ("aws:referer", vec!["http://a/"]),
            ("aws:sourceip", vec!["10.0.0.1"]),
            ("aws:securetransport", vec!["true"]),
            ("aws:username", vec!["bob"]),
            ("aws:useragent", vec![]),
            ("s3:authtype", vec!["REST-HEADER"]),
            ("s3:prefix", vec!["a/b c"]),
            ("s3:max-keys", vec!["7"]),
            ("s3:delimiter", vec![]),
            ("s3:x-amz-acl", vec!["private"]),
            ("s3:x-amz-copy-source", vec!["bucket/a b"]),
            ("s3:requestobjecttag/kind", vec!["public"]),
            ("s3:requestobjecttagkeys", vec!["kind", "b c"]),
            ("s3:existingobjecttag/old", vec!["1"]),
            ("s3:existingobjecttag/new", vec![]),
        ];
        for (key, expected) in cases {
            assert_eq!(said.values(key, Some("bob"), Some(&object)), expected, "{key}");
        }
        assert_eq!(said.listing("k").values("s3:prefix", None, None), ["k"]);
    }
}
