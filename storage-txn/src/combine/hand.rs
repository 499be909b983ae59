//! Handing a batch to the combiner, and what follows from its answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{self, StreamExt};
use storage_core::Effect;
use storage_log::planted::planted;
use storage_log::{CommitLog, Slot};

use crate::combine::{COMBINE_BYTES_MAX, Combiner, Combining, Standing};
use crate::commit::{Hands, Waiting};
use crate::format::combine::{self as format, Answer, Refusal, Reply, Secret, Signature, ToHand};
use crate::shared::Shared;
use crate::{Error, Result, TransactionId};

/// How long a combiner that has failed is left alone, at first and at most.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Why a batch was not committed by the combiner.
struct Failed {
    why: String,
    /// Whether the combiner may have taken it all the same, and may yet commit it.
    in_doubt: bool,
    /// Whether it may be greeted again at once: it is there, and was started anew.
    at_once: bool,
}

impl Failed {
    fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), in_doubt: false, at_once: false }
    }

    fn in_doubt(why: impl Into<String>) -> Self {
        Self { why: why.into(), in_doubt: true, at_once: false }
    }
}

/// Where to hand transactions.
pub(super) struct Address {
    combiner: Arc<dyn Combiner>,
    secret: Secret,
    name: u64,
}

impl Shared {
    /// Hands a batch to the combiner, if there is one that takes it. What comes back is for this handle to finish: it has
    /// read the log as far as the combiner has put the batch into it. Whether the combiner has had it.
    pub(crate) async fn hand_over(self: &Arc<Self>, batch: &mut [Waiting]) -> bool {
        // What was taken from others is committed here, or it would go round for ever.
        if batch.iter().any(|waiting| waiting.hands != Hands::Own) {
            return false;
        }
        let Some(address) = self.look_for_combiner() else { return false };
        let Some((message, signature)) = self.message(&address, batch) else { return false };
        set_hands(batch, Hands::Elsewhere);
        let since = self.env.monotonic();
        let failed = match self.hand(&address, message, &signature).await {
            Ok((slot, unknown)) => match self.read_upto(slot).await {
                Ok(()) => {
                    self.arrivals.asked_at(since);
                    self.counts
                        .handed_over
                        .add((batch.len() - unknown.len().min(batch.len())) as u64);
                    settle(batch, &unknown);
                    self.is_through();
                    return true;
                }
                // It may be there, and this handle cannot tell.
                Err(error) => Failed::in_doubt(format!(
                    "the log could not be read as far as it says, to slot {slot}: {error}"
                )),
            },
            Err(failed) => failed,
        };
        if !failed.in_doubt || planted("combiner-silence-is-no") {
            set_hands(batch, Hands::Own);
        }
        self.counts.handovers_failed.one();
        self.goes_alone(failed.why, failed.at_once);
        false
    }

    /// Where to hand transactions now. Greets a combiner, in the background, that was left alone for long enough.
    pub(super) fn look_for_combiner(self: &Arc<Self>) -> Option<Address> {
        let now = self.env.monotonic();
        let (combiner, secret) = {
            let mut combining = self.combining();
            let it = combining.through.as_mut()?;
            let (combiner, secret) = (it.combiner.clone(), it.key.0);
            match &mut it.standing {
                Standing::Ready { name, .. } => {
                    return Some(Address { combiner, secret, name: *name });
                }
                Standing::Itself => return None,
                Standing::Alone { until, .. } if now < *until => return None,
                // One greeting at a time.
                Standing::Alone { until, .. } => *until = now + self.options.combiner_time_max * 2,
            }
            (combiner, secret)
        };
        let shared = self.clone();
        self.env.spawn(Box::pin(async move {
            let address = Address { combiner, secret, name: 0 };
            match shared.greet(&address).await {
                Ok(name) => shared.met(name),
                Err(failed) => shared.goes_alone(failed.why, false),
            }
        }));
        None
    }

    /// Asks who is there.
    async fn greet(&self, address: &Address) -> Result<u64, Failed> {
        let Some((message, signature)) = self.message(address, &[]) else {
            return Err(Failed::refused("the greeting is too long"));
        };
        Ok(self.exchange(address, message, &signature).await?.from)
    }

    /// The bytes that hand over a batch; `None` when they are too many.
    fn message(&self, address: &Address, batch: &[Waiting]) -> Option<(Bytes, Signature)> {
        let bytes: usize = batch.iter().map(|waiting| waiting.transaction.writes.bytes()).sum();
        if bytes > COMBINE_BYTES_MAX {
            return None;
        }
        let own = self.combine_name();
        let sequence = {
            let mut combining = self.combining();
            combining.sequence += 1;
            combining.sequence
        };
        let transactions = batch.iter().map(|waiting| ToHand {
            transaction: &waiting.transaction,
            reads: &waiting.reads,
            read_at: waiting.read_at,
            required: &waiting.required,
            sessions: &waiting.sessions,
            repeated: waiting.repeated,
        });
        let about = (self.log.id(), own, address.name, sequence);
        let (message, signature) = format::encode_request(&address.secret, about, transactions);
        (message.len() <= COMBINE_BYTES_MAX).then_some((message, signature))
    }

