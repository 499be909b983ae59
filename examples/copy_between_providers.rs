//! How do I copy everything from one provider to another, and go on where I was interrupted?

use anyhow::{Result, ensure};
use backend_memory::MemoryProvider;
use futures_util::{StreamExt, TryStreamExt};
use storage_core::{ErrorKind, Get, Key, Prefix, PutIf, StorageProvider, StorageProviderExt};

/// How many objects are on their way at once. It bounds memory: so many bodies.
const COPIES_AT_ONCE_MAX: usize = 8;

/// Copies what begins with `prefix` and comes after `start_after`. An object that is there already is
/// left alone. Answers how many were copied.
async fn copy(
    from: &dyn StorageProvider,
    to: &dyn StorageProvider,
    prefix: &Prefix,
    start_after: Option<&Key>,
) -> Result<usize> {
    let copies = from.list_all_after(prefix, start_after).map(|listed| async move {
        let key = listed?.key;
        let object = from.get(&key, Get::whole()).await?;
        match to.put(&key, object.body, PutIf::Absent).await {
            Ok(_) => Ok(1),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(0),
            Err(error) => Err(anyhow::Error::from(error)),
        }
    });
    copies
        .buffer_unordered(COPIES_AT_ONCE_MAX)
        .try_fold(0, |sum, n| async move { Ok(sum + n) })
        .await
}

#[tokio::main]
async fn main() -> Result<()> {
    let (from, to) = (MemoryProvider::new(), MemoryProvider::new());
    for n in 0..1000 {
        from.put(&Key::new(format!("photo/{n:04}"))?, format!("{n}").into(), PutIf::Always).await?;
    }
    from.put(&Key::new("other")?, "not copied".into(), PutIf::Always).await?;
    let photos = Prefix::new("photo/")?;

    let rest = copy(&from, &to, &photos, Some(&Key::new("photo/0899")?)).await?;
    println!("the last {rest}, as if the others had been copied before");
    let all = copy(&from, &to, &photos, None).await?;
    println!("then the {all} that were missing");
    let again = copy(&from, &to, &photos, None).await?;
    println!("and {again} when everything is there");

    ensure!((rest, all, again) == (100, 900, 0));
    ensure!(to.list_all(&Prefix::all()).count().await == 1000);
    Ok(())
}
