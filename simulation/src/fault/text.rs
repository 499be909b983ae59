//! Faults as text: a part of the line that repeats a run.

use std::fmt;
use std::str::FromStr;

use storage_core::Operation;

use super::{Fault, Faults, Mode, Rates};
use crate::replay::{list, no, number};

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Mode::At(faults) if faults.is_empty() => f.write_str("none"),
            Mode::At(faults) => {
                write!(f, "at:{}", list(faults, |(at, fault)| format!("{at}.{}", name(*fault))))
            }
            Mode::Swarm(kinds) => write!(f, "swarm:{}", list(kinds, |kind| name(*kind))),
            Mode::Any { kinds, budget } => {
                write!(f, "any:{budget}:{}", list(kinds, |kind| name(*kind)))
            }
            Mode::Rates(rates) => {
                let mut given = Vec::new();
                for operation in Operation::ALL {
                    for fault in Fault::ALL {
                        let share = rates[operation as usize][fault as usize];
                        if share > 0 {
                            given.push(format!("{operation}.{}.{share}", name(fault)));
                        }
                    }
                }
                write!(f, "rates:{}", given.join("+"))
            }
        }
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let parts = rest.split('+').filter(|part| !part.is_empty());
        match kind {
            "none" => Ok(Self::none()),
            "swarm" => Ok(Self(Mode::Swarm(parts.map(fault).collect::<Result<_, _>>()?))),
            "any" => {
                let (budget, kinds) = rest.split_once(':').ok_or_else(|| no("budget", rest))?;
                let kinds = kinds.split('+').filter(|part| !part.is_empty()).map(fault);
                let kinds = kinds.collect::<Result<_, _>>()?;
                Ok(Self(Mode::Any { kinds, budget: number(budget)? }))
            }
            "at" => {
                let one = |part: &str| {
                    let (at, kind) =
                        part.split_once('.').ok_or_else(|| no("fault of a request", part))?;
                    Ok::<_, String>((number(at)?, fault(kind)?))
                };
                Ok(Self(Mode::At(parts.map(one).collect::<Result<_, _>>()?)))
            }
            "rates" => {
                let mut rates = Box::<Rates>::default();
                for part in parts {
                    let mut words = part.split('.');
                    let (Some(operation), Some(kind), Some(share)) =
                        (words.next(), words.next(), words.next())
                    else {
                        return Err(no("share of requests", part));
                    };
                    let known =
                        Operation::ALL.into_iter().find(|each| each.to_string() == operation);
                    let operation = known.ok_or_else(|| no("operation", operation))?;
                    rates[operation as usize][fault(kind)? as usize] = number(share)?;
                }
                Ok(Self(Mode::Rates(rates)))
            }
            _ => Err(no("kind of faults", text)),
        }
    }
}

fn name(fault: Fault) -> String {
    fault.to_string().replace(' ', "_")
}

fn fault(text: &str) -> Result<Fault, String> {
    Fault::ALL.into_iter().find(|each| name(*each) == text).ok_or_else(|| no("fault", text))
}
