//! The handle on a second process: a provider like any other, that can be killed.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use storage_core::{
    Error, ErrorKind, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version, async_trait,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::protocol::{Asked, Reply, Request, Said, frame, page};
use crate::Failure;

/// How many requests wait to be written to the second process.
const QUEUE_REQUESTS_MAX: usize = 64;

/// A second process that serves a provider, and the handle on it.
///
/// When it dies, requests under way end as unknown; later ones fail, not applied. It is killed when this
/// is dropped.
pub struct Child {
    info: ProviderInfo,
    shared: Arc<Shared>,
    queue: mpsc::Sender<Vec<u8>>,
    ended: watch::Receiver<Option<Ended>>,
    process: Arc<tokio::sync::Mutex<tokio::process::Child>>,
    tasks: [AbortHandle; 2],
}

/// How the conversation with a second process came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It stopped before this step, as it was told.
    AtStep(String),
    /// It died or fell silent.
    Gone,
}

#[derive(Default)]
struct Shared(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    next_id: u64,
    gone: bool,
    answers: HashMap<u64, oneshot::Sender<(Reply, Bytes)>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up(&self) {
        let mut waiting = self.waiting();
        waiting.gone = true;
        waiting.answers.clear();
    }
}

impl Child {
    /// Starts `command` and waits until it has opened its handle, which must say of itself what `info`
    /// says.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when it cannot be started, cannot open the provider, or opens another.
    pub async fn spawn(command: Command, info: ProviderInfo) -> Result<Self, Failure> {
        let broken = |error: io::Error| Failure::new(format!("the second process: {error}"));
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(broken)?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::new("the second process has no standard input and output"));
        };
        let mut stdout = BufReader::new(stdout);
        match read(&mut stdout).await.map_err(broken)? {
            (Said::Hello { info: theirs }, _) if theirs == format!("{info:?}") => {}
            (Said::Hello { info: theirs }, _) => {
                return Err(Failure::new(format!(
                    "expected the second process to open {info:?}, saw {theirs}"
                )));
            }
            (Said::NotOpened { problem }, _) => {
                return Err(Failure::new(format!("the second process: {problem}")));
            }
            (other, _) => return Err(Failure::new(format!("expected a greeting, saw {other:?}"))),
        }
        let shared = Arc::new(Shared::default());
        let (queue, queued) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let (end, ended) = watch::channel(None);
        let tasks = [
            tokio::spawn(write_all(queued, stdin)).abort_handle(),
            tokio::spawn(read_all(stdout, shared.clone(), end)).abort_handle(),
        ];
        let process = Arc::new(tokio::sync::Mutex::new(process));
        Ok(Self { info, shared, queue, ended, process, tasks })
    }

    /// Has the process stop for ever before the step with this number, counted from now on, zero the
    /// first. Needs a [`CrashHook`](crate::CrashHook) in the harness.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub async fn stop_at(&self, step: u64) -> Result<()> {
        self.ask(Request::StopAt(step), Bytes::new()).await?;
        Ok(())
    }

    /// Waits until the process stops at a step or is gone.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or(Ended::Gone),
            Err(_) => Ended::Gone,
        }
    }

    /// Kills the process, without a chance to tidy up, and waits until it is dead.
    ///
    /// # Errors
    ///
    /// When it cannot be killed.
    pub async fn kill(&self) -> io::Result<()> {
        let mut process = self.process.lock().await;
        // One that is dead already is as dead as wanted.
        let _ = process.start_kill();
        process.wait().await?;
        drop(process);
        self.shared.give_up();
        Ok(())
    }

    async fn ask(&self, request: Request, body: Bytes) -> Result<(Reply, Bytes)> {
        let gone = || Error::unknown(ErrorKind::Unavailable, "the second process is gone");
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut waiting = self.shared.waiting();
            if waiting.gone {
                return Err(Error::not_applied(
                    ErrorKind::Unavailable,
                    "the second process was gone before",
                ));
            }
            waiting.next_id += 1;
            let id = waiting.next_id;
            waiting.answers.insert(id, sender);
            id
        };
        let bytes = frame(&Asked { id, request, body_bytes: body.len() }, &body)
            .map_err(|error| Error::not_applied(ErrorKind::Unexpected, error.to_string()))?;
        self.queue.send(bytes).await.map_err(|_| gone())?;
        match answer.await.map_err(|_| gone())? {
            (Reply::Failed(words), _) => Err(words.into()),
            answer => Ok(answer),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("info", &self.info).finish_non_exhaustive()
    }
}

