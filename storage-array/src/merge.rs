//! One list of the lists of several providers, of which each has keys of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use storage_core::{Key, List, Listed, Page, Result, StorageProvider};

/// A page of what these providers have together. `keep` says whether a key counts on the provider that lists
/// it; all of them must answer.
pub(crate) async fn merged(
    providers: &[Arc<dyn StorageProvider>],
    request: List<'_>,
    keep: impl Fn(usize, &Key) -> bool + Send,
) -> Result<Page> {
    let limit = request.limit.max(1);
    let mut after = request.start_after.cloned();
    let mut objects: Vec<Listed> = Vec::new();
    loop {
        let left = limit - objects.len();
        let start_after = after.as_ref();
        let pages = try_join_all(providers.iter().map(|provider| {
            provider.list(List { prefix: request.prefix, start_after, limit: left })
        }))
        .await?;
        // What lies behind the end of the shortest page may be missing from it.
        let end = pages
            .iter()
            .filter(|page| page.more)
            .filter_map(|page| page.objects.last())
            .map(|object| object.key.clone())
            .min();
        let mut found: BTreeMap<Key, u64> = BTreeMap::new();
        for (at, page) in pages.into_iter().enumerate() {
            for object in page.objects {
                let within = end.as_ref().is_none_or(|end| object.key <= *end);
                if within && keep(at, &object.key) {
                    found.entry(object.key).or_insert(object.size);
                }
            }
        }
        let mut found = found.into_iter();
        objects.extend(found.by_ref().take(left).map(|(key, size)| Listed { key, size }));
        let rest = found.next().is_some();
        match end {
            _ if rest => return Ok(Page { objects, more: true }),
            None => return Ok(Page { objects, more: false }),
            Some(_) if objects.len() == limit => return Ok(Page { objects, more: true }),
            Some(end) => after = Some(end),
        }
    }
}
