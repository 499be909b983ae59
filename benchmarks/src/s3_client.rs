//! A client for S3 that does as little as it can, so that what is measured is the server.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use ring::hmac;
use tokio::net::TcpStream;

/// The access key that all servers know.
pub const ACCESS_KEY: &str = "cloudbank";
/// Its secret.
pub const SECRET_KEY: &str = "cloudbank-secret";
const REGION: &str = "us-east-1";
/// Bodies are not signed, as clients leave it out wherever there is TLS.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// One connection to an S3 server, signed with version 4, for one request after the other.
#[derive(Debug)]
pub struct S3Client {
    address: SocketAddr,
    host: String,
    sender: SendRequest<Full<Bytes>>,
    day: String,
    key: Option<hmac::Key>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct S3Answer {
    /// 200 and the like.
    pub status: u16,
    /// How many bytes the body had.
    pub bytes: usize,
    /// The body, if it was asked for or tells of a failure.
    pub body: Bytes,
}

impl S3Client {
    /// Connects to `http://address:port`.
    ///
    /// # Errors
    ///
    /// When nothing listens there.
    pub async fn connect(url: &str) -> Result<Self> {
        let host = url.strip_prefix("http://").context("an address begins with http://")?;
        let host = host.trim_end_matches('/').to_owned();
        let address: SocketAddr = host.parse().with_context(|| format!("the address {host}"))?;
        let sender = Self::open(address).await?;
        Ok(Self { address, host, sender, day: String::new(), key: None })
    }

    async fn open(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends a request and reads all of its answer, keeping the body only if `keep` says so. `path` and `query` are
    /// encoded as they are signed, the query in the order of its names.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn send(
        &mut self,
        method: Method,
        (path, query): (&str, &str),
        body: Bytes,
        keep: bool,
    ) -> Result<S3Answer> {
        let answer = match self.exchange(&method, (path, query), body.clone()).await {
            Ok(answer) => answer,
            // Some servers end a connection when it pleases them. All that is asked here can be asked again.
            Err(_) => {
                self.sender = Self::open(self.address).await?;
                self.exchange(&method, (path, query), body).await?
            }
        };
        let status = answer.status().as_u16();
        let mut parts = answer.into_body();
        let (mut bytes, mut body) = (0, Vec::new());
        while let Some(frame) = parts.frame().await {
            if let Ok(data) = frame?.into_data() {
                bytes += data.len();
                if keep || status >= 300 {
                    body.extend_from_slice(&data);
                }
            }
        }
        Ok(S3Answer { status, bytes, body: body.into() })
    }

    async fn exchange(
        &mut self,
        method: &Method,
        (path, query): (&str, &str),
        body: Bytes,
    ) -> Result<Response<Incoming>> {
        self.sender.ready().await?;
        let time = chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
        let authorization = self.sign(method, path, query, &time);
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", &self.host)
            .header("x-amz-content-sha256", UNSIGNED)
            .header("x-amz-date", time)
            .header("authorization", authorization)
            .header("content-length", body.len())
            .body(Full::new(body))?;
        Ok(self.sender.send_request(request).await?)
    }

    /// As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// Also when the answer is another than 200 or 204.
    pub async fn done(
        &mut self,
        method: Method,
        (path, query): (&str, &str),
        body: Bytes,
        keep: bool,
    ) -> Result<S3Answer> {
        let answer = self.send(method.clone(), (path, query), body, keep).await?;
        if !matches!(answer.status, 200 | 204) {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            bail!("{method} {path}?{query} at {}: {} {text}", self.host, answer.status);
        }
        Ok(answer)
    }

    /// The value of the `Authorization` header.
    fn sign(&mut self, method: &Method, path: &str, query: &str, time: &str) -> String {
        let day = &time[..8];
        if self.day != day {
            self.key = None;
            day.clone_into(&mut self.day);
        }
        let key = self.key.get_or_insert_with(|| {
            let first = format!("AWS4{SECRET_KEY}").into_bytes();
            let last = [day, REGION, "s3", "aws4_request"].into_iter().fold(first, |key, part| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
                hmac::sign(&key, part.as_bytes()).as_ref().to_vec()
            });
            hmac::Key::new(hmac::HMAC_SHA256, &last)
        });
        const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";
        let host = &self.host;
        // A word without a value is signed with an empty one.
        let signed_query = match query {
            "" => String::new(),
            query => query
                .split('&')
                .map(|one| if one.contains('=') { one.to_owned() } else { format!("{one}=") })
                .collect::<Vec<_>>()
                .join("&"),
        };
        let canonical = format!(
            "{method}\n{path}\n{signed_query}\nhost:{host}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{time}\n\n{SIGNED}\n{UNSIGNED}"
        );
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
        let signature = hex(hmac::sign(key, text.as_bytes()).as_ref());
        format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={SIGNED}, Signature={signature}"
        )
    }
}

/// Waits until a server answers a signed request at `url` with success, for `most` at most.
///
/// # Errors
///
/// The last answer that was none, after that time.
pub async fn wait_until_served(url: &str, most: Duration) -> Result<()> {
    let start = tokio::time::Instant::now();
    loop {
        let asked = async {
            let mut client = S3Client::connect(url).await?;
            client.done(Method::GET, ("/", ""), Bytes::new(), false).await
        };
        match asked.await {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > most => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
