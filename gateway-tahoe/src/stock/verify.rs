//! Whether a share is the same in a container and in the store.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;

use super::container::{Container, Content};
use super::import::{Opened, wrong};
use crate::error::Result;
use crate::{Kind, Lease, Shares, StorageIndex};

/// # Errors
///
/// [`Error::File`](crate::Error::File), which says what differs; what the store says.
pub(super) async fn same(shares: &Shares, index: StorageIndex, share: &Opened) -> Result<()> {
    let Container { content, size, leases, .. } = &share.container;
    let kind = match content {
        Content::Immutable => Kind::Immutable,
        Content::Mutable { .. } => Kind::Mutable,
    };
    let Some(reader) = shares.reader(kind, index, share.number).await? else {
        return Err(wrong(&share.path, "it is not stored"));
    };
    if reader.size() != *size {
        let why = format!("it has {size} bytes, and the share that is stored {}", reader.size());
        return Err(wrong(&share.path, why));
    }
    let data = share.data();
    let pieces = reader.stream(0..*size);
    let mut pieces = std::pin::pin!(pieces);
    let mut at = 0;
    while let Some(piece) = pieces.try_next().await? {
        let end = at + piece.len() as u64;
        if data.read(at..end).await? != piece {
            let why = format!("its bytes {at} to {end} are not those that are stored");
            return Err(wrong(&share.path, why));
        }
        at = end;
    }
    let stored = shares.leases(index).await?;
    let stored = stored.into_iter().find(|(number, _)| *number == share.number);
    let stored: BTreeSet<_> = stored.iter().flat_map(|(_, leases)| leases).map(kept).collect();
    // One that was renewed since is there too, and ends later.
    let all_are = leases.iter().map(kept).all(|(renew, cancel, expires)| {
        stored.iter().any(|lease| lease.0 == renew && lease.1 == cancel && lease.2 >= expires)
    });
    if !all_are {
        return Err(wrong(&share.path, "its leases are not those that are stored"));
    }
    Ok(())
}

fn kept(lease: &Lease) -> (bytes::Bytes, bytes::Bytes, u64) {
    // Containers have no later time.
    let expires = lease.expires.min(u32::MAX.into());
    (lease.renew_hash.clone(), lease.cancel_hash.clone(), expires)
}
