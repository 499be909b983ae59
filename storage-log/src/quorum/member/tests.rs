//! One voter, told what it answers: what is asked of it next, and what is believed of it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use super::*;
use crate::quorum::{Value, VoterId};
use crate::{Entry, EntryId, Head, Slot};

const LOG: LogId = LogId([7; 16]);
const VOTER: VoterId = VoterId([1; 16]);
const SECOND: Duration = Duration::from_secs(1);

fn base() -> Base {
    let voters = Voters::majority(0, vec![VOTER]);
    Base { position: 0, point: Point::genesis(LOG), voters }
}

/// What is under way at a voter.
type Ask<'a> = &'a dyn Fn(&mut Member);

/// One of which only the marker was read.
fn member() -> Member {
    Member::new(VOTER, Some(base()))
}

fn epoch(round: u64) -> Epoch {
    Epoch { round, writer: 9 }
}

/// A promise after what was accepted at this index.
fn promise(index: u64) -> Said {
    Said::Promise { index, slot: Slot(index), decided: 0 }
}

/// An entry after `before`.
fn entry(before: Point) -> Said {
    let head = Head { slot: before.slot, id: before.entry };
    let entry = Entry::new(LOG, head, [5; 16], b"body");
    Said::Accept(Box::new(Value::of(&entry, before).unwrap()))
}

/// That another votes after `before`.
fn voters(before: Point) -> Said {
    let value = Value::voters(LOG, before, 1, vec![VoterId([2; 16])]).unwrap();
    Said::Accept(Box::new(value))
}

fn point(said: &Said) -> Point {
    match said {
        Said::Accept(value) => value.point(),
        Said::Promise { .. } => panic!("a promise is nowhere in the order of decisions"),
    }
}

/// The cells that come of saying all this in turn, each in the epoch of this round.
fn chain(said: impl IntoIterator<Item = (u64, Said)>) -> Vec<Cell> {
    let mut member = member();
    let mut cells = Vec::new();
    for (round, said) in said {
        let mut out = Vec::new();
        member.put(LOG, epoch(round), said, &mut out);
        member.answered(Asked::Created, &mut out);
        assert_eq!(member.lost, None);
        assert_eq!(member.read_next(), None, "after its own put the end is known");
        let [Request::Put(cell)] = &out[..] else { panic!("{out:?}") };
        cells.push((**cell).clone());
    }
    cells
}

/// So many entries, one after the other.
fn entries(count: usize) -> Vec<Cell> {
    let mut before = Point::genesis(LOG);
    chain((0..count).map(|_| {
        let said = entry(before);
        before = point(&said);
        (1, said)
    }))
}

/// Reads a position of a chain.
fn read(member: &mut Member, chain: &[Cell], position: u64) {
    let found = chain.iter().find(|cell| cell.position == position);
    let answer = found.map_or(Asked::Empty, |cell| Asked::Found(Box::new(cell.clone())));
    let mut out = Vec::new();
    member.read(position, &mut out);
    member.answered(answer, &mut out);
    assert_eq!(out, [Request::Read { voter: VOTER, position }]);
}

/// Reads until nothing is left to be read; the positions.
fn read_all(member: &mut Member, chain: &[Cell]) -> Vec<u64> {
    let mut positions = Vec::new();
    while let Some(position) = member.read_next() {
        positions.push(position);
        assert!(positions.len() < 100, "{positions:?}");
        read(member, chain, position);
    }
    positions
}

fn fail(member: &mut Member) -> Vec<Request> {
    let mut out = Vec::new();
    member.read(1, &mut out);
    member.answered(Asked::Failed, &mut out);
    member.resumed();
    out.split_off(1)
}

#[test]
fn a_cell_says_where_the_last_value_and_those_who_vote_on_it_are_found() {
    let one = entry(Point::genesis(LOG));
    let two = voters(point(&one));
    let three = entry(point(&two));
    let four = voters(point(&three));
    let five = entry(point(&four));
    let said = [
        (1, promise(0), (0, 0)),
        (1, one, (2, 0)),
        (1, two.clone(), (3, 0)),
        // The same again, for another leader: those before vote on it.
        (2, two, (4, 0)),
        (3, promise(2), (4, 0)),
        (3, three.clone(), (6, 4)),
        (4, three, (7, 4)),
        (4, four, (8, 4)),
        (5, promise(4), (8, 4)),
        (5, five, (10, 8)),
    ];
    let cells = chain(said.iter().map(|(round, said, _)| (*round, said.clone())));
    let mut previous = CellHash::NONE;
    for (cell, (round, _, places)) in cells.iter().zip(&said) {
        assert_eq!((cell.accepted_at, cell.voters_at), *places, "{cell:?}");
        assert_eq!((cell.previous, cell.epoch), (previous, epoch(*round)));
        previous = cell.hash;
    }
    // Whoever reads only the end finds the value from there, and who votes on it.
    let mut late = member();
    late.hint(9);
    read(&mut late, &cells[..9], 10);
    read(&mut late, &cells[..9], 9);
    assert_eq!((late.read_next(), late.voters_at()), (Some(8), Some(4)));
    read(&mut late, &cells[..9], 8);
    assert_eq!((late.read_next(), late.accepted().0), (None, point(&said[7].1)));
    assert_eq!((late.version(), late.promised()), (1, epoch(5)));
}

