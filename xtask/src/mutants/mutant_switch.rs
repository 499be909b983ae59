//! Which mutant is on: given once, in the environment.

use std::io::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: LazyLock<u32> = LazyLock::new(|| {
    std::env::var("MUTANT_ON").map_or(0, |number| number.parse().expect("a number"))
});

/// Where to write which mutants are come by, if that is asked.
static NOTE: LazyLock<Option<std::fs::File>> = LazyLock::new(|| {
    let path = std::env::var_os("MUTANTS_REACHED")?;
    Some(std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the note"))
});

static REACHED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

pub(crate) fn on(number: u32) -> bool {
    if let Some(mut note) = NOTE.as_ref()
        && !REACHED[number as usize].swap(true, Ordering::Relaxed)
    {
        note.write_all(format!("{number}\n").as_bytes()).expect("write the note");
    }
    *ON == number
}
