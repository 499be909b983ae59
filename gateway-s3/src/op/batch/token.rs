//! Tokens of batches: what was answered is kept for a while, so that who did not hear it can ask again.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use storage_txn::{Scan, Transaction, Version};

use crate::error::{Code, Result};
use crate::layout;
use crate::op::caller::Caller;
use crate::op::{View, now, put};
use crate::record::{Answered, Done, decode};

/// One in so many batches lets go of what is outdated, so that the others are not in each other's way.
const SWEEP_EVERY: u8 = 16;
/// How many it lets go of at most.
const SWEPT_MAX: usize = 64;

/// What a client calls a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    id: [u8; 32],
    request: Bytes,
}

impl Token {
    /// The token of a caller, for a batch that was asked for with these bytes.
    pub(crate) fn new(caller: &Caller, text: &str, request: &[u8]) -> Self {
        let user = caller.owner().map(|owner| owner.id).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update((user.len() as u64).to_be_bytes());
        hash.update(user.as_bytes());
        hash.update(text.as_bytes());
        let request = Bytes::copy_from_slice(&Sha256::digest(request));
        Self { id: hash.finalize().into(), request }
    }

    /// What was answered when it was done, and in which version that was.
    ///
    /// # Errors
    ///
    /// [`Code::IdempotencyParameterMismatch`] when it was another batch.
    pub(super) async fn answered(
        &self,
        transaction: &Transaction,
    ) -> Result<Option<(Version, Vec<Done>)>> {
        let name = layout::token(&self.id);
        let range = name.clone()..[&name[..], b"\0"].concat();
        let found = transaction.scan(&Scan::new(range).limit(1)).await?.pop();
        let Some(item) = found else { return Ok(None) };
        let answered: Answered = decode(item.value)?;
        if answered.request != self.request {
            return Err(Code::IdempotencyParameterMismatch.into());
        }
        Ok(Some((item.version.unwrap_or_default(), answered.results)))
    }

    /// Keeps what is answered, and lets go of some of what is older than `time`.
    pub(super) async fn keep(
        &self,
        transaction: &Transaction,
        results: &[Done],
        time: Duration,
    ) -> Result<()> {
        let (now, request) = (now(), self.request.clone());
        let answered = Answered { time: now, request, results: results.to_vec() };
        put(transaction, &layout::token(&self.id), &answered)?;
        transaction.put(layout::token_by_time(now, &self.id), Bytes::new())?;
        if !self.id[31].is_multiple_of(SWEEP_EVERY) {
            return Ok(());
        }
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let outdated = layout::tokens_before(now.saturating_sub(time));
        for item in View::Inside(transaction).scan(outdated, SWEPT_MAX).await? {
            if let Some(id) = layout::token_of(&item.key) {
                transaction.delete(layout::token(&id))?;
            }
            transaction.delete(&item.key)?;
        }
        Ok(())
    }
}