#[test]
fn the_end_is_looked_for_farther_ahead_each_time_and_then_between() {
    for (hint, count, positions) in [
        (None, 0, &[1][..]),
        (None, 1, &[1, 2]),
        (None, 2, &[1, 2, 4, 3]),
        (None, 7, &[1, 2, 4, 8, 6, 7]),
        (None, 8, &[1, 2, 4, 8, 16, 12, 10, 9]),
        // Where somebody knows about how long it is.
        (Some(5), 5, &[5, 15, 10, 8, 7, 6]),
        (Some(5), 3, &[5, 3, 4]),
        (Some(1), 0, &[1]),
        (Some(0), 0, &[1]),
    ] {
        let mut member = member();
        hint.into_iter().for_each(|hint| member.hint(hint));
        assert_eq!(read_all(&mut member, &entries(count)), positions, "{hint:?} of {count}");
        assert_eq!(member.next(), count as u64 + 1);
        assert!(member.is_known());
    }
}

#[test]
fn a_hint_is_for_who_knows_nothing() {
    let cells = entries(4);
    let mut member = member();
    read_all(&mut member, &cells[..2]);
    member.hint(1000);
    assert_eq!(member.read_next(), None, "its end is known");
    member.forget_end();
    member.hint(1000);
    assert_eq!(read_all(&mut member, &cells), [3, 4, 6, 5], "its last cell is known");
    let mut empty = self::member();
    read(&mut empty, &[], 3);
    empty.hint(1000);
    assert_eq!(read_all(&mut empty, &[]), [2, 1], "an empty position is known");
}

#[test]
fn what_is_read_twice_is_as_if_it_was_read_once() {
    let mut member = member();
    for cells in [entries(1), entries(2)] {
        read(&mut member, &cells, cells.len() as u64);
        let once = member.clone();
        read(&mut member, &cells, cells.len() as u64);
        assert_eq!(member, once);
    }
    // An older cell is of no use either, unless it has the value that was accepted last.
    let once = member.clone();
    read(&mut member, &entries(2), 1);
    assert_eq!(member, once);
}

#[test]
fn a_chain_that_goes_back_or_does_not_follow_itself_is_damaged() {
    let one = entry(Point::genesis(LOG));
    let two = entry(point(&one));
    let cells = chain([(2, one), (2, two), (3, promise(2))]);
    let said = |position: usize| cells[position - 1].said.clone();
    let frame = |position: u64, round: u64, said: Said, previous: CellHash| {
        let at = (position.min(2), 0);
        Cell::new(LOG, (VOTER, position, previous), epoch(round), said, at)
    };
    let after = |position: usize| cells[position - 1].hash;
    let behind = Some("position 3 goes back behind 2");
    let apart = Some("position 3 does not follow the one before");
    for (first, then, why) in [
        (2, cells[2].clone(), None),
        (3, cells[1].clone(), None),
        (3, cells[0].clone(), None),
        (2, frame(3, 1, promise(2), after(2)), behind),
        (2, frame(3, 3, promise(1), after(2)), behind),
        (2, frame(3, 2, promise(2), after(2)), None),
        (2, frame(3, 3, promise(2), after(1)), apart),
        (3, frame(2, 4, said(2), after(1)), behind),
        (3, frame(2, 2, said(2), CellHash::NONE), apart),
        // With something in between there is nothing to see.
        (1, frame(3, 3, promise(2), CellHash::NONE), None),
        (2, frame(2, 1, said(2), after(1)), Some("position 2 does not follow the one before")),
    ] {
        let mut member = member();
        read(&mut member, &cells, first);
        read(&mut member, std::slice::from_ref(&then), then.position);
        let lost = why.map(|why| Lost::Damaged(why.to_owned()));
        assert_eq!(member.lost, lost, "{first}, then {then:?}");
    }
}

