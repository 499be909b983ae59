//! Liars about listings.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Mutex;

use super::prelude::*;

liars! {
    list_is_unsorted: "list.order.1001", shared(Walk(|all, request| {
            let mut page = page_of(after(all, request), request);
            // The last key stays last, so that a walk over pages still finds everything.
            let rest = page.objects.len().saturating_sub(1);
            page.objects[..rest].reverse();
            page
        })),
        "lists in the order of the directory: object_store's LocalFileSystem (#388), influxdb#26063";
    list_shows_files_before_folders: "list.prefix.raw",
        shared(Walk(|all, request| in_order(all, request, files_first))),
        "walks folders after the files beside them: recursive directory walks, Azure with a hierarchical namespace (azure-sdk-for-go#24210)";
    list_is_in_the_order_of_a_dictionary: "list.prefix.raw", shared(Walk(|all, request| {
            in_order(all, request, |a, b| letters(a).cmp(&letters(b)).then(a.cmp(b)))
        })),
        "sorts as a dictionary does, signs aside: a database with a locale for its collation";
    list_is_in_the_order_of_numbers: "list.order.1001", shared(Walk(|all, request| {
            in_order(all, request, |a, b| a.len().cmp(&b.len()).then(a.cmp(b)))
        })),
        "sorts `9` before `10`: natural sort, made for people";
    list_drops_the_last_of_an_exact_page: "list.limit", shared(Walk(|all, request| {
            let mut page = page_of(after(all, request), request);
            if page.objects.len() == request.limit && !page.more && page.objects.len() > 1 {
                page.objects.pop();
            }
            page
        })),
        "drops the last key when it just fits: `<` for `<=` in the loop";
    list_skips_one_after_the_cursor: "list.start-after", shared(Walk(|all, request| {
            let skip = usize::from(request.start_after.is_some());
            page_of(after(all, request).into_iter().skip(skip).collect(), request)
        })),
        "skips one key too many on every page but the first: an exclusive cursor, then skipped again";
    list_drops_key_1000: "list.order.1001", shared(Walk(|all, request| {
            let mut objects = after(all, request);
            if objects.len() > 1000 {
                objects.remove(999);
            }
            page_of(objects, request)
        })),
        "drops the key at the service's page boundary: pages of 1,000 put together by hand";
    list_repeats_key_1000: "list.order.1001", shared(Walk(|all, request| {
            let mut objects = after(all, request);
            if objects.len() > 1000 {
                objects.insert(1000, objects[999].clone());
            }
            page_of(objects, request)
        })),
        "repeats the key at the service's page boundary: an inclusive marker, pages put together by hand";
    list_stops_at_1000: "list.order.1001", shared(Walk(|all, request| stop_at(1000, all, request))),
        "shows 1,000 keys and says that was all: S3's first page, the continuation never asked for";
    list_stops_at_5000: "list.order.5001", shared(Walk(|all, request| stop_at(5000, all, request))),
        "shows 5,000 keys and says that was all: Azure's first page, the marker never asked for";
    list_stops_at_10000: "list.order.10000", shared(Walk(|all, request| stop_at(10_000, all, request))),
        "shows 10,000 keys and says that was all: the largest result window of search indexes";
    list_start_after_is_inclusive: "list.start-after", shared(Walk(|all, request| {
            let from = |object: &Listed| request.start_after.is_none_or(|start| object.key >= *start);
            page_of(all.into_iter().filter(from).collect(), request)
        })),
        "begins with the key it should begin after: Azure's startFrom, GCS's startOffset";
    list_start_after_must_exist: "list.start-after", shared(Walk(|mut all, request| {
            let found = request.start_after.and_then(|start| all.iter().position(|object| object.key == *start));
            let from = found.map_or(0, |at| at + 1);
            page_of(all.split_off(from), request)
        })),
        "begins anew when the key to begin after is gone: a cursor looked up by equality";
    list_start_after_is_ignored: "list.start-after", shared(Walk(page_of_all)),
        "always lists from the start: Azurite";
    list_start_after_outside_is_nothing: "list.start-after", shared(Walk(|all, request| {
            let outside = request.start_after.is_some_and(|start| !start.starts_with(request.prefix));
            if outside { Page::default() } else { page_of(after(all, request), request) }
        })),
        "lists nothing when the key to begin after is outside the prefix: markers glued to the prefix";
    list_prefix_is_a_folder: "list.prefix.raw", shared(Walk(|all, request| {
            let prefix = request.prefix.as_str();
            let inside = |object: &Listed| {
                prefix.is_empty() || prefix.ends_with('/') || object.key.as_str()[prefix.len()..].starts_with('/')
            };
            page_of(after(all, request).into_iter().filter(inside).collect(), request)
        })),
        "takes a prefix for a folder: object_store (`a` finds neither `a` nor `a_b`), every file system";
    list_prefix_is_a_pattern: "list.prefix.raw", shared(Like),
        "takes `_` in a prefix for any character: `WHERE key LIKE ? || '%'`";
    list_prefix_leaves_itself_out: "list.prefix.raw", shared(Walk(|all, request| {
            let other = |object: &Listed| object.key.as_str() != request.prefix.as_str();
            page_of(after(all, request).into_iter().filter(other).collect(), request)
        })),
        "leaves out the key that is the prefix itself: folder markers, filtered away";
    list_leaves_out_what_lies_beneath_a_key: "list.nested", shared(Walk(|all, request| {
            let above = all.clone();
            let beneath = |key: &Key| {
                above.iter().any(|object| {
                    key.as_str().strip_prefix(object.key.as_str()).is_some_and(|rest| rest.starts_with('/'))
                })
            };
            page_of(after(all, request).into_iter().filter(|object| !beneath(&object.key)).collect(), request)
        })),
        "shows `a` and leaves out `a/b`, which can be got: a file system beneath, in which a name is a file or a folder (SeaweedFS's filer)";
    list_leaves_out_empty_objects: "basic.size.same", shared(Walk(|all, request| {
            page_of(after(all, request).into_iter().filter(|object| object.size > 0).collect(), request)
        })),
        "takes empty objects for folder markers and hides them: S3 file system layers, consoles";
    list_more_is_never_true: "list.limit", shared(Walk(|all, request| {
            Page { more: false, ..page_of(after(all, request), request) }
        })),
        "never says that there is more: IsTruncated left unread";
    list_more_is_always_true: "list.limit", shared(Walk(|all, request| {
            Page { more: true, ..page_of(after(all, request), request) }
        })),
        "always says that there is more, also on an empty page: `more` made of a marker that is always set";
    list_limit_is_ignored: "list.limit", shared(Walk(|all, request| {
            Page { objects: after(all, request), more: false }
        })),
        "answers with everything: max-keys not forwarded";
    list_limit_is_one_too_many: "list.limit", shared(Walk(|all, request| {
            page_of(after(all, request), &List { limit: request.limit.max(1) + 1, ..*request })
        })),
        "answers with one more than asked for: the look-ahead for `more`, left in the page";
    list_limit_zero_is_nothing: "list.limit", shared(Walk(|all, request| {
            let page = page_of(after(all, request), request);
            if request.limit == 0 { Page::default() } else { page }
        })),
        "lists nothing at limit zero and says that was all: a loop that never starts";
    list_pages_by_offset: "list.churn", shared(ByOffset::default()),
        "remembers how many keys it has shown, not which: SQL's OFFSET, numbered pages";
    list_is_stale: "list.own-writes", shared(StaleList::default()),
        "lists what was there before the last change, and declares it strong: S3 until 2020, search indexes";
    list_shows_temporary_names: "list.no-temporary", shared(ListedTemporary),
        "lists the temporary file of a put under way: rename from within the same folder";
    list_shows_deleted_keys: "delete.removes", shared(ListsDeleted::default()),
        "lists keys that were deleted: markers not filtered, an index that is only added to";
}

