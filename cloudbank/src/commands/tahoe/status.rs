//! `tahoe status` and `gc`: how much there is, and what is due to go.

use std::time::Duration;

use gateway_tahoe::Expired;
use serde_json::json;

use super::list::time;
use super::place::{Place, failed};
use crate::cli::TahoeWhich;
use crate::config::human_size;
use crate::error::Result;
use crate::output::{count, grouped};
use crate::run::Context;

pub(super) async fn status(context: &Context, which: &TahoeWhich) -> Result<()> {
    let place = Place::find_to_read(context, which).await?;
    let shares = &place.shares;
    let number = shares.count().await.map_err(failed)?;
    let due = shares.collect(0, true, &mut |_| {}).await.map_err(failed)?;
    let advisories = shares.advisories().await.map_err(failed)?.len();
    let identity = shares.identity().await.map_err(failed)?;
    let quota = shares.options().quota_bytes;
    let tub_id = identity.as_ref().map(gateway_tahoe::Identity::tub_id);
    let output = &context.output;
    if output.json {
        return output.json(&json!({
            "provider": place.provider,
            "name": shares.options().name,
            "tub_id": tub_id,
            "shares": number,
            "bytes": shares.used_bytes(),
            "quota": quota,
            "due_shares": due.shares,
            "due_bytes": due.bytes,
            "advisories": advisories,
        }));
    }
    let of = quota.map(|quota| format!(" of {}", human_size(quota))).unwrap_or_default();
    output.line(format_args!("server      {:?} on `{}`", shares.options().name, place.provider))?;
    let tub_id = tub_id.unwrap_or_else(|| "none yet".into());
    output.line(format_args!("tub id      {tub_id}"))?;
    output.line(format_args!("shares      {}", grouped(number)))?;
    output.line(format_args!("bytes       {}{of}", human_size(shares.used_bytes())))?;
    output.line(format_args!(
        "leases      of {} all have ended ({})",
        count(due.shares, "share"),
        human_size(due.bytes)
    ))?;
    output.line(format_args!("corruption  {}", count(advisories as u64, "report")))
}

pub(super) async fn collect(
    context: &Context,
    which: &TahoeWhich,
    after: Duration,
    dry_run: bool,
) -> Result<()> {
    let place = match dry_run {
        true => Place::find_to_read(context, which).await?,
        false => Place::find(context, which).await?,
    };
    let output = &context.output;
    let mut said = Ok(());
    let mut tell = |expired: Expired| {
        if said.is_err() {
            return;
        }
        said = match (output.json, output.quiet) {
            (true, _) => output.json(&json!({
                "storage_index": expired.index.to_string(),
                "share": expired.number,
                "size": expired.size,
                "ended": expired.ended,
            })),
            (false, true) => Ok(()),
            (false, false) => output.line(format_args!(
                "{}  {:>3}  {:>10}  ended {}",
                expired.index,
                expired.number,
                human_size(expired.size),
                time(expired.ended)
            )),
        };
    };
    let done = place.shares.collect(after.as_secs(), dry_run, &mut tell).await.map_err(failed)?;
    said?;
    let did = if dry_run { "nothing done; it would let go of" } else { "let go of" };
    output.done(
        format_args!("{did} {} ({})", count(done.shares, "share"), human_size(done.bytes)),
        &json!({
            "shares": done.shares,
            "bytes": done.bytes,
            "leases": done.leases,
            "dry_run": dry_run,
        }),
    )
}