#[test]
fn what_was_there_and_is_not_any_more_is_damage_and_so_is_what_cannot_be_read() {
    let cells = entries(3);
    for (position, lost) in [(1, true), (3, true), (4, false)] {
        let mut member = member();
        read(&mut member, &cells, 3);
        read(&mut member, &[], position);
        let why = Lost::Damaged(format!("position {position} is gone"));
        assert_eq!(member.lost, lost.then_some(why));
    }
    let mut member = member();
    member.read(1, &mut Vec::new());
    member.answered(Asked::Damaged("broken".into()), &mut Vec::new());
    assert_eq!(member.lost, Some(Lost::Damaged("broken".into())));
    assert!(!member.is_hopeful());
}

#[test]
fn who_fails_is_left_alone_for_longer_each_time_and_given_up_after_a_few() {
    let mut member = member();
    for failures in 1..FAILURES_MAX {
        assert_eq!(fail(&mut member), [Request::Pause { voter: VOTER, failures }]);
        assert!(member.is_hopeful());
    }
    assert_eq!(fail(&mut member), []);
    assert!(!member.is_hopeful(), "given up");
    assert!(member.known().is_hopeful(), "whoever asks anew does not know of it");
    member.begin();
    assert!(member.is_hopeful(), "for the next operation it is tried again");

    // Where only its marker is asked for that counts as well, and beside something else there is no pause.
    let mut out = Vec::new();
    member.mark(&mut out);
    member.mark(&mut out);
    assert_eq!(out, [Request::Mark { voter: VOTER }], "asked once");
    out.clear();
    member.marking_failed(&mut out);
    assert_eq!(out, [Request::Pause { voter: VOTER, failures: 1 }]);
    assert_eq!(member.doing, Doing::Pausing);
    member.resumed();
    member.read(1, &mut out);
    out.clear();
    member.mark(&mut out);
    member.marking_failed(&mut out);
    assert_eq!((member.failures, member.doing.clone()), (2, Doing::Reading(1)));
    member.resumed();
    assert_eq!(member.doing, Doing::Reading(1), "that goes on");
}

