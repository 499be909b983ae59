//! What a case works with: handles, keys of its own, randomness, patience.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::{Rng, RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage_core::{
    Capabilities, Error, ErrorKind, Key, ListConsistency, Prefix, Result, StorageProvider,
};

use crate::child::Child;
use crate::measure::Tally;
use crate::{Failure, Harness, Hooks, Settings};

/// What a case works with.
pub struct Context {
    pub(crate) harness: Arc<dyn Harness>,
    pub(crate) handles: [Arc<dyn StorageProvider>; 2],
    /// As the harness opened it.
    pub(crate) bare: Arc<dyn StorageProvider>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) prefix: Prefix,
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) notes: Mutex<Vec<String>>,
}

impl Context {
    /// A handle on the provider. Its requests are counted.
    ///
    /// A request that is refused for the moment and certainly not applied, as with S3's 409 and 429, is an
    /// honest answer to anything. So this handle and all others but those of [`once`](Self::once) send it
    /// again, at most twenty times with growing pauses, and to the case it is one request.
    #[must_use]
    pub fn handle(&self) -> &Arc<dyn StorageProvider> {
        &self.handles[0]
    }

    /// Another handle, opened separately, on the same objects.
    #[must_use]
    pub fn other(&self) -> &Arc<dyn StorageProvider> {
        &self.handles[1]
    }

    /// Opens one more handle, whose requests are counted too.
    ///
    /// # Errors
    ///
    /// What the harness says.
    pub async fn open(&self) -> Result<Arc<dyn StorageProvider>> {
        Ok(self.counted(self.harness.open().await?))
    }

    /// Counts what goes through `handle`, sends again what it is too busy for, and has the runner delete
    /// what it puts: for handles that come from a hook.
    #[must_use]
    pub fn counted(&self, handle: Arc<dyn StorageProvider>) -> Arc<dyn StorageProvider> {
        self.tally.patient(handle)
    }

    /// As [`counted`](Self::counted), but each request is sent once: for cases about what a single answer
    /// says. They must put up with a service that is busy.
    #[must_use]
    pub fn once(&self, handle: Arc<dyn StorageProvider>) -> Arc<dyn StorageProvider> {
        self.tally.measured(handle)
    }

    /// The handle itself, sending each request [`once`](Self::once).
    pub(crate) fn handle_once(&self) -> Arc<dyn StorageProvider> {
        self.once(self.bare.clone())
    }

    /// What the harness offers besides handles.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.harness.hooks()
    }

    /// What the provider declares.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.handle().info().capabilities
    }

    /// Whether the provider declares that lists show changes only some time later.
    #[must_use]
    pub fn lists_lag(&self) -> bool {
        self.capabilities().list == ListConsistency::Eventual
    }

    /// How the run was asked for.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What all keys of this case begin with; nobody else's do. Ends with `/`.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The key `name` under the prefix of this case.
    ///
    /// # Panics
    ///
    /// When `name` is not a key's: a mistake in the case.
    #[must_use]
    pub fn key(&self, name: impl AsRef<str>) -> Key {
        self.prefix.join(name).expect("a case's own name for a key is one")
    }

    /// The prefix `name` under the prefix of this case.
    ///
    /// # Panics
    ///
    /// When `name` is not a prefix: a mistake in the case.
    #[must_use]
    pub fn prefix_of(&self, name: impl AsRef<str>) -> Prefix {
        Prefix::new(format!("{}{}", self.prefix, name.as_ref()))
            .expect("a case's own name for a prefix is one")
    }

    /// Randomness from the seed of the run and the id of the case: the same in every replay, and each
    /// time this is called.
    #[must_use]
    pub fn rng(&self) -> ChaCha8Rng {
        self.rng_of(0)
    }

    /// As [`rng`](Self::rng), one for each `stream`: for tasks that draw side by side.
    #[must_use]
    pub fn rng_of(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }

    /// `size` random bytes.
    pub fn bytes(&self, rng: &mut impl Rng, size: usize) -> Bytes {
        let mut bytes = vec![0; size];
        rng.fill(&mut bytes[..]);
        bytes.into()
    }

    /// How many requests the case has sent so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.tally.requests()
    }

    /// `Err(context.skip("why"))?` ends the case as skipped.
    pub fn skip(&self, reason: impl Into<String>) -> Failure {
        Failure::skipped(reason)
    }

    /// Says something about a case that passes, such as what it did not go as far as to try.
    pub fn note(&self, note: impl Into<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note.into());
    }

    /// The largest object to put, in bytes: what the provider declares, or what the settings allow to be
    /// tested; the report then says so.
    pub fn largest_object(&self) -> usize {
        let declared = self.capabilities().object_bytes_max;
        let tested = self.settings.object_bytes_max_tested;
        if declared > tested {
            self.note(format!("the largest object tried has {tested} of {declared} bytes"));
        }
        usize::try_from(declared.min(tested)).unwrap_or(usize::MAX)
    }

    /// `size` in bytes, or less where the provider takes no object as large.
    #[must_use]
    pub fn at_most(&self, size: usize) -> usize {
        usize::try_from(self.capabilities().object_bytes_max).map_or(size, |max| max.min(size))
    }

    /// Starts the second process and opens a handle there. Its requests are counted too, if they go
    /// through [`counted`](Self::counted).
    ///
    /// # Errors
    ///
    /// A [`Failure`] when the harness has no such hook, or the process does not come up.
    pub async fn second_process(&self) -> Result<Arc<Child>, Failure> {
        let Some(hook) = self.hooks().second_process else {
            return Err(self.skip("the harness offers no second process"));
        };
        Ok(Arc::new(Child::spawn(hook.command(), self.handle().info()).await?))
    }

    /// The numbers of the rounds of a case: from zero to `count`, or to as many times that as the settings
    /// ask for; on a slow service fewer, and a note says how many, but never none.
    pub fn rounds(&self, count: usize) -> impl Iterator<Item = usize> {
        let times = self.settings.rounds.max(1);
        let count = count.saturating_mul(times as usize);
        let (begun, patience) = (Instant::now(), self.settings.round_time_max * times);
        (0..count).take_while(move |number| {
            let goes_on = *number == 0 || begun.elapsed() < patience;
            if !goes_on {
                self.note(format!("{number} of {count} rounds in {patience:?}"));
            }
            goes_on
        })
    }
}

/// Acts on each item, at most `most` at a time, and stops at the first error.
pub(crate) async fn at_once<T, R, F>(
    items: impl IntoIterator<Item = T>,
    most: usize,
    act: impl FnMut(T) -> F,
) -> Result<Vec<R>>
where
    F: Future<Output = Result<R>>,
{
    stream::iter(items).map(act).buffer_unordered(most).try_collect().await
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Checks that a request ended with an error of this kind, and gives the error back.
///
/// `what` says what was asked, for the report. An error of a kind that refuses, or of a read, must say
/// "not applied" by construction, so that needs no check here.
///
/// # Errors
///
/// A [`Failure`] with what was expected and seen.
pub fn expect_kind<T: std::fmt::Debug>(
    what: impl std::fmt::Display,
    answer: Result<T>,
    kind: ErrorKind,
) -> Result<Error, Failure> {
    match answer {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(Failure::new(format!("{what}: expected {kind}, saw the error {error}"))),
        Ok(answer) => Err(Failure::new(format!("{what}: expected {kind}, saw {answer:?}"))),
    }
}
