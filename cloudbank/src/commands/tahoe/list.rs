//! `tahoe shares`, `leases` and `advisories`: what there is.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use gateway_tahoe::{Kind, ShareInfo};
use serde_json::json;

use super::place::{Place, failed, index};
use crate::cli::TahoeWhich;
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::output::Grid;
use crate::run::Context;

pub(super) async fn shares(
    context: &Context,
    which: &TahoeWhich,
    of: Option<&str>,
    limit: Option<u64>,
) -> Result<()> {
    let of = of.map(index).transpose()?;
    let place = Place::find_to_read(context, which).await?;
    let mut left = limit.unwrap_or(u64::MAX);
    let mut told = 0_u64;
    let all = place.shares.all_immutable(of).await.map_err(failed)?;
    let mut all = std::pin::pin!(all);
    while left > 0 {
        let Some(share) = all.try_next().await.map_err(failed)? else { break };
        if of.is_some_and(|of| share.index != of) {
            break;
        }
        tell(context, Kind::Immutable, &share)?;
        (left, told) = (left - 1, told + 1);
    }
    let all = place.shares.all_slots(of).await.map_err(failed)?;
    let mut all = std::pin::pin!(all);
    'slots: while left > 0 {
        let Some(slot) = all.try_next().await.map_err(failed)? else { break };
        if of.is_some_and(|of| slot.index != of) {
            break;
        }
        for share in &slot.shares {
            if left == 0 {
                break 'slots;
            }
            tell(context, Kind::Mutable, share)?;
            (left, told) = (left - 1, told + 1);
        }
    }
    match (of, told) {
        (Some(of), 0) if limit != Some(0) => {
            Err(Error::NotFound(format!("there are no shares of {of}")))
        }
        _ => Ok(()),
    }
}

fn tell(context: &Context, kind: Kind, share: &ShareInfo) -> Result<()> {
    let output = &context.output;
    let ends = share.leases.iter().map(|lease| lease.expires).max().unwrap_or(0);
    let kind = word(kind);
    if output.json {
        return output.json(&json!({
            "kind": kind,
            "storage_index": share.index.to_string(),
            "share": share.number,
            "size": share.size,
            "leases": share.leases.len(),
            "expires": ends,
        }));
    }
    // Line by line, as there may be any number of them.
    output.line(format_args!(
        "{kind:<9}  {}  {:>3}  {:>10}  {:>3}  {}",
        share.index,
        share.number,
        human_size(share.size),
        share.leases.len(),
        time(ends),
    ))
}

pub(super) async fn leases(context: &Context, which: &TahoeWhich, of: &str) -> Result<()> {
    let of = index(of)?;
    let place = Place::find_to_read(context, which).await?;
    let shares = place.shares.leases(of).await.map_err(failed)?;
    if shares.is_empty() {
        return Err(Error::NotFound(format!("there are no shares of {of}")));
    }
    let now = place.shares.now();
    let mut grid = Grid::new(&["SHARE", "RENEWED BY", "ENDS", ""], &[0]);
    for (number, leases) in shares {
        for lease in leases {
            let renewed_by: String =
                lease.renew_hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            if context.output.json {
                let hash: String =
                    lease.renew_hash.iter().map(|byte| format!("{byte:02x}")).collect();
                context.output.json(&json!({
                    "share": number, "renew_hash": hash, "expires": lease.expires,
                }))?;
                continue;
            }
            let ended = if lease.expires <= now { "ended" } else { "" };
            grid.row([number.to_string(), renewed_by, time(lease.expires), ended.into()]);
        }
    }
    if context.output.json {
        return Ok(());
    }
    grid.lines().try_for_each(|line| context.output.line(line))
}

pub(super) async fn advisories(context: &Context, which: &TahoeWhich) -> Result<()> {
    let place = Place::find_to_read(context, which).await?;
    let all = place.shares.advisories().await.map_err(failed)?;
    let output = &context.output;
    if all.is_empty() && !output.json {
        return output.line("no client has reported anything as corrupt");
    }
    let mut grid = Grid::new(&["TIME", "KIND", "STORAGE INDEX", "SHARE", "REASON"], &[3]);
    for advisory in all {
        let kind = word(advisory.kind);
        if output.json {
            output.json(&json!({
                "time": advisory.time,
                "kind": kind,
                "storage_index": advisory.index.to_string(),
                "share": advisory.number,
                "reason": advisory.reason,
            }))?;
            continue;
        }
        // What a client wrote must stay on its line.
        let reason: String =
            advisory.reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        grid.row([
            time(advisory.time),
            kind.into(),
            advisory.index.to_string(),
            advisory.number.to_string(),
            reason,
        ]);
    }
    if output.json {
        return Ok(());
    }
    grid.lines().try_for_each(|line| output.line(line))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Immutable => "immutable",
        Kind::Mutable => "mutable",
    }
}

/// A time as it is read.
pub(super) fn time(seconds: u64) -> String {
    // Later than the last year that can be written: never.
    if seconds > 253_402_300_799 {
        return "never".into();
    }
    let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}
