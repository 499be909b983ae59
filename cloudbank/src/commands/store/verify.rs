//! `store verify`: reads all that is stored, and says what is wrong with it.

use std::sync::Arc;

use serde_json::json;
use storage_txn::{Finding, Store, VerifyEvent, VerifyOptions, VerifyReport};
use storage_wrappers::TokioEnv;

use super::open::Site;
use crate::cli::StoreWhich;
use crate::config::human_size;
use crate::error::{Code, Error, Result};
use crate::output::count;
use crate::run::Context;

const BAR: &str = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";

pub(super) async fn run(context: &Context, which: &StoreWhich, at_once: u16) -> Result<()> {
    let site = Site::find(context, which)?;
    let place = site.place_to_read().await?;
    let mut options = VerifyOptions::default();
    options.requests_at_once = usize::from(at_once);
    let bar = context.output.progress(None, BAR);
    // The first failure to write ends nothing, but is what is said in the end.
    let mut written = Ok(());
    let mut found = 0_u64;
    let report = {
        let mut tell = |event| match event {
            VerifyEvent::Finding(finding) => {
                found += 1;
                bar.set_message(count(found, "finding"));
                let said = bar.suspend(|| say(context, &finding));
                if written.is_ok() {
                    written = said;
                }
            }
            VerifyEvent::Progress(progress) => {
                bar.set_length(progress.bytes_total);
                bar.set_position(progress.bytes);
            }
            _ => {}
        };
        Store::verify(place, Arc::new(TokioEnv::new()), &options, &mut tell).await
    };
    bar.finish_and_clear();
    let report = report.map_err(|error| Error::store(site.name(), error))?;
    written?;
    finish(context, &report)
}

fn say(context: &Context, finding: &Finding) -> Result<()> {
    let output = &context.output;
    if output.json {
        output.json(&json!({
            "severity": finding.severity.to_string(),
            "object": finding.object,
            "offset": finding.offset,
            "what": finding.what,
        }))?;
    } else {
        output.line(finding)?;
    }
    output.flush()
}

fn finish(context: &Context, report: &VerifyReport) -> Result<()> {
    let sound = report.is_sound();
    let numbers = [
        (report.lost, "lost"),
        (report.weakened, "weakened"),
        (report.rebuildable, "rebuildable"),
        (report.garbage, "garbage"),
    ];
    let findings: Vec<_> = numbers
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    let mut words = format!(
        "{}: version {}, {} of the log, {}, {} with {}; {} of {}",
        if sound { "sound" } else { "not sound" },
        report.version,
        entries(report.entries),
        count(report.checkpoints, "checkpoint"),
        count(report.segments, "segment"),
        count(report.changes, "change"),
        count(report.progress.objects, "object"),
        human_size(report.progress.bytes),
    );
    if !findings.is_empty() {
        words += &format!("; {}", findings.join(", "));
    }
    for unnamed in &report.unnamed {
        let (objects, size) = (count(unnamed.objects, "object"), human_size(unnamed.bytes));
        words += &format!("\nsession {}: {objects} of {size} that nobody names", unnamed.session);
    }
    let unnamed: Vec<_> = report
        .unnamed
        .iter()
        .map(|unnamed| {
            json!({ "session": unnamed.session, "objects": unnamed.objects, "bytes": unnamed.bytes })
        })
        .collect();
    context.output.done(
        words,
        &json!({
            "sound": sound,
            "version": report.version.0,
            "entries": report.entries,
            "entries_collected": report.entries_collected,
            "checkpoints": report.checkpoints,
            "segments": report.segments,
            "changes": report.changes,
            "objects": report.progress.objects,
            "bytes": report.progress.bytes,
            "lost": report.lost,
            "weakened": report.weakened,
            "rebuildable": report.rebuildable,
            "garbage": report.garbage,
            "unnamed": unnamed,
        }),
    )?;
    if sound { Ok(()) } else { Err(Error::Reported(Code::Failed)) }
}

fn entries(number: u64) -> String {
    match number {
        1 => "1 entry".into(),
        number => format!("{number} entries"),
    }
}
