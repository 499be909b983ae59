//! `store bench`: commits and reads a second, and the requests they take.

mod measure;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use storage_core::Env;
use storage_txn::KeyRange;
use storage_wrappers::{Counted, TokioEnv};

use super::commit::Label;
use super::open::{OpenStore, Site};
use crate::cli::StoreBenchArgs;
use crate::config::{exact_size, parse_size};
use crate::error::{Error, Result};
use crate::output::Grid;
use crate::run::Context;

use measure::{Counter, Measured, Operation, Plan};

/// The largest value: one that a transaction can have in memory.
const VALUE_BYTES_MAX: u64 = 32 << 20;
const BAR: &str = "{bar:30} {pos}/{len} operations  {msg}";

pub(super) async fn run(context: &Context, arguments: StoreBenchArgs) -> Result<()> {
    let size = parse_size(&arguments.size).ok_or_else(|| {
        Error::Usage(format!(
            "`{}` is not a size\n  = expected a size such as 100B or 64KiB",
            arguments.size
        ))
    })?;
    if size > VALUE_BYTES_MAX {
        return Err(Error::Usage(format!(
            "values of {} are too large: they are made in memory, up to {}",
            exact_size(size),
            exact_size(VALUE_BYTES_MAX)
        )));
    }
    let site = Site::find(context, &arguments.which)?;
    let mut counted = Vec::new();
    let place = site.place().await?.wrapped(|provider| {
        let counter = Arc::new(Counted::new(provider));
        counted.push(counter.clone());
        counter
    });
    let opened = site.open_on(place).await?;
    if cfg!(debug_assertions) {
        context.output.note("warning: this is a debug build, which measures itself");
    }
    let prefix = format!("bench_{:016x}/", TokioEnv::new().random());
    let author = super::author::author(None);
    let label = Label { author, message: format!("bench {prefix}"), id: None };
    let measured = tokio::select! {
        measured = measure_all(context, &arguments, size, &opened, &counted, (&prefix, &label)) => measured,
        () = context.interrupted() => {
            Err(Error::Interrupted("the keys it had put are being removed".into()))
        }
    };
    // Whatever happened, no key of it stays.
    let swept = opened
        .commit(&label, async |transaction| transaction.delete_range(KeyRange::prefix(&prefix)));
    let swept = swept.await;
    let measured = measured?;
    opened.tidy(context, swept?.1.version).await;
    show(context, size, &measured)
}

async fn measure_all(
    context: &Context,
    arguments: &StoreBenchArgs,
    size: u64,
    opened: &OpenStore,
    counted: &[Counter],
    (prefix, label): (&str, &Label),
) -> Result<Vec<Measured>> {
    let env = TokioEnv::new();
    // Not compressible.
    let body: Bytes = (0..size).map(|_| (env.random() >> 32) as u8).collect::<Vec<_>>().into();
    let runs = arguments.concurrency.len() as u64 * Operation::ALL.len() as u64;
    let bar = context.output.progress(Some(runs * u64::from(arguments.count)), BAR);
    let mut all = Vec::new();
    for (number, concurrency) in arguments.concurrency.iter().enumerate() {
        bar.set_message(format!("x{concurrency}"));
        let plan = Plan {
            store: &opened.store,
            label,
            counted,
            folder: format!("{prefix}{number}/"),
            body: &body,
            count: arguments.count,
            concurrency: usize::from(*concurrency),
            bar: &bar,
        };
        for operation in Operation::ALL {
            all.push(plan.run(operation).await.map_err(opened.explain())?);
        }
    }
    bar.finish_and_clear();
    Ok(all)
}

fn show(context: &Context, size: u64, all: &[Measured]) -> Result<()> {
    let output = &context.output;
    if output.json {
        return all.iter().try_for_each(|measured| {
            let micros = |percent| measured.percentile(percent).as_micros() as u64;
            output.json(&json!({
                "operation": measured.operation.label(),
                "size": size,
                "concurrency": measured.concurrency,
                "count": measured.times.len(),
                "per_second": measured.per_second(),
                "p50_micros": micros(50),
                "p90_micros": micros(90),
                "p99_micros": micros(99),
                "max_micros": micros(100),
                "requests": measured.requests(),
                "requests_per_operation": measured.per_operation(measured.requests()),
                "puts": measured.counts.put.requests,
                "gets": measured.counts.get.requests,
                "lists": measured.counts.list.requests,
            }))
        });
    }
    let headings = [
        "operation",
        "at once",
        "count",
        "per second",
        "p50",
        "p90",
        "p99",
        "max",
        "requests",
        "each",
    ];
    let mut table = Grid::new(&headings, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for measured in all {
        let time = |percent| millis(measured.percentile(percent));
        table.row([
            measured.operation.label().to_owned(),
            measured.concurrency.to_string(),
            measured.times.len().to_string(),
            format!("{:.0}", measured.per_second()),
            time(50),
            time(90),
            time(99),
            time(100),
            measured.requests().to_string(),
            format!("{:.3}", measured.per_operation(measured.requests())),
        ]);
    }
    table.lines().try_for_each(|line| output.line(line))
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
