//! A session: what a handle stores is its own, until a commit names it; and its alone, until it is reaped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use storage_core::{Key, PutIf, StorageProvider};

use crate::shared::Shared;
use crate::store::key;
use crate::{Error, ErrorKind, Result};

/// How old the last sign of life of a handle may be when it begins to store something. One that stores nothing gives
/// none. What [`collect`](crate::Store::collect) takes for dead should have been still for several times as long.
pub const SESSION_BEAT: Duration = Duration::from_secs(600);

/// What the names of sessions begin with.
pub(crate) const PREFIX: &str = "session/";
const FORMAT: &str = "cloudbank session 1";

/// The session of a handle, and the signs of life that it has given in it.
#[derive(Debug)]
pub(crate) struct Session {
    id: u64,
    beats: u64,
    /// When the last began to be given, by the monotonic clock.
    last: Option<Duration>,
    /// The last signs of life that were seen of others, each with when it was first seen, by the monotonic clock.
    seen: BTreeMap<u64, (Bytes, Duration)>,
}

/// A sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    /// How many there were before.
    pub(crate) number: u64,
    /// When it was given, in microseconds since the Unix epoch, by the clock of the one who gave it.
    pub(crate) time: u64,
}

impl Beat {
    pub(crate) fn encode(self) -> Bytes {
        format!("{FORMAT}\nbeat {}\ntime {}\n", self.number, self.time).into()
    }

    /// `None` for what is none, or none of a format that this program knows.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut lines = text.split('\n');
        if lines.next()? != FORMAT {
            return None;
        }
        let number = lines.next()?.strip_prefix("beat ")?.parse().ok()?;
        let time = lines.next()?.strip_prefix("time ")?.parse().ok()?;
        lines.next().is_none().then_some(Self { number, time })
    }
}

/// The name of the object that says a session lives.
pub(crate) fn name(session: u64) -> Result<Key> {
    key(format!("{PREFIX}{session:016x}"))
}

/// The session that an object of this name says lives.
pub(crate) fn parse(name: &Key) -> Option<u64> {
    let digits = name.as_str().strip_prefix(PREFIX).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// What is told who would name something that was stored in a session that was reaped.
pub(crate) fn reaped(session: u64) -> Error {
    Error::new(
        ErrorKind::SessionReaped,
        format!(
            "session {session:016x} of this handle was reaped, and what it had stored for this is gone: run it again"
        ),
    )
}

impl Session {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, beats: 0, last: None, seen: BTreeMap::new() }
    }
}

impl Shared {
    /// The session in which this handle stores what it stores now.
    pub(crate) fn session_id(&self) -> u64 {
        self.session().id
    }

    /// Begins a new session if this handle has learnt that its own was reaped. What it has stored in the old one and
    /// not named is lost, and whatever would name it is refused; everything else goes on.
    ///
    /// Not while it reads from segments that nobody names: they are lost too, and only opening anew helps.
    pub(crate) fn renew_session(&self) {
        let state = self.state();
        let mut session = self.session();
        if state.view.system.is_reaped(session.id) && !state.has_remade() {
            (session.id, session.beats, session.last) = (self.env.random(), 0, None);
        }
    }

    /// Says that this handle lives, unless it has done so lately: to be called before everything that it stores in a
    /// session and no commit names yet. Else that may be taken for left behind.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionReaped`], [`ErrorKind::Storage`].
    pub(crate) async fn before_upload(&self, id: u64) -> Result<()> {
        if self.state().view.system.is_reaped(id) {
            return Err(reaped(id));
        }
        let now = self.env.monotonic();
        let number = {
            let session = self.session();
            if session.id != id {
                return Err(reaped(id));
            }
            if session.last.is_some_and(|last| now.saturating_sub(last) < SESSION_BEAT) {
                return Ok(());
            }
            session.beats
        };
        let body = Beat { number, time: self.wall_micros() }.encode();
        self.shelf.provider.put(&name(id)?, body, PutIf::Always).await?;
        let mut session = self.session();
        if session.id == id {
            session.beats = session.beats.max(number + 1);
            session.last = session.last.max(Some(now));
        }
        Ok(())
    }

    /// For how long another session, whose last sign of life is `body`, has given no other: as this handle has seen, or
    /// as its own clock and ours say. Only ever to choose whom to suspect.
    pub(crate) fn still_for(&self, session: u64, body: &Bytes) -> Duration {
        let now = self.env.monotonic();
        let since = {
            let mut own = self.session();
            let seen = own.seen.entry(session).or_insert_with(|| (body.clone(), now));
            if seen.0 != *body {
                *seen = (body.clone(), now);
            }
            seen.1
        };
        let given = Beat::decode(body).map(|beat| Duration::from_micros(beat.time));
        let age = given.map_or(Duration::ZERO, |given| self.env.wall().saturating_sub(given));
        age.max(now.saturating_sub(since))
    }

    /// Forgets what was seen of sessions that are no more.
    pub(crate) fn forget_sessions(&self, there: &BTreeSet<u64>) {
        self.session().seen.retain(|session, _| there.contains(session));
    }

    // Nothing that holds the lock can panic.
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Beat;

    #[test]
    fn a_sign_of_life_is_read_as_it_was_written_and_nothing_else_is_one() {
        let beat = Beat { number: 3, time: 1_700_000_000_000_000 };
        let bytes = beat.encode();
        assert_eq!(bytes, "cloudbank session 1\nbeat 3\ntime 1700000000000000\n");
        assert_eq!(Beat::decode(&bytes), Some(beat));
        for end in 0..bytes.len() {
            assert_eq!(Beat::decode(&bytes[..end]), None, "{end} bytes");
        }
        for wrong in [
            "cloudbank session 2\nbeat 3\ntime 1\n",
            "cloudbank session 1\nbeat x\ntime 1\n",
            "cloudbank session 1\nbeat 1\ntime 1\nmore\n",
            "cloudbank session 1\ntime 1\nbeat 1\n",
        ] {
            assert_eq!(Beat::decode(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
