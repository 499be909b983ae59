//! Taking the transactions of other handles, and answering for them.

use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;
use storage_log::CommitLog;
use storage_log::planted::planted;

use crate::combine::{COMBINE_BYTES_MAX, CombineKey};
use crate::commit::{Hands, Waiting};
use crate::format::combine::{self as format, Answer, Handed, Refusal, Reply, Request};
use crate::shared::Shared;
use crate::transaction::Receipt;
use crate::{Error, ErrorKind, Result, TransactionId, Version};

/// The most handles whose last message is remembered. When there are more, this one calls itself something else, so that
/// what was sent to it under its old name is not taken again.
const HEARD_MAX: usize = 1024;

impl Shared {
    /// Commits what a message hands over, and answers it.
    pub(super) async fn take_over(
        self: &Arc<Self>,
        key: &CombineKey,
        message: Bytes,
    ) -> Result<Bytes> {
        if message.len() > COMBINE_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("the message has {} bytes, more than {COMBINE_BYTES_MAX}", message.len()),
            ));
        }
        let (request, signature) = format::decode_request(&key.0, &message)?;
        let (log, from) = (self.log.id(), self.combine_name());
        let answer = match self.refusal(&request, from).await {
            Some(refusal) => Answer::Refused(refusal),
            None => self.commit_of_others(request.transactions).await,
        };
        Ok(format::encode_reply(&key.0, &signature, &Reply { log, from, answer }))
    }

    /// Why this handle does not take what a message hands over; `None` when it does.
    async fn refusal(self: &Arc<Self>, request: &Request, name: u64) -> Option<Refusal> {
        if request.log != self.log.id() {
            return Some(Refusal::OtherStore);
        }
        if self.hands_over() && request.from != name {
            return Some(Refusal::HandsOver);
        }
        if request.transactions.is_empty() {
            return None;
        }
        {
            let mut combining = self.combining();
            if request.to == 0 || request.to != combining.name {
                return Some(Refusal::Renamed);
            }
            let heard = combining.heard.get(&request.from).copied();
            if heard.is_some_and(|heard| request.sequence <= heard) {
                return Some(Refusal::Late);
            }
            if heard.is_none() && combining.heard.len() >= HEARD_MAX {
                combining.heard.clear();
                combining.name = 0;
                return Some(Refusal::Renamed);
            }
            combining.heard.insert(request.from, request.sequence);
        }
        let read_at = request.transactions.iter().map(|handed| handed.read_at).max();
        let is_behind = |shared: &Self| read_at > Some(shared.state().version);
        // They have read further than this handle has: it would hold them against too little.
        if is_behind(self) && (self.refresh().await.is_err() || is_behind(self)) {
            return Some(Refusal::Behind);
        }
        None
    }

    async fn commit_of_others(self: &Arc<Self>, transactions: Vec<Handed>) -> Answer {
        let mut answers = Vec::with_capacity(transactions.len());
        for handed in transactions {
            let (reply, answer) = oneshot::channel();
            let id = handed.transaction.id;
            // One for which there is no room was not taken, and so is settled.
            if self.enqueue(waiting(handed, reply)).is_ok() {
                answers.push((id, answer));
            }
        }
        self.counts.taken_over.add(answers.len() as u64);
        let mut unknown = std::collections::BTreeSet::<TransactionId>::new();
        for (id, answer) in answers {
            let is_known = match answer.await {
                Ok(Ok(_)) => true,
                Ok(Err(error)) => !matches!(error.kind(), ErrorKind::CommitUnknown(_)),
                // Its task was stopped.
                Err(oneshot::Canceled) => false,
            };
            if !is_known {
                unknown.insert(id);
            }
        }
        let slot = self.state().head.slot;
        Answer::Settled { slot, unknown }
    }
}

fn waiting(handed: Handed, reply: oneshot::Sender<Result<Receipt>>) -> Waiting {
    let Handed { transaction, reads, read_at, required, sessions, repeated } = handed;
    let read_at = match planted("combiner-validates-from-the-end") {
        true => Version(u64::MAX),
        false => read_at,
    };
    Waiting {
        transaction,
        reads,
        read_at,
        required,
        sessions,
        repeated,
        hands: Hands::Foreign,
        refused: None,
        reply,
    }
}
