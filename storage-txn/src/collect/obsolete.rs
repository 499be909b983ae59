//! Objects that were taken out of the index: the commit that did it has listed them.

use futures_util::TryStreamExt;
use storage_core::{Key, StorageProviderExt};
use storage_log::planted::planted;

use super::Collection;
use crate::store::prefix;
use crate::system::{Obsolete, System};
use crate::{Error, Result, Version};

impl Collection<'_> {
    /// Deletes those that have been left long enough and that no pinned version needs. Tells which: they are to be
    /// taken off the list.
    pub(super) async fn obsolete(
        &mut self,
        system: &System,
        listed: Vec<(Key, Version, Obsolete)>,
    ) -> Result<Vec<Key>> {
        let mut gone = Vec::new();
        for (key, version, about) in listed {
            let is_value = match key.as_str().split('/').next() {
                Some("segment") => false,
                Some("value") => true,
                _ => {
                    let message =
                        format!("the system key \"obsolete/{key}\" names no segment or value");
                    return Err(Error::corrupt(message));
                }
            };
            if system.names_object(&key) {
                let message = format!("{key} is said to be obsolete, and is part of the index");
                return Err(Error::corrupt(message));
            }
            // A view below the version at which it was taken out may be the one that is pinned.
            let is_pinned = self.live.iter().any(|pinned| *pinned < version)
                && !planted("collection-ignores-pins");
            if !self.is_past_grace(about.time) || is_pinned {
                continue;
            }
            if is_value {
                self.done.values += 1;
            } else {
                self.done.segments += 1;
            }
            self.done.bytes += about.bytes;
            gone.push(key);
        }
        let mut objects = Vec::new();
        for key in &gone {
            if key.as_str().starts_with("value/") {
                // A large value is in as many objects as it has chunks; all their names begin with this.
                let prefix = prefix(key.as_str())?;
                let chunks = self.shared.shelf.provider.list_all(&prefix);
                objects.extend(chunks.map_ok(|listed| listed.key).try_collect::<Vec<_>>().await?);
            } else {
                objects.push(key.clone());
            }
        }
        self.delete(objects).await?;
        Ok(gone)
    }
}
