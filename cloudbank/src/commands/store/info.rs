//! `store info`: how large the store is, and how far its maintenance has come.

use serde_json::json;
use storage_txn::{ErrorKind, KeyRange, Scan, VoterState, VoterStatus};

use super::at::moment;
use super::open::OpenStore;
use crate::cli::Read;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::count;
use crate::run::Context;

pub(super) async fn run(context: &Context, read: &Read, counted: bool) -> Result<()> {
    if read.at.is_some() && !counted {
        return Err(Error::Usage(
            "--at says as of when keys are counted, and the rest is of now\n  = add --count".into(),
        ));
    }
    let opened = OpenStore::find_to_read(context, &read.which).await?;
    let snapshot = opened.snapshot(read.at.as_deref()).await?;
    let mut sums = None;
    if counted {
        let (mut keys, mut bytes) = (0_u64, 0_u64);
        let scan = Scan::new(KeyRange::all());
        let mut items = snapshot.scan_meta(&scan).await.map_err(opened.explain())?;
        loop {
            match items.next().await {
                Ok(Some(item)) => (keys, bytes) = (keys + 1, bytes + item.size),
                Ok(None) => break,
                // It has a value, only that cannot be told.
                Err(error) if error.kind() == ErrorKind::NotANumber => keys += 1,
                Err(error) => return Err(opened.explain()(error)),
            }
        }
        sums = Some((keys, bytes));
    }
    let info = opened.store.info().await.map_err(opened.explain())?;
    let output = &context.output;
    if output.json {
        return output.json(&json!({
            "id": info.id,
            "provider": opened.name,
            "version": info.version.0,
            "time": (info.version.0 > 0).then(|| moment(info.time)),
            "counted_at": sums.map(|_| snapshot.version().0),
            "keys": sums.map(|(keys, _)| keys),
            "value_bytes": sums.map(|(_, bytes)| bytes),
            "horizon": info.horizon.0,
            "flushed_version": info.flushed.0,
            "segments": info.segments,
            "segment_bytes": info.segment_bytes,
            "segment_changes": info.segment_changes,
            "checkpoint_slot": info.checkpoint_slot,
            "log_slot": info.log_slot,
            "tail_entries": info.tail_entries(),
            "memory_bytes": info.memory_bytes,
            "cache_bytes": info.cache_bytes,
            "voters": info.voters.iter().map(|voter| json!({
                "voter": voter.voter.to_string(),
                "provider": voter.provider,
                "state": voter.state.to_string(),
                "current": voter.state == VoterState::Current,
            })).collect::<Vec<_>>(),
        }));
    }
    output.line(format_args!("id          {}", info.id))?;
    output.line(format_args!("provider    {}", opened.name))?;
    match info.version.0 {
        0 => output.line("version     0: nothing was committed yet")?,
        version => output.line(format_args!("version     {version}, {}", moment(info.time)))?,
    }
    if let Some((keys, bytes)) = sums {
        let (keys, size) = (count(keys, "key"), human_size(bytes));
        output.line(format_args!(
            "keys        {keys}, values of {size}, at version {}",
            snapshot.version()
        ))?;
    }
    if info.horizon.0 > 0 {
        output.line(format_args!(
            "horizon     version {}: what was before was packed away, but for tags",
            info.horizon
        ))?;
    }
    output.line(format_args!(
        "segments    {}, {}, {}, up to version {}",
        info.segments,
        human_size(info.segment_bytes),
        count(info.segment_changes, "change"),
        info.flushed
    ))?;
    match info.checkpoint_slot {
        Some(slot) => output.line(format_args!("checkpoint  log slot {slot}"))?,
        None => output.line("checkpoint  none")?,
    }
    output.line(format_args!(
        "log         slot {}, {} to read when opened",
        info.log_slot,
        match info.tail_entries() {
            1 => "1 entry".into(),
            entries => format!("{entries} entries"),
        }
    ))?;
    let names = info.voters.iter().map(|voter| name_of(voter).len());
    let width = names.max().unwrap_or_default();
    for (at, voter) in info.voters.iter().enumerate() {
        let heading = if at == 0 { "voters" } else { "" };
        let (name, state) = (name_of(voter), &voter.state);
        output.line(format_args!("{heading:12}{name:width$}  {state}"))?;
    }
    output.line(format_args!(
        "memory      {} not in segments, {} of segments",
        human_size(info.memory_bytes),
        human_size(info.cache_bytes)
    ))
}

/// What a voter is called: by its provider, where one answers that is this voter.
fn name_of(voter: &VoterStatus) -> String {
    voter.provider.clone().unwrap_or_else(|| voter.voter.to_string())
}
