//! `provider bench`: how long requests take and how much goes through, next to the usual library.

mod measure;
mod target;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use storage_core::{Prefix, StorageProvider};

use super::Place;
use crate::cli::BenchArgs;
use crate::config::{exact_size, human_size, parse_size};
use crate::error::{Error, Result};
use crate::output::Grid;
use crate::run::Context;

use measure::{Operation, Round, Samples};
use target::Target;

const BAR: &str = "{bar:30} {pos}/{len} rounds  {msg}";

pub(super) async fn run(context: &Context, arguments: BenchArgs) -> Result<()> {
    let sizes = sizes(&arguments.sizes)?;
    let place = Place::find(context, &arguments.which)?;
    let provider = place.open().await?;
    let most = provider.info().capabilities.object_bytes_max;
    if let Some(size) = sizes.iter().find(|size| **size > most) {
        return Err(Error::Usage(format!(
            "objects of {} are too large: provider `{}` takes up to {}",
            exact_size(*size),
            place.name(),
            exact_size(most)
        )));
    }
    let run = format!("bench_{:016x}", random());
    let prefix = Prefix::new(format!("{run}/")).expect("hexadecimal makes a prefix");
    let ours = Target::ours(provider.clone());
    let raw = match place.provider().backend().raw() {
        _ if arguments.no_raw => None,
        None => None,
        Some(Ok(raw)) => Some(Target::raw(raw)),
        Some(Err(error)) => {
            context.output.note(format_args!("warning: no comparison: {}", cause(&error)));
            None
        }
    };
    if cfg!(debug_assertions) {
        context.output.note("warning: this is a debug build, which measures itself");
    }
    let targets: Vec<_> = [Some(ours), raw].into_iter().flatten().collect();
    let work = measure_all(context, &arguments, &sizes, &targets, &run);
    let measured = tokio::select! {
        measured = work => measured,
        () = context.interrupted() => {
            Err(Error::Interrupted("what it had stored is being removed".into()))
        }
    };
    // Whatever happened, nothing of it stays.
    let swept = target::sweep(&*provider, &prefix).await.map_err(place.explain());
    let measured = measured?;
    swept?;
    show(context, &targets, &measured)
}

fn sizes(words: &[String]) -> Result<Vec<u64>> {
    let sizes = words.iter().map(|word| {
        parse_size(word).ok_or_else(|| {
            Error::Usage(format!(
                "`{word}` is not a size\n  = expected sizes such as 1KiB,64KiB,1MiB"
            ))
        })
    });
    sizes.collect()
}

/// One line of the result: an operation at one size and concurrency, for each target.
struct Line {
    operation: Operation,
    size: u64,
    concurrency: usize,
    samples: Vec<Samples>,
}

async fn measure_all(
    context: &Context,
    arguments: &BenchArgs,
    sizes: &[u64],
    targets: &[Target],
    run: &str,
) -> Result<Vec<Line>> {
    let rounds = arguments.rounds.min(arguments.count);
    let combinations = sizes.len() * arguments.concurrency.len();
    let total = combinations as u64 * u64::from(rounds) * targets.len() as u64;
    let bar = context.output.progress(Some(total), BAR);
    let mut lines: Vec<Line> = Vec::new();
    for (number, (size, concurrency)) in sizes
        .iter()
        .flat_map(|size| arguments.concurrency.iter().map(move |number| (*size, *number)))
        .enumerate()
    {
        let concurrency = usize::from(concurrency);
        // Not compressible, and not the same for every object.
        let body: Bytes = (0..size).map(|_| (random() >> 32) as u8).collect::<Vec<_>>().into();
        let mut all: Vec<Vec<Samples>> =
            vec![Operation::ALL.map(|_| Samples::default()).into(); targets.len()];
        for round in 0..rounds {
            let share = arguments.count / rounds + u32::from(round < arguments.count % rounds);
            // Every other round begins with the other one, so that neither is always first.
            let mut order: Vec<usize> = (0..targets.len()).collect();
            order.rotate_left(round as usize % targets.len());
            for which in order {
                bar.set_message(format!("{} x{concurrency}", human_size(size)));
                let folder = format!("{run}/{number}/{which}/{round}");
                let plan = Round { folder: &folder, body: &body, count: share, concurrency };
                let samples = plan.run(&targets[which]).await.map_err(Error::Failed)?;
                for (sum, new) in all[which].iter_mut().zip(samples) {
                    sum.add(new);
                }
                bar.inc(1);
            }
        }
        let mut all: Vec<_> = all.into_iter().map(Vec::into_iter).collect();
        for operation in Operation::ALL {
            let samples = all.iter_mut().filter_map(Iterator::next).collect();
            lines.push(Line { operation, size, concurrency, samples });
        }
    }
    bar.finish_and_clear();
    Ok(lines)
}

