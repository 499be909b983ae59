//! Lists: in order, complete, without duplicates, and nothing that is not there.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::try_join;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use storage_core::{Key, List, Listed, Page, Prefix, PutIf};

use crate::context::at_once;
use crate::words;
use crate::{Case, CaseResult, Context, Failure, Level, ensure};

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "list.prefix.raw",
        level: Level::Core,
        requires: "a prefix is bytes, not a folder, and lists are in byte order across folders",
        needs: &[],
        requests_max: 80,
        run: |context| Box::pin(raw_prefix(context)),
    },
    Case {
        id: "list.nested",
        level: Level::Core,
        requires: "lists show keys that lie beneath each other, such as `a` and `a/b`, in byte order",
        needs: &[],
        requests_max: 120,
        run: |context| Box::pin(nested(context)),
    },
    Case {
        id: "list.start-after",
        level: Level::Core,
        requires: "a list begins after `start_after`, whether that key exists or not, within the prefix or outside",
        needs: &[],
        requests_max: 400,
        run: |context| Box::pin(start_after(context)),
    },
    Case {
        id: "list.limit",
        level: Level::Core,
        requires: "a page has at most `limit` keys, zero is taken as one, and pages of any size add up to everything",
        needs: &[],
        requests_max: 200,
        run: |context| Box::pin(limit(context)),
    },
    Case {
        id: "list.order.1001",
        level: Level::Scale,
        requires: "1,001 keys, one more than a page of S3, are listed in strict order, each once",
        needs: &[],
        requests_max: 4 * 1001,
        run: |context| Box::pin(order(context, 1001)),
    },
    Case {
        id: "list.order.5001",
        level: Level::Scale,
        requires: "5,001 keys, one more than a page of Azure, are listed in strict order, each once",
        needs: &[],
        requests_max: 4 * 5001,
        run: |context| Box::pin(order(context, 5001)),
    },
    Case {
        id: "list.order.10000",
        level: Level::Scale,
        requires: "10,001 keys are listed in strict order, each once",
        needs: &[],
        requests_max: 4 * 10_001,
        run: |context| Box::pin(order(context, 10_001)),
    },
    Case {
        id: "list.churn",
        level: Level::Core,
        requires: "a key that stays is listed exactly once while others come and go",
        needs: &[],
        requests_max: 6000,
        run: |context| Box::pin(churn(context)),
    },
    Case {
        id: "list.own-writes",
        level: Level::Core,
        requires: "a finished put or delete shows in lists at once, from every handle, unless declared otherwise",
        needs: &[],
        requests_max: 200,
        run: |context| Box::pin(own_writes(context)),
    },
    Case {
        id: "list.no-temporary",
        level: Level::Core,
        requires: "while puts are under way, lists show only keys that were put, in sizes that were put",
        needs: &[],
        requests_max: 3000,
        run: |context| Box::pin(no_temporary(context)),
    },
];

/// Most keys put at a time where a case only prepares.
const PUTS_AT_ONCE: usize = 16;
/// How often a declared lag is given time to pass.
const LAG_ROUNDS_MAX: u32 = 60;

