//! Handles that hand their commits to another: what they share, and that nothing is lost, doubled or guessed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Prefix, StorageProvider, StorageProviderExt, async_trait,
};
use storage_txn::{
    At, COMBINE_BYTES_MAX, CombineKey, Combiner, Combining, ErrorKind, Merge, Options, Outcome,
    Store,
};
use storage_wrappers::TokioEnv;

use crate::flush::{counted, dynamic, names};
use crate::open;

fn key() -> CombineKey {
    CombineKey::new(b"what all of us know").unwrap()
}

/// What befalls messages on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Works,
    /// They cannot be sent, and that is known.
    Refused,
    /// They arrive, and the answer is lost.
    AnswerLost,
    /// They arrive when somebody says so: the sender knows that its connection was lost.
    Kept,
    /// They arrive when somebody says so, and the sender waits.
    Silent,
    /// A byte of the answer is changed on its way.
    Garbled,
}

/// The way to another handle of the same process.
#[derive(Debug)]
struct Line {
    to: Mutex<Store>,
    key: CombineKey,
    mode: Mutex<Mode>,
    kept: Mutex<Vec<Bytes>>,
    news: Mutex<Vec<Combining>>,
}

impl Line {
    fn new(to: &Store, key: CombineKey) -> Arc<Self> {
        Arc::new(Self {
            to: Mutex::new(to.clone()),
            key,
            mode: Mutex::new(Mode::Works),
            kept: Mutex::default(),
            news: Mutex::default(),
        })
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    async fn deliver(&self, message: Bytes) -> storage_core::Result<Bytes> {
        let to = self.to.lock().unwrap().clone();
        to.combine(&self.key, message).await.map_err(|error| {
            Error::not_applied(StorageErrorKind::PermissionDenied, error.to_string())
        })
    }

    /// What was kept arrives now.
    async fn deliver_kept(&self) -> usize {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        let count = kept.len();
        for message in kept {
            self.deliver(message).await.unwrap();
        }
        count
    }
}

#[async_trait]
impl Combiner for Line {
    async fn exchange(&self, message: Bytes) -> storage_core::Result<Bytes> {
        let mode = *self.mode.lock().unwrap();
        let lost = || Error::unknown(StorageErrorKind::Unavailable, "the connection was lost");
        match mode {
            Mode::Works => self.deliver(message).await,
            Mode::Refused => {
                Err(Error::not_applied(StorageErrorKind::Unavailable, "nobody listens"))
            }
            Mode::AnswerLost => {
                self.deliver(message).await?;
                Err(lost())
            }
            Mode::Kept => {
                self.kept.lock().unwrap().push(message);
                Err(lost())
            }
            Mode::Silent => {
                self.kept.lock().unwrap().push(message);
                std::future::pending().await
            }
            Mode::Garbled => {
                let mut answer = self.deliver(message).await?.to_vec();
                *answer.last_mut().unwrap() ^= 1;
                Ok(answer.into())
            }
        }
    }

