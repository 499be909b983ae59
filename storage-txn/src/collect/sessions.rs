//! Sessions that are gone, and what they stored and never named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use storage_core::{Key, Listed, StorageProviderExt};
use storage_log::planted::planted;

use super::{ATTEMPTS_MAX, Collection};
use crate::change::Change;
use crate::session;
use crate::store::prefix;
use crate::system::reaped;
use crate::view::{View, Walk};
use crate::writes::{Range, Writes};
use crate::{Error, ErrorKind, Result, Version, space};

const SEGMENTS: &str = "segment/";
const VALUES: &str = "value/";

impl Collection<'_> {
    /// Ends the sessions that have given no sign of life for long. One that has left something behind is reaped before
    /// that is deleted: only then is it certain that no commit will name it.
    pub(super) async fn sessions(&mut self) -> Result<()> {
        let (suspects, said) = self.suspects().await?;
        let mut dead = Vec::new();
        for session in &suspects {
            if !self.is_reaped(*session) && !self.left_behind(*session).await?.is_empty() {
                dead.push(*session);
            }
        }
        if !dead.is_empty() {
            // What looked left behind may have been named since the log was last read.
            self.shared.refresh().await?;
            let mut still_dead = Vec::new();
            for session in dead {
                if !self.is_reaped(session) && !self.left_behind(session).await?.is_empty() {
                    still_dead.push(session);
                }
            }
            let left_before = match planted("reaper-does-not-look-again") {
                true => self.left_of(&still_dead).await?,
                false => Vec::new(),
            };
            self.reap(&still_dead).await?;
            self.delete(left_before).await?;
        }
        for session in suspects {
            let early = planted("reaper-deletes-before-it-has-reaped");
            if self.is_reaped(session) || self.options.dry_run || early {
                let left = self.left_behind(session).await?;
                for listed in &left {
                    self.done.bytes += listed.size;
                    if listed.key.as_str().starts_with(VALUES) {
                        self.done.values += 1;
                    } else {
                        self.done.segments += 1;
                    }
                }
                self.delete(left.into_iter().map(|listed| listed.key).collect()).await?;
            }
            if said.contains(&session) {
                self.delete(vec![session::name(session)?]).await?;
                self.done.sessions += 1;
            }
        }
        Ok(())
    }

    /// The sessions of others that were reaped, or have been still for long; and all that have said they live.
    async fn suspects(&self) -> Result<(BTreeSet<u64>, BTreeSet<u64>)> {
        // What is there is listed before who lives: whoever stores something has said before that it lives.
        let mut there = if self.options.sweep { self.sweep().await? } else { BTreeSet::new() };
        let listed = self.list(session::PREFIX).await?;
        let said: BTreeSet<u64> =
            listed.iter().filter_map(|listed| session::parse(&listed.key)).collect();
        self.shared.forget_sessions(&said);
        there.extend(&said);
        let mut suspects = BTreeSet::new();
        for session in there {
            if session == self.shared.session_id() {
                continue;
            }
            if self.is_reaped(session) || self.is_still(session).await? {
                suspects.insert(session);
            }
        }
        Ok((suspects, said))
    }

    /// The sessions that have stored what the store does not name, whoever they are.
    async fn sweep(&self) -> Result<BTreeSet<u64>> {
        let mut stored: BTreeMap<u64, Vec<Listed>> = BTreeMap::new();
        for beginning in [SEGMENTS, VALUES] {
            for listed in self.list(beginning).await? {
                if let Some(session) = owner(&listed.key) {
                    stored.entry(session).or_default().push(listed);
                }
            }
        }
        let mut found = BTreeSet::new();
        for (session, stored) in stored {
            if !self.unnamed(session, stored).await?.is_empty() {
                found.insert(session);
            }
        }
        Ok(found)
    }

    fn is_reaped(&self, session: u64) -> bool {
        self.shared.state().view.system.is_reaped(session)
    }

    async fn is_still(&self, session: u64) -> Result<bool> {
        let object = self.shared.shelf.provider.try_get(&session::name(session)?).await?;
        Ok(object.is_none_or(|object| {
            self.shared.still_for(session, &object.body) >= self.options.session_grace
        }))
    }

    /// What a session has stored that the store does not name, as far as is known of the log.
    async fn left_behind(&self, session: u64) -> Result<Vec<Listed>> {
        let mut stored = self.list(&format!("{SEGMENTS}{session:016x}/")).await?;
        stored.extend(self.list(&format!("{VALUES}{session:016x}/")).await?);
        self.unnamed(session, stored).await
    }

    /// Of what a session has stored, that which the store does not name.
    async fn unnamed(&self, session: u64, mut stored: Vec<Listed>) -> Result<Vec<Listed>> {
        let is_value = |listed: &Listed| listed.key.as_str().starts_with(VALUES);
        let (view, used) = match stored.iter().any(is_value) {
            true => self.values_used(session).await?,
            false => (self.shared.state().view.clone(), BTreeSet::new()),
        };
        let system = &view.system;
        stored.retain(|listed| match number(&listed.key) {
            // A name that is not understood is not this program's to delete.
            None => false,
            Some(number) if is_value(listed) => {
                let upload = format!("{VALUES}{session:016x}/{number:08x}");
                (!used.contains(&number) || planted("reaper-ignores-values-that-are-named"))
                    && !system.is_obsolete(&upload)
                    && !system.is_obsolete(listed.key.as_str())
            }
            Some(_) => {
                let named = system.names_object(&listed.key);
                (!named || planted("reaper-ignores-what-is-named"))
                    && !system.is_obsolete(listed.key.as_str())
            }
        });
        Ok(stored)
    }

    /// The numbers of the values of a session that any kept version has, and the view that says so.
    async fn values_used(&self, session: u64) -> Result<(Arc<View>, BTreeSet<u32>)> {
        for _ in 0..ATTEMPTS_MAX {
            let (view, version) = {
                let state = self.shared.state();
                (state.view.clone(), state.version)
            };
            match values_used(&view, version, session).await {
                // Others have packed away and collected what this was reading.
                Err(error) if error.kind() == ErrorKind::SnapshotExpired => {
                    self.shared.refresh().await?;
                }
                used => return Ok((view, used?)),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("the store was packed during each of {ATTEMPTS_MAX} attempts to collect"),
        ))
    }

    /// All that sessions have left behind, for a mistake that is put in on purpose.
    async fn left_of(&self, sessions: &[u64]) -> Result<Vec<Key>> {
        let mut all = Vec::new();
        for session in sessions {
            all.extend(self.left_behind(*session).await?.into_iter().map(|listed| listed.key));
        }
        Ok(all)
    }

    /// Commits that these sessions commit no more.
    async fn reap(&mut self, sessions: &[u64]) -> Result<()> {
        self.done.sessions_reaped += sessions.len() as u64;
        if sessions.is_empty() || self.options.dry_run {
            return Ok(());
        }
        let mut writes = Writes::default();
        for session in sessions {
            let name = space::system(reaped(*session).as_bytes());
            writes.change(name, Change::Put(Bytes::new()))?;
        }
        // Reaping twice is the same as once, so there is no condition.
        self.shared.commit_system(writes, Vec::new(), "reap").await
    }

    async fn list(&self, beginning: &str) -> Result<Vec<Listed>> {
        let prefix = prefix(beginning)?;
        Ok(self.shared.shelf.provider.list_all(&prefix).try_collect().await?)
    }
}

/// The numbers of the values of a session that any kept version has.
async fn values_used(view: &View, version: Version, session: u64) -> Result<BTreeSet<u32>> {
    let all = space::all(space::VALUE);
    let start = space::key(space::VALUE, &session.to_be_bytes());
    let end = session.checked_add(1).map(|next| space::key(space::VALUE, &next.to_be_bytes()));
    let range = Range { start, end: end.unwrap_or(all.end) };
    let mut walk = Walk::new(view, version, &range, false, None).await?;
    let mut used = BTreeSet::new();
    while let Some((key, _, _)) = walk.next().await? {
        // The space, the session, the number.
        if let Some(number) = key.get(9..13).and_then(|bytes| bytes.try_into().ok()) {
            used.insert(u32::from_be_bytes(number));
        }
    }
    Ok(used)
}

/// The session that stored an object.
fn owner(key: &Key) -> Option<u64> {
    let digits = key.as_str().split('/').nth(1).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The number that its session gave an object, or the value that it is a chunk of.
fn number(key: &Key) -> Option<u32> {
    let name = key.as_str().split('/').nth(2)?;
    let digits = name.split('=').next().filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok()
}
