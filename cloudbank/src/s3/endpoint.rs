//! Where a service is, and the address of each thing in it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what RFC 3986 §2.3 calls unreserved, as signatures want it.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path, where slashes stay.
const PATH: &AsciiSet = &STRICT.remove(b'/');

/// Where the bucket goes in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// `https://host/bucket/key`
    Path,
    /// `https://bucket.host/key`
    Virtual,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    scheme: &'static str,
    /// Host and port; `None` at AWS, where it depends on the region.
    authority: Option<String>,
    /// What comes before the bucket, without a slash at its end.
    base: String,
    addressing: Addressing,
}

/// The address of a thing, its path as it is sent and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: &'static str,
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Endpoint {
    /// Amazon's own, in any region.
    pub(crate) fn aws(addressing: Option<Addressing>) -> Self {
        let addressing = addressing.unwrap_or(Addressing::Virtual);
        Self { scheme: "https", authority: None, base: String::new(), addressing }
    }

    /// `http://host:port` or `https://host`, perhaps with a path.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(url: &str, addressing: Option<Addressing>) -> Result<Self, String> {
        // A password before an @ is nobody's business.
        let shown = url.rsplit('@').next().unwrap_or_default();
        let wrong = |why: &str| {
            format!("the endpoint `{shown}` {why}\n  = expected something like https://host:port")
        };
        let uri: http::Uri = url.parse().map_err(|_| wrong("is no address"))?;
        let scheme = match uri.scheme_str() {
            Some("https") => "https",
            Some("http") => "http",
            _ => return Err(wrong("does not begin with https:// or http://")),
        };
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong("holds credentials, which are said apart"));
        }
        if uri.host().unwrap_or_default().is_empty() {
            return Err(wrong("names no host"));
        }
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        // The port of the scheme is left out of what is signed, as it is of what is sent.
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(authority).to_owned();
        Ok(Self {
            scheme,
            authority: Some(authority),
            base: uri.path().trim_end_matches('/').to_owned(),
            addressing: addressing.unwrap_or(Addressing::Path),
        })
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.scheme == "https"
    }

    /// The address of the service, a bucket or an object.
    pub(crate) fn address(&self, region: &str, bucket: &str, key: &str) -> Address {
        let mut authority = match &self.authority {
            Some(authority) => authority.clone(),
            None => format!("s3.{region}.amazonaws.com"),
        };
        let mut path = format!("{}/", self.base);
        if !bucket.is_empty() {
            // A certificate for *.host is not for a.b.host; and what is no name of a host cannot be one.
            let name =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let plain = (bucket.bytes().all(name) && bucket.len() <= 63)
                || (self.scheme == "http" && bucket.bytes().all(|byte| name(byte) || byte == b'.'));
            if self.addressing == Addressing::Virtual && plain {
                authority = format!("{bucket}.{authority}");
            } else {
                path += &encoded(bucket);
                if !key.is_empty() {
                    path.push('/');
                }
            }
            path += &utf8_percent_encode(key, PATH).to_string();
        }
        Address { scheme: self.scheme, authority, path }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.authority {
            Some(authority) => write!(f, "{}://{authority}{}", self.scheme, self.base),
            None => f.write_str("AWS"),
        }
    }
}

impl Address {
    /// The whole of it, with a query that is encoded already.
    pub(crate) fn url(&self, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}://{}{}{mark}{query}", self.scheme, self.authority, self.path)
    }
}

/// A word of a query or of one part of a path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, STRICT).to_string()
}

/// A path, such as that of what is copied.
pub(crate) fn encoded_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_have_addresses_that_keep_every_byte_of_a_key() {
        let check = |endpoint: &Endpoint, bucket: &str, key: &str, expected: &str| {
            assert_eq!(endpoint.address("eu-west-1", bucket, key).url(""), expected);
        };
        let aws = Endpoint::aws(None);
        check(&aws, "", "", "https://s3.eu-west-1.amazonaws.com/");
        check(&aws, "b", "", "https://b.s3.eu-west-1.amazonaws.com/");
        check(&aws, "b", "a b+c/ü", "https://b.s3.eu-west-1.amazonaws.com/a%20b%2Bc/%C3%BC");
        // No certificate is for such a host, and no host has such a name.
        check(&aws, "a.b", "k", "https://s3.eu-west-1.amazonaws.com/a.b/k");
        check(&aws, "Upper_Case", "k", "https://s3.eu-west-1.amazonaws.com/Upper_Case/k");
        let own = Endpoint::parse("http://127.0.0.1:9000/", None).unwrap();
        check(&own, "", "", "http://127.0.0.1:9000/");
        check(&own, "b", "", "http://127.0.0.1:9000/b");
        check(&own, "b", "../../x", "http://127.0.0.1:9000/b/../../x");
        check(&own, "b", "/x//", "http://127.0.0.1:9000/b//x//");
        check(&own, "b", "%2e?#", "http://127.0.0.1:9000/b/%252e%3F%23");
        check(&own, "b@v7", "k", "http://127.0.0.1:9000/b%40v7/k");
        let below = Endpoint::parse("https://host:443/s3/", Some(Addressing::Virtual)).unwrap();
        check(&below, "b", "k", "https://b.host/s3/k");
        check(&below, "b@v7", "k", "https://host/s3/b%40v7/k");
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for (url, why) in [
            ("127.0.0.1:9000", "does not begin with"),
            ("ftp://host", "does not begin with"),
            ("https://", "is no address"),
            ("https://u:secret@host", "holds credentials"),
            ("https://host/?x", "has a query"),
            ("not an address", "is no address"),
        ] {
            let said = Endpoint::parse(url, None).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret"), "{url}: {said}");
        }
    }
}