    /// Up to which slot the log holds what the combiner has committed of a batch, and of which transactions it does not
    /// know.
    async fn hand(
        &self,
        address: &Address,
        message: Bytes,
        signature: &Signature,
    ) -> Result<(Slot, BTreeSet<TransactionId>), Failed> {
        let reply = self.exchange(address, message, signature).await?;
        match reply.answer {
            Answer::Settled { slot, unknown } => Ok((slot, unknown)),
            Answer::Refused(_) => Err(Failed::refused("it takes nothing")),
        }
    }

    /// What the other handle answers, if it is one that takes transactions.
    async fn exchange(
        &self,
        address: &Address,
        message: Bytes,
        signature: &Signature,
    ) -> Result<Reply, Failed> {
        let most = self.options.combiner_time_max;
        let asked = select(address.combiner.exchange(message), self.env.sleep(most)).await;
        let answered = match asked {
            Either::Left((answered, _)) => answered,
            Either::Right(_) => {
                return Err(Failed::in_doubt(format!(
                    "it gave no answer within {most:?} (combiner_time_max)"
                )));
            }
        };
        let answer = answered.map_err(|error| Failed {
            why: error.to_string(),
            in_doubt: error.effect() == Effect::Unknown,
            at_once: false,
        })?;
        if answer.len() > COMBINE_BYTES_MAX {
            return Err(Failed::in_doubt(format!("it answered with {} bytes", answer.len())));
        }
        let reply = format::decode_reply(&address.secret, signature, &answer)
            .map_err(|error| Failed::in_doubt(format!("its answer is none: {error}")))?;
        let refused = match reply.answer {
            _ if reply.log != self.log.id() => "it serves another store",
            Answer::Settled { .. } => return Ok(reply),
            Answer::Refused(Refusal::OtherStore) => "it serves another store",
            Answer::Refused(Refusal::HandsOver) => "it hands its own commits to another",
            Answer::Refused(Refusal::Renamed) => {
                return Err(Failed { at_once: true, ..Failed::refused("it was started anew") });
            }
            Answer::Refused(Refusal::Late) => "it had heard something newer",
            Answer::Refused(Refusal::Behind) => "it cannot read the log as far as this server has",
            Answer::Refused(Refusal::None | Refusal::Other) => "it says so",
        };
        Err(Failed::refused(refused))
    }

    /// Reads the log up to a slot.
    async fn read_upto(&self, slot: Slot) -> Result<()> {
        let from = self.state().head.slot;
        let slots = (from.0.saturating_add(1)..=slot.0).map(|slot| self.log.read(Slot(slot)));
        let mut records = stream::iter(slots).buffered(self.options.read_ahead.max(1));
        while let Some(record) = records.next().await {
            match record? {
                Some(record) => self.take_in(&record).await?,
                // It may go on elsewhere.
                None => {
                    self.catch_up().await?;
                    break;
                }
            }
        }
        match self.state().head.slot >= slot {
            true => Ok(()),
            false => Err(Error::corrupt("the log ends before")),
        }
    }

    /// The other handle has answered a greeting.
    fn met(&self, name: u64) {
        let own = self.combine_name();
        let mut combining = self.combining();
        let Some(it) = &mut combining.through else { return };
        let now = if name == own {
            it.standing = Standing::Itself;
            Combining::Itself
        } else {
            let pause = match it.standing {
                Standing::Alone { pause, .. } | Standing::Ready { pause, .. } => pause,
                Standing::Itself => PAUSE_MIN,
            };
            it.standing = Standing::Ready { name, pause };
            Combining::Through
        };
        let combiner = it.combiner.clone();
        let is_news = combining.told.as_ref() != Some(&now);
        combining.told = Some(now.clone());
        drop(combining);
        if is_news {
            combiner.changed(&now);
        }
    }

    /// The other handle has committed a batch: should it fail, it is asked again soon.
    fn is_through(&self) {
        if let Some(it) = &mut self.combining().through
            && let Standing::Ready { pause, .. } = &mut it.standing
        {
            *pause = PAUSE_MIN;
        }
    }

    /// The other handle is of no use for a while.
    fn goes_alone(&self, why: String, at_once: bool) {
        let now = self.env.monotonic();
        let random = self.env.random();
        let mut combining = self.combining();
        let Some(it) = &mut combining.through else { return };
        let (Standing::Alone { pause, .. } | Standing::Ready { pause, .. }) = it.standing else {
            return;
        };
        // Two that wait for each other do not come back at the same time.
        let part = pause.mul_f64(0.5 + (random >> 11) as f64 / (1_u64 << 54) as f64);
        it.standing = match at_once {
            true => Standing::Alone { until: now, pause },
            false => Standing::Alone { until: now + part, pause: (pause * 2).min(PAUSE_MAX) },
        };
        let combiner = it.combiner.clone();
        let told = Combining::Alone(why);
        // The reason may change from one time to the next: that it went on alone is said once.
        let is_news = !matches!(combining.told, Some(Combining::Alone(_)))
            || combining.told.as_ref().is_some_and(|before| *before != told);
        combining.told = Some(told.clone());
        drop(combining);
        if is_news {
            combiner.changed(&told);
        }
    }
}

fn set_hands(batch: &mut [Waiting], hands: Hands) {
    for waiting in batch {
        waiting.hands = hands;
    }
}

/// The combiner is done with all but these.
fn settle(batch: &mut [Waiting], unknown: &BTreeSet<TransactionId>) {
    for waiting in batch.iter_mut() {
        if !unknown.contains(&waiting.transaction.id) {
            waiting.hands = Hands::Own;
        }
    }
}