#[async_trait]
impl StorageProvider for Child {
    fn info(&self) -> ProviderInfo {
        self.info.clone()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let request = Request::Put { key: key.as_str().to_owned(), when: when.into() };
        match self.ask(request, body).await {
            Ok((Reply::Stored { version }, _)) => Ok(Version::new(version)),
            Ok((other, _)) => Err(astray(&other)),
            Err(error) => Err(error),
        }
        .map_err(|error| error.during(Operation::Put, key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let request = Request::Get { key: key.as_str().to_owned(), get: request.into() };
        match self.ask(request, Bytes::new()).await {
            Ok((Reply::Object { size, version }, body)) => {
                Ok(Object { body, size, version: Version::new(version) })
            }
            Ok((other, _)) => Err(astray(&other)),
            Err(error) => Err(error),
        }
        .map_err(|error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        match self.ask(request.into(), Bytes::new()).await {
            Ok((Reply::Page { objects, more }, _)) => page(objects, more)
                .map_err(|problem| Error::not_applied(ErrorKind::Corrupt, problem.to_string())),
            Ok((other, _)) => Err(astray(&other)),
            Err(error) => Err(error),
        }
        .map_err(Error::during_list)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        match self.ask(Request::Delete { key: key.as_str().to_owned() }, Bytes::new()).await {
            Ok((Reply::Done, _)) => Ok(()),
            Ok((other, _)) => Err(astray(&other)),
            Err(error) => Err(error),
        }
        .map_err(|error| error.during(Operation::Delete, key))
    }
}

fn astray(reply: &Reply) -> Error {
    Error::unknown(ErrorKind::Unexpected, format!("the second process answered {reply:?}"))
}

async fn write_all(mut queued: mpsc::Receiver<Vec<u8>>, mut stdin: ChildStdin) {
    while let Some(bytes) = queued.recv().await {
        // A process that reads no more is gone, and the reader finds that out.
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn read_all(
    mut stdout: BufReader<ChildStdout>,
    shared: Arc<Shared>,
    end: watch::Sender<Option<Ended>>,
) {
    loop {
        match read(&mut stdout).await {
            Ok((Said::Answer { id, reply, .. }, body)) => {
                if let Some(answer) = shared.waiting().answers.remove(&id) {
                    // Whoever asked may have lost interest.
                    let _ = answer.send((reply, body));
                }
            }
            Ok((Said::Reached { step }, _)) => {
                end.send_replace(Some(Ended::AtStep(step)));
            }
            Ok(_) => {}
            Err(_) => {
                shared.give_up();
                end.send_if_modified(|ended| {
                    let first = ended.is_none();
                    ended.get_or_insert(Ended::Gone);
                    first
                });
                return;
            }
        }
    }
}

async fn read(stdout: &mut BufReader<ChildStdout>) -> io::Result<(Said, Bytes)> {
    let mut line = String::new();
    if stdout.read_line(&mut line).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without a word"));
    }
    let said: Said = serde_json::from_str(&line).map_err(|error| {
        io::Error::other(format!("expected a line of JSON, saw {line:?}: {error}"))
    })?;
    let mut body = vec![0; if let Said::Answer { body_bytes, .. } = said { body_bytes } else { 0 }];
    stdout.read_exact(&mut body).await?;
    Ok((said, body.into()))
}
