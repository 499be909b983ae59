//! Checks every model in the large size, and prints what there was to see.

use std::process::ExitCode;

use models::{Collection, OutcomeFence, Protocol, Quorum, Reaping, Size, SlotRace, check};

fn main() -> ExitCode {
    let right = [
        all::<SlotRace>(),
        all::<Collection>(),
        all::<Reaping>(),
        all::<OutcomeFence>(),
        all::<Quorum>(),
    ];
    if right.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Checks the models of one protocol as they should be, and with each mistake. Whether all is as expected.
fn all<P: Protocol>() -> bool {
    let mut right = true;
    for model in P::right(Size::Large) {
        match check(&model) {
            Ok(checked) => println!("{}, {}: {checked}", P::NAME, model.describe()),
            Err(wrong) => {
                println!("{}, {}: {wrong}", P::NAME, model.describe());
                right = false;
            }
        }
    }
    for mistaken in P::MISTAKES {
        match check(&P::wrong(mistaken.mistake)) {
            Err(models::Wrong::Violated(flaw)) => {
                println!("  found in {} steps: {}\n{flaw}", flaw.trace.len(), mistaken.what);
            }
            _ => {
                println!("  NOT FOUND: {}", mistaken.what);
                right = false;
            }
        }
    }
    right
}
