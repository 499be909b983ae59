//! Finding the end of the log, for all who want to know it at the same time.

use std::sync::Arc;

use futures_channel::oneshot;
use futures_util::stream::{FuturesUnordered, StreamExt};
use storage_core::ErrorKind;

use super::core::Core;
use super::{Found, Goal, Outcome};
use crate::{Error, Result};

/// How often a reading begins again when what it found was in doubt and was settled meanwhile.
const READINGS_MAX: u32 = 8;

impl Core {
    /// Learns what was decided before this call, together with all who want to know at the same time.
    pub(super) async fn refresh(self: &Arc<Self>) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        let begin = {
            let mut state = self.state();
            state.probes.push(sender);
            !std::mem::replace(&mut state.probing, true)
        };
        if begin {
            let core = self.clone();
            self.env.spawn(Box::pin(async move { core.answer_probes().await }));
        }
        let failed = |kind, message: &str| {
            Err(storage_core::Error::not_applied(kind, message.to_owned()).into())
        };
        match receiver.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err((kind, message))) => failed(kind, &message),
            Err(oneshot::Canceled) => {
                self.state().probing = false;
                failed(ErrorKind::Unavailable, "the runtime that read the log was stopped")
            }
        }
    }

    async fn answer_probes(self: &Arc<Self>) {
        loop {
            let waiting = {
                let mut state = self.state();
                if state.probes.is_empty() {
                    state.probing = false;
                    return;
                }
                std::mem::take(&mut state.probes)
            };
            let result = self.find_end().await.map_err(|error| match error {
                Error::Storage(error) => (error.kind(), Arc::from(error.message())),
                other => (ErrorKind::Unavailable, Arc::from(other.to_string())),
            });
            for waiter in waiting {
                let _ = waiter.send(result.clone());
            }
        }
    }

    async fn find_end(self: &Arc<Self>) -> Result<()> {
        for _ in 0..READINGS_MAX {
            let mut reader = {
                let state = self.state();
                let mut reader = state.proposer.reader();
                reader.hint(state.asked_for.0);
                reader
            };
            let mut under_way = FuturesUnordered::new();
            let mut requests = reader.start(self.env.monotonic());
            let found = loop {
                under_way.extend(requests.drain(..).map(|request| self.perform(request)));
                if let Some(found) = reader.found() {
                    break found;
                }
                let Some(event) = under_way.next().await else { break Found::Unreachable };
                requests = reader.on(event, self.env.monotonic());
            };
            drop(under_way);
            self.state().proposer.learn(&reader.into_council());
            self.tell_voters();
            match found {
                Found::Decided(_) => return Ok(()),
                Found::Unreachable => {
                    if !self.find_voters().await? {
                        return Err(self.unreachable().into());
                    }
                }
                Found::Doubt => match self.submit(Goal::Settle).await {
                    Some(Outcome::Done(_)) => return Ok(()),
                    Some(Outcome::Unreachable { .. }) | None => {
                        if !self.find_voters().await? {
                            return Err(self.unreachable().into());
                        }
                    }
                    Some(_) => {}
                },
            }
        }
        Err(self.unreachable().into())
    }
}
