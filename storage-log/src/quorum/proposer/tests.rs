//! Getting things decided by voters that are away: what they are told, and what is known.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::*;
use crate::quorum::stage::{LOG, Mood, NOW, Stage, entry};

use Mood::{Answers, Fails, Silent};

/// Has a goal pursued until nothing more happens.
fn pursue(stage: &mut Stage, proposer: &mut Proposer, goal: Goal) -> Option<Outcome> {
    let requests = proposer.begin(goal, NOW);
    wait(stage, proposer, requests)
}

/// What becomes of what is under way.
fn wait(stage: &mut Stage, proposer: &mut Proposer, begin: Vec<Request>) -> Option<Outcome> {
    stage.play(begin, |event| proposer.on(event, NOW));
    proposer.outcome()
}

/// Appends an entry after all that is decided, which has to be.
fn append(stage: &mut Stage, proposer: &mut Proposer, nonce: u8) -> Point {
    let goal = Goal::Append(entry(proposer.decided(), nonce));
    match pursue(stage, proposer, goal) {
        Some(Outcome::Done(point)) => point,
        other => panic!("{other:?}"),
    }
}

fn fetched(asked: &[Request]) -> usize {
    asked.iter().filter(|request| matches!(request, Request::Fetch { .. })).count()
}

#[test]
fn a_voter_that_was_away_for_a_while_is_given_what_it_lacks_without_a_read() {
    // The first of them was sent to it, and reaches it late.
    let kept = VALUES_MAX as u8 + 1;
    for (count, fetches) in [(1, false), (2, false), (3, false), (kept, false), (kept + 1, true)] {
        let mut stage = Stage::new(3);
        let mut proposer = stage.proposer(1);
        append(&mut stage, &mut proposer, 0);
        stage.be(&[Answers, Answers, Silent]);
        for nonce in 1..=count {
            append(&mut stage, &mut proposer, nonce);
        }
        stage.asked();
        stage.be(&[Answers; 3]);
        assert_eq!(wait(&mut stage, &mut proposer, Vec::new()), None);
        let asked = stage.asked();
        assert_eq!(stage.accepted(2), stage.accepted(0), "after {count}");
        assert_eq!(fetched(&asked) > 0, fetches, "after {count}");
        if !fetches {
            assert_eq!(asked.len(), usize::from(count), "a put each, and nothing else");
        }
    }
}

#[test]
fn a_value_that_lost_is_put_right_where_it_was_accepted() {
    let mut stage = Stage::new(3);
    let (mut first, mut second) = (stage.proposer(1), stage.proposer(2));
    let before = append(&mut stage, &mut first, 0);
    stage.be(&[Answers, Silent, Silent]);
    assert_eq!(pursue(&mut stage, &mut first, Goal::Append(entry(before, 1))), None);
    let (lost, _) = stage.accepted(0).unwrap();
    // Another takes over with the others, who never get what was sent to them.
    stage.drop_held();
    stage.be(&[Silent, Answers, Answers]);
    second.learn(first.council());
    let decided = append(&mut stage, &mut second, 2);
    assert_eq!((decided.index, decided.slot), (lost.index, lost.slot));
    assert_ne!(decided, lost);
    stage.be(&[Answers; 3]);
    assert_eq!(wait(&mut stage, &mut second, Vec::new()), None);
    assert_eq!(stage.accepted(0), stage.accepted(1));
    assert_eq!(stage.accepted(0).unwrap().0, decided);
}

#[test]
fn an_entry_that_is_begun_again_may_have_been_decided_and_another_for_its_slot_not() {
    for (again, maybe) in [(1, true), (2, false)] {
        let mut stage = Stage::new(3);
        let mut proposer = stage.proposer(1);
        let before = append(&mut stage, &mut proposer, 0);
        stage.be(&[Answers, Fails, Fails]);
        let goal = |nonce| Goal::Append(entry(before, nonce));
        let unreachable = |maybe| Some(Outcome::Unreachable { maybe });
        assert_eq!(pursue(&mut stage, &mut proposer, goal(1)), unreachable(true));
        assert_eq!(pursue(&mut stage, &mut proposer, goal(again)), unreachable(maybe));
    }
}

#[test]
fn another_goal_may_begin_when_the_outcome_of_the_last_was_told() {
    let mut stage = Stage::new(1);
    let mut proposer = stage.proposer(1);
    assert!(proposer.is_free());
    let requests = proposer.begin(Goal::Append(entry(Point::genesis(LOG), 0)), NOW);
    assert!(!proposer.is_free(), "it is under way");
    stage.play(requests, |event| proposer.on(event, NOW));
    assert!(!proposer.is_free(), "it is not told");
    assert!(matches!(proposer.outcome(), Some(Outcome::Done(_))));
    assert!(proposer.is_free() && proposer.outcome().is_none(), "told once");
}
