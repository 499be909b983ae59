//! Signatures, version 4: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>.

use std::time::Duration;

use backend_s3::Keys;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::endpoint::{Address, encoded};

/// Stands for the hash of a body that is not signed.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What signs requests: whose keys, for which region, when.
pub(crate) struct Signer<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) region: &'a str,
    pub(crate) time: DateTime<Utc>,
}

impl Signer<'_> {
    /// The headers that a request needs besides its own, all of which are signed.
    pub(crate) fn headers(
        &self,
        method: &str,
        address: &Address,
        query: &[(String, String)],
        headers: &[(String, String)],
        payload: &str,
    ) -> Vec<(String, String)> {
        let mut more = vec![
            ("x-amz-content-sha256".to_owned(), payload.to_owned()),
            ("x-amz-date".to_owned(), self.moment()),
        ];
        if let Some(token) = &self.keys.session_token {
            more.push(("x-amz-security-token".to_owned(), token.reveal().to_owned()));
        }
        let mut signed: Vec<(String, String)> =
            headers.iter().chain(&more).map(|(name, value)| (name.clone(), tidy(value))).collect();
        signed.push(("host".to_owned(), address.authority.clone()));
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let signature =
            self.signature(method, &address.path, &joined(query), &signed, &names, payload);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.keys.access_key_id,
            self.scope()
        );
        more.push(("authorization".to_owned(), authorization));
        more
    }

    /// An address that anybody may use for so long.
    pub(crate) fn presigned(
        &self,
        method: &str,
        address: &Address,
        query: &[(String, String)],
        expires_in: Duration,
    ) -> String {
        let mut query = query.to_vec();
        let mut add = |name: &str, value: String| query.push((name.to_owned(), value));
        add("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned());
        add("X-Amz-Credential", format!("{}/{}", self.keys.access_key_id, self.scope()));
        add("X-Amz-Date", self.moment());
        add("X-Amz-Expires", expires_in.as_secs().to_string());
        add("X-Amz-SignedHeaders", "host".to_owned());
        if let Some(token) = &self.keys.session_token {
            add("X-Amz-Security-Token", token.reveal().to_owned());
        }
        let query = joined(&query);
        let host = [("host".to_owned(), address.authority.clone())];
        let signature = self.signature(method, &address.path, &query, &host, "host", UNSIGNED);
        address.url(&format!("{query}&X-Amz-Signature={signature}"))
    }

    fn signature(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(String, String)],
        names: &str,
        payload: &str,
    ) -> String {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}");
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.moment(),
            self.scope(),
            hexadecimal(&Sha256::digest(canonical))
        );
        let key = format!("AWS4{}", self.keys.secret_access_key.reveal()).into_bytes();
        let key = mac(&key, &self.day());
        let key = mac(&mac(&mac(&key, self.region), "s3"), "aws4_request");
        hexadecimal(&mac(&key, &text))
    }

    fn day(&self) -> String {
        self.time.format("%Y%m%d").to_string()
    }

    fn moment(&self) -> String {
        self.time.format("%Y%m%dT%H%M%SZ").to_string()
    }

    fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", self.day(), self.region)
    }
}

/// A query as it is sent and signed: in order, each word encoded.
pub(crate) fn joined(query: &[(String, String)]) -> String {
    let mut words: Vec<_> =
        query.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
    words.sort();
    let words: Vec<_> = words.iter().map(|(name, value)| format!("{name}={value}")).collect();
    words.join("&")
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of a body, as it is signed.
pub(crate) fn hash(body: &[u8]) -> String {
    hexadecimal(&Sha256::digest(body))
}

/// Blanks at the ends and in a row do not count.
fn tidy(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key has any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use storage_core::Secret;

    use super::*;
    use crate::s3::endpoint::Endpoint;

    /// The keys, the time and the signatures of the examples in Amazon's documentation.
    fn signed(check: impl FnOnce(&Signer<'_>, &Address) -> String) -> String {
        let keys = Keys {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        };
        let time = DateTime::from_timestamp(1_369_353_600, 0).unwrap();
        let signer = Signer { keys: &keys, region: "us-east-1", time };
        let endpoint = Endpoint::parse("https://examplebucket.s3.amazonaws.com", None).unwrap();
        check(&signer, &endpoint.address("us-east-1", "", ""))
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn headers_are_signed_as_the_examples_are() {
        let object = signed(|signer, address| {
            let address = Address { path: "/test.txt".into(), ..address.clone() };
            let range = [pair("range", "bytes=0-9")];
            let headers = signer.headers("GET", &address, &[], &range, &hash(b""));
            headers.last().unwrap().1.clone()
        });
        assert!(object.ends_with(
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        ));
        let list = signed(|signer, address| {
            let query = [pair("prefix", "J"), pair("max-keys", "2")];
            let headers = signer.headers("GET", address, &query, &[], &hash(b""));
            headers.last().unwrap().1.clone()
        });
        assert!(list.ends_with("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
    }

    #[test]
    fn addresses_are_signed_as_the_example_is() {
        let url = signed(|signer, address| {
            let address = Address { path: "/test.txt".into(), ..address.clone() };
            signer.presigned("GET", &address, &[], Duration::from_secs(86_400))
        });
        let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(url.ends_with(&format!("&X-Amz-Signature={signature}")), "{url}");
        assert!(url.contains("X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"), "{url}");
    }

    #[test]
    fn blanks_in_values_count_once() {
        assert_eq!(tidy("  a   b "), "a b");
    }
}
