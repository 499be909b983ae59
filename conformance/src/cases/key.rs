//! Keys: each is its own object, at every boundary of the alphabet and of length.

use std::collections::BTreeMap;

use storage_core::{
    ErrorKind, Get, KEY_BYTES_MAX, Key, PutIf, SEGMENT_BYTES_MAX, StorageProviderExt as _,
};

use super::list::listed;
use crate::context::expect_kind;
use crate::words;
use crate::{Case, CaseResult, Context, Level, ensure};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "key.boundaries",
        level: Level::Core,
        requires: "keys of every character, of the longest segment and of every length up to the declared one are objects apart, and a longer key is `InvalidKey`",
        needs: &[],
        requests_max: 400,
        run: |context| Box::pin(boundaries(context)),
    },
    Case {
        id: "key.nested",
        level: Level::Core,
        requires: "`a`, `a/b` and `a/b/c` live side by side, in whatever order they come and go",
        needs: &[],
        requests_max: 60,
        run: |context| Box::pin(nested(context)),
    },
];

async fn boundaries(context: &Context) -> CaseResult {
    let max = context.capabilities().key_bytes_max;
    ensure!(
        (1..=KEY_BYTES_MAX).contains(&max),
        "expected a declared longest key of 1 to {KEY_BYTES_MAX} bytes, saw {max}"
    );
    let mut names: Vec<String> = Vec::new();
    for character in "0123456789abcdefghijklmnopqrstuvwxyz_=~".chars() {
        names.push(character.to_string());
        names.push(format!("in{character}side"));
    }
    // What number parsers, sanitisers, Windows and home folders take for something else.
    let traps = "007 7 0007 a=b a~b a_b con nul aux/com1 ~ ~root/x = == __ tmp/x lost_found 0x1f 1e5 \
                 true null =2f _2f ~1";
    names.extend(traps.split_whitespace().map(str::to_owned));
    let room = max.saturating_sub(context.prefix().as_str().len());
    for length in [SEGMENT_BYTES_MAX - 1, SEGMENT_BYTES_MAX] {
        // Alike but for the last byte, and but for the first.
        for (first, last) in [('a', 'x'), ('a', 'y'), ('b', 'x')] {
            names.push(format!("{first}{}{last}", "m".repeat(length - 2)));
        }
    }
    for length in [127, 128, 129, 255, 256, 257, room.saturating_sub(1), room] {
        names.push(name_of(length, 'p'));
        names.push(name_of(length, 'q'));
    }
    // As deep as it goes; no segment is a key by itself.
    names.push(format!("deep/{}x", "d/".repeat(room.saturating_sub(6) / 2)));
    names.retain(|name| !name.is_empty() && name.len() <= room);
    names.sort();
    names.dedup();
    distinct(context, &names).await?;

    if max < KEY_BYTES_MAX {
        let long = context.key(name_of(room + 1, 'p'));
        let what = format!("a key of {} bytes where {max} are declared the most", max + 1);
        let put = context.handle().put(&long, "body".into(), PutIf::Always).await;
        expect_kind(format!("put of {what}"), put, ErrorKind::InvalidKey)?;
        let get = context.handle().get(&long, Get::whole()).await;
        ensure!(
            matches!(
                get.as_ref().map_err(storage_core::Error::kind),
                Err(ErrorKind::InvalidKey | ErrorKind::NotFound)
            ),
            "get of {what}: expected invalid key or not found, saw {}",
            get.map_or_else(|error| format!("the error {error}"), |it| words::object(&it))
        );
    }
    Ok(())
}

/// A name of so many bytes in segments as long as may be, that ends with `last`.
fn name_of(length: usize, last: char) -> String {
    let before = (1..length).map(|at| if at % (SEGMENT_BYTES_MAX + 1) == 0 { '/' } else { 'k' });
    before.chain([last]).collect()
}

/// Puts a body of its own under each name, then reads all of them and lists them.
async fn distinct(context: &Context, names: &[String]) -> CaseResult {
    for name in names {
        context.handle().put(&context.key(name), name.clone().into(), PutIf::Always).await?;
    }
    for name in names {
        let found = context.other().try_get(&context.key(name)).await?;
        let Some(object) = found else {
            return Err(crate::Failure::new(format!("put {name}, and then it is not there")));
        };
        let body = String::from_utf8_lossy(&object.body).into_owned();
        ensure!(body == *name, "put {name}, and then saw the body put under {body}");
    }
    if !context.lists_lag() {
        let expected: Vec<Key> = names.iter().map(|name| context.key(name)).collect();
        let saw: Vec<Key> =
            listed(context, context.prefix()).await?.into_iter().map(|object| object.key).collect();
        let missing = expected.iter().find(|key| !saw.contains(key));
        ensure!(missing.is_none(), "put {}, and a list does not show it", words::or_none(missing));
        let more = saw.iter().find(|key| !expected.contains(key));
        ensure!(more.is_none(), "a list shows {}, which was never put", words::or_none(more));
    }
    Ok(())
}

async fn nested(context: &Context) -> CaseResult {
    let handle = context.handle();
    let orders = [["a", "a/b", "a/b/c"], ["a/b/c", "a/b", "a"], ["a/b", "a", "a/b/c"]];
    for (at, order) in orders.iter().enumerate() {
        let key = |name: &str| context.key(format!("{at}/{name}"));
        let mut there = BTreeMap::new();
        for name in order {
            handle.put(&key(name), (*name).into(), PutIf::Always).await?;
            there.insert(key(name), *name);
            // A name put together with `_` or without anything in between is another one.
            let flat = key(&name.replace('/', "_"));
            if !there.contains_key(&flat) {
                let found = handle.try_get(&flat).await?;
                ensure!(found.is_none(), "put {name}, and then there is an object under {flat}");
            }
        }
        for (key, name) in &there {
            let found = context.other().try_get(key).await?;
            ensure!(
                found.as_ref().is_some_and(|object| object.body == *name),
                "put {} in this order, and then saw {} under {name}",
                order.join(", "),
                words::found(&found)
            );
        }
        handle.delete(&key(order[0])).await?;
        for name in &order[1..] {
            let found = context.other().try_get(&key(name)).await?;
            ensure!(found.is_some(), "deleted {}, and {name} is gone too", order[0]);
        }
        let found = context.other().try_get(&key(order[0])).await?;
        ensure!(found.is_none(), "deleted {}, and it is still there", order[0]);
    }
    Ok(())
}
