//! A run as a line of text, to have it again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{CrashPoint, Crashes, NodeId, Order, Plan};

/// A plan and a tape, which are all there is to a run of a scenario: text without a space, short where little happens.
///
/// # Examples
///
/// ```
/// use simulation::{Fault, Faults, Plan, Replay};
///
/// let plan = Plan { faults: Faults::at([(12, Fault::ReplyLost)]), ..Plan::calm() };
/// let replay = Replay { plan, tape: vec![0, 0, 0, 7] };
/// assert_eq!(replay.to_string(), "faults=at:12.reply_lost,tape=0*3.7");
/// let again: Replay = "faults=at:12.reply_lost,tape=0*3.7".parse()?;
/// assert_eq!(again.tape, [0, 0, 0, 7]);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone)]
pub struct Replay {
    /// How rough it is.
    pub plan: Plan,
    /// Its choices.
    pub tape: Vec<u32>,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, calm) = (&self.plan, Plan::calm());
        if !plan.faults.is_none() {
            write!(f, "faults={},", plan.faults)?;
        }
        match &plan.crashes {
            Crashes::At(points) if points.is_empty() => {}
            Crashes::At(points) => {
                write!(
                    f,
                    "crashes=at:{},",
                    list(points, |at| format!("{}.{}", at.node.0, at.poll))
                )?;
            }
            Crashes::Lots { run_max, gap_polls_max } => {
                write!(f, "crashes=lots:{run_max}:{gap_polls_max},")?;
            }
        }
        if plan.pauses_per_node_max != calm.pauses_per_node_max {
            write!(f, "pauses={},", plan.pauses_per_node_max)?;
        }
        if plan.clock_skew_max != calm.clock_skew_max {
            write!(f, "skew_ms={},", plan.clock_skew_max.as_millis())?;
        }
        match plan.order {
            Order::Timed => {}
            Order::Any { sleepers_first_max, answers_at_once, tasks_in_turn } => {
                write!(f, "order=any:{sleepers_first_max}")?;
                f.write_str(if answers_at_once { ":answers_at_once" } else { "" })?;
                f.write_str(if tasks_in_turn { ":tasks_in_turn," } else { "," })?;
            }
        }
        if plan.steps_max != calm.steps_max {
            write!(f, "steps={},", plan.steps_max)?;
        }
        if plan.time_max != calm.time_max {
            write!(f, "time_ms={},", plan.time_max.as_millis())?;
        }
        if !plan.left_out.is_empty() {
            write!(f, "out={},", list(&plan.left_out, ToString::to_string))?;
        }
        write!(f, "tape={}", short(&self.tape))
    }
}

impl FromStr for Replay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut replay = Self { plan: Plan::calm(), tape: Vec::new() };
        let plan = &mut replay.plan;
        for field in text.trim().split(',') {
            let (name, value) =
                field.split_once('=').ok_or_else(|| format!("{field:?} is no field of a run"))?;
            match name {
                "faults" => plan.faults = value.parse()?,
                "crashes" => plan.crashes = crashes(value)?,
                "pauses" => plan.pauses_per_node_max = number(value)?,
                "skew_ms" => plan.clock_skew_max = Duration::from_millis(number(value)?),
                "order" => plan.order = order(value)?,
                "steps" => plan.steps_max = number(value)?,
                "time_ms" => plan.time_max = Duration::from_millis(number(value)?),
                "out" => plan.left_out = value.split('+').map(number).collect::<Result<_, _>>()?,
                "tape" => replay.tape = long(value)?,
                _ => return Err(format!("{name:?} is no field of a run")),
            }
        }
        Ok(replay)
    }
}

fn crashes(text: &str) -> Result<Crashes, String> {
    if let Some(points) = text.strip_prefix("at:") {
        let point = |text: &str| {
            let (node, poll) = text.split_once('.').ok_or_else(|| no("crash point", text))?;
            Ok::<_, String>(CrashPoint { node: NodeId(number(node)?), poll: number(poll)? })
        };
        return Ok(Crashes::At(points.split('+').map(point).collect::<Result<_, _>>()?));
    }
    let lots = text.strip_prefix("lots:").and_then(|text| text.split_once(':'));
    let (run_max, gap) = lots.ok_or_else(|| no("kind of crashes", text))?;
    Ok(Crashes::Lots { run_max: number(run_max)?, gap_polls_max: number(gap)? })
}

