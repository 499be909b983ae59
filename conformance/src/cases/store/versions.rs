//! The past stays as it was.

use storage_txn::{At, ErrorKind, Scan, Version};

use super::{Handle, Tx, handles, open, transact};
use crate::{CaseResult, Context, Failure, ensure};

/// How many versions there are.
const VERSIONS: u64 = 12;

pub(super) async fn as_they_were(context: &Context) -> CaseResult {
    let [one, two]: [Handle; 2] = handles(context).await?;
    for number in 1..=VERSIONS {
        let store = if number % 2 == 0 { &one } else { &two };
        let receipt = transact(store, async |tx: Tx| {
            tx.put("x", number.to_string().into())?;
            match number % 3 {
                0 => tx.delete("sometimes"),
                _ => tx.put("sometimes", number.to_string().into()),
            }
        })
        .await?;
        ensure!(
            receipt.version == Version(number),
            "transaction {number}: expected that version, saw {}",
            receipt.version
        );
    }
    let three = open(context, "s").await?;
    for (name, store) in [("one", &one), ("two", &two), ("opened later", &three)] {
        for version in (0..=VERSIONS).rev() {
            let snapshot = store.snapshot(At::Version(Version(version))).await?;
            let items = snapshot.scan(&Scan::new(..)).await?;
            let found: Vec<_> = items
                .iter()
                .map(|item| (&item.key[..], String::from_utf8_lossy(&item.value).into_owned()))
                .collect();
            let mut expected = Vec::new();
            if version % 3 != 0 {
                expected.push((&b"sometimes"[..], version.to_string()));
            }
            if version > 0 {
                expected.push((b"x", version.to_string()));
            }
            ensure!(
                found == expected && snapshot.version() == Version(version),
                "handle {name}, version {version}: expected the values of that version, saw {:?} at version {}",
                found.iter().map(|(_, value)| value).collect::<Vec<_>>(),
                snapshot.version()
            );
        }
        match store.snapshot(At::Version(Version(VERSIONS + 1))).await {
            Err(error) if error.kind() == ErrorKind::NoSuchVersion => {}
            Err(error) => return Err(Failure::from(error).during("a version to come")),
            Ok(snapshot) => {
                let version = snapshot.version();
                return Err(Failure::new(format!(
                    "a version to come: expected NoSuchVersion, saw version {version}"
                )));
            }
        }
    }
    Ok(())
}
