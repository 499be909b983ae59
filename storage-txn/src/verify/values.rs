//! Verifying large values: each that something needs is read, and those that nothing needs are counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, Stream, StreamExt};
use storage_core::{Get, Listed, StorageProvider, StorageProviderExt};

use super::{Severity, Unnamed, Verifier};
use crate::content::{Content, Kind};
use crate::format::value::{ValueObject, ValueRef};
use crate::shared::Shared;
use crate::space::ValueRecord as Record;
use crate::store::{key, prefix};
use crate::system::OBSOLETE;
use crate::value::ValueStream;
use crate::view::{View, Walk};
use crate::{Error, ErrorKind, Options, Result, Version, space};

/// What the names of the objects begin with.
const PREFIX: &str = "value/";
/// How many objects that nobody needs are named.
const UNNEEDED_MAX: usize = 10_000;
impl Verifier<'_> {
    /// Reads all values that are needed, if the store can be opened: what is in the way of that was told already.
    pub(super) async fn values(&mut self) -> Result<()> {
        let options = Options {
            // Nothing is to be written.
            flush_bytes: usize::MAX,
            value_requests_max: 2,
            chunk_bytes: 1 << 20,
            ..Options::default()
        };
        let opened = crate::open::open(&self.place, self.env.clone(), options).await;
        let Some(shared) = readable(opened)? else { return Ok(()) };
        let (view, version) = {
            let state = shared.state();
            (state.view.clone(), state.version)
        };
        let needed = space::all(space::VALUE);
        let walk = Walk::new(&view, version, &needed, false, None).await;
        let Some(mut walk) = readable(walk)? else { return Ok(()) };
        let (provider, values) = (self.provider.clone(), prefix(PREFIX)?);
        let mut listed = provider.list_all(&values);
        let mut next_listed = next_object(&mut listed).await?;
        let mut checks: FuturesOrdered<BoxFuture<'static, Result<Checked>>> = FuturesOrdered::new();
        let mut unneeded = Vec::new();
        let mut is_last = false;
        let mut before = None;
        loop {
            while !is_last && checks.len() < self.options.requests_at_once.max(1) {
                let Some(next) = readable(walk.next().await)? else { return Ok(()) };
                match next {
                    None => is_last = true,
                    Some((record, _, _)) => {
                        if let Some(record) = space::value_record(&record) {
                            let check = checked(shared.clone(), view.clone(), version, record);
                            checks.push_back(check.boxed());
                        }
                    }
                }
            }
            let next = checks.next().await.transpose()?;
            let id = next.as_ref().map(|((id, _, _), _)| *id);
            // Both come in the order of their names.
            while let Some((object, bytes)) = next_listed
                && id.is_none_or(|id| object.id <= id)
            {
                if Some(object.id) == id || Some(object.id) == before {
                    self.read(bytes);
                } else if unneeded.len() < UNNEEDED_MAX {
                    unneeded.push((object, bytes));
                }
                next_listed = next_object(&mut listed).await?;
            }
            before = id;
            match next {
                Some((record, Some(_))) => self.wrong_value(&shared, &record).await?,
                Some((_, None)) => {}
                None => break,
            }
        }
        self.unneeded_values(&shared, unneeded).await
    }

    /// Looks once more at a value that seems wrong, as the store is now.
    async fn wrong_value(&mut self, shared: &Arc<Shared>, record: &Record) -> Result<()> {
        self.pause().await;
        if readable(shared.refresh().await)?.is_none() {
            return Ok(());
        }
        let (view, version) = {
            let state = shared.state();
            (state.view.clone(), state.version)
        };
        let needed = space::values(record.0);
        let Some(mut walk) = readable(Walk::new(&view, version, &needed, false, None).await)?
        else {
            return Ok(());
        };
        if !matches!(readable(walk.next().await)?, Some(Some(_))) {
            return Ok(());
        }
        if let Some(error) = check(shared, &view, version, record).await? {
            let message = error.to_string();
            let parts = message.split_once(": at byte ").and_then(|(object, rest)| {
                let (offset, what) = rest.split_once(": ")?;
                Some((object.to_owned(), offset.parse().ok(), what.to_owned()))
            });
            let (object, offset, what) =
                parts.unwrap_or_else(|| (record.0.to_string(), None, message.clone()));
            self.found(Severity::Lost, object, offset, what);
        }
        Ok(())
    }

    /// Counts what was not needed and is not, after a while.
    async fn unneeded_values(
        &mut self,
        shared: &Arc<Shared>,
        unneeded: Vec<(ValueObject, u64)>,
    ) -> Result<()> {
        if unneeded.is_empty() {
            return Ok(());
        }
        self.pause().await;
        if readable(shared.refresh().await)?.is_none() {
            return Ok(());
        }
        let (view, version) = {
            let state = shared.state();
            (state.view.clone(), state.version)
        };
        let mut sessions: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (object, bytes) in unneeded {
            let name = key(object.to_string())?;
            // All chunks of a value wait together.
            let waits = format!("{OBSOLETE}{}", object.id);
            let range = space::values(object.id);
            let walk = Walk::new(&view, version, &range, false, None).await;
            let Some(mut walk) = readable(walk)? else { return Ok(()) };
            if !matches!(readable(walk.next().await)?, Some(None))
                || view.system.get(waits.as_bytes()).is_some()
            {
                continue;
            }
            match self.provider.get(&name, Get::meta_only()).await {
                Ok(_) => {}
                Err(error) if error.kind() == storage_core::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            }
            let session = sessions.entry(object.id.session).or_default();
            *session = (session.0 + 1, session.1 + bytes);
            let what = format!("nothing needs it ({bytes} bytes)");
            self.found(Severity::Garbage, name.to_string(), None, what);
        }
        for (session, (objects, bytes)) in sessions {
            let session = format!("{session:016x}");
            let known = self.report.unnamed.iter_mut().find(|known| known.session == session);
            match known {
                Some(known) => {
                    known.objects += objects;
                    known.bytes += bytes;
                }
                None => self.report.unnamed.push(Unnamed { session, objects, bytes }),
            }
        }
        Ok(())
    }
}