#[test]
fn an_answer_is_awaited_of_who_was_asked_and_has_not_failed() {
    let told = |member: &Member| (member.is_expected(), member.is_marking());
    let mut member = member();
    assert_eq!(told(&member), (false, false));
    member.mark(&mut Vec::new());
    assert_eq!(told(&member), (true, true));
    member.marked(Some(base()), Duration::ZERO);
    assert_eq!(told(&member), (false, false));
    member.read(1, &mut Vec::new());
    assert_eq!(told(&member), (true, false));
    member.answered(Asked::Failed, &mut Vec::new());
    assert_eq!(told(&member), (false, false), "it is left alone");
    member.resumed();
    member.read(1, &mut Vec::new());
    member.mark(&mut Vec::new());
    assert_eq!(told(&member), (false, true), "who failed may fail again");
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let cells = entries(1);
    let found = || Asked::Found(Box::new(cells[0].clone()));
    let reading = |member: &mut Member| member.read(1, &mut Vec::new());
    let putting = |member: &mut Member| {
        member.put(LOG, epoch(1), cells[0].said.clone(), &mut Vec::new());
    };
    let nothing = |_: &mut Member| {};
    let asked: [(Ask<'_>, Asked); 7] = [
        (&nothing, found()),
        (&nothing, Asked::Empty),
        (&nothing, Asked::Failed),
        (&reading, Asked::Created),
        (&reading, Asked::Exists),
        (&putting, found()),
        (&putting, Asked::Empty),
    ];
    for (ask, answer) in asked {
        let mut member = member();
        ask(&mut member);
        let before = member.clone();
        let mut out = Vec::new();
        member.answered(answer.clone(), &mut out);
        assert_eq!((member, out), (before, Vec::new()), "{answer:?}");
    }
}

#[test]
fn whoever_was_first_is_read_next() {
    let cells = entries(1);
    let mut member = member();
    read(&mut member, &[], 1);
    member.put(LOG, epoch(1), promise(0), &mut Vec::new());
    member.answered(Asked::Exists, &mut Vec::new());
    assert_eq!((member.doing.clone(), member.read_next()), (Doing::Nothing, Some(1)));
    assert_eq!(read_all(&mut member, &cells), [1, 2]);
}

#[test]
fn a_marker_counts_for_what_was_known_when_it_was_asked_for() {
    let window = Proof::Within(10 * SECOND);
    let mut member = member();
    assert!(!member.is_proved(window, Duration::ZERO), "it was never read");
    member.mark(&mut Vec::new());
    member.marked(Some(base()), 5 * SECOND);
    for (now, proved) in [(5, true), (15, true), (16, false), (0, true)] {
        assert_eq!(member.is_proved(window, now * SECOND), proved, "{now}");
        assert!(member.is_proved(Proof::Always, now * SECOND), "nothing was learned since");
    }
    // Beside a put it is read again when half of the time is over.
    for (now, asks) in [(5, false), (10, false), (11, true)] {
        let mut out = Vec::new();
        member.clone().prove_ahead(window, now * SECOND, &mut out);
        assert_eq!(!out.is_empty(), asks, "{now}");
    }
    let mut out = Vec::new();
    self::member().prove_ahead(window, Duration::ZERO, &mut out);
    self::member().prove_ahead(Proof::Always, Duration::ZERO, &mut out);
    assert_eq!(out, [Request::Mark { voter: VOTER }], "where it was never read, for a while");

    // What is learned while it is being read is not known to be there.
    for (meanwhile, proved) in [(false, true), (true, false)] {
        let cells = entries(1);
        read(&mut member, &cells, 1);
        assert!(!member.is_proved(Proof::Always, Duration::ZERO));
        let mut out = Vec::new();
        member.prove(Proof::Always, Duration::ZERO, &mut out);
        assert_eq!(out, [Request::Mark { voter: VOTER }]);
        if meanwhile {
            read(&mut member, &cells, 2);
        }
        let asker = member.known();
        member.marked(Some(base()), Duration::ZERO);
        assert_eq!(member.is_proved(Proof::Always, Duration::ZERO), proved);
        let told = (asker.is_marking(), asker.is_proved(Proof::Always, Duration::ZERO));
        assert_eq!(told, (false, false), "another who asks reads it himself");
        assert!(!member.known().is_proved(Proof::Always, Duration::ZERO), "so does this one");
    }
    member.mark(&mut Vec::new());
    member.marked(None, Duration::ZERO);
    assert_eq!(member.lost, Some(Lost::Wiped));
    assert!(!member.is_proved(window, Duration::ZERO) && !member.is_hopeful());
}

#[test]
fn of_two_who_know_a_voter_the_one_who_knows_more_is_believed() {
    let cells = entries(3);
    let knows = |count: usize| {
        let mut member = member();
        read_all(&mut member, &cells[..count]);
        member.mark(&mut Vec::new());
        member.marked(Some(base()), count as u32 * SECOND);
        member
    };
    for (mine, theirs, next) in [(1, 3, 4), (3, 1, 4), (2, 2, 3)] {
        let mut member = knows(mine);
        member.learn(&knows(theirs));
        assert_eq!(member.next(), next);
        assert_eq!(member.accepted(), knows(mine.max(theirs)).accepted());
        assert_eq!(member.is_known(), mine >= theirs, "where its end is has to be looked for");
        assert_eq!(member.is_proved(Proof::Always, Duration::ZERO), mine >= theirs);
        let until = mine.max(theirs) as u32 * SECOND;
        assert!(member.is_proved(Proof::Within(SECOND), until + SECOND), "the later marker");
        assert!(!member.is_proved(Proof::Within(SECOND), until + 2 * SECOND));
    }
    // Not while something is under way, and not of another.
    let mut busy = knows(1);
    busy.read(2, &mut Vec::new());
    busy.learn(&knows(3));
    assert_eq!((busy.next(), busy.doing.clone()), (2, Doing::Reading(2)));
    let mut other = Member::new(VoterId([2; 16]), None);
    other.learn(&knows(3));
    assert_eq!(other, Member::new(VoterId([2; 16]), None));
    // Where its chain begins, and that it is lost, is kept as it was first told.
    let elsewhere = Base { position: 7, ..base() };
    let mut unknown = Member::new(VOTER, None);
    unknown.learn(&Member::new(VOTER, Some(elsewhere.clone())));
    assert_eq!(unknown.next(), 8);
    unknown.learn(&member());
    assert_eq!(unknown.next(), 8);
    let lost = |why: &str| {
        let lost = Some(Lost::Damaged(why.to_owned()));
        Member { lost, ..Member::new(VOTER, None) }
    };
    unknown.learn(&lost("first"));
    unknown.learn(&lost("second"));
    assert_eq!(unknown.lost, lost("first").lost);
}

#[test]
fn a_chain_that_begins_after_others_says_what_was_decided_before() {
    let point = Point { index: 9, slot: Slot(7), id: EntryId([3; 32]), entry: EntryId([3; 32]) };
    let member = Member::new(VOTER, Some(Base { position: 4, point, ..base() }));
    assert_eq!((member.next(), member.version()), (5, 2));
    assert_eq!(member.accepted(), (point, Epoch::ZERO));
    assert_eq!((member.voters_at(), member.first_voters()), (None, Some(&base().voters)));
    assert_eq!(Member::new(VOTER, None).first_voters(), None);
}
