//! `conformance`: runs the suite on a configured provider and shows what came of it.

mod harness;
mod reports;
mod show;

use std::sync::Arc;

use conformance::{Level, Settings};

use crate::cli::{ConformanceArgs, Which};
use crate::commands::provider::Place;
use crate::config::closest;
use crate::error::{Code, Error, Result};
use crate::run::Context;

use harness::ConfiguredHarness;
use reports::Wanted;
use show::Live;

pub(crate) async fn run(context: &Context, arguments: ConformanceArgs) -> Result<()> {
    let levels = levels(&arguments.level)?;
    let mut settings = Settings {
        levels,
        filter: arguments.filter,
        rounds: arguments.rounds,
        ..Settings::default()
    };
    if let Some(seed) = arguments.seed {
        settings.seed = seed;
    }
    let wanted = Wanted::parse(&arguments.report)?;
    if !conformance::cases().iter().any(|case| settings.asks_for(case)) {
        return Err(no_such_case(&settings));
    }
    if arguments.list {
        return show::list(context, &settings);
    }
    let place = Place::find(context, &arguments.which)?;
    // Before the run, not after it: a provider that cannot be opened is a matter of configuration.
    let handle = place.provider().open_bare().await?;
    wanted.check()?;
    let harness = ConfiguredHarness::new(context, &place, handle).await;
    let mut live = Live::new(context, place.name());
    let interrupted = context.interrupted();
    let report = conformance::run_until(Arc::new(harness), &settings, &mut live, interrupted).await;
    live.end();
    wanted.write(&report)?;
    show::report(context, place.name(), &report)?;
    if context.is_interrupted() {
        return Err(Error::Interrupted(what_is_left(report.left_behind())));
    }
    if report.failed() { Err(Error::Reported(Code::Failed)) } else { Ok(()) }
}

/// What an interrupted run leaves, given what went wrong with the cleaning up.
fn what_is_left(problem: Option<&str>) -> String {
    match problem {
        None => "what the cases had stored was removed".into(),
        Some(problem) => {
            format!("what the cases had stored may still be there, under `cb~`: {problem}")
        }
    }
}

/// The second process of a run: serves a handle on standard input and output.
pub(crate) async fn work(context: &Context, which: &Which) -> Result<()> {
    let place = Place::find(context, which)?;
    let harness = Arc::new(ConfiguredHarness::plain(&place));
    let served = conformance::child::serve(harness).await;
    served.map_err(Error::file("serve the first process"))
}

fn levels(words: &[String]) -> Result<Vec<Level>> {
    let mut levels = Vec::new();
    for word in words {
        match word.as_str() {
            "all" => levels.extend(Level::ALL),
            word => levels.push(word.parse().map_err(|_| {
                let known = Level::ALL.map(Level::label);
                let mut message = format!("there is no level `{word}`");
                message += &format!("\n  = expected {}, or all", known.join(", "));
                if let Some(near) = closest(word, known.into_iter().chain(["all"])) {
                    message += &format!("\n  = did you mean `{near}`?");
                }
                Error::Usage(message)
            })?),
        }
    }
    Ok(levels)
}

fn no_such_case(settings: &Settings) -> Error {
    let filter = settings.filter.as_deref().unwrap_or_default();
    let mut message = format!("no case of level {} matches `{filter}`", settings.levels_label());
    let elsewhere = conformance::cases().iter().find(|case| case.id.contains(filter));
    match elsewhere {
        Some(case) => message += &format!("\n  = {} is of level {}", case.id, case.level),
        None => {
            let ids = conformance::cases().iter().map(|case| case.id);
            if let Some(near) = closest(filter, ids) {
                message += &format!("\n  = did you mean `{near}`?");
            }
            message += "\n  = `cloudbank conformance --list --level all` names them all";
        }
    }
    Error::Usage(message)
}

#[cfg(test)]
mod tests {
    use super::what_is_left;

    #[test]
    fn an_interrupted_run_says_that_all_is_removed_only_where_it_is() {
        assert_eq!(what_is_left(None), "what the cases had stored was removed");
        let left = what_is_left(Some("list: unavailable: not reached"));
        assert!(left.contains("may still be there") && left.ends_with("not reached"), "{left}");
    }
}
