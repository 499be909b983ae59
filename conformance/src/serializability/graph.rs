//! A graph with edges of several relations, its strongly connected components, its short cycles.

use std::collections::VecDeque;

/// One of the relations, or a set of them.
pub(super) type Relations = u8;

pub(super) const WW: Relations = 1;
pub(super) const WR: Relations = 2;
pub(super) const RW: Relations = 4;
pub(super) const PROCESS: Relations = 8;
pub(super) const REALTIME: Relations = 16;

/// How many edges a search looks at in one component before it is content with what it has: a cycle is then
/// perhaps not the shortest, and perhaps not of the worst class.
const EDGES_LOOKED_AT_MAX: usize = 50_000_000;

/// An edge between two nodes, with what it means to the caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge<W> {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) relation: Relations,
    pub(super) why: W,
}

/// Nodes are numbers from zero. Those from `helpers_from` on stand for moments: a step to one costs nothing.
#[derive(Debug)]
pub(super) struct Graph<W> {
    edges: Vec<Edge<W>>,
    /// Where the edges of each node start, and the end.
    starts: Vec<usize>,
    helpers_from: u32,
}

impl<W: Copy> Graph<W> {
    pub(super) fn new(nodes: usize, helpers_from: usize, mut edges: Vec<Edge<W>>) -> Self {
        edges.sort_by_key(|edge| (edge.from, edge.to, edge.relation));
        let mut starts = vec![0; nodes + 1];
        for edge in &edges {
            starts[edge.from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        Self { edges, starts, helpers_from: helpers_from as u32 }
    }

    fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    fn edges_from(&self, node: usize) -> &[Edge<W>] {
        &self.edges[self.starts[node]..self.starts[node + 1]]
    }

    /// The graph of some nodes, given in order, with what is between them. Its nodes are their places.
    pub(super) fn part(&self, nodes: &[u32]) -> Self {
        let mut edges = Vec::new();
        for (from, node) in nodes.iter().enumerate() {
            for edge in self.edges_from(*node as usize) {
                if let Ok(to) = nodes.binary_search(&edge.to) {
                    edges.push(Edge { from: from as u32, to: to as u32, ..*edge });
                }
            }
        }
        let helpers_from = nodes.partition_point(|node| *node < self.helpers_from);
        Self::new(nodes.len(), helpers_from, edges)
    }

    /// The strongly connected components of more than one node by these relations, each in order, the smallest first.
    /// The method is Tarjan's, without recursion.
    pub(super) fn components(&self, relations: Relations) -> Vec<Vec<u32>> {
        const UNSEEN: usize = usize::MAX;
        let nodes = self.nodes();
        let (mut index, mut low) = (vec![UNSEEN; nodes], vec![0; nodes]);
        let (mut on_stack, mut stack) = (vec![false; nodes], Vec::new());
        let (mut next, mut found) = (0, Vec::new());
        for root in 0..nodes {
            if index[root] != UNSEEN {
                continue;
            }
            // Each frame is a node and which of its edges comes next.
            let mut frames = vec![(root, self.starts[root])];
            while let Some((node, place)) = frames.last_mut() {
                let node = *node;
                if index[node] == UNSEEN {
                    (index[node], low[node]) = (next, next);
                    next += 1;
                    stack.push(node);
                    on_stack[node] = true;
                }
                if *place < self.starts[node + 1] {
                    let edge = &self.edges[*place];
                    *place += 1;
                    let to = edge.to as usize;
                    if edge.relation & relations == 0 {
                        continue;
                    }
                    if index[to] == UNSEEN {
                        frames.push((to, self.starts[to]));
                    } else if on_stack[to] {
                        low[node] = low[node].min(index[to]);
                    }
                    continue;
                }
                frames.pop();
                if let Some((parent, _)) = frames.last() {
                    low[*parent] = low[*parent].min(low[node]);
                }
                if low[node] == index[node] {
                    let from = stack.iter().rposition(|other| *other == node).unwrap_or_default();
                    let mut component: Vec<u32> =
                        stack.drain(from..).map(|node| node as u32).collect();
                    for node in &component {
                        on_stack[*node as usize] = false;
                    }
                    if component.len() > 1 {
                        component.sort_unstable();
                        found.push(component);
                    }
                }
            }
        }
        found.sort_by_key(Vec::len);
        found
    }

    /// A cycle of these relations through some of these nodes with the fewest steps, if there is one.
    pub(super) fn shortest_cycle(
        &self,
        nodes: &[u32],
        relations: Relations,
    ) -> Option<Vec<Edge<W>>> {
        let mut search = Search::new(self, relations);
        let mut best: Option<Vec<Edge<W>>> = None;
        for node in nodes.iter().filter(|node| **node < self.helpers_from) {
            let most = best.as_ref().map_or(usize::MAX, |best| self.steps(best) - 1);
            if most < 2 || (best.is_some() && search.looked_at > EDGES_LOOKED_AT_MAX) {
                break;
            }
            best = search.path(*node, *node, most, |_| true).or(best);
        }
        best
    }

    /// A cycle with the fewest steps of one edge of `once` and else of `relations`, which have no cycle of their own.
    pub(super) fn shortest_cycle_with(
        &self,
        once: Relations,
        relations: Relations,
    ) -> Option<Vec<Edge<W>>> {
        let rank = self.ranks(relations);
        let mut search = Search::new(self, relations);
        let mut best: Option<Vec<Edge<W>>> = None;
        for edge in self.edges.iter().filter(|edge| edge.relation & once != 0) {
            let (last, first) = (rank[edge.from as usize], rank[edge.to as usize]);
            let most = best.as_ref().map_or(usize::MAX, |best| self.steps(best) - 1);
            if most < 2 || search.looked_at > EDGES_LOOKED_AT_MAX {
                break;
            }
            // A way back only climbs in rank.
            if first < last {
                let back =
                    search.path(edge.to, edge.from, most - 1, |node| rank[node as usize] <= last);
                if let Some(mut cycle) = back {
                    cycle.insert(0, *edge);
                    best = Some(cycle);
                }
            }
        }
        best
    }

    fn steps(&self, path: &[Edge<W>]) -> usize {
        path.iter().filter(|edge| edge.to < self.helpers_from).count()
    }

    /// The place of each node in an order that all edges of `relations` follow.
    fn ranks(&self, relations: Relations) -> Vec<usize> {
        let mut before = vec![0_usize; self.nodes()];
        for edge in self.edges.iter().filter(|edge| edge.relation & relations != 0) {
            before[edge.to as usize] += 1;
        }
        let mut ready: VecDeque<usize> =
            (0..self.nodes()).filter(|node| before[*node] == 0).collect();
        let (mut rank, mut next) = (vec![usize::MAX; self.nodes()], 0);
        while let Some(node) = ready.pop_front() {
            rank[node] = next;
            next += 1;
            for edge in self.edges_from(node).iter().filter(|edge| edge.relation & relations != 0) {
                let to = edge.to as usize;
                before[to] -= 1;
                if before[to] == 0 {
                    ready.push_back(to);
                }
            }
        }
        rank
    }
}

/// Searches for paths one after another, without clearing memory between them.
struct Search<'g, W> {
    graph: &'g Graph<W>,
    relations: Relations,
    /// The search that last came to a node, the steps it needed, and by which edge it came.
    seen: Vec<(usize, usize, usize)>,
    searches: usize,
    looked_at: usize,
}

impl<'g, W: Copy> Search<'g, W> {
    fn new(graph: &'g Graph<W>, relations: Relations) -> Self {
        let seen = vec![(0, 0, 0); graph.nodes()];
        Self { graph, relations, seen, searches: 0, looked_at: 0 }
    }