/// A record, and what is wrong with its value.
type Checked = (Record, Option<Error>);

async fn checked(
    shared: Arc<Shared>,
    view: Arc<View>,
    last: Version,
    record: Record,
) -> Result<Checked> {
    let wrong = check(&shared, &view, last, &record).await?;
    Ok((record, wrong))
}

/// The next object of values that is listed.
async fn next_object(
    listed: &mut (impl Stream<Item = storage_core::Result<Listed>> + Send + Unpin),
) -> Result<Option<(ValueObject, u64)>> {
    while let Some(object) = listed.next().await.transpose()? {
        if let Some(named) = ValueObject::parse(object.key.as_str()) {
            return Ok(Some((named, object.size)));
        }
    }
    Ok(None)
}

/// Reads the value of a record. What is wrong with it, if anything is.
async fn check(
    shared: &Arc<Shared>,
    view: &View,
    last: Version,
    (id, version, key): &Record,
) -> Result<Option<Error>> {
    // What was merged into it since may have taken its place.
    for at in [*version, last] {
        let found = match view.find(key, at).await {
            Ok(found) => found,
            Err(error) if is_about_the_store(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some((_, content)) = found
            && let Kind::Large(reference) = &content.0
            && reference.id() == *id
        {
            return read(shared, reference.clone()).await;
        }
    }
    Ok(None)
}

async fn read(shared: &Arc<Shared>, reference: Arc<ValueRef>) -> Result<Option<Error>> {
    let content = Content(Kind::Large(reference));
    let size = content.size();
    let mut stream = ValueStream::new(shared, content, 0, size);
    loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Some(error)),
            Err(error) if is_about_the_store(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// What was read, unless the store is too much damaged for that, which is told elsewhere.
fn readable<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_about_the_store(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_about_the_store(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Corrupt
            | ErrorKind::UnknownFormat
            | ErrorKind::SnapshotExpired
            | ErrorKind::NotANumber
    )
}
