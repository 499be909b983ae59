//! A provider that answers by script, and small helpers that every test wants.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_executor::block_on;
use storage_core::{
    Effect, Env, Error, ErrorKind, Get, Key, List, Object, Operation, Page, Prefix, ProviderInfo,
    PutIf, Result, StorageProvider, Version, async_trait,
};
use storage_wrappers::{ManualEnv, Metered, Retry, RetryPolicy};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);

/// What becomes of one operation.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// It goes through.
    Pass,
    /// It is not applied, and fails like this.
    Fail(ErrorKind, Effect),
    /// It is not applied, and the service asks to be left alone for so long.
    FailFor(ErrorKind, Duration),
    /// It is applied, and the answer is lost.
    Lose,
    /// It goes through after so long.
    Slow(Duration),
    /// It is not applied, and fails after so long.
    SlowFail(Duration, ErrorKind),
    /// It is not applied and never answers.
    Hang,
    /// A get answers this.
    Object(Object),
    /// A list answers this.
    Page(Page),
}

/// A memory provider whose operations meet the answers of a script; after its end all pass.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) memory: MemoryProvider,
    pub(crate) env: ManualEnv,
    answers: Mutex<VecDeque<Answer>>,
    calls: Mutex<Vec<Call>>,
}

/// One operation as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) at: Duration,
    /// The key, or `start_after` of a list.
    pub(crate) key: Option<Key>,
}

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryProvider::new(),
            env: ManualEnv::new(1),
            answers: Mutex::new(answers.into_iter().collect()),
            calls: Mutex::default(),
        })
    }

    pub(crate) fn environment(&self) -> Arc<dyn Env> {
        Arc::new(self.env.clone())
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    async fn meet<T>(
        &self,
        operation: Operation,
        key: Option<&Key>,
        other: impl FnOnce(Answer) -> T,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let call = Call { operation, at: self.env.monotonic(), key: key.cloned() };
        self.calls.lock().unwrap().push(call);
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Pass);
        match answer {
            Answer::Pass => work.await,
            Answer::Fail(kind, Effect::NotApplied) => Err(Error::not_applied(kind, "scripted")),
            Answer::Fail(kind, Effect::Unknown) => Err(Error::unknown(kind, "scripted")),
            Answer::FailFor(kind, time) => {
                Err(Error::not_applied(kind, "scripted").with_retry_after(time))
            }
            Answer::Lose => {
                let _ = work.await;
                Err(Error::unknown(ErrorKind::Unavailable, "scripted"))
            }
            Answer::Slow(time) => {
                self.env.sleep(time).await;
                work.await
            }
            Answer::SlowFail(time, kind) => {
                self.env.sleep(time).await;
                Err(Error::not_applied(kind, "scripted"))
            }
            Answer::Hang => pending().await,
            answer @ (Answer::Object(_) | Answer::Page(_)) => Ok(other(answer)),
        }
    }
}

#[async_trait]
impl StorageProvider for Scripted {
    fn info(&self) -> ProviderInfo {
        self.memory.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let work = self.memory.put(key, body, when);
        self.meet(Operation::Put, Some(key), |_| unreachable!("not a put's"), work).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let object = |answer| match answer {
            Answer::Object(object) => object,
            _ => unreachable!("not a get's"),
        };
        self.meet(Operation::Get, Some(key), object, self.memory.get(key, request)).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        let page = |answer| match answer {
            Answer::Page(page) => page,
            _ => unreachable!("not a list's"),
        };
        self.meet(Operation::List, request.start_after, page, self.memory.list(request)).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        let work = self.memory.delete(key);
        self.meet(Operation::Delete, Some(key), |_| unreachable!("not a delete's"), work).await
    }
}

/// One request of each shape, on the key `k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Get,
    List,
    PutAlways,
    PutAbsent,
    PutMatches,
    Delete,
}

impl Ask {
    pub(crate) const ALL: [Self; 6] =
        [Self::Get, Self::List, Self::PutAlways, Self::PutAbsent, Self::PutMatches, Self::Delete];

    /// Makes the request; says what came of it in a word or two.
    pub(crate) async fn of(self, provider: &dyn StorageProvider) -> String {
        match self.result(provider).await {
            Ok(()) => "ok".into(),
            Err(error) => verdict(&error),
        }
    }

    pub(crate) async fn result(self, provider: &dyn StorageProvider) -> Result<()> {
        let key = key("k");
        let put = |when| provider.put(&key, "body".into(), when);
        match self {
            Self::Get => provider.get(&key, Get::whole()).await.map(drop),
            Self::List => provider.list(List::new(&Prefix::all())).await.map(drop),
            Self::PutAlways => put(PutIf::Always).await.map(drop),
            Self::PutAbsent => put(PutIf::Absent).await.map(drop),
            Self::PutMatches => put(PutIf::Matches(Version::new("1"))).await.map(drop),
            Self::Delete => provider.delete(&key).await,
        }
    }

    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::Get => Operation::Get,
            Self::List => Operation::List,
            Self::PutAlways | Self::PutAbsent | Self::PutMatches => Operation::Put,
            Self::Delete => Operation::Delete,
        }
    }
}

pub(crate) fn verdict(error: &Error) -> String {
    format!("{} {:?}", error.kind(), error.effect())
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Some of everything through `Metered` and `Retry`: seven requests, one of them tried again and
/// one slow, on keys and with bodies that must not show.
pub(crate) fn some_of_everything() {
    let unavailable = Answer::Fail(ErrorKind::Unavailable, Effect::NotApplied);
    let slow = Answer::Slow(3 * SECOND);
    let answers = [Answer::Pass, Answer::Pass, unavailable, slow, Answer::Pass, Answer::Pass];
    let scripted = Scripted::new(answers.into_iter().chain([Answer::Pass, Answer::Hang]));
    let retry = Retry::new(scripted.clone(), RetryPolicy::default(), scripted.environment());
    let provider = Metered::new(retry, "aws", scripted.environment());

    let (secret, other) = (key("secretkey"), key("secretother"));
    block_on(async {
        provider.put(&secret, "secretbody".into(), PutIf::Absent).await.unwrap();
        provider.put(&secret, "secretbody".into(), PutIf::Absent).await.unwrap_err();
        provider.get(&secret, Get::range(0..6)).await.unwrap();
        provider.get(&other, Get::whole()).await.unwrap_err();
        let all = Prefix::new("secret").unwrap();
        provider.list(List::new(&all)).await.unwrap();
        provider.delete(&secret).await.unwrap();
    });
    let mut dropped = provider.delete(&other);
    assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}