    fn changed(&self, now: &Combining) {
        self.news.lock().unwrap().push(now.clone());
    }
}

/// Commits until the other handle takes what this one would commit. Time is moved on for it.
async fn meet(store: &Store) {
    for _ in 0..100 {
        // Who has just opened the store is greeting.
        for _ in 0..500 {
            if store.combining() == Some(Combining::Through) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        store.transact(async |tx| tx.merge("met", Merge::Add(1))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("they do not meet: {:?}", store.combining());
}

/// Two handles, of which the second hands over to the first.
pub(crate) async fn two_combining(options: Options) -> (Store, Store) {
    let Combined { one, two, .. } = combined(options).await;
    (one, two)
}

struct Combined {
    provider: Arc<dyn StorageProvider>,
    one: Store,
    /// It hands over to the first.
    two: Store,
    line: Arc<Line>,
}

async fn combined(options: Options) -> Combined {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let env = Arc::new(TokioEnv::new());
    let one = Store::init(provider.clone(), env, options.clone()).await.unwrap();
    let two = open(&provider, options).await;
    let line = Line::new(&one, key());
    two.combine_through(line.clone(), key());
    meet(&two).await;
    Combined { provider, one, two, line }
}

async fn number(store: &Store, key: &str) -> i64 {
    let found = store.snapshot(At::Latest).await.unwrap().get(key).await.unwrap();
    found.map_or(0, |bytes| i64::from_le_bytes(bytes[..].try_into().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn handles_that_combine_put_about_as_many_entries_as_one() {
    const ROUNDS: u64 = 20;
    let (provider, one) = counted().await;
    let mut stores = vec![one.clone()];
    for _ in 0..2 {
        let other = open(&dynamic(&provider), Options::default()).await;
        other.combine_through(Line::new(&one, key()), key());
        meet(&other).await;
        stores.push(other);
    }
    let before: Vec<_> = stores.iter().map(Store::counters).collect();
    let entries = names(&provider, "log/").await.len() as u64;
    for round in 0..ROUNDS {
        let commits = stores.iter().enumerate().flat_map(|(at, store)| {
            (0..4).map(move |client| async move {
                let key = format!("{at}/{client}");
                let put = store.transact(async |tx| tx.put(&key, round.to_string()));
                put.await.unwrap();
                // Whoever is told finds it at once, without asking.
                let known = store.snapshot(At::Known).await.unwrap().get(&key).await.unwrap();
                assert_eq!(known.unwrap(), round.to_string());
            })
        });
        join_all(commits).await;
    }
    let after: Vec<_> = stores.iter().map(Store::counters).collect();
    let added = names(&provider, "log/").await.len() as u64 - entries;
    // Its own clients are a moment faster than those who hand over, so that each round may take two.
    assert!(added <= 2 * ROUNDS, "{added} entries for {ROUNDS} rounds");
    assert_eq!(after[0].entries - before[0].entries, added);
    assert_eq!(after[0].taken_over - before[0].taken_over, 8 * ROUNDS);
    for (before, after) in before.iter().zip(&after).skip(1) {
        assert_eq!(after.entries, before.entries, "it has put entries of its own");
        assert_eq!(after.handed_over - before.handed_over, 4 * ROUNDS);
    }
    assert_eq!(after.iter().map(|after| after.slots_lost).sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_hands_over_reads_only_the_entries_that_were_made_of_it() {
    let (provider, one) = counted().await;
    let two = open(&dynamic(&provider), Options::default()).await;
    two.combine_through(Line::new(&one, key()), key());
    meet(&two).await;
    two.snapshot(At::Latest).await.unwrap();
    one.snapshot(At::Latest).await.unwrap();
    let before = provider.counts();
    for at in 0..10 {
        two.transact(async |tx| tx.put("x", at.to_string())).await.unwrap();
    }
    let since = provider.counts().since(&before);
    // A put of the one and a get of the other for each.
    assert_eq!(since.requests(), 20, "{since:?}");
    assert_eq!(since.errors(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_no_answer_came_to_is_committed_once() {
    for mode in [Mode::Refused, Mode::AnswerLost, Mode::Kept, Mode::Silent, Mode::Garbled] {
        let Combined { one, two, line, .. } = combined(Options::default()).await;
        line.set(mode);
        let receipt = two.transact(async |tx| tx.merge("n", Merge::Add(1))).await.unwrap();
        assert_eq!(number(&one, "n").await, 1, "{mode:?}");
        let known = two.snapshot(At::Known).await.unwrap().version();
        assert!(known >= receipt.version, "{mode:?}");
        let outcome = one.outcome(receipt.transaction_id).await.unwrap();
        assert_eq!(outcome, Outcome::Committed(receipt.version), "{mode:?}");
        // And what arrives late changes nothing.
        line.set(Mode::Works);
        let kept = line.deliver_kept().await;
        assert_eq!(kept, usize::from(matches!(mode, Mode::Kept | Mode::Silent)), "{mode:?}");
        assert_eq!(number(&one, "n").await, 1, "{mode:?}");
        assert!(matches!(two.combining(), Some(Combining::Alone(_))), "{mode:?}");
        meet(&two).await;
        assert_eq!(two.counters().handovers_failed, 1, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_while_another_may_have_it_is_never_committed() {
    let Combined { one, two, line, .. } = combined(Options::default()).await;
    one.transact(async |tx| tx.put("x", "1")).await.unwrap();
    line.set(Mode::Kept);
    let tx = two.begin();
    tx.require("x", None).unwrap();
    tx.put("x", "2").unwrap();
    let id = tx.id();
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    assert!(error.to_string().starts_with("key \"x\" is version"), "{error}");
    // Now it would hold, and the message arrives.
    one.transact(async |tx| tx.delete("x")).await.unwrap();
    assert_eq!(line.deliver_kept().await, 1);
    let now = one.snapshot(At::Latest).await.unwrap();
    assert_eq!(now.get("x").await.unwrap(), None);
    assert_eq!(one.outcome(id).await.unwrap(), Outcome::NotCommitted);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_an_entry_only_where_another_may_have_the_transaction() {
    for (mode, entries) in [(Mode::Refused, 0), (Mode::Kept, 1), (Mode::Silent, 1)] {
        let Combined { provider, one, two, line } = combined(Options::default()).await;
        one.transact(async |tx| tx.put("x", "1")).await.unwrap();
        let log = Prefix::new("log/").unwrap();
        let slots = async || provider.list_all(&log).try_collect::<Vec<_>>().await.unwrap().len();
        let before = slots().await;
        line.set(mode);
        let tx = two.begin();
        tx.require("x", None).unwrap();
        tx.put("x", "2").unwrap();
        assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
        assert_eq!(slots().await - before, entries, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_combiner_is_of_no_use_is_told_again_only_with_another_reason() {
    let Combined { one, two, line, .. } = combined(Options::default()).await;
    // So long that it is asked again and again.
    let try_again = async || {
        for _ in 0..20 {
            two.transact(async |tx| tx.put("x", "1")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let told = line.news.lock().unwrap().clone();
        told.into_iter().filter(|told| matches!(told, Combining::Alone(_))).count()
    };
    line.set(Mode::Refused);
    assert_eq!(try_again().await, 1);
    assert_eq!(try_again().await, 1);
    line.set(Mode::Works);
    let stranger =
        Store::init(Arc::new(MemoryProvider::new()), Arc::new(TokioEnv::new()), Options::default());
    *line.to.lock().unwrap() = stranger.await.unwrap();
    assert_eq!(try_again().await, 2);
    *line.to.lock().unwrap() = one;
    meet(&two).await;
}

#[tokio::test(start_paused = true)]
async fn handles_that_combine_are_dropped_as_others_are() {
    let Combined { provider, one, two, line } = combined(Options::default()).await;
    two.transact(async |tx| tx.put("x", "1")).await.unwrap();
    line.set(Mode::Kept);
    two.transact(async |tx| tx.put("x", "2")).await.unwrap();
    // Greetings that are under way end.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let weak = (Arc::downgrade(&line), Arc::downgrade(&provider));
    drop((one, two, line, provider));
    tokio::time::sleep(Duration::from_secs(60)).await;
    // The store has its combiner, and the combiner the other store.
    assert_eq!((weak.0.strong_count(), weak.1.strong_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn conflicts_and_preconditions_are_those_of_the_log() {
    let Combined { provider, one, two, .. } = combined(Options::default()).await;
    let first = one.transact(async |tx| tx.put("x", "1")).await.unwrap().version;
    // The second has not read that, the first has.
    let tx = two.begin();
    assert_eq!(tx.get("x").await.unwrap(), None);
    tx.put("y", "read nothing").unwrap();
    assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    let require = async |version| {
        let tx = two.begin();
        tx.require("x", version)?;
        tx.put("x", "2")?;
        tx.commit().await
    };
    assert_eq!(require(None).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    let second = require(Some(first)).await.unwrap().version;
    assert_eq!(require(Some(first)).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    // And here the second has read what the first has not.
    let third = open(&provider, Options::default()).await;
    let fourth = third.transact(async |tx| tx.put("x", "3")).await.unwrap().version;
    two.snapshot(At::Latest).await.unwrap();
    let receipt = require(Some(fourth)).await.unwrap();
    assert!(receipt.version > fourth && fourth > second);
    assert_eq!(two.counters().handovers_failed, 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_of_no_use_is_told_by_its_reason_and_left_alone() {
    let Combined { provider, one, two, .. } = combined(Options::default()).await;
    let options = Options::default();
    let elsewhere =
        Store::init(Arc::new(MemoryProvider::new()), Arc::new(TokioEnv::new()), options.clone());
    let elsewhere = elsewhere.await.unwrap();
    let other_key = CombineKey::new(b"what nobody else knows").unwrap();
    let signed = "the message was signed with another secret, or changed on its way";
    let table = [
        (&elsewhere, key(), "it serves another store".to_owned()),
        (&two, key(), "it hands its own commits to another".to_owned()),
        (&one, other_key, format!("permission denied: {signed}")),
    ];
    for (to, key, expected) in table {
        let store = open(&provider, options.clone()).await;
        let line = Line::new(to, self::key());
        store.combine_through(line.clone(), key);
        for at in 0..5 {
            store.transact(async |tx| tx.put("x", at.to_string())).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(store.combining(), Some(Combining::Alone(expected.clone())));
        // Said once, and not asked again at once.
        assert_eq!(*line.news.lock().unwrap(), [Combining::Alone(expected)]);
        assert_eq!(store.counters().entries, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_its_own_combiner_takes_what_others_hand_over() {
    let Combined { one, two, line, .. } = combined(Options::default()).await;
    let own = Line::new(&one, key());
    one.combine_through(own.clone(), key());
    for _ in 0..5 {
        one.transact(async |tx| tx.put("x", "1")).await.unwrap();
        two.transact(async |tx| tx.put("y", "1")).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(one.combining(), Some(Combining::Itself));
    assert_eq!(*own.news.lock().unwrap(), [Combining::Itself]);
    assert_eq!(two.combining(), Some(Combining::Through));
    assert_eq!(*line.news.lock().unwrap(), [Combining::Through]);
}

#[tokio::test(start_paused = true)]
async fn a_combiner_that_was_started_anew_is_met_again() {
    let Combined { provider, one, two, line } = combined(Options::default()).await;
    let anew = open(&provider, Options::default()).await;
    drop(one);
    *line.to.lock().unwrap() = anew.clone();
    // It says itself that it is there, so nobody waits as one does for who is not: time stands still.
    let since = tokio::time::Instant::now();
    for _ in 0..3 {
        two.transact(async |tx| tx.put("x", "1")).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(two.combining(), Some(Combining::Through), "after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    let before = anew.counters().taken_over;
    two.transact(async |tx| tx.put("x", "2")).await.unwrap();
    assert_eq!(anew.counters().taken_over - before, 1);
}

#[tokio::test(start_paused = true)]
async fn two_that_would_hand_over_to_each_other_agree_on_one() {
    let Combined { one, two, line, .. } = combined(Options::default()).await;
    one.combine_through(Line::new(&two, key()), key());
    for _ in 0..100 {
        let commit = |store: Store| async move {
            store.transact(async |tx| tx.merge("n", Merge::Add(1))).await.unwrap();
        };
        futures_util::future::join(commit(one.clone()), commit(two.clone())).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(number(&one, "n").await, 200);
    let through = |store: &Store| store.combining() == Some(Combining::Through);
    assert!(!(through(&one) && through(&two)));
    drop(line);
}

#[tokio::test(start_paused = true)]
async fn what_a_handle_is_sent_that_is_no_message_is_refused() {
    let Combined { one, two, line, .. } = combined(Options::default()).await;
    line.set(Mode::Kept);
    two.transact(async |tx| tx.put("x", "1")).await.unwrap();
    let message = line.kept.lock().unwrap().pop().unwrap();
    let refused = async |message: Bytes| one.combine(&key(), message).await.unwrap_err().kind();
    for end in 0..message.len() {
        let kind = refused(message.slice(..end)).await;
        let expected = match end {
            0..40 => ErrorKind::UnknownFormat,
            _ => ErrorKind::Storage(StorageErrorKind::PermissionDenied),
        };
        assert_eq!(kind, expected, "{end} bytes");
    }
    for at in 0..message.len() {
        let mut changed = message.to_vec();
        changed[at] ^= 1;
        refused(changed.into()).await;
    }
    let large = Bytes::from(vec![0; COMBINE_BYTES_MAX + 1]);
    assert_eq!(refused(large).await, ErrorKind::LimitExceeded);
    one.combine(&key(), message).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_hand_over_is_committed_all_the_same() {
    let mut options = Options::default();
    options.inline_bytes_max = 1 << 20;
    let Combined { one, two, .. } = combined(options).await;
    let before = two.counters();
    let large = two
        .transact(async |tx| (0..9).try_for_each(|at| tx.put(format!("{at}"), vec![at; 1 << 20])));
    large.await.unwrap();
    let since = two.counters();
    assert_eq!((since.entries, since.handed_over), (before.entries + 1, before.handed_over));
    assert_eq!(since.handovers_failed, 0);
    let now = one.snapshot(At::Latest).await.unwrap();
    assert_eq!(now.get("8").await.unwrap().unwrap(), vec![8; 1 << 20]);
}

#[test]
fn a_short_secret_is_none_and_no_key_tells_what_it_is() {
    let error = CombineKey::new(b"fifteen bytes..").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(error.to_string(), "the secret of a combiner has 15 bytes, fewer than 16");
    assert_eq!(format!("{:?}", key()), "CombineKey");
}
