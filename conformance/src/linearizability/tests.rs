use proptest::prelude::*;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A correct key with several clients, driven one event at a time from a seed.
struct World {
    rng: ChaCha8Rng,
    versions: Versions,
    clock: u64,
    writes: u64,
    contents: u32,
    state: Option<(Content, Version)>,
    history: Vec<Timed>,
    clients: Vec<Client>,
    /// Mutations of unknown outcome that may still land.
    limbo: Vec<Action>,
    unknown_outcomes: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Client {
    Idle,
    Called(usize),
    Applied(usize),
}

impl World {
    fn new(seed: u64, versions: Versions, clients: usize, unknown_outcomes: bool) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            versions,
            clock: 0,
            writes: 0,
            contents: 0,
            state: None,
            history: Vec::new(),
            clients: vec![Client::Idle; clients],
            limbo: Vec::new(),
            unknown_outcomes,
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn fresh(&mut self) -> Content {
        self.contents += 1;
        Content(self.contents)
    }

    fn version_for(&mut self, content: Content) -> Version {
        self.writes += 1;
        match self.versions {
            Versions::PerWrite => Version::new(format!("w{}", self.writes)),
            Versions::PerContent => Version::new(format!("h{}", content.0)),
        }
    }

    fn random_action(&mut self) -> Action {
        let content = if self.versions == Versions::PerContent && self.rng.random_bool(0.5) {
            Content(1_000_000 + self.rng.random_range(0..3))
        } else {
            self.fresh()
        };
        match self.rng.random_range(0..10) {
            0..=1 => Action::Put(content, PutIf::Always),
            2..=3 => Action::Put(content, PutIf::Absent),
            4..=5 => {
                let known: Vec<Version> = self
                    .history
                    .iter()
                    .rev()
                    .filter_map(|timed| match &timed.answer {
                        Answer::Stored(version) | Answer::Found(_, version) => {
                            Some(version.clone())
                        }
                        _ => None,
                    })
                    .take(3)
                    .collect();
                match known.choose(&mut self.rng) {
                    Some(version) => Action::Put(content, PutIf::Matches(version.clone())),
                    None => Action::Get,
                }
            }
            6..=8 => Action::Get,
            _ => Action::Delete,
        }
    }

    fn apply(&mut self, action: &Action) -> Answer {
        match action {
            Action::Put(content, when) => {
                let holds = match (when, &self.state) {
                    (PutIf::Always, _) | (PutIf::Absent, None) => true,
                    (PutIf::Absent, Some(_)) | (PutIf::Matches(_), None) => false,
                    (PutIf::Matches(wanted), Some((_, found))) => wanted == found,
                };
                if !holds {
                    return Answer::Conflict;
                }
                let version = self.version_for(*content);
                self.state = Some((*content, version.clone()));
                Answer::Stored(version)
            }
            Action::Get => match &self.state {
                Some((content, version)) => Answer::Found(*content, version.clone()),
                None => Answer::Missing,
            },
            Action::Delete => {
                self.state = None;
                Answer::Deleted
            }
        }
    }

    fn call(&mut self, client: usize, action: Action) -> usize {
        let called = self.tick();
        let answer = Answer::Unknown;
        self.history.push(Timed { client, action, called, returned: called, answer });
        self.history.len() - 1
    }

    /// One operation alone, with whatever answer is given for it.
    fn claim(&mut self, action: Action, answer: Answer) {
        let at = self.call(99, action);
        self.history[at].returned = self.tick();
        self.history[at].answer = answer;
    }

    /// One operation alone, done right.
    fn alone(&mut self, action: Action) -> Answer {
        let answer = self.apply(&action);
        self.claim(action, answer.clone());
        answer
    }

    fn step(&mut self, may_start: bool) {
        if !self.limbo.is_empty() && self.rng.random_bool(0.05) {
            let at = self.rng.random_range(0..self.limbo.len());
            let late = self.limbo.swap_remove(at);
            self.apply(&late);
        }
        let client = self.rng.random_range(0..self.clients.len());
        self.clients[client] = match self.clients[client] {
            Client::Idle if !may_start => Client::Idle,
            Client::Idle => {
                let action = self.random_action();
                Client::Called(self.call(client, action))
            }
            Client::Called(at) => {
                let action = self.history[at].action.clone();
                if self.unknown_outcomes && action.is_mutation() && self.rng.random_bool(0.05) {
                    // It stands there as unknown already.
                    self.limbo.push(action);
                    Client::Idle
                } else if self.rng.random_bool(0.03) {
                    self.history[at].answer = Answer::NotApplied;
                    self.history[at].returned = self.tick();
                    Client::Idle
                } else {
                    self.history[at].answer = self.apply(&action);
                    Client::Applied(at)
                }
            }
            Client::Applied(at) => {
                self.history[at].returned = self.tick();
                Client::Idle
            }
        };
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step(true);
        }
        while self.clients.iter().any(|client| *client != Client::Idle) {
            self.step(false);
        }
    }