fn order(text: &str) -> Result<Order, String> {
    let mut words = text.strip_prefix("any:").ok_or_else(|| no("order", text))?.split(':');
    let sleepers_first_max = number(words.next().unwrap_or_default())?;
    let (mut answers_at_once, mut tasks_in_turn) = (false, false);
    for word in words {
        match word {
            "answers_at_once" => answers_at_once = true,
            "tasks_in_turn" => tasks_in_turn = true,
            _ => return Err(no("order", word)),
        }
    }
    Ok(Order::Any { sleepers_first_max, answers_at_once, tasks_in_turn })
}

/// Numbers, with `0*35` for thirty-five zeros.
fn short(tape: &[u32]) -> String {
    let runs = tape.chunk_by(|one, another| one == another).map(|run| match run.len() {
        1 => run[0].to_string(),
        length => format!("{}*{length}", run[0]),
    });
    runs.collect::<Vec<_>>().join(".")
}

fn long(text: &str) -> Result<Vec<u32>, String> {
    let mut tape = Vec::new();
    for run in text.split('.').filter(|run| !run.is_empty()) {
        let (value, length) = run.split_once('*').unwrap_or((run, "1"));
        tape.resize(tape.len() + number::<usize>(length)?, number(value)?);
    }
    Ok(tape)
}

pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| no("number", text))
}

pub(crate) fn no(what: &str, text: &str) -> String {
    format!("{text:?} is no {what}")
}

pub(crate) fn list<T>(items: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> String {
    items.into_iter().map(text).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, Faults};
    use storage_core::Operation;

    #[test]
    fn a_run_is_the_same_from_its_text() {
        let points =
            [CrashPoint { node: NodeId(1), poll: 17 }, CrashPoint { node: NodeId(0), poll: 3 }];
        let plans = [
            Plan::calm(),
            Plan::rough(),
            Plan::search(),
            Plan { faults: Faults::any(&Fault::ALL, 2), left_out: [3, 5].into(), ..Plan::search() },
            Plan {
                order: Order::Any {
                    sleepers_first_max: 2,
                    answers_at_once: true,
                    tasks_in_turn: true,
                },
                ..Plan::search()
            },
            Plan { crashes: Crashes::At(points.to_vec()), steps_max: 7, ..Plan::calm() },
            Plan {
                faults: Faults::none().rate(Fault::ReplyLost, Operation::Put, 30).rate(
                    Fault::ListStale,
                    Operation::List,
                    500,
                ),
                time_max: Duration::from_secs(3),
                ..Plan::calm()
            },
            Plan {
                faults: Faults::at([(1, Fault::Outage), (9, Fault::OldVersion)]),
                ..Plan::calm()
            },
        ];
        for plan in plans {
            let replay = Replay { plan, tape: vec![0, 0, 4, 4, 4, 1, 0] };
            let again: Replay = replay.to_string().parse().expect("it is what was written");
            assert_eq!(format!("{again:?}"), format!("{replay:?}"), "{replay}");
        }
    }

    #[test]
    fn what_is_no_run_is_refused_with_the_part_that_is_wrong() {
        let table = [
            ("", "\"\" is no field of a run"),
            ("speed=3", "\"speed\" is no field of a run"),
            ("tape=1.x", "\"x\" is no number"),
            ("tape=1*x", "\"x\" is no number"),
            ("order=some", "\"some\" is no order"),
            ("order=any:1:soon", "\"soon\" is no order"),
            ("crashes=at:1", "\"1\" is no crash point"),
            ("crashes=some", "\"some\" is no kind of crashes"),
            ("faults=at:1", "\"1\" is no fault of a request"),
            ("faults=swarm:bad_luck", "\"bad_luck\" is no fault"),
            ("faults=many", "\"many\" is no kind of faults"),
            ("pauses=-1", "\"-1\" is no number"),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Replay>().err().as_deref(), Some(expected), "{text}");
        }
    }
}