    /// The shortest path of at least one edge and at most so many steps, by allowed nodes.
    fn path(
        &mut self,
        from: u32,
        to: u32,
        most: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Option<Vec<Edge<W>>> {
        self.searches += 1;
        // Steps to helpers are free, so those nodes go to the front.
        let mut open: VecDeque<(u32, usize)> = VecDeque::from([(from, 0)]);
        while let Some((node, steps)) = open.pop_front() {
            let (search, known, _) = self.seen[node as usize];
            if node != from && search == self.searches && known < steps {
                continue;
            }
            let range = self.graph.starts[node as usize]..self.graph.starts[node as usize + 1];
            self.looked_at += range.len();
            for place in range {
                let edge = &self.graph.edges[place];
                let free = edge.to >= self.graph.helpers_from;
                let steps = if free { steps } else { steps + 1 };
                let (search, known, _) = self.seen[edge.to as usize];
                if edge.relation & self.relations == 0
                    || steps > most
                    || !allowed(edge.to)
                    || (search == self.searches && known <= steps)
                {
                    continue;
                }
                self.seen[edge.to as usize] = (self.searches, steps, place);
                if edge.to == to {
                    return Some(self.walk_back(from, to));
                }
                if free {
                    open.push_front((edge.to, steps));
                } else {
                    open.push_back((edge.to, steps));
                }
            }
        }
        None
    }

    fn walk_back(&self, from: u32, to: u32) -> Vec<Edge<W>> {
        let mut path = Vec::new();
        let mut node = to;
        loop {
            let edge = self.graph.edges[self.seen[node as usize].2];
            path.push(edge);
            node = edge.from;
            if node == from {
                path.reverse();
                return path;
            }
        }
    }
}
