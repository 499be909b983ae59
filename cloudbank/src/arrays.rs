//! The arrays that a command has opened: what each is, and what it still owes its members.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use storage_array::{Encrypt, Erasure, MemberState, Mirror, Shard, Status};
use storage_core::StorageProvider;

use crate::output::{Output, count};

/// How long a command waits at its end for what arrays owe their members.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it waits before it asks slow members again.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// An array as what it is, for those who look after it.
#[derive(Debug, Clone)]
pub(crate) enum Array {
    Mirror(Arc<Mirror>),
    Erasure(Arc<Erasure>),
    Shard(Arc<Shard>),
    Encrypt(Arc<Encrypt>),
}

impl Array {
    pub(crate) fn provider(&self) -> Arc<dyn StorageProvider> {
        match self {
            Self::Mirror(array) => array.clone(),
            Self::Erasure(array) => array.clone(),
            Self::Shard(array) => array.clone(),
            Self::Encrypt(array) => array.clone(),
        }
    }

    /// How it and its members are doing, as far as this process knows; nothing of arrays without pieces.
    pub(crate) fn known_status(&self) -> Option<Status> {
        match self {
            Self::Mirror(array) => Some(array.known_status()),
            Self::Erasure(array) => Some(array.known_status()),
            Self::Shard(_) | Self::Encrypt(_) => None,
        }
    }

    fn owes(&self) -> usize {
        match self {
            Self::Mirror(array) => array.owes(),
            Self::Erasure(array) => array.owes(),
            // They have no quorum: what is acknowledged is where it belongs.
            Self::Shard(_) | Self::Encrypt(_) => 0,
        }
    }

    /// Whether some are owed something, and all of them are down. Where nobody is, what is left are records that are being
    /// removed.
    fn owes_only_the_dead(&self) -> bool {
        let members = self.known_status().into_iter().flat_map(|status| status.members);
        let mut owed = members.filter(|member| member.owed > 0).peekable();
        owed.peek().is_some() && owed.all(|member| member.state == MemberState::Down)
    }

    async fn settle(&self) -> usize {
        match self {
            Self::Mirror(array) => array.settle().await,
            Self::Erasure(array) => array.settle().await,
            Self::Shard(_) | Self::Encrypt(_) => 0,
        }
    }

    fn is_used(&self) -> bool {
        let handles = match self {
            Self::Mirror(array) => Arc::strong_count(array),
            Self::Erasure(array) => Arc::strong_count(array),
            Self::Shard(array) => Arc::strong_count(array),
            Self::Encrypt(array) => Arc::strong_count(array),
        };
        handles > 1
    }
}

/// The arrays that were opened through a configuration, by the names they have there. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Arrays(Arc<Mutex<Vec<(String, Array)>>>);

impl Arrays {
    pub(crate) fn add(&self, name: &str, array: Array) {
        let mut all = self.lock();
        // Those that nobody uses any more and that owe nothing are of no interest.
        all.retain(|(_, array)| array.is_used() || array.owes() > 0);
        all.push((name.to_owned(), array));
    }

    /// Those in use, in the order in which they were opened.
    pub(crate) fn all(&self) -> Vec<(String, Array)> {
        self.lock().clone()
    }

    /// Brings members what they are owed, for a while, and says what is left: it is on record on the members.
    pub(crate) async fn settle(&self, output: &Output) {
        let owing = |arrays: &Self| -> Vec<(String, Array)> {
            arrays.all().into_iter().filter(|(_, array)| array.owes() > 0).collect()
        };
        let settling = async {
            loop {
                let before = owing(self);
                let mut progress = false;
                for (_, array) in &before {
                    let owed = array.owes();
                    array.settle().await;
                    progress |= array.owes() < owed;
                }
                let owing = owing(self);
                let hopeless = owing.iter().all(|(_, array)| array.owes_only_the_dead());
                if owing.is_empty() || (!progress && hopeless) {
                    return;
                }
                if !progress {
                    // Whoever is only slow has it in a moment.
                    tokio::time::sleep(SETTLE_PAUSE).await;
                }
            }
        };
        // What takes longer is on record, and brought by whoever looks after the array.
        let _ = tokio::time::timeout(SETTLE_TIME_MAX, settling).await;
        for (name, array) in owing(self) {
            let owed = count(array.owes() as u64, "object");
            let members = array.known_status().into_iter().flat_map(|status| status.members);
            let behind: Vec<_> = members
                .filter(|member| member.owed > 0)
                .map(|member| format!("`{}`", member.name))
                .collect();
            if behind.is_empty() {
                output.note(format_args!(
                    "warning: a record on members of `{name}` that another was behind could not be removed yet\n  = cloudbank array repair --provider {name}"
                ));
                continue;
            }
            output.note(format_args!(
                "warning: {owed} of `{name}` could not be brought to {} yet, which is on record\n  = once it is back: cloudbank array repair --provider {name}",
                behind.join(", ")
            ));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Array)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Arrays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().iter().map(|(name, _)| name)).finish()
    }
}
