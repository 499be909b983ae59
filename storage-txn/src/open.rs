//! Opening a store: the newest checkpoint and what came after it, or the whole log.

use std::sync::Arc;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use storage_core::{Env, Get, StorageProvider};

use crate::checkpoint::{collected, newest_name, newest_readable};
use crate::format::checkpoint::Checkpoint;
use crate::replica;
use crate::segment::{Cache, Shelf};
use crate::shared::Shared;
use crate::state::{Advanced, State};
use crate::store::key;
use crate::{Error, ErrorKind, Options, Place, Result};

/// How many segments are asked for at once.
const SEGMENTS_AT_ONCE: usize = 16;

/// A handle on the store that is there, at the end of its log. Three requests and the entries of the log that no
/// checkpoint covers.
pub(crate) async fn open(
    place: &Place,
    env: Arc<dyn Env>,
    options: Options,
) -> Result<Arc<Shared>> {
    options.check()?;
    let provider = place.objects.clone();
    let (root, newest) = join(place.root(), newest_name(&*provider)).await;
    let (root, newest) = (root?, newest?);
    let is_replica = root.is_replica && !replica::is_promoted(place).await?;
    let checkpoint = newest_readable(&*provider, root.id, newest.clone());
    let (log, checkpoint) = join(place.log(root, &env), checkpoint).await;
    let (log, (checkpoint, wrong)) = (log?, checkpoint?);
    let cache = Arc::new(Cache::new(options.cache_bytes_max));
    let shelf = Shelf { provider, cache, scan_read_bytes: options.scan_read_bytes };
    let mut state = State::new(root.id, shelf.clone());
    if let Some(checkpoint) = &checkpoint {
        state.restore(checkpoint)?;
    }
    let shared = Shared::new(log, place.clone(), env, options, shelf, state, is_replica);
    if checkpoint.is_some() {
        shared.catch_up_from_checkpoint().await?;
    } else {
        let slot = newest.and_then(|listed| Checkpoint::slot(&listed.key)).unwrap_or_default();
        replay(&shared, slot, wrong).await?;
    }
    Ok(shared)
}

/// Reads the whole log, as there is no checkpoint. Segments are derived from it as checkpoints are, so where one of
/// them is lost too, none is used, until a flush has made them all again.
///
/// There was a checkpoint of `slot`, which is `wrong` in some way: so the log must not end before it.
async fn replay(shared: &Shared, slot: u64, wrong: Option<Error>) -> Result<()> {
    if shared.read_whole().await? == Advanced::Collected {
        // A checkpoint may have been written and the log collected since we looked.
        let slot = shared.state().head.slot.next().0;
        shared.reload().await.map_err(|error| match error.kind() {
            ErrorKind::Corrupt => collected(&*shared.shelf.provider, slot, wrong.or(Some(error))),
            _ => error,
        })?;
        return shared.catch_up().await;
    }
    let last = shared.state().head.slot;
    if last.0 < slot {
        return Err(Error::corrupt(format!(
            "the log ends with slot {last}, but there was a checkpoint at slot {slot}: the log was rolled \
             back or lost"
        )));
    }
    if shared.state().has_remade() {
        // What was too much for memory is in new segments, and all that is named is not.
        return Ok(());
    }
    let system = shared.state().view.system.clone();
    let there = stream::iter(system.segments()?).map(|(id, _, about)| async move {
        let object = shared.shelf.provider.get(&key(id.to_string())?, Get::meta_only()).await;
        match object {
            Ok(object) => Ok(object.size == about.bytes),
            Err(error) if error.kind() == storage_core::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::from(error)),
        }
    });
    let all =
        there.buffer_unordered(SEGMENTS_AT_ONCE).try_all(|there| async move { there }).await?;
    if all { shared.state().trust_all() } else { Ok(()) }
}