/// Walks over all pages from `start_after` on, and checks on each what holds of every page.
async fn walk(
    context: &Context,
    prefix: &Prefix,
    start_after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Listed>, Failure> {
    let mut all: Vec<Listed> = Vec::new();
    let mut last = start_after.cloned();
    loop {
        let request = List { prefix, start_after: last.as_ref(), limit };
        let page = context.other().list(request).await?;
        check_page(&page, &request)?;
        let more = page.more;
        all.extend(page.objects);
        if !more {
            return Ok(all);
        }
        last = all.last().map(|object| object.key.clone());
    }
}

fn check_page(page: &Page, request: &List<'_>) -> CaseResult {
    let List { prefix, start_after, limit } = request;
    let (count, most) = (page.objects.len(), (*limit).max(1));
    ensure!(count <= most, "limit {limit}: expected at most {most} keys, saw {count}");
    ensure!(
        !(page.more && page.objects.is_empty()),
        "limit {limit} after {}: saw an empty page that promises more",
        words::or_none(*start_after)
    );
    let mut before = *start_after;
    for Listed { key, .. } in &page.objects {
        ensure!(key.starts_with(prefix), "prefix \"{prefix}\": saw {key}, which begins otherwise");
        if let Some(before) = before {
            ensure!(key > before, "expected keys in strict order, saw {key} after {before}");
        }
        before = Some(key);
    }
    Ok(())
}

/// Everything under a prefix.
pub(crate) async fn listed(context: &Context, prefix: &Prefix) -> Result<Vec<Listed>, Failure> {
    walk(context, prefix, None, 1000).await
}

/// Puts these names, each with a body as long as its place in the list, and waits out a declared lag.
async fn prepare(context: &Context, names: &[String]) -> Result<Vec<Listed>, Failure> {
    let sized = |(at, name)| Listed { key: context.key(name), size: at as u64 % 7 };
    let mut objects: Vec<_> = names.iter().enumerate().map(sized).collect();
    at_once(objects.clone(), PUTS_AT_ONCE, |Listed { key, size }| async move {
        let body = Bytes::from(vec![b'x'; size as usize]);
        context.handle().put(&key, body.clone(), PutIf::Always).await
    })
    .await?;
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    if context.lists_lag() {
        for _ in 0..LAG_ROUNDS_MAX {
            if listed(context, context.prefix()).await?.len() >= objects.len() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    }
    Ok(objects)
}

/// Checks that a list shows exactly what it should.
fn same(what: &str, saw: &[Listed], expected: &[Listed]) -> CaseResult {
    let differ = saw.iter().zip(expected).position(|(saw, expected)| saw != expected);
    let at = differ.unwrap_or(saw.len().min(expected.len()));
    let show = |objects: &[Listed]| match objects.get(at) {
        Some(object) => format!("{} of {} bytes", object.key, object.size),
        None => "the end".into(),
    };
    ensure!(
        saw == expected,
        "{what}: expected {} objects, saw {}; the first that differs, at {at}: expected {}, saw {}",
        expected.len(),
        saw.len(),
        show(expected),
        show(saw)
    );
    Ok(())
}

/// Names whose byte order is not that of folders, nor that of files before folders. None lies beneath
/// another: that is a case of its own.
const NAMES: [&str; 12] =
    ["a/b/c", "a/b0", "a/bb/c", "a0", "a_b", "a=b", "a~", "ab", "aa/z", "b/a", "b0/x", "z"];

async fn raw_prefix(context: &Context) -> CaseResult {
    let objects = prepare(context, &NAMES.map(str::to_owned)).await?;
    let prefixes = [
        "", "a", "a/", "a/b", "a/b/", "a/b/c", "a0", "a_", "a~", "ab", "b", "b/a/", "c", "z", "zz",
    ];
    under_prefixes(context, &objects, &prefixes).await?;
    // Without the slash at the end of the case's own prefix.
    let own = context.prefix().as_str();
    let prefix = Prefix::new(&own[..own.len() - 1])?;
    same("the prefix of all keys", &listed(context, &prefix).await?, &objects)
}

async fn nested(context: &Context) -> CaseResult {
    let names = ["a", "a/b", "a/b/c", "a/b0", "a0", "a0/x", "ab", "b", "b/a"];
    let objects = prepare(context, &names.map(str::to_owned)).await?;
    under_prefixes(context, &objects, &["", "a", "a/", "a/b", "a/b/", "a0", "b", "b/"]).await?;
    for at in 0..objects.len() {
        let saw = walk(context, context.prefix(), Some(&objects[at].key), 2).await?;
        same(&format!("after {}", objects[at].key), &saw, &objects[at + 1..])?;
    }
    Ok(())
}

async fn under_prefixes(context: &Context, objects: &[Listed], prefixes: &[&str]) -> CaseResult {
    for name in prefixes {
        let prefix = context.prefix_of(name);
        let under: Vec<_> =
            objects.iter().filter(|object| object.key.starts_with(&prefix)).cloned().collect();
        for limit in [1000, 2] {
            let saw = walk(context, &prefix, None, limit).await?;
            same(&format!("prefix {name:?} by {limit}"), &saw, &under)?;
        }
    }
    Ok(())
}

async fn start_after(context: &Context) -> CaseResult {
    let objects = prepare(context, &NAMES.map(str::to_owned)).await?;
    let mut starts: Vec<Key> = objects.iter().map(|object| object.key.clone()).collect();
    // Between keys, and before and after all of them, within the prefix and outside.
    starts.extend(
        ["0", "a/", "a/a", "a/b/b", "a/b1", "a5", "c", "zz", "a/b/c/d"]
            .map(|name| context.key(name.trim_end_matches('/'))),
    );
    starts.extend([Key::new("0")?, Key::new("~~~")?]);
    for name in ["", "a", "a/", "b"] {
        let prefix = context.prefix_of(name);
        for start in &starts {
            let after: Vec<_> = objects
                .iter()
                .filter(|object| object.key.starts_with(&prefix) && object.key > *start)
                .cloned()
                .collect();
            let saw = walk(context, &prefix, Some(start), 5).await?;
            same(&format!("prefix {name:?} after {start}"), &saw, &after)?;
        }
    }
    Ok(())
}

async fn limit(context: &Context) -> CaseResult {
    let names: Vec<_> = (0..12).map(|n| format!("{}/{n:02}", n % 3)).collect();
    let objects = prepare(context, &names).await?;
    for limit in [0, 1, 2, 3, 5, 6, 11, 12, 13, 1000, 1001, 5001, usize::MAX] {
        let saw = walk(context, context.prefix(), None, limit).await?;
        same(&format!("pages of {limit}"), &saw, &objects)?;
    }
    let nothing = context.prefix_of("nothing");
    for limit in [0, 1, 1000] {
        let page = context.handle().list(List::new(&nothing).limit(limit)).await?;
        ensure!(
            page == Page::default(),
            "an empty prefix: expected nothing, saw {}",
            words::listed(&page.objects)
        );
    }
    Ok(())
}

async fn order(context: &Context, count: usize) -> CaseResult {
    let mut rng = context.rng();
    let mut names: Vec<String> = (0..count)
        .map(|n| match rng.random_range(0..3) {
            0 => format!("{n:05}"),
            1 => format!("{}/{n}", n % 10),
            _ => format!("{:x}{}{n}", n % 16, ["_", "=", "~", "/x/"][n % 4]),
        })
        .collect();
    names.shuffle(&mut rng);
    let objects = prepare(context, &names).await?;
    // By the page of S3, in one piece, and by a number that divides nothing.
    for limit in [1000, usize::MAX, 617] {
        let saw = walk(context, context.prefix(), None, limit).await?;
        same(&format!("{count} keys by {limit}"), &saw, &objects)?;
    }
    for at in [998, 999, 1000, 4999, 5000, count - 2, count - 1] {
        if let Some(object) = objects.get(at) {
            let saw = walk(context, context.prefix(), Some(&object.key), 1000).await?;
            same(&format!("{count} keys after number {at}"), &saw, &objects[at + 1..])?;
        }
    }
    Ok(())
}

async fn churn(context: &Context) -> CaseResult {
    const STABLE: usize = 60;
    let names: Vec<_> = (0..STABLE).map(|n| format!("{n:02}/stays")).collect();
    let stable = prepare(context, &names).await?;
    let come = |n: usize| context.key(format!("{:02}/comes{n}", n % STABLE));

    // Between two pages: one goes that was shown already, one comes before and one after the page.
    for n in 0..STABLE {
        context.handle().put(&come(n), "x".into(), PutIf::Always).await?;
    }
    let (mut seen, mut last, mut n) = (Vec::new(), None::<Key>, 0);
    loop {
        let request = List { prefix: context.prefix(), start_after: last.as_ref(), limit: 7 };
        let page = context.other().list(request).await?;
        check_page(&page, &request)?;
        last = page.objects.last().map(|object| object.key.clone()).or(last);
        seen.extend(page.objects);
        if !page.more {
            break;
        }
        ensure!(n < 3 * STABLE, "expected the list to end, saw page {n}");
        context.handle().delete(&come(n % STABLE)).await?;
        context.handle().put(&come(STABLE + n), "x".into(), PutIf::Always).await?;
        context.handle().put(&come(3 * STABLE - n), "x".into(), PutIf::Always).await?;
        n += 1;
    }
    stays(&seen, &stable, "changes between the pages")?;

    // And while a page is made.
    for round in 0..5 {
        let changes = async {
            for n in 0..40 {
                let key = come(n * 3 + round);
                context.handle().put(&key, "x".into(), PutIf::Always).await?;
                context.handle().delete(&key).await?;
            }
            Ok::<_, Failure>(())
        };
        let lists = async {
            for limit in [1000, 13, 40] {
                let seen = walk(context, context.prefix(), None, limit).await?;
                stays(&seen, &stable, "changes at the same time")?;
            }
            Ok(())
        };
        try_join(changes, lists).await?;
    }
    Ok(())
}

/// Checks that every stable object was seen exactly once.
fn stays(seen: &[Listed], stable: &[Listed], during: &str) -> CaseResult {
    let mut times = HashMap::new();
    for object in seen {
        *times.entry((&object.key, object.size)).or_insert(0) += 1;
    }
    for object in stable {
        let times = times.get(&(&object.key, object.size)).copied().unwrap_or(0);
        let key = &object.key;
        ensure!(times == 1, "{during}: expected {key}, which stays, once, saw it {times} times");
    }
    Ok(())
}

async fn own_writes(context: &Context) -> CaseResult {
    const ROUNDS: usize = 20;
    let key = context.key("object");
    let (one, two) = (context.handle(), context.other());
    let mut lagged = None;
    for round in 0..ROUNDS {
        let size = round as u64 + 1;
        one.put(&key, vec![b'x'; size as usize].into(), PutIf::Always).await?;
        let expected = [Listed { key: key.clone(), size }];
        for reader in [two, one] {
            let saw = reader.list(List::new(context.prefix())).await?.objects;
            if saw != expected {
                lagged = lagged.or(Some(format!(
                    "put {size} bytes, and then a list shows {}",
                    words::listed(&saw)
                )));
            }
        }
        if round % 2 == 1 {
            two.delete(&key).await?;
            for reader in [one, two] {
                let saw = reader.list(List::new(context.prefix())).await?.objects;
                if !saw.is_empty() {
                    lagged = lagged.or(Some(format!(
                        "deleted, and then a list shows {}",
                        words::listed(&saw)
                    )));
                }
            }
        }
    }
    match (context.lists_lag(), lagged) {
        (false, None) => Ok(()),
        (false, Some(seen)) => {
            Err(Failure::over_claim(format!("declared: lists show changes at once; {seen}")))
        }
        (true, None) => Err(Failure::under_claim(format!(
            "declared: lists show changes some time later; in {ROUNDS} rounds none was late"
        ))),
        (true, Some(seen)) => {
            context.note(seen);
            Ok(())
        }
    }
}

async fn no_temporary(context: &Context) -> CaseResult {
    const KEYS: usize = 8;
    const ROUNDS: usize = 12;
    let sizes = [context.at_most(300_000), context.at_most(70_000)];
    let keys: Vec<_> = (0..KEYS).map(|n| context.key(format!("{}/{n}", n % 2))).collect();
    let puts = async {
        for round in 0..ROUNDS {
            let body = Bytes::from(vec![b'x'; sizes[round % 2]]);
            let put = |key| {
                let body = body.clone();
                async move { context.handle().put(&key, body, PutIf::Always).await }
            };
            at_once(keys.clone(), KEYS, put).await?;
        }
        Ok::<_, Failure>(())
    };
    let lists = async {
        for _ in 0..10 * ROUNDS {
            for object in listed(context, context.prefix()).await? {
                let (key, size) = (&object.key, object.size);
                ensure!(keys.contains(key), "a list shows {key}, which was never put");
                let known = sizes.contains(&(size as usize));
                ensure!(known, "a list shows {key} of {size} bytes, expected one of {sizes:?}");
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    try_join(puts, lists).await?;
    Ok(())
}
