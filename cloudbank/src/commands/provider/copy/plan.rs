//! What is to be copied: both sides listed in order, side by side, in bounded memory.

use std::cmp::Ordering;

use futures_util::{Stream, TryStreamExt, stream};
use storage_core::{
    Error as StorageError, Key, KeyProblem, Listed, Prefix, StorageProvider, StorageProviderExt,
};

use crate::config::Provider;
use crate::error::Error;

/// A provider and the prefix in it.
pub(super) struct Side<'a> {
    pub(super) provider: &'a dyn StorageProvider,
    pub(super) prefix: &'a Prefix,
}

/// An object of the source, and what is in its place at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) source: Key,
    pub(super) destination: Key,
    pub(super) size: u64,
    /// The size of the object that is there already.
    pub(super) there: Option<u64>,
}

/// Why the walk ended early.
#[derive(Debug)]
pub(super) enum Cut {
    Source(StorageError),
    Destination(StorageError),
    Key(Key, KeyProblem),
}

impl Cut {
    pub(super) fn explain(self, from: &Provider, to: &Provider) -> Error {
        match self {
            Self::Source(error) => from.explain(error),
            Self::Destination(error) => to.explain(error),
            Self::Key(key, problem) => Error::Usage(format!(
                "`{key}` has no place under that prefix of provider `{}`: {problem}",
                to.name()
            )),
        }
    }
}

/// Every object of the source, in order, with what is at its place in the destination.
///
/// Both listings are in byte order and what follows the prefix is the same on both sides, so one step
/// forward on the side that is behind finds every pair.
pub(super) fn plan<'a>(
    source: Side<'a>,
    destination: Side<'a>,
) -> impl Stream<Item = Result<Item, Cut>> + 'a {
    let from = source.provider.list_all(source.prefix).map_err(Cut::Source);
    let to = destination.provider.list_all(destination.prefix).map_err(Cut::Destination);
    let start = (from, to, None::<Listed>, false);
    let (from_prefix, to_prefix) = (source.prefix, destination.prefix);
    stream::try_unfold(start, move |(mut from, mut to, mut head, mut ended)| async move {
        let Some(object) = from.try_next().await? else { return Ok(None) };
        let destination = super::moved(&object.key, from_prefix, to_prefix)
            .map_err(|problem| Cut::Key(object.key.clone(), problem))?;
        let there = loop {
            if head.is_none() && !ended {
                head = to.try_next().await?;
                ended = head.is_none();
            }
            match head.as_ref().map(|found| (found.key.cmp(&destination), found.size)) {
                Some((Ordering::Less, _)) => head = None,
                Some((Ordering::Equal, size)) => break Some(size),
                Some((Ordering::Greater, _)) | None => break None,
            }
        };
        let item = Item { source: object.key, destination, size: object.size, there };
        Ok(Some((item, (from, to, head, ended))))
    })
}

#[cfg(test)]
mod tests {
    use backend_memory::MemoryProvider;
    use storage_core::PutIf;

    use super::*;

    async fn filled(keys: &[(&str, usize)]) -> MemoryProvider {
        let provider = MemoryProvider::new();
        for (name, size) in keys {
            let body = vec![0; *size].into();
            provider.put(&Key::new(name).unwrap(), body, PutIf::Always).await.unwrap();
        }
        provider
    }

    #[tokio::test]
    async fn every_object_meets_what_is_in_its_place() {
        let source = filled(&[("a/1", 1), ("a/2", 2), ("a/2/x", 3), ("a/4", 4), ("b", 9)]).await;
        let there = filled(&[("c/0", 1), ("c/2", 2), ("c/2/x", 7), ("c/3", 1), ("c/5", 1)]).await;
        let (a, c) = (Prefix::new("a/").unwrap(), Prefix::new("c/").unwrap());
        let items: Vec<Item> =
            plan(Side { provider: &source, prefix: &a }, Side { provider: &there, prefix: &c })
                .try_collect()
                .await
                .unwrap();
        let seen: Vec<_> = items
            .iter()
            .map(|item| (item.source.as_str(), item.destination.as_str(), item.size, item.there))
            .collect();
        assert_eq!(
            seen,
            [
                ("a/1", "c/1", 1, None),
                ("a/2", "c/2", 2, Some(2)),
                ("a/2/x", "c/2/x", 3, Some(7)),
                ("a/4", "c/4", 4, None),
            ]
        );
    }
}
