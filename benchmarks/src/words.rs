//! Arguments, keys, values, and what is printed.

use std::env;
use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// The arguments of a benchmark: `--name value`.
#[derive(Debug)]
pub struct Arguments {
    all: Vec<String>,
}

impl Arguments {
    /// Those of this process; `None` under `cargo test --benches`, when nothing is to be measured.
    #[must_use]
    pub fn read() -> Option<Self> {
        let all: Vec<String> = env::args().skip(1).collect();
        all.iter().any(|argument| argument == "--bench").then_some(Self { all })
    }

    /// The value given for `--name`, or this one.
    ///
    /// # Errors
    ///
    /// When there is a value and it is none of the kind.
    pub fn get<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> Result<T> {
        self.text(name).map_or(Ok(default), |text| parse(name, text))
    }

    /// The values given for `--name`, with commas, or these.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn list<T: FromStr<Err: Display>>(&self, name: &str, default: Vec<T>) -> Result<Vec<T>> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.split(',').map(|part| parse(name, part)).collect()
    }

    fn text(&self, name: &str) -> Option<&str> {
        let wanted = format!("--{name}");
        let at = self.all.iter().position(|argument| *argument == wanted)?;
        self.all.get(at + 1).map(String::as_str)
    }
}

fn parse<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T> {
    text.parse().map_err(|why| anyhow!("{why}")).with_context(|| format!("--{name} {text}"))
}

/// The key of a number: 16 bytes, in the order of the numbers.
#[must_use]
pub fn key(number: u64) -> Vec<u8> {
    format!("key/{number:012}").into_bytes()
}

/// A value of so many bytes that does not compress to nothing: half of it is random.
#[must_use]
pub fn value(number: u64, bytes: usize) -> Bytes {
    let mut value = vec![b'.'; bytes];
    SmallRng::seed_from_u64(number).fill_bytes(&mut value[..bytes / 2]);
    value.into()
}

/// Numbers below `many`, each once, in an order that is the same each time.
#[must_use]
pub fn shuffled(many: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..many).collect();
    numbers.shuffle(&mut SmallRng::seed_from_u64(7));
    numbers
}

/// Prints a line of the result.
pub fn say(line: impl Display) {
    println!("{line}");
}
