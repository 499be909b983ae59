//! What is acknowledged stays, and what was spoilt is not taken for it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use rand::RngExt as _;
use storage_core::{Get, Key, List, PutIf, StorageProviderExt as _};
use storage_txn::{ErrorKind, Merge, Options, Scan};

use super::{Handle, handles, init, latest, open, place, put, seen, stores};
use crate::{CaseResult, Context, Failure, ensure};

/// How many transactions there are in all.
const TRANSACTIONS: usize = 24;
/// After so many of them the store is opened anew.
const BETWEEN: usize = 6;
/// How often it is looked whether a voter has its entries, and how long is waited in between.
const ENTRIES_LOOKED_FOR_MAX: u32 = 300;
const ENTRIES_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn reopened(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    let large = context.at_most(8 << 10);
    let mut rng = context.rng();
    let mut expected: Vec<(String, Bytes)> = Vec::new();
    for number in 0..TRANSACTIONS {
        let store = if number % 3 == 0 { &two } else { &one };
        let size = if number % 5 == 0 { large } else { rng.random_range(0..40) };
        let (key, value) = (format!("k/{number:03}"), context.bytes(&mut rng, size));
        let tx = store.begin();
        tx.put(&key, value.clone())?;
        tx.merge("sum", Merge::Add(1))?;
        if number % 4 == 3 {
            let (gone, _) = expected.remove(0);
            tx.delete(&gone)?;
        }
        tx.commit().await?;
        expected.push((key, value));
        if number % BETWEEN == BETWEEN - 1 {
            let opened = open(context, "s").await.map_err(|failure| {
                failure.during(format!("opening the store after {} commits", number + 1))
            })?;
            // What it knows from opening alone.
            let snapshot = opened.snapshot(storage_txn::At::Known).await?;
            let found = snapshot.scan(&Scan::new("k/".."k0")).await?;
            let found: Vec<_> = found.into_iter().map(|item| (item.key, item.value)).collect();
            let wanted =
                expected.iter().map(|(key, value)| (Bytes::from(key.clone()), value.clone()));
            let wanted: Vec<_> = wanted.collect();
            let same = found.iter().zip(&wanted).take_while(|(one, other)| one == other).count();
            ensure!(
                found == wanted,
                "opened after {} commits: expected {} keys as they were acknowledged, saw {}, the first {same} \
                 of them the same",
                number + 1,
                wanted.len(),
                found.len()
            );
            let version = snapshot.version().0;
            ensure!(
                version == number as u64 + 1,
                "opened after {} commits: expected that version, saw {version}",
                number + 1
            );
        }
    }
    Ok(())
}

pub(super) async fn intact(context: &Context) -> CaseResult {
    let foreign = init(context, "foreign").await?;
    put(&foreign, "x", "foreign").await?;
    let entry_of = |name: &str| -> Result<Key, Failure> {
        Ok(Key::new(format!("{}log/{:016x}", context.prefix_of(format!("{name}/")), 1))?)
    };
    let foreign_entry = context.handle().try_get(&entry_of("foreign")?).await?;
    let Some(foreign_entry) = foreign_entry else {
        return match context.hooks().voters {
            0 => Err(context.skip("the store keeps its log elsewhere")),
            voters => intact_on_voters(context, voters).await,
        };
    };
    for (at, (what, spoil)) in SPOILT.into_iter().enumerate() {
        let name = format!("s{at}");
        let store = init(context, &name).await?;
        put(&store, "x", "the value of x").await?;
        put(&store, "y", "the value of y").await?;
        let key = entry_of(&name)?;
        let listed =
            context.handle().list(List::new(&context.prefix_of(format!("{name}/")))).await?;
        let Some(own) = context.handle().try_get(&key).await? else {
            let keys = listed.objects.len();
            return Err(Failure::new(format!("{key} is missing; {keys} objects are there")));
        };
        let spoilt = spoil(own.body, foreign_entry.body.clone());
        context.handle().put(&key, spoilt, PutIf::Always).await?;
        let place = place(context, context.open().await?, &name)?;
        let what = format!("a log whose first entry is {what}");
        match stores(context).open(place, Options::default()).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => {
                let kind = error.kind();
                return Err(Failure::new(format!(
                    "{what}: expected Corrupt, saw {kind:?}: {error}"
                )));
            }
            Ok(opened) => {
                let x = seen(&latest(&opened).await?, "x").await?;
                return Err(Failure::new(format!(
                    "{what}: expected Corrupt, saw a store, x = {x}"
                )));
            }
        }
    }
    Ok(())
}

/// Makes of an entry, and of another store's, what is put in place of the first.
type Spoil = fn(Bytes, Bytes) -> Bytes;

const SPOILT: [(&str, Spoil); 4] = [
    ("with a changed bit", |own, _| {
        let mut bytes = own.to_vec();
        let middle = bytes.len() * 2 / 3;
        bytes[middle] ^= 1;
        bytes.into()
    }),
    ("shortened", |own, _| own.slice(..own.len() - 1)),
    ("empty", |_, _| Bytes::new()),
    ("of another store", |_, foreign| foreign),
];

/// As [`intact`], of a log on voters: what is spoilt on fewer than decide does no harm, and what is on all is not taken for
/// right.
async fn intact_on_voters(context: &Context, voters: usize) -> CaseResult {
    for (at, (what, spoil)) in SPOILT.into_iter().enumerate() {
        let name = format!("s{at}");
        let store = init(context, &name).await?;
        put(&store, "x", "the value of x").await?;
        put(&store, "y", "the value of y").await?;
        for spoilt in 0..voters {
            let (key, own, other) = entries_of(context, &name, spoilt).await?;
            context.handle().put(&key, spoil(own, other), PutIf::Always).await?;
            let what = format!("an entry {what} on {} of {voters} voters", spoilt + 1);
            let place = place(context, context.open().await?, &name)?;
            match stores(context).open(place, Options::default()).await {
                Ok(opened) => {
                    let x = seen(&latest(&opened).await?, "x").await?;
                    ensure!(
                        x == "the value of x" && spoilt + 1 < voters,
                        "{what}: expected {}, saw a store, x = {x}",
                        if spoilt + 1 < voters { "its value" } else { "Corrupt" }
                    );
                }
                Err(error) if spoilt > 0 && error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(Failure::from(error).during(what)),
            }
        }
    }
    Ok(())
}

/// The first entry that a voter has, and what another holds. The last voter is given them only after a commit is done.
async fn entries_of(
    context: &Context,
    name: &str,
    voter: usize,
) -> Result<(Key, Bytes, Bytes), Failure> {
    let cells = context.prefix_of(format!("{name}/voter{voter}/quorum/"));
    for _ in 0..ENTRIES_LOOKED_FOR_MAX {
        let listed: Vec<_> = context.handle().list_all(&cells).try_collect().await?;
        let mut entries = Vec::new();
        for listed in listed {
            let body = context.handle().get(&listed.key, Get::whole()).await?.body;
            if body.starts_with(b"cbq1\x02") {
                entries.push((listed.key, body));
            }
        }
        if let [(key, own), (_, other), ..] = &entries[..] {
            return Ok((key.clone(), own.clone(), other.clone()));
        }
        tokio::time::sleep(ENTRIES_PAUSE).await;
    }
    Err(Failure::new(format!("voter {voter} never got the entries of the log")))
}
