//! Reads HTTP/1.1 messages whole and keeps their bytes.

use std::io::{Error, ErrorKind, Result};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest message the proxy keeps, in bytes.
const MESSAGE_BYTES_MAX: usize = 512 << 20;
/// The most headers of a message.
const HEADERS_MAX: usize = 128;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `PUT`, `GET` and so on.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Name in lower case, and value.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The value of the first header with this name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        find(&self.headers, name)
    }
}

/// A request or an answer with its bytes as they came.
#[derive(Debug, Clone)]
pub(super) struct Message<H> {
    pub(super) head: H,
    pub(super) head_bytes: Bytes,
    /// With the framing of its chunks, if it has any.
    pub(super) body_bytes: Bytes,
}

/// What an answer says before its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) code: u16,
    /// Whether the connection ends with it.
    pub(super) closes: bool,
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads message after message from a connection.
#[derive(Debug)]
pub(super) struct Reader<S> {
    pub(super) stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next head, or `None` if the other side has closed between two messages.
    pub(super) async fn request_head(&mut self) -> Result<Option<(Head, Bytes)>> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut request = httparse::Request::new(&mut headers);
            if let httparse::Status::Complete(length) =
                request.parse(&self.buffer).map_err(invalid)?
            {
                let head = Head {
                    method: request.method.unwrap_or_default().to_owned(),
                    target: request.path.unwrap_or_default().to_owned(),
                    headers: owned(request.headers),
                };
                return Ok(Some((head, self.buffer.split_to(length).freeze())));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut_short()) };
            }
        }
    }

    /// The body of a request with this head.
    pub(super) async fn request_body(&mut self, head: &Head) -> Result<Bytes> {
        let framing = framing(&head.headers)?.unwrap_or(Framing::Length(0));
        self.body(framing).await
    }

    /// The answer to a request of this method; interim ones are passed over.
    pub(super) async fn response(&mut self, method: &str) -> Result<Message<Status>> {
        loop {
            let mut parsed = httparse_response(&self.buffer)?;
            while parsed.is_none() {
                if self.fill().await? == 0 {
                    return Err(cut_short());
                }
                parsed = httparse_response(&self.buffer)?;
            }
            let Some((length, code, headers)) = parsed else { return Err(cut_short()) };
            let head_bytes = self.buffer.split_to(length).freeze();
            if (100..200).contains(&code) {
                continue;
            }
            let bodiless = method == "HEAD" || code == 204 || code == 304;
            let framing = match framing(&headers)? {
                _ if bodiless => Framing::Length(0),
                Some(framing) => framing,
                None => Framing::UntilClose,
            };
            let closes = matches!(framing, Framing::UntilClose)
                || find(&headers, "connection").is_some_and(|it| it.eq_ignore_ascii_case(b"close"));
            let body_bytes = self.body(framing).await?;
            return Ok(Message { head: Status { code, closes }, head_bytes, body_bytes });
        }
    }

    async fn body(&mut self, framing: Framing) -> Result<Bytes> {
        match framing {
            Framing::Length(length) => {
                self.fill_to(length).await?;
                Ok(self.buffer.split_to(length).freeze())
            }
            Framing::Chunked => {
                let length = self.chunks_length().await?;
                Ok(self.buffer.split_to(length).freeze())
            }
            Framing::UntilClose => {
                while self.fill().await? > 0 {}
                Ok(self.buffer.split().freeze())
            }
        }
    }

    /// Reads until the chunks and the trailers are there; how many bytes they have.
    async fn chunks_length(&mut self) -> Result<usize> {
        let mut at = 0;
        loop {
            let parsed = httparse::parse_chunk_size(&self.buffer[at..])
                .map_err(|_| Error::new(ErrorKind::InvalidData, "not the size of a chunk"))?;
            match parsed {
                httparse::Status::Partial => self.must_fill().await?,
                httparse::Status::Complete((line, 0)) => {
                    at += line;
                    break;
                }
                httparse::Status::Complete((line, size)) => {
                    let size = usize::try_from(size).map_err(invalid)?;
                    at = at.saturating_add(line).saturating_add(size).saturating_add(2);
                    self.fill_to(at).await?;
                }
            }
        }
        // Trailers, line by line, to the empty one.
        loop {
            match self.buffer[at..].windows(2).position(|pair| pair == b"\r\n") {
                Some(0) => return Ok(at + 2),
                Some(length) => at += length + 2,
                None => self.must_fill().await?,
            }
        }
    }

    async fn fill_to(&mut self, length: usize) -> Result<()> {
        if length > MESSAGE_BYTES_MAX {
            return Err(invalid("a message is larger than the proxy keeps"));
        }
        while self.buffer.len() < length {
            self.must_fill().await?;
        }
        Ok(())
    }

    async fn must_fill(&mut self) -> Result<()> {
        if self.fill().await? == 0 { Err(cut_short()) } else { Ok(()) }
    }

    async fn fill(&mut self) -> Result<usize> {
        if self.buffer.remaining() > MESSAGE_BYTES_MAX {
            return Err(invalid("a message is larger than the proxy keeps"));
        }
        self.buffer.reserve(64 << 10);
        self.stream.read_buf(&mut self.buffer).await
    }
}

type Headers = Vec<(String, Vec<u8>)>;

fn httparse_response(buffer: &[u8]) -> Result<Option<(usize, u16, Headers)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(buffer).map_err(invalid)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            Ok(Some((length, response.code.unwrap_or_default(), owned(response.headers))))
        }
    }
}

fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    headers.iter().map(|it| (it.name.to_ascii_lowercase(), it.value.to_vec())).collect()
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
}

/// How the end of the body is found: [RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3).
fn framing(headers: &Headers) -> Result<Option<Framing>> {
    if let Some(coding) = find(headers, "transfer-encoding") {
        return if coding.to_ascii_lowercase().ends_with(b"chunked") {
            Ok(Some(Framing::Chunked))
        } else {
            Err(invalid("a transfer coding that is not chunked"))
        };
    }
    let Some(length) = find(headers, "content-length") else { return Ok(None) };
    let length = std::str::from_utf8(length).map_err(invalid)?;
    Ok(Some(Framing::Length(length.trim().parse().map_err(invalid)?)))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}

fn cut_short() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "the connection ended within a message")
}
