//! The steps that sequences are made of, and how they are drawn.

use proptest::prelude::*;

/// The keys of a sequence.
pub(super) type Keys = [&'static str; 10];

/// Neighbours in byte order. None lies beneath another: where an object is a folder at the same time,
/// services differ, and that is a case of its own.
pub(super) const APART: Keys = ["a/a", "a/b/c", "a/b/d", "a/c", "a0", "a=", "ab", "a~", "b", "c/a"];

/// Some lie beneath others.
pub(super) const NESTED: Keys = ["a", "a/b", "a/b/c", "a/c", "a0", "a=", "ab", "a~", "b", "b/a"];

/// What lists ask for.
pub(super) const PREFIXES: [&str; 8] = ["", "a", "a/", "a/b", "a/b/", "ab", "b", "c"];

/// One operation. Keys and prefixes are places in [`Keys`] and [`PREFIXES`].
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Whether it goes through the other handle.
    pub(super) other: bool,
    pub(super) operation: Operation,
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Put { key: usize, body: Body, when: When },
    Get { key: usize, get: GetStep },
    List { prefix: usize, start_after: Option<usize>, limit: usize },
    Delete { key: usize },
}

/// A body of one byte, repeated. There are few, so that the same content comes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    pub(super) byte: u8,
    pub(super) length: usize,
}

impl PartialEq for Body {
    /// Whether the content is the same: nothing is the same as nothing, of whatever byte.
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && (self.length == 0 || self.byte == other.byte)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Always,
    Absent,
    Matches(Which),
}

/// A version that the sequence has seen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// What the key has now, or the last one seen if it has none.
    Current,
    /// Any one seen, on whatever key, counted from the first and over again.
    Seen(usize),
}

#[derive(Debug, Clone)]
pub(super) struct GetStep {
    pub(super) range: Option<(u64, Option<u64>)>,
    pub(super) if_match: Option<Which>,
    pub(super) if_changed: Option<Which>,
    pub(super) meta_only: bool,
}

/// Puts every key and then reads every key.
pub(super) fn all_keys() -> Vec<Step> {
    let plain = GetStep { range: None, if_match: None, if_changed: None, meta_only: false };
    let puts = (0..NESTED.len()).map(|key| {
        let body = Body { byte: b'0' + key as u8 % 4, length: key + 1 };
        Operation::Put { key, body, when: When::Always }
    });
    let gets = (0..NESTED.len()).map(|key| Operation::Get { key, get: plain.clone() });
    puts.chain(gets).map(|operation| Step { other: false, operation }).collect()
}

/// Any step.
pub(super) fn step() -> impl Strategy<Value = Step, Tree: Send + 'static> {
    (any::<bool>(), operation()).prop_map(|(other, operation)| Step { other, operation })
}

fn operation() -> impl Strategy<Value = Operation, Tree: Send + 'static> {
    prop_oneof![
        5 => (key(), body(), when()).prop_map(|(key, body, when)| Operation::Put { key, body, when }),
        4 => (key(), get()).prop_map(|(key, get)| Operation::Get { key, get }),
        1 => (0..PREFIXES.len(), option(key()), 1_usize..6)
            .prop_map(|(prefix, start_after, limit)| Operation::List { prefix, start_after, limit }),
        2 => key().prop_map(|key| Operation::Delete { key }),
    ]
}

fn key() -> impl Strategy<Value = usize, Tree: Send + 'static> {
    0..NESTED.len()
}

fn body() -> impl Strategy<Value = Body, Tree: Send + 'static> {
    let length = prop_oneof![6 => 0_usize..20, 1 => 4000_usize..9000];
    (b'0'..b'4', length).prop_map(|(byte, length)| Body { byte, length })
}

fn when() -> impl Strategy<Value = When, Tree: Send + 'static> {
    prop_oneof![
        2 => Just(When::Always),
        2 => Just(When::Absent),
        3 => which().prop_map(When::Matches),
    ]
}

fn which() -> impl Strategy<Value = Which, Tree: Send + 'static> {
    prop_oneof![2 => Just(Which::Current), 1 => (0_usize..100).prop_map(Which::Seen)]
}

fn get() -> impl Strategy<Value = GetStep, Tree: Send + 'static> {
    let range = option((0_u64..25, option(0_u64..30)));
    (range, option(which()), option(which()), proptest::bool::weighted(0.2)).prop_map(
        |(range, if_match, if_changed, meta_only)| GetStep {
            range,
            if_match,
            if_changed,
            meta_only,
        },
    )
}

fn option<T: Clone + std::fmt::Debug + Send + Sync + 'static>(
    inner: impl Strategy<Value = T, Tree: Send + 'static> + Send + Sync + 'static,
) -> impl Strategy<Value = Option<T>, Tree: Send + 'static> {
    proptest::option::weighted(0.4, inner)
}
