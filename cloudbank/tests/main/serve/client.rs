//! An S3 client of bare bytes: it signs requests, and can be as slow and as large as a test wants.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use chrono::Utc;
use ring::{digest, hmac};

/// How long the server may keep it waiting. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(120);
const REGION: &str = "us-east-1";
/// What stands for the hash of a body that nobody has computed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// `host:port`.
    pub(crate) host: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The head as it came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    pub(crate) fn put(&self, target: &str, body: &[u8]) -> io::Result<Answer> {
        self.send("PUT", target, body.len() as u64, |stream| stream.write_all(body))?.answer()
    }

    pub(crate) fn post(&self, target: &str, body: &[u8]) -> io::Result<Answer> {
        self.send("POST", target, body.len() as u64, |stream| stream.write_all(body))?.answer()
    }

    pub(crate) fn get(&self, target: &str) -> io::Result<Answer> {
        self.send("GET", target, 0, |_| Ok(()))?.answer()
    }

    /// Puts so many zeros without having them.
    pub(crate) fn put_zeros(&self, target: &str, bytes: u64) -> io::Result<Answer> {
        let zeros = [0; 64 << 10];
        let write = |stream: &mut TcpStream| {
            let mut left = bytes;
            while left > 0 {
                let piece = left.min(zeros.len() as u64);
                stream.write_all(&zeros[..piece as usize])?;
                left -= piece;
            }
            Ok(())
        };
        self.send("PUT", target, bytes, write)?.answer()
    }

    /// Gets an object and forgets it: the status, and how many bytes there were.
    pub(crate) fn get_and_forget(&self, target: &str) -> io::Result<(u16, u64)> {
        let mut reply = self.send("GET", target, 0, |_| Ok(()))?;
        let head = reply.head()?;
        let bytes = io::copy(&mut reply.stream, &mut io::sink())?;
        Ok((head.status, bytes))
    }

    /// Sends a request on a connection of its own.
    fn send(
        &self,
        method: &str,
        target: &str,
        length: u64,
        body: impl FnOnce(&mut TcpStream) -> io::Result<()>,
    ) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(&self.host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let signed = self.signed(method, target);
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{signed}Content-Length: {length}\r\nConnection: close\r\n\r\n",
            self.host
        );
        stream.write_all(head.as_bytes())?;
        let sent = body(&mut stream);
        let mut reply = Reply { stream: BufReader::new(stream) };
        // Who is refused in the middle of a body has an answer nevertheless.
        match sent {
            Err(error) if reply.stream.fill_buf().map_or(true, <[u8]>::is_empty) => Err(error),
            _ => Ok(reply),
        }
    }

    /// The headers that sign a request, in version 4 of AWS's way. Targets are such that nothing is to be encoded.
    pub(crate) fn signed(&self, method: &str, target: &str) -> String {
        let now = Utc::now();
        let (time, day) = (now.format("%Y%m%dT%H%M%SZ"), now.format("%Y%m%d").to_string());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut query: Vec<_> = query.split('&').filter(|part| !part.is_empty()).collect();
        query.sort_unstable();
        let query: Vec<_> = query
            .into_iter()
            .map(|part| if part.contains('=') { part.into() } else { format!("{part}=") })
            .collect();
        let names = "host;x-amz-content-sha256;x-amz-date";
        let request = format!(
            "{method}\n{path}\n{}\nhost:{}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{time}\n\n{names}\n{UNSIGNED}",
            query.join("&"),
            self.host
        );
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref())
        );
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in [day.as_str(), REGION, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let (access, signature) = (&self.access_key, hex(&mac(&key, &text)));
        format!(
            "x-amz-date: {time}\r\nx-amz-content-sha256: {UNSIGNED}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}\r\n"
        )
    }
}

/// A request that was sent.
struct Reply {
    stream: BufReader<TcpStream>,
}

impl Reply {
    fn head(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Answer { status, head, body: Vec::new() })
    }

    fn answer(mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        self.stream.read_to_end(&mut answer.body)?;
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        if length.is_some_and(|length: usize| length != answer.body.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }
}

/// Asks without signing, on a connection of its own.
pub(crate) fn ask(host: &str, target: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    Reply { stream: BufReader::new(stream) }.answer()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
