//! A trace made short enough to be followed.
//!
//! A request to which nothing happens is one line, at the moment when it was carried out. One that something befalls
//! keeps all its lines. What prepares a run, and what looks at it in the end, is counted. What goes on and on is told
//! once. And if there is still too much, the beginning and the end are left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::{About, TraceLine};

/// How many lines there are at most.
const LINES_MAX: usize = 60;
/// How many of them are from the beginning, where there were more.
const LINES_FIRST: usize = 15;
/// Of how many lines that what is repeated has at most.
const PERIOD_LINES_MAX: usize = 40;
/// How often they must come one after the other to be told once.
const REPEATS_MIN: usize = 3;

/// The lines of the short form, at most 60.
pub(crate) fn story(trace: &[TraceLine]) -> Vec<String> {
    let lines = told_once(joined(trace));
    if lines.len() <= LINES_MAX {
        return lines;
    }
    let last = LINES_MAX - LINES_FIRST - 1;
    let left_out = lines.len() - LINES_FIRST - last;
    let (first, rest) = lines.split_at(LINES_FIRST);
    let mut short = first.to_vec();
    short.push(format!("    ... {left_out} lines are left out ..."));
    short.extend_from_slice(&rest[left_out..]);
    short
}

/// What is known of a request.
#[derive(Default)]
struct Request {
    sender: Option<Arc<str>>,
    safe: bool,
    faulty: bool,
    applied: u32,
    answered: bool,
}

impl Request {
    /// Whether one line says all.
    fn is_plain(&self) -> bool {
        !self.faulty && self.applied == 1
    }
}

/// One line for each request that went well, and for each row of those that are only counted.
fn joined(trace: &[TraceLine]) -> Vec<TraceLine> {
    let mut requests: BTreeMap<u64, Request> = BTreeMap::new();
    for line in trace {
        match line.about {
            About::Sent { request, faulty } => {
                let known = requests.entry(request).or_default();
                (known.sender, known.safe) = (Some(line.who.clone()), line.safe);
                known.faulty |= faulty;
            }
            About::Applied { request } => requests.entry(request).or_default().applied += 1,
            About::Answered { request } => requests.entry(request).or_default().answered = true,
            About::Event => {}
        }
    }
    let mut lines = Vec::new();
    let mut counted: Option<(TraceLine, u64)> = None;
    for line in trace {
        let request = match line.about {
            About::Sent { request, .. }
            | About::Applied { request }
            | About::Answered { request } => requests.get(&request),
            About::Event => None,
        };
        let is_applied = matches!(line.about, About::Applied { .. });
        match request {
            Some(Request { safe: true, sender: Some(sender), .. }) => {
                if !is_applied {
                    continue;
                }
                match &mut counted {
                    Some((first, count)) if first.who == *sender => *count += 1,
                    _ => {
                        lines.extend(counted.take().map(told));
                        counted = Some((TraceLine { who: sender.clone(), ..line.clone() }, 1));
                    }
                }
                continue;
            }
            Some(request) if request.is_plain() => {
                if let (true, Some(sender)) = (is_applied, &request.sender) {
                    lines.extend(counted.take().map(told));
                    let mut line = TraceLine { who: sender.clone(), ..line.clone() };
                    if !request.answered {
                        line.what += ", and nobody is told";
                    }
                    lines.push(line);
                }
            }
            _ => {
                lines.extend(counted.take().map(told));
                lines.push(line.clone());
            }
        }
    }
    lines.extend(counted.take().map(told));
    lines
}

fn told((line, count): (TraceLine, u64)) -> TraceLine {
    TraceLine { what: format!("makes {count} requests"), ..line }
}

/// The lines, where those that come again and again at the end are told once.
fn told_once(lines: Vec<TraceLine>) -> Vec<String> {
    let words: Vec<String> =
        lines.iter().map(|line| format!("{} {}", line.who, words(&line.what))).collect();
    let repeated = (1..=PERIOD_LINES_MAX.min(words.len())).find_map(|period| {
        let again = words.iter().rev().zip(words.iter().rev().skip(period));
        let same = again.take_while(|(later, earlier)| later == earlier).count();
        (same / period + 1 >= REPEATS_MIN).then_some((period, same / period))
    });
    let text = |lines: &[TraceLine]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let Some((period, times)) = repeated else { return text(&lines) };
    let once = lines.len() - period * times;
    let mut told = text(&lines[..once]);
    let until = lines.last().map_or(Duration::ZERO, |line| line.at);
    told.push(match period {
        1 => format!("    ... and the last line again, {times} times, until {until:?}"),
        _ => format!("    ... and the last {period} lines again, {times} times, until {until:?}"),
    });
    told
}

/// A text without what has digits in it: numbers, and names made of numbers.
pub(crate) fn words(text: &str) -> String {
    let has_no_digit = |word: &&str| !word.contains(|letter: char| letter.is_ascii_digit());
    text.split_whitespace().filter(has_no_digit).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u64, who: &str, what: &str, about: About) -> TraceLine {
        let (safe, at) = (who == "judge", Duration::from_millis(at));
        TraceLine { at, who: who.into(), safe, what: what.into(), about }
    }

    fn request(number: u64, who: &str, faulty: bool) -> Vec<TraceLine> {
        let sent = About::Sent { request: number, faulty };
        vec![
            line(1, who, &format!("#{number} put a"), sent),
            line(
                2,
                "bucket",
                &format!("#{number} put a: done"),
                About::Applied { request: number },
            ),
            line(3, who, &format!("#{number} answered"), About::Answered { request: number }),
        ]
    }

    #[test]
    fn what_goes_well_is_one_line_and_what_does_not_is_told_in_full() {
        let mut trace = request(1, "ann", false);
        trace.extend(request(2, "bob", true));
        trace.push(line(4, "ann", "crashes", About::Event));
        trace.extend(request(3, "judge", false));
        trace.extend(request(4, "judge", false));
        let expected = "     0.002000  ann           #1 put a: done
     0.001000  bob           #2 put a
     0.002000  bucket        #2 put a: done
     0.003000  bob           #2 answered
     0.004000  ann           crashes
     0.002000  judge         makes 2 requests";
        assert_eq!(story(&trace).join("\n"), expected);
    }

    #[test]
    fn what_goes_on_and_on_is_told_once() {
        let mut trace = request(1, "ann", false);
        for number in 2..100_000 {
            trace.extend(request(number, "bob", false));
            trace.push(line(number, "bob", "is not content", About::Event));
        }
        let told = story(&trace);
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!(told[3], "    ... and the last 2 lines again, 99997 times, until 99.999s");
    }

    #[test]
    fn what_is_still_too_long_has_a_beginning_and_an_end() {
        let words = ["one", "two", "six", "ten", "a", "b", "c"];
        let number = |at: usize| format!("{} {}", words[at % 7], words[at * at / 3 % 5]);
        let trace: Vec<_> =
            (0..500).map(|at| line(at as u64, "ann", &number(at), About::Event)).collect();
        let mut trace = trace;
        trace.push(line(501, "ann", "the end", About::Event));
        let told = story(&trace);
        assert_eq!(told.len(), LINES_MAX);
        assert!(told[0].ends_with("one one") && told[LINES_MAX - 1].ends_with("the end"));
        assert_eq!(told[LINES_FIRST].trim(), "... 442 lines are left out ...");
    }
}