/// What comes after `start_after`.
fn after(mut all: Vec<Listed>, request: &List<'_>) -> Vec<Listed> {
    let from =
        request.start_after.map_or(0, |start| all.partition_point(|object| object.key <= *start));
    all.split_off(from)
}

fn stop_at(most: usize, all: Vec<Listed>, request: &List<'_>) -> Page {
    let mut objects = after(all, request);
    objects.truncate(most);
    page_of(objects, request)
}

fn in_order(mut all: Vec<Listed>, request: &List<'_>, order: fn(&str, &str) -> Ordering) -> Page {
    all.sort_by(|a, b| order(a.key.as_str(), b.key.as_str()));
    let from = request.start_after.map_or(0, |start| {
        all.partition_point(|object| order(object.key.as_str(), start.as_str()).is_le())
    });
    page_of(all.split_off(from), request)
}

fn letters(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn page_of_all(all: Vec<Listed>, request: &List<'_>) -> Page {
    page_of(all, request)
}

/// The order of a walk that shows the files of a folder before it enters the folders in it.
fn files_first(a: &str, b: &str) -> Ordering {
    match (a.split_once('/'), b.split_once('/')) {
        (None, None) => a.cmp(b),
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some((a, a_rest)), Some((b, b_rest))) => {
            a.cmp(b).then_with(|| files_first(a_rest, b_rest))
        }
    }
}