    fn put(&mut self, when: PutIf) -> (Content, Version) {
        let content = self.fresh();
        match self.alone(Action::Put(content, when)) {
            Answer::Stored(version) => (content, version),
            answer => panic!("{answer:?}"),
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

fn versions() -> impl Strategy<Value = Versions> {
    prop_oneof![Just(Versions::PerWrite), Just(Versions::PerContent)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_a_correct_key_answers_is_accepted(
        seed: u64, versions in versions(), clients in 1_usize..9, steps in 1_usize..600,
        unknown_outcomes: bool,
    ) {
        let mut world = World::new(seed, versions, clients, unknown_outcomes);
        world.run(steps);
        let result = check(&world.history, versions);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn one_planted_anomaly_is_found_in_a_long_history(
        seed: u64, versions in versions(), clients in 1_usize..9, steps in 0_usize..200,
        anomaly in 0..ANOMALIES.len(), unknown_outcomes: bool,
    ) {
        let (name, plant) = ANOMALIES[anomaly];
        let mut world = World::new(seed, versions, clients, false);
        world.run(steps);
        plant(&mut world);
        world.unknown_outcomes = unknown_outcomes;
        world.run(steps);
        let result = check(&world.history, versions);
        let Err(violation) = result else { panic!("{name} was accepted") };
        prop_assert!(
            (1..=8).contains(&violation.window.len()),
            "{name}: a window of {} operations: {violation}", violation.window.len()
        );
    }
}

type Plant = fn(&mut World);

const ANOMALIES: [(&str, Plant); 9] = [
    ("a stale read", |world| {
        let (content, version) = world.put(PutIf::Always);
        world.put(PutIf::Always);
        world.claim(Action::Get, Answer::Found(content, version));
    }),
    ("a read of the future", |world| {
        let content = world.fresh();
        let version = world.version_for(content);
        world.claim(Action::Get, Answer::Found(content, version.clone()));
        world.claim(Action::Put(content, PutIf::Always), Answer::Stored(version.clone()));
        world.state = Some((content, version));
    }),
    ("a lost update", |world| {
        let (_, version) = world.put(PutIf::Always);
        world.put(PutIf::Matches(version.clone()));
        let content = world.fresh();
        let second = world.version_for(content);
        let action = Action::Put(content, PutIf::Matches(version));
        world.claim(action, Answer::Stored(second.clone()));
        world.state = Some((content, second));
    }),
    ("two winners", |world| {
        world.alone(Action::Delete);
        world.put(PutIf::Absent);
        let content = world.fresh();
        let version = world.version_for(content);
        world.claim(Action::Put(content, PutIf::Absent), Answer::Stored(version.clone()));
        world.state = Some((content, version));
    }),
    ("a deleted object come back", |world| {
        let (content, version) = world.put(PutIf::Always);
        world.alone(Action::Delete);
        world.claim(Action::Get, Answer::Found(content, version));
    }),
    ("an effect applied twice", |world| {
        let (content, version) = world.put(PutIf::Always);
        world.put(PutIf::Always);
        world.alone(Action::Get);
        world.state = Some((content, version));
        world.alone(Action::Get);
    }),
    ("what was not applied, applied", |world| {
        let content = world.fresh();
        let version = world.version_for(content);
        world.claim(Action::Put(content, PutIf::Always), Answer::NotApplied);
        world.state = Some((content, version));
        world.alone(Action::Get);
    }),
    ("a conflict with nobody", |world| {
        world.alone(Action::Delete);
        let content = world.fresh();
        world.claim(Action::Put(content, PutIf::Absent), Answer::Conflict);
    }),
    ("a version of two contents", |world| {
        let (_, version) = world.put(PutIf::Always);
        let content = world.fresh();
        world.claim(Action::Put(content, PutIf::Always), Answer::Stored(version.clone()));
        world.state = Some((content, version));
    }),
];

fn timed(client: usize, called: u64, returned: u64, action: Action, answer: Answer) -> Timed {
    Timed { client, action, called, returned, answer }
}

fn put(content: u32) -> Action {
    Action::Put(Content(content), PutIf::Always)
}

fn stored(version: &str) -> Answer {
    Answer::Stored(Version::new(version))
}

fn found(content: u32, version: &str) -> Answer {
    Answer::Found(Content(content), Version::new(version))
}

#[test]
fn a_lost_put_may_land_late_but_only_once() {
    let mut history = vec![
        timed(0, 1, 0, put(1), Answer::Unknown),
        timed(1, 2, 3, put(2), stored("b")),
        timed(1, 4, 5, Action::Get, found(2, "b")),
        timed(1, 6, 7, Action::Get, found(1, "a")),
        timed(1, 8, 9, put(3), stored("c")),
    ];
    check(&history, Versions::PerWrite).unwrap();
    history.push(timed(1, 10, 11, Action::Get, found(1, "a")));
    check(&history, Versions::PerWrite).unwrap_err();
}

#[test]
fn a_violation_is_told_in_few_lines() {
    let mut history = vec![timed(0, 1, 2, put(1), stored("a"))];
    for tick in 2..40 {
        history.push(timed(1, tick * 2, tick * 2 + 1, Action::Get, found(1, "a")));
    }
    history.push(timed(0, 100, 110, Action::Put(Content(2), PutIf::Absent), Answer::Conflict));
    history.push(timed(2, 101, 111, Action::Delete, Answer::Deleted));
    history.push(timed(3, 112, 113, Action::Get, found(1, "a")));
    let violation = check(&history, Versions::PerWrite).unwrap_err();
    expect_test::expect![[r#"
        no order of these operations explains what came back
                1 .. 2     client 0  put c1 -> stored as a
              101 .. 111   client 2  delete -> deleted
              then there is no object
              112 .. 113   client 3  get -> c1, a"#]]
    .assert_eq(&violation.to_string());
}

#[test]
fn long_histories_of_eight_clients_are_decided() {
    for seed in 0..3 {
        let mut world = World::new(seed, Versions::PerWrite, 8, false);
        world.run(20_000);
        check(&world.history, Versions::PerWrite).unwrap_or_else(|violation| {
            panic!("seed {seed}: {violation}");
        });
    }
}
