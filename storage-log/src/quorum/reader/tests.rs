//! What a reading comes to with voters that fail, are silent or hold what was never decided.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::*;
use crate::quorum::stage::{LOG, Mood, NOW, Stage, entry};
use crate::quorum::{Goal, Proposer};

use Mood::{Answers, Fails, Silent};

/// What one who knows as much as `proposer` finds.
fn found(stage: &mut Stage, proposer: &Proposer) -> Option<Found> {
    let mut reader = proposer.reader();
    let begin = reader.start(NOW);
    stage.play(begin, |event| reader.on(event, NOW));
    reader.found()
}

/// Sends an entry after this to those who answer.
fn send(stage: &mut Stage, proposer: &mut Proposer, before: Point, nonce: u8) {
    let requests = proposer.begin(Goal::Append(entry(before, nonce)), NOW);
    stage.play(requests, |event| proposer.on(event, NOW));
    proposer.outcome();
}

/// Three voters that have one entry, of whom only the first has another.
fn half_sent() -> (Stage, Proposer, Point) {
    let mut stage = Stage::new(3);
    let mut proposer = stage.proposer(1);
    let fresh = proposer.clone();
    send(&mut stage, &mut proposer, Point::genesis(LOG), 0);
    let before = proposer.decided();
    stage.be(&[Answers, Silent, Silent]);
    send(&mut stage, &mut proposer, before, 1);
    stage.drop_held();
    (stage, fresh, before)
}

#[test]
fn what_is_in_doubt_is_put_onto_those_who_lack_it() {
    let (mut stage, fresh, before) = half_sent();
    stage.be(&[Answers, Answers, Fails]);
    let (sent, _) = stage.accepted(0).unwrap();
    assert_ne!(sent, before);
    assert_eq!(found(&mut stage, &fresh), Some(Found::Decided(sent)));
    assert_eq!(stage.accepted(0), stage.accepted(1), "for its leader");
}

#[test]
fn what_is_in_doubt_is_put_in_the_place_of_what_lost() {
    let (mut stage, fresh, before) = half_sent();
    // Another takes over with the other two, and only the second of them gets its entry.
    let mut second = stage.proposer(2);
    stage.be(&[Silent, Answers, Answers]);
    let begin = second.begin(Goal::Settle, NOW);
    stage.play(begin, |event| second.on(event, NOW));
    assert!(second.outcome().is_some());
    stage.be(&[Silent, Answers, Silent]);
    send(&mut stage, &mut second, before, 2);
    stage.drop_held();
    let (sent, _) = stage.accepted(1).unwrap();
    stage.be(&[Answers, Answers, Fails]);
    assert_eq!(found(&mut stage, &fresh), Some(Found::Decided(sent)));
    assert_eq!(stage.accepted(0), stage.accepted(1));
}

#[test]
fn what_nobody_else_has_was_not_decided_where_all_answer() {
    let (mut stage, fresh, before) = half_sent();
    stage.be(&[Answers; 3]);
    stage.asked();
    assert_eq!(found(&mut stage, &fresh), Some(Found::Decided(before)));
    let puts = |request: &Request| matches!(request, Request::Put(_));
    assert!(!stage.asked().iter().any(puts), "nobody has to be helped");
}

#[test]
fn who_fails_once_is_waited_for_where_the_others_cannot_tell() {
    for (moods, is_found) in [
        ([Answers, Answers, Fails], true),
        ([Answers, Answers, Silent], true),
        ([Answers, Fails, Fails], false),
        ([Fails, Fails, Fails], false),
    ] {
        let mut stage = Stage::new(3);
        let mut proposer = stage.proposer(1);
        let fresh = proposer.clone();
        send(&mut stage, &mut proposer, Point::genesis(LOG), 0);
        let decided = Some(Found::Decided(proposer.decided()));
        stage.be(&moods);
        let mut reader = fresh.reader();
        let begin = reader.start(NOW);
        // Each that fails has failed once, and is left alone.
        stage.lasting = true;
        stage.play(begin, |event| reader.on(event, NOW));
        assert_eq!(reader.found(), decided.filter(|_| is_found), "{moods:?}");
        stage.lasting = false;
        stage.be(&[Answers; 3]);
        stage.play(Vec::new(), |event| reader.on(event, NOW));
        assert_eq!(reader.found(), decided, "{moods:?}");
        stage.be(&moods);
        let otherwise = Some(Found::Unreachable);
        assert_eq!(found(&mut stage, &fresh), if is_found { decided } else { otherwise });
    }
}
