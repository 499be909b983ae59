//! A service on the loopback that keeps objects and loses answers on demand.
//!
//! It knows just enough HTTP for one provider at a time: objects by path, `If-None-Match: *`,
//! `If-Match`, and entity tags that number the writes.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is served and answered.
    Answered,
    /// It is served; the answer is this instead, with this code and body.
    Says(u16, &'static str),
    /// It is not served; the answer is this.
    Refused(u16, &'static str),
    /// It is served, then the connection is closed without an answer.
    Closed,
    /// It is served, then the connection is reset.
    Reset,
    /// It is served, and never answered.
    Hung,
    /// It is served; the answer breaks off in its head.
    TornHead,
    /// It is served; the answer announces more of a body than comes.
    TornBody,
    /// It is served twice, and the answer is the second one's.
    Twice,
    /// The answer is `200` with all of the object, whatever range was asked for.
    Whole,
    /// The answer is `206` with other bytes than were asked for.
    OtherRange,
    /// Every second put of a path is not served; the answer is `429`.
    EverySecond,
    /// Served, but where a condition does not hold, the answer is `409`.
    Conflict409,
    /// Served, but puts of racers may match the version before the last, too.
    LateMatches,
    /// The answer is what was there before the last put, if only nothing.
    Stale,
    /// The answer is what was there before the last put, if anything was.
    Older,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Stored {
    body: Vec<u8>,
    tag: String,
    metadata: Vec<(String, String)>,
    before: Option<Box<Stored>>,
}

#[derive(Debug, Default)]
struct State {
    fates: HashMap<String, Fate>,
    objects: HashMap<String, Stored>,
    requests: Vec<Request>,
    refused: HashSet<String>,
    writes: u64,
}

/// A running service. It ends with the runtime.
#[derive(Debug, Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = serving.clone();
                tokio::spawn(async move { fake.serve(stream).await });
            }
        });
        fake
    }

    /// From now on, requests of this method meet this fate.
    pub(crate) fn decide(&self, method: &str, fate: Fate) {
        self.state.lock().unwrap().fates.insert(method.into(), fate);
    }

    /// The requests of this method so far.
    pub(crate) fn seen(&self, method: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|request| request.method == method).cloned().collect()
    }

    /// The body of the object whose path ends like this.
    pub(crate) fn object(&self, path_end: &str) -> Option<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let (_, found) = state.objects.iter().find(|(path, _)| path.ends_with(path_end))?;
        Some(found.body.clone())
    }

    async fn serve(&self, mut stream: TcpStream) {
        while let Some(request) = read(&mut stream).await {
            let (fate, answer) = {
                let mut state = self.state.lock().unwrap();
                state.requests.push(request.clone());
                let fate = state.fates.get(&request.method).copied().unwrap_or(Fate::Answered);
                (fate, state.answer(&request, fate))
            };
            let cut = match fate {
                Fate::Closed => return,
                Fate::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Fate::Hung => std::future::pending().await,
                Fate::TornHead => 12,
                Fate::TornBody => answer.len() - 1,
                _ => answer.len(),
            };
            if stream.write_all(&answer[..cut]).await.is_err() || cut < answer.len() {
                return;
            }
        }
    }
}

impl State {
    fn answer(&mut self, request: &Request, fate: Fate) -> Vec<u8> {
        match fate {
            Fate::Refused(status, body) => return plain(status, body),
            Fate::Says(status, body) => {
                self.apply(request, fate);
                return plain(status, body);
            }
            Fate::Twice => {
                self.apply(request, fate);
            }
            _ => {}
        }
        self.apply(request, fate)
    }

    fn apply(&mut self, request: &Request, fate: Fate) -> Vec<u8> {
        let path = request.target.split('?').next().unwrap().to_owned();
        if request.method == "GET" && request.target.contains("?list-type=2") {
            return plain(200, "<R><IsTruncated>false</IsTruncated></R>");
        }
        let found = self.objects.get(&path).cloned();
        // Azure says some things in its own way.
        let azure = request.headers.contains_key("x-ms-version");
        match request.method.as_str() {
            "PUT" => {
                let header = |name: &str| request.headers.get(name).map(String::as_str);
                if fate == Fate::EverySecond && !self.refused.remove(&path) {
                    self.refused.insert(path);
                    return plain(429, "");
                }
                if header("if-none-match") == Some("*") && found.is_some() {
                    let exists = (409, "azure:BlobAlreadyExists");
                    let (status, body) = if azure { exists } else { (412, "") };
                    let status = if fate == Fate::Conflict409 { 409 } else { status };
                    return plain(status, body);
                }
                let late = fate == Fate::LateMatches && request.body.starts_with(b"racer");
                let before = found.as_ref().and_then(|found| found.before.as_ref());
                if let Some(wanted) = header("if-match")
                    && found.as_ref().is_none_or(|found| found.tag != wanted)
                    && !(late && before.is_some_and(|before| before.tag == wanted))
                {
                    return plain(412, "");
                }
                self.writes += 1;
                let tag = format!("\"{}\"", self.writes);
                let metadata = request.headers.iter().filter(|(name, _)| name.contains("-meta-"));
                let metadata =
                    metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
                let before = found.map(|found| Box::new(Stored { before: None, ..found }));
                let stored =
                    Stored { body: request.body.clone(), tag: tag.clone(), metadata, before };
                self.objects.insert(path, stored);
                message(200, &[("ETag".into(), tag)], b"", true)
            }
            "DELETE" => {
                self.objects.remove(&path);
                message(204, &[], b"", true)
            }
            _ => match in_view(found, fate) {
                None if azure => plain(404, "azure:BlobNotFound"),
                None => plain(404, "<Error><Code>NoSuchKey</Code></Error>"),
                Some(found) => read_answer(request, &found, fate),
            },
        }
    }
}

/// What a read sees.
fn in_view(found: Option<Stored>, fate: Fate) -> Option<Stored> {
    let before = || found.as_ref()?.before.as_deref().cloned();
    match fate {
        Fate::Stale => before(),
        Fate::Older => before().or(found),
        _ => found,
    }
}

fn read_answer(request: &Request, found: &Stored, fate: Fate) -> Vec<u8> {
    let mut headers = found.metadata.clone();
    headers.push(("ETag".into(), found.tag.clone()));
    headers.push(("Last-Modified".into(), "Wed, 21 Oct 2015 07:28:00 GMT".into()));
    let size = found.body.len();
    let range = request.headers.get("range").filter(|_| fate != Fate::Whole);
    let Some(range) = range else {
        return message(200, &headers, &found.body, request.method != "HEAD");
    };
    let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(size, |end: usize| (end + 1).min(size));
    if start >= size {
        return plain(416, "<Error><Code>InvalidRange</Code></Error>");
    }
    let start = if fate == Fate::OtherRange { start + 1 } else { start };
    headers.push(("Content-Range".into(), format!("bytes {start}-{}/{size}", end - 1)));
    message(206, &headers, &found.body[start..end], true)
}

fn plain(status: u16, body: &str) -> Vec<u8> {
    let (headers, body) = match body.strip_prefix("azure:") {
        // Azure says its code in a header.
        Some(code) => (vec![("x-ms-error-code".into(), code.to_owned())], ""),
        None => (vec![], body),
    };
    message(status, &headers, body.as_bytes(), true)
}

fn message(status: u16, headers: &[(String, String)], body: &[u8], with_body: bool) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    if with_body {
        bytes.extend_from_slice(body);
    }
    bytes
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = bytes[head_end..head_end + length].to_vec();
    Some(Request { method, target, headers, body })
}