/// Makes the page by its own rule, of all keys under the prefix in order.
struct Walk(fn(Vec<Listed>, &List<'_>) -> Page);

#[async_trait]
impl Lie for Walk {
    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        Ok((self.0)(everything(honest, request.prefix).await?, &request))
    }
}

/// By the last key of a page: how many keys had been shown.
#[derive(Default)]
struct ByOffset(Mutex<HashMap<Key, usize>>);

#[async_trait]
impl Lie for ByOffset {
    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        let mut all = everything(honest, request.prefix).await?;
        let known =
            request.start_after.and_then(|start| self.0.lock().unwrap().get(start).copied());
        let from =
            known.unwrap_or_else(|| all.len() - after(all.clone(), &request).len()).min(all.len());
        let page = page_of(all.split_off(from), &request);
        if let Some(last) = page.objects.last().filter(|_| page.more) {
            self.0.lock().unwrap().insert(last.key.clone(), from + page.objects.len());
        }
        Ok(page)
    }
}

/// The key that was put last: not yet in the index.
#[derive(Default)]
struct StaleList(Mutex<Option<Key>>);

#[async_trait]
impl Lie for StaleList {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let version = honest.put(key, body, when).await?;
        *self.0.lock().unwrap() = Some(key.clone());
        Ok(version)
    }

    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        let mut objects = everything(honest, request.prefix).await?;
        let unseen = self.0.lock().unwrap().take();
        objects.retain(|object| Some(&object.key) != unseen.as_ref());
        Ok(page_of(after(objects, &request), &request))
    }
}

struct ListedTemporary;

#[async_trait]
impl Lie for ListedTemporary {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let Ok(temporary) = Key::new(format!("{key}~tmp")) else {
            return honest.put(key, body, when).await;
        };
        honest.put(&temporary, body.clone(), PutIf::Always).await?;
        pause().await;
        let result = honest.put(key, body, when).await;
        honest.delete(&temporary).await?;
        result
    }
}

#[derive(Default)]
struct ListsDeleted(Mutex<HashMap<Key, Listed>>);

#[async_trait]
impl Lie for ListsDeleted {
    async fn delete(&self, honest: &MemoryProvider, key: &Key) -> Result<()> {
        if let Ok(object) = honest.get(key, Get::meta_only()).await {
            self.0
                .lock()
                .unwrap()
                .insert(key.clone(), Listed { key: key.clone(), size: object.size });
        }
        honest.delete(key).await
    }

    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        let mut objects = everything(honest, request.prefix).await?;
        let deleted = self.0.lock().unwrap();
        objects.extend(
            deleted.values().filter(|object| object.key.starts_with(request.prefix)).cloned(),
        );
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        objects.dedup_by(|a, b| a.key == b.key);
        Ok(page_of(after(objects, &request), &request))
    }
}

struct Like;

#[async_trait]
impl Lie for Like {
    async fn list(&self, honest: &MemoryProvider, request: List<'_>) -> Result<Page> {
        let prefix = request.prefix.as_str();
        let alike = |object: &Listed| {
            let key = object.key.as_str();
            let same = |(pattern, byte)| pattern == b'_' || pattern == byte;
            key.len() >= prefix.len() && prefix.bytes().zip(key.bytes()).all(same)
        };
        let mut all = everything(honest, &Prefix::all()).await?;
        all.retain(alike);
        Ok(page_of(after(all, &request), &request))
    }
}
