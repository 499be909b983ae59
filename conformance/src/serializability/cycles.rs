//! The search for cycles of dependencies: one for each knot of transactions, of the worst class it has.

use std::collections::BTreeSet;

use super::edges::{self, Why};
use super::facts::Facts;
use super::graph::{Edge, Graph, PROCESS, REALTIME, RW, WR, WW};
use super::verdict::{Anomaly, Class, Strength, Violation};

/// A violation for each strongly connected component: a shortest cycle of the worst class in it.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let graph = edges::graph(facts);
    let mut violations = Vec::new();
    for component in graph.components(WW | WR | RW | PROCESS | REALTIME) {
        let Some((anomaly, mut cycle)) = worst(&graph.part(&component)) else { continue };
        for edge in &mut cycle {
            edge.from = component[edge.from as usize];
            edge.to = component[edge.to as usize];
        }
        violations.push(tell(facts, anomaly, &cycle));
    }
    violations
}

type Cycle = Vec<Edge<Why>>;

/// The worst cycle of a graph: it is asked for the milder ones only when the worse are ruled out, so each search may
/// take for granted that there are none.
fn worst(graph: &Graph<Why>) -> Option<(Anomaly, Cycle)> {
    let strengths = [
        (Strength::Plain, 0),
        (Strength::Process, PROCESS),
        (Strength::Realtime, PROCESS | REALTIME),
    ];
    for (strength, order) in strengths {
        let found = |class, cycle| Some((Anomaly::Cycle(class, strength), cycle));
        for (class, relations) in [(Class::G0, WW), (Class::G1c, WW | WR)] {
            if let Some(component) = graph.components(relations | order).first()
                && let Some(cycle) = graph.shortest_cycle(component, relations | order)
            {
                return found(class, cycle);
            }
        }
        let relations = WW | WR | order;
        if let Some(component) = graph.components(relations | RW).first() {
            if let Some(cycle) = graph.shortest_cycle_with(RW, relations) {
                return found(Class::GSingle, cycle);
            }
            if let Some(cycle) = graph.shortest_cycle(component, relations | RW) {
                return found(Class::G2Item, cycle);
            }
        }
    }
    None
}

/// Says why each transaction of a cycle comes before the next.
fn tell(facts: &Facts<'_>, anomaly: Anomaly, cycle: &[Edge<Why>]) -> Violation {
    let transactions = facts.happened.len();
    let is_transaction = |node: u32| (node as usize) < transactions;
    // A way through barriers is one step of time. The cycle is turned so that none is cut in two.
    let start = cycle.iter().position(|edge| is_transaction(edge.from)).unwrap_or_default();
    let mut steps = Vec::new();
    let mut named = BTreeSet::new();
    let mut left = 0;
    for edge in cycle.iter().cycle().skip(start).take(cycle.len()) {
        if is_transaction(edge.from) {
            left = edge.from as usize;
            named.insert(left);
        }
        if is_transaction(edge.to) {
            steps.push(step(facts, left, edge.to as usize, edge.why));
        }
    }
    Violation { anomaly, steps, transactions: named }
}

fn step(facts: &Facts<'_>, from: usize, to: usize, why: Why) -> String {
    let (before, after) = (from + 1, to + 1);
    let show =
        |value: Option<u64>| value.map_or_else(|| "nil".to_owned(), |value| value.to_string());
    let name = |key: usize| facts.keys[key].name;
    let because = match why {
        Why::Follows { key, before: old, after: new } => {
            let (key, old, new) = (name(key), show(old), show(new));
            format!("T{after} wrote {new} to {key} after T{before} wrote {old} (ww)")
        }
        Why::Saw { key, value } => {
            format!("T{after} read {value} in {}, which T{before} wrote (wr)", name(key))
        }
        Why::Missed { key, value } => {
            let (key, value) = (name(key), show(value));
            format!("T{before} read {key} before T{after} wrote {value} (rw)")
        }
        Why::Process => {
            let process = facts.history.transactions()[to].process;
            format!("process {process} ran T{before} and then T{after}")
        }
        Why::Time => {
            let transactions = facts.history.transactions();
            let returned = transactions[from].returned.unwrap_or_default();
            let invoked = transactions[to].invoked;
            format!("T{before} returned at {returned}, before T{after} was invoked at {invoked}")
        }
    };
    format!("T{before} < T{after}: {because}")
}
