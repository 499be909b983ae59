//! Every protocol is right in every state, and every mistake is found.

use models::{Collection, OutcomeFence, Protocol, Quorum, Reaping, Size, SlotRace, Wrong, check};

fn is_right<P: Protocol>() {
    for model in P::right(Size::Quick) {
        match check(&model) {
            Ok(checked) => println!("{}, {}: {checked}", P::NAME, model.describe()),
            Err(wrong) => panic!("{}, {}: {wrong}", P::NAME, model.describe()),
        }
    }
}

fn mistakes_are_found<P: Protocol>() {
    let mut problems = Vec::new();
    for mistaken in P::MISTAKES {
        let what = format!("{}: {}", P::NAME, mistaken.what);
        match check(&P::wrong(mistaken.mistake)) {
            Err(Wrong::Violated(flaw)) if flaw.property == mistaken.breaks => {
                println!("{what}\n{flaw}\n");
            }
            Err(wrong) => {
                problems.push(format!("{what}: not \"{}\", but {wrong}", mistaken.breaks));
            }
            Ok(checked) => problems.push(format!("{what}: in none of {} states", checked.states)),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_slot_race_is_right_in_every_state() {
    is_right::<SlotRace>();
}

#[test]
fn every_mistake_of_the_slot_race_is_found() {
    mistakes_are_found::<SlotRace>();
}

#[test]
fn both_ways_of_collecting_are_right_in_every_state() {
    is_right::<Collection>();
}

#[test]
fn every_mistake_of_collecting_is_found() {
    mistakes_are_found::<Collection>();
}

#[test]
fn reaping_is_right_in_every_state() {
    is_right::<Reaping>();
}

#[test]
fn every_mistake_of_reaping_is_found() {
    mistakes_are_found::<Reaping>();
}

#[test]
fn outcomes_are_right_in_every_state() {
    is_right::<OutcomeFence>();
}

#[test]
fn every_mistake_of_outcomes_is_found() {
    mistakes_are_found::<OutcomeFence>();
}

#[test]
fn the_quorum_is_right_in_every_state() {
    is_right::<Quorum>();
}

#[test]
fn every_mistake_of_the_quorum_is_found() {
    mistakes_are_found::<Quorum>();
}
