//! A way to a server that is not to be relied on: it refuses, loses answers, cuts them off, and lies.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What befalls a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It goes through.
    None,
    /// It is answered with 503, and not passed on.
    Refused,
    /// The connection ends before it is passed on.
    Dropped,
    /// It is passed on, but nothing comes back.
    Lost,
    /// Half of the answer's body comes back.
    CutOff,
    /// A byte of the answer's body is another one.
    Changed,
    /// The answer says that it is shorter than it is.
    SaidShorter,
    /// Nothing is answered before the gate is opened.
    Held,
}

/// A request as far as it decides what befalls it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The how manyth it is, from 0.
    pub(super) number: usize,
    pub(super) method: String,
    pub(super) target: String,
}

type Choose = dyn Fn(&Seen) -> Fault + Send + Sync;

/// A listener that passes requests on, until it is dropped.
pub(super) struct Proxy {
    pub(super) host: String,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
}

struct Shared {
    upstream: String,
    choose: Box<Choose>,
    requests: AtomicUsize,
    ends: AtomicBool,
    held: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    waiting: usize,
    open: bool,
}

impl Proxy {
    pub(super) fn start(
        upstream: &str,
        choose: impl Fn(&Seen) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            choose: Box::new(choose),
            requests: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
            held: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = shared.clone();
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ends.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let serving = serving.clone();
                // It ends with its connection, which a client closes at its end at the latest.
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { host, shared, acceptor: Some(acceptor) }
    }

    pub(super) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many requests are held.
    pub(super) fn wait_for_held(&self, number: usize) {
        let mut gate = self.shared.held.lock().unwrap();
        while gate.waiting < number {
            gate = self.shared.changed.wait(gate).unwrap();
        }
    }

    /// Lets go what is held, and holds nothing any more.
    pub(super) fn open(&self) {
        self.shared.held.lock().unwrap().open = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.open();
        // So that it notices.
        let _ = TcpStream::connect(&self.host);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        // A connection that breaks is one of the things that happen here.
        while let Ok(Some(head)) = head(&mut reader) {
            if !self.one(&head, &mut reader, &stream).unwrap_or(false) {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// Answers one request; whether the connection lives on.
    fn one(
        &self,
        head: &[String],
        reader: &mut BufReader<TcpStream>,
        mut stream: &TcpStream,
    ) -> io::Result<bool> {
        let mut words = head[0].split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let seen = Seen { number, method: method.into(), target: target.into() };
        let fault = (self.choose)(&seen);
        let mut body = vec![0; length(head)];
        if fault == Fault::Dropped {
            return Ok(false);
        }
        reader.read_exact(&mut body)?;
        if fault == Fault::Held {
            let mut gate = self.held.lock().unwrap();
            gate.waiting += 1;
            self.changed.notify_all();
            while !gate.open {
                gate = self.changed.wait(gate).unwrap();
            }
        }
        if fault == Fault::Refused {
            let xml = "<Error><Code>SlowDown</Code><Message>slow down</Message></Error>";
            let length = xml.len();
            write!(stream, "HTTP/1.1 503 Slow Down\r\ncontent-length: {length}\r\n\r\n{xml}")?;
            return Ok(true);
        }
        let (answer, mut bytes) = self.ask(head, &body, method)?;
        match fault {
            Fault::Lost => return Ok(false),
            Fault::Changed => {
                if let Some(byte) = bytes.first_mut() {
                    *byte ^= 1;
                }
            }
            Fault::CutOff => bytes.truncate(bytes.len() / 2),
            _ => {}
        }
        for line in &answer {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if fault == Fault::SaidShorter && name.eq_ignore_ascii_case("content-length") {
                let length: usize = value.trim().parse().unwrap_or(0);
                write!(stream, "content-length: {}\r\n", length.saturating_sub(1))?;
            } else {
                write!(stream, "{line}\r\n")?;
            }
        }
        stream.write_all(b"\r\n")?;
        stream.write_all(&bytes)?;
        stream.flush()?;
        Ok(!matches!(fault, Fault::CutOff | Fault::SaidShorter))
    }

    /// What the server answers.
    fn ask(
        &self,
        head: &[String],
        body: &[u8],
        method: &str,
    ) -> io::Result<(Vec<String>, Vec<u8>)> {
        let mut stream = TcpStream::connect(&self.upstream)?;
        for line in head {
            write!(stream, "{line}\r\n")?;
        }
        stream.write_all(b"connection: close\r\n\r\n")?;
        stream.write_all(body)?;
        let mut reader = BufReader::new(stream);
        let mut answer = self::head(&mut reader)?.unwrap_or_default();
        let mut bytes = Vec::new();
        if method != "HEAD" {
            reader.read_to_end(&mut bytes)?;
        }
        let is_chunked = answer.iter().any(|line| line.to_ascii_lowercase().contains("chunked"));
        if is_chunked {
            bytes = unchunked(&bytes);
            answer.retain(|line| !line.to_ascii_lowercase().starts_with("transfer-encoding"));
            answer.push(format!("content-length: {}", bytes.len()));
        }
        answer.retain(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        Ok((answer, bytes))
    }
}

/// The lines of a head, without the empty one; `None` when there is no further one.
fn head(reader: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" if lines.is_empty() => {}
            "" => return Ok(Some(lines)),
            line => lines.push(line.to_owned()),
        }
    }
}

fn length(head: &[String]) -> usize {
    let found = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    found.unwrap_or(0)
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[(end + 4 + size).min(bytes.len())..];
        if size == 0 {
            break;
        }
    }
    whole
}
