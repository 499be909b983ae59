//! The work of the second process: it does what it is told until nobody tells it any more.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use storage_core::{Error, List, StorageProvider};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::task::JoinSet;

use super::protocol::{Asked, Reply, Request, Said, frame, key, prefix, reply_to_get};
use crate::Harness;

/// How many requests are under way at once; the rest waits in the pipe.
const REQUESTS_AT_ONCE_MAX: usize = 1024;

/// Opens a handle and serves it on standard input and output until the input ends.
///
/// The handle is the [`CrashHook`](crate::CrashHook)'s where the harness has one. For programs that are
/// started by a [`ProcessHook`](crate::ProcessHook) and are no test binaries; nothing else may write to
/// standard output. Must be called within a multi-threaded Tokio runtime.
///
/// # Errors
///
/// When the input breaks off or the output cannot be written to.
pub async fn serve(harness: Arc<dyn Harness>) -> io::Result<()> {
    let output = Arc::new(Output::default());
    let opened = match harness.hooks().crash {
        Some(crash) => crash.open_observed(output.clone().observer()).await,
        None => harness.open().await,
    };
    let provider = match opened {
        Ok(provider) => provider,
        Err(error) => {
            return output.say(&Said::NotOpened { problem: error.to_string() }, &Bytes::new());
        }
    };
    output.say(&Said::Hello { info: format!("{:?}", provider.info()) }, &Bytes::new())?;

    let mut input = BufReader::new(tokio::io::stdin());
    let mut under_way = JoinSet::new();
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line).await? == 0 {
            // Whoever asked is gone, and with it the interest in what is under way.
            return Ok(());
        }
        let Asked { id, request, body_bytes } = serde_json::from_str(&line)?;
        let mut body = vec![0; body_bytes];
        input.read_exact(&mut body).await?;
        if let Request::StopAt(step) = request {
            output.stop_at(step);
            let done = Said::Answer { id, reply: Reply::Done, body_bytes: 0 };
            output.say(&done, &Bytes::new())?;
            continue;
        }
        while under_way.len() >= REQUESTS_AT_ONCE_MAX {
            under_way.join_next().await;
        }
        while under_way.try_join_next().is_some() {}
        let (provider, output) = (provider.clone(), output.clone());
        under_way.spawn(async move {
            let (reply, body) = answer(&*provider, request, body.into())
                .await
                .unwrap_or_else(|error| (error.into(), Bytes::new()));
            // If nobody can read the answer, the input ends as well.
            let _ = output.say(&Said::Answer { id, reply, body_bytes: body.len() }, &body);
        });
    }
}

async fn answer(
    provider: &dyn StorageProvider,
    request: Request,
    body: Bytes,
) -> Result<(Reply, Bytes), Error> {
    let reply = match request {
        Request::Put { key: text, when } => {
            let version = provider.put(&key(&text)?, body, when.into()).await?;
            Reply::Stored { version: version.as_str().to_owned() }
        }
        Request::Get { key: text, get } => {
            let object = provider.get(&key(&text)?, get.into()).await?;
            return Ok((reply_to_get(&object), object.body));
        }
        Request::List { prefix: text, start_after, limit } => {
            let start_after = start_after.map(|text| key(&text)).transpose()?;
            let prefix = prefix(&text)?;
            let list = List { prefix: &prefix, start_after: start_after.as_ref(), limit };
            provider.list(list).await?.into()
        }
        Request::Delete { key: text } => {
            provider.delete(&key(&text)?).await?;
            Reply::Done
        }
        Request::StopAt(_) => Reply::Done,
    };
    Ok((reply, Bytes::new()))
}

/// Standard output, and the steps counted so far: who stops at one must say so without help.
#[derive(Default)]
struct Output {
    whole_messages: Mutex<()>,
    /// How many steps may still be done; zero is "all of them".
    steps_left: AtomicU64,
}

impl Output {
    fn say(&self, said: &Said, body: &Bytes) -> io::Result<()> {
        let bytes = frame(said, body)?;
        let _guard = self.whole_messages.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdout = io::stdout().lock();
        stdout.write_all(&bytes)?;
        stdout.flush()
    }

    fn stop_at(&self, step: u64) {
        self.steps_left.store(step.saturating_add(1), Ordering::SeqCst);
    }

    fn observer(self: Arc<Self>) -> crate::Reach {
        Arc::new(move |step: &str| {
            let last = self
                .steps_left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if last == Ok(1) {
                let reached = Said::Reached { step: step.to_owned() };
                let _ = self.say(&reached, &Bytes::new());
                // Held here until it is killed, or until the input ends and `main` returns.
                loop {
                    std::thread::park();
                }
            }
        })
    }
}