fn show(context: &Context, targets: &[Target], lines: &[Line]) -> Result<()> {
    if context.output.json {
        for line in lines {
            for (target, samples) in targets.iter().zip(&line.samples) {
                context.output.json(&json!({
                    "operation": line.operation.label(),
                    "size": line.size,
                    "concurrency": line.concurrency,
                    "target": target.name(),
                    "requests": samples.count(),
                    "p50_micros": micros(samples.percentile(50)),
                    "p90_micros": micros(samples.percentile(90)),
                    "p99_micros": micros(samples.percentile(99)),
                    "max_micros": micros(samples.percentile(100)),
                    "requests_per_second": samples.per_second(),
                    "objects_per_second": samples.objects_per_second(),
                }))?;
            }
        }
        return Ok(());
    }
    let headings = [
        "operation",
        "size",
        "at once",
        "who",
        "requests",
        "p50",
        "p90",
        "p99",
        "max",
        "per second",
        "p50 / raw",
    ];
    let mut table = Grid::new(&headings, &[1, 2, 4, 5, 6, 7, 8, 9, 10]);
    for line in lines {
        let raw = line.samples.get(1);
        for (number, (target, samples)) in targets.iter().zip(&line.samples).enumerate() {
            let ratio = match (number, raw) {
                (0, Some(raw)) => ratio(samples.percentile(50), raw.percentile(50)),
                _ => String::new(),
            };
            let first = number == 0;
            let show = |text: String| if first { text } else { String::new() };
            table.row([
                show(line.operation.label().into()),
                show(exact_size(line.size)),
                show(line.concurrency.to_string()),
                target.name().to_owned(),
                samples.count().to_string(),
                millis(samples.percentile(50)),
                millis(samples.percentile(90)),
                millis(samples.percentile(99)),
                millis(samples.percentile(100)),
                through(line, samples),
                ratio,
            ]);
        }
    }
    for line in table.lines() {
        context.output.line(line)?;
    }
    Ok(())
}

/// Bytes a second for what carries bodies, else requests or listed objects a second.
fn through(line: &Line, samples: &Samples) -> String {
    match line.operation {
        Operation::Put | Operation::PutAbsent | Operation::Get if line.size >= 1 << 16 => {
            human_size((samples.per_second() * line.size as f64) as u64)
        }
        Operation::List => format!("{:.0} keys", samples.objects_per_second()),
        _ => format!("{:.0}", samples.per_second()),
    }
}

fn ratio(ours: Duration, raw: Duration) -> String {
    if raw.is_zero() {
        String::new()
    } else {
        format!("{:.2}", ours.as_secs_f64() / raw.as_secs_f64())
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn cause(error: &storage_core::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{}: {source}", error.message()),
        None => error.message().to_owned(),
    }
}

fn random() -> u64 {
    storage_core::Env::random(&storage_wrappers::TokioEnv::new())
}

/// A target that is one of ours.
type Ours = Arc<dyn StorageProvider>;
