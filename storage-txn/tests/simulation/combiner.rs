//! Processes that hand their commits to each other, over a network that loses, delays and repeats messages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use simulation::Node;
use storage_core::{Error, ErrorKind, async_trait};
use storage_txn::{CombineKey, Combiner, Combining, Store};

use crate::workload::lock;

/// Which handle can be reached on which node. One of a node that has crashed answers no more.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<u32, (Node, Store)>>);

impl Board {
    /// Makes a handle known, and gives it another for its combiner: mostly that of the first node, which so finds itself;
    /// sometimes any, so that some hand over in a circle.
    pub(crate) fn join(self: &Arc<Self>, node: &Node, store: &Store) {
        lock(&self.0).insert(node.id().0, (node.clone(), store.clone()));
        let to = match node.choose(4) {
            3 => node.choose(3),
            _ => 0,
        };
        let line = Line { from: node.clone(), to, board: Arc::downgrade(self), key: key() };
        store.combine_through(Arc::new(line), key());
    }
}

fn key() -> CombineKey {
    CombineKey::new(b"all nodes know this").unwrap()
}

/// The way from a node to its combiner.
struct Line {
    from: Node,
    to: u32,
    /// Which has the handles that have this: weak, or none of them would ever be dropped.
    board: Weak<Board>,
    key: CombineKey,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line to {}", self.to)
    }
}

/// What befalls a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    /// Nobody can be reached, and that is known.
    NotSent,
    /// It is lost, and so is the connection.
    Lost,
    /// It arrives; the answer is lost, and so is the connection.
    AnswerLost,
    /// It arrives, and no answer ever comes.
    NoAnswer,
    /// It arrives long after the sender has given up.
    Late,
    /// It arrives, and again later.
    Twice,
}

const FATES: [Fate; 6] =
    [Fate::NotSent, Fate::Lost, Fate::AnswerLost, Fate::NoAnswer, Fate::Late, Fate::Twice];

impl Line {
    fn fate(&self) -> Fate {
        match self.from.choose(8) {
            0..6 => Fate::Arrives,
            _ => FATES[self.from.choose(FATES.len() as u32) as usize],
        }
    }

    /// Brings a message to the other node after a while; what it answers comes out of the channel, unless it crashes.
    fn deliver(&self, message: Bytes, delay: Duration) -> Option<oneshot::Receiver<Bytes>> {
        let (there, store) = lock(&self.board.upgrade()?.0).get(&self.to).cloned()?;
        let (send, answer) = oneshot::channel();
        let (env, key) = (there.env(), self.key.clone());
        let back = Duration::from_millis(u64::from(self.from.choose(3)));
        there.env().spawn(Box::pin(async move {
            env.sleep(delay).await;
            let Ok(reply) = store.combine(&key, message).await else { return };
            env.sleep(back).await;
            let _ = send.send(reply);
        }));
        Some(answer)
    }
}

#[async_trait]
impl Combiner for Line {
    async fn exchange(&self, message: Bytes) -> storage_core::Result<Bytes> {
        let fate = self.fate();
        self.from
            .say(|| format!("a message to node {} of {} bytes: {fate:?}", self.to, message.len()));
        let not_sent = || Error::not_applied(ErrorKind::Unavailable, "nobody listens");
        let lost = || Error::unknown(ErrorKind::Unavailable, "the connection is lost");
        let soon = Duration::from_millis(u64::from(1 + self.from.choose(5)));
        let later = match fate {
            Fate::Late => Duration::from_secs([3, 40, 700][self.from.choose(3) as usize]),
            _ => soon,
        };
        if fate == Fate::NotSent {
            return Err(not_sent());
        }
        if fate == Fate::Lost {
            return Err(lost());
        }
        let answer = self.deliver(message.clone(), later).ok_or_else(not_sent)?;
        match fate {
            Fate::AnswerLost => {
                self.from.env().sleep(soon).await;
                Err(lost())
            }
            Fate::NoAnswer => std::future::pending().await,
            Fate::Twice => {
                let _ = self.deliver(message, later * (1 + self.from.choose(2000)));
                answer.await.map_err(|_| lost())
            }
            _ => answer.await.map_err(|_| lost()),
        }
    }

    fn changed(&self, now: &Combining) {
        self.from.say(|| format!("combining with node {}: {now:?}", self.to));
    }
}
