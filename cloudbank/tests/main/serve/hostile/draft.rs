//! A request that is signed as its maker wants, and sent as somebody else does.

use chrono::{DateTime, TimeDelta, Utc};
use ring::{digest, hmac};

use crate::serve::client::Client;

/// The hash of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Where the signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Header,
    /// In the address, for so many seconds.
    Query(i64),
}

/// A request before it is sent. What is `sent_...` takes the place of what was signed.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: String,
    pub(super) body: Vec<u8>,
    pub(super) more: Vec<(String, String)>,
    pub(super) time: DateTime<Utc>,
    pub(super) access: String,
    pub(super) secret: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) way: Way,
    /// What is said to be the hash of the body.
    pub(super) hash: Option<String>,
    pub(super) sent_method: Option<String>,
    pub(super) sent_target: Option<String>,
    pub(super) sent_host: Option<String>,
    pub(super) sent_body: Option<Vec<u8>>,
    /// Changes the signature.
    pub(super) spoil: Option<fn(&mut String) -> bool>,
}

impl Draft {
    /// Gets `/bkt/good`.
    pub(super) fn new(client: &Client) -> Self {
        Self {
            method: "GET".into(),
            target: "/bkt/good".into(),
            host: client.host.clone(),
            body: Vec::new(),
            more: Vec::new(),
            time: Utc::now(),
            access: client.access_key.clone(),
            secret: client.secret_key.clone(),
            region: "us-east-1".into(),
            service: "s3".into(),
            way: Way::Header,
            hash: None,
            sent_method: None,
            sent_target: None,
            sent_host: None,
            sent_body: None,
            spoil: None,
        }
    }

    pub(super) fn to(&self, target: &str) -> Self {
        Self { target: target.into(), ..self.clone() }
    }

    pub(super) fn minutes(&self, minutes: i64) -> Self {
        Self { time: self.time + TimeDelta::minutes(minutes), ..self.clone() }
    }

    pub(super) fn sent_as(&self, method: &str, target: &str) -> Self {
        let (sent_method, sent_target) = (Some(method.into()), Some(target.into()));
        Self { sent_method, sent_target, ..self.clone() }
    }

    /// The bytes of it.
    pub(super) fn request(&self) -> Vec<u8> {
        let mut signature = self.signature();
        if let Some(spoil) = self.spoil {
            assert!(spoil(&mut signature));
        }
        let mut target = self.sent_target.clone().unwrap_or_else(|| self.target.clone());
        let method = self.sent_method.as_ref().unwrap_or(&self.method);
        let host = self.sent_host.as_ref().unwrap_or(&self.host);
        let body = self.sent_body.as_ref().unwrap_or(&self.body);
        let mut head =
            format!("Host: {host}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
        for (name, value) in &self.more {
            head += &format!("{name}: {value}\r\n");
        }
        match self.way {
            Way::Header => {
                head += &format!(
                    "x-amz-date: {}\r\nx-amz-content-sha256: {}\r\nAuthorization: AWS4-HMAC-SHA256 \
                     Credential={}/{}, SignedHeaders={}, Signature={signature}\r\n",
                    self.moment(),
                    self.hash(),
                    self.access,
                    self.scope(),
                    self.names()
                );
            }
            Way::Query(_) => {
                let mark = if target.contains('?') { '&' } else { '?' };
                target =
                    format!("{target}{mark}{}&X-Amz-Signature={signature}", self.query().join("&"));
            }
        }
        let mut request = format!("{method} {target} HTTP/1.1\r\n{head}\r\n").into_bytes();
        request.extend_from_slice(body);
        request
    }

    /// The body in chunks, each with its signature; the last one is empty.
    pub(super) fn chunks(&self, chunks: &[&[u8]]) -> Vec<u8> {
        let mut before = self.signature();
        let mut body = Vec::new();
        for chunk in chunks {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{before}\n{EMPTY}\n{}",
                self.moment(),
                self.scope(),
                sha256(chunk)
            );
            before = hexadecimal(&mac(&self.key(), &text));
            body.extend(format!("{:x};chunk-signature={before}\r\n", chunk.len()).into_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body
    }

    /// What it is signed with.
    pub(super) fn signature(&self) -> String {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut query: Vec<_> =
            query.split('&').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let (headers, payload) = match self.way {
            Way::Header => (self.signed_headers(), self.hash()),
            Way::Query(_) => {
                query.extend(self.query());
                (vec![("host".to_owned(), self.host.clone())], "UNSIGNED-PAYLOAD".to_owned())
            }
        };
        query.sort_unstable();
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = if self.way == Way::Header { self.names() } else { "host".into() };
        let request =
            format!("{}\n{path}\n{}\n{headers}\n{names}\n{payload}", self.method, query.join("&"));
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.moment(),
            self.scope(),
            sha256(request.as_bytes())
        );
        hexadecimal(&mac(&self.key(), &text))
    }

    fn signed_headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("host".to_owned(), self.host.clone()),
            ("x-amz-content-sha256".to_owned(), self.hash()),
            ("x-amz-date".to_owned(), self.moment()),
        ];
        headers.extend(self.more.clone());
        headers.sort();
        headers
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.signed_headers().into_iter().map(|(name, _)| name).collect();
        names.join(";")
    }

    fn query(&self) -> Vec<String> {
        let Way::Query(seconds) = self.way else { return Vec::new() };
        vec![
            "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
            format!("X-Amz-Credential={}%2F{}", self.access, self.scope().replace('/', "%2F")),
            format!("X-Amz-Date={}", self.moment()),
            format!("X-Amz-Expires={seconds}"),
            "X-Amz-SignedHeaders=host".to_owned(),
        ]
    }

    fn hash(&self) -> String {
        self.hash.clone().unwrap_or_else(|| sha256(&self.body))
    }

    fn moment(&self) -> String {
        self.time.format("%Y%m%dT%H%M%SZ").to_string()
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.time.format("%Y%m%d"), self.region, self.service)
    }

    fn key(&self) -> Vec<u8> {
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [&self.time.format("%Y%m%d").to_string(), &self.region, &self.service] {
            key = mac(&key, part);
        }
        mac(&key, "aws4_request")
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
