//! Sessions and their reaping: objects are uploaded, named by a commit, and deleted when their session seems dead.
//!
//! Nobody can tell a dead session from a slow one, so whoever reaps decides at any time. What makes it safe is the
//! log: reaping is a commit, each commit of a session looks for it in all that comes before, and only when it is
//! committed are objects deleted that nothing before it names.

use std::collections::BTreeSet;
use std::fmt;

use stateright::{Model, Property};

use crate::check::{Mistaken, Protocol, Size};
use crate::log::{Entry, Id, Log};

/// Sessions that upload and commit, and processes that reap them.
#[derive(Debug, Clone)]
pub struct Reaping {
    sessions: u8,
    /// For each session; a commit names one of them.
    objects: u8,
    reapers: u8,
    mistake: Option<ReapingMistake>,
}

/// What may be done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told in the table below")]
pub enum ReapingMistake {
    DeletesBeforeItReaped,
    TrustsWhatItSent,
    DoesNotLookAtReferencesAgain,
    CommitLooksOnlyOnce,
    CommitDoesNotLook,
    NamesWhatIsUnderWay,
}

use ReapingMistake as Mistake;

const THERE: &str = "an object that the log names is there";
const ONCE: &str = "an object is named at most once";
const TOLD: &str = "a session that is told it was reaped has not committed";
const STAYS: &str = "what is acknowledged is in the log";

/// The `n`th object of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    session: u8,
    n: u8,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.session, self.n)
    }
}

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Body {
    /// A transaction of the object's session, which names it.
    Name(Object),
    /// A session is reaped, by this process.
    Reap {
        /// The session.
        session: u8,
        /// Which process.
        by: u8,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(object) => write!(f, "names {object:?}"),
            Self::Reap { session, by } => write!(f, "session {session} is reaped by {by}"),
        }
    }
}

/// What sessions and reapers do, and what befalls them.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A session uploads its next object.
    Upload(u8),
    /// An upload arrives. It may arrive again.
    UploadLands(Object),
    /// The session is told that the object is there.
    Uploaded(u8),
    /// It looks whether it was reaped, and sends the commit that names the object.
    Commit(u8),
    /// An entry arrives, and is the first at its slot.
    Land(Entry<Body>),
    /// It finds out what stands at the slot that it has sent an entry for.
    Resolve(u8),
    /// It tells that nobody knows, and goes on to its next object.
    GiveUp(u8),
    /// A session reads the slot after the last it knows.
    CatchUp(u8),
    /// A session ends in the middle, and its requests go on.
    Crash(u8),
    /// A reaper thinks that a session is dead, for whatever reason.
    Suspect(u8, u8),
    /// It sends the commit that reaps it.
    Reap(u8),
    /// It finds out what stands at the slot that it has sent an entry for.
    ReaperResolve(u8),
    /// It reads the slot after the last it knows.
    ReaperCatchUp(u8),
    /// It sends the deletion of an object that it found in a list, and that no entry it knows names.
    Delete(u8, Object),
    /// A deletion arrives. It may arrive again.
    DeleteLands(Object),
    /// A reaper begins anew.
    ReaperCrash(u8),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Doing {
    Nothing,
    Uploading {
        there: bool,
    },
    /// What is uploaded can be named; it may have lost a slot already.
    Ready {
        again: bool,
    },
    Waiting(Entry<Body>),
    Over,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Session {
    head: (u8, Id),
    begun: u8,
    doing: Doing,
    /// Objects whose commit was acknowledged, and objects whose commit was refused.
    acknowledged: Vec<u8>,
    refused: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Reaps {
    Nobody,
    /// It suspects a session. The second number is the last slot it knew then, if it makes the mistake of
    /// remembering.
    Suspects(u8, u8),
    Waiting(u8, u8, Entry<Body>),
    Reaped(u8, u8),
}

/// A process that reaps sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reaper {
    head: (u8, Id),
    reaps: Reaps,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    log: Log<Body>,
    objects: BTreeSet<Object>,
    uploads: BTreeSet<Object>,
    deletions: BTreeSet<Object>,
    sessions: Vec<Session>,
    reapers: Vec<Reaper>,
}

fn names(state: &State, object: Object, head: u8) -> usize {
    let named = state.log.find(|body| *body == Body::Name(object));
    named.into_iter().filter(|&slot| slot <= head).count()
}

fn is_reaped(state: &State, session: u8, head: u8) -> bool {
    let reaped =
        state.log.find(|body| matches!(body, Body::Reap { session: of, .. } if *of == session));
    reaped.into_iter().any(|slot| slot <= head)
}

fn follow(head: &mut (u8, Id), found: &Entry<Body>) {
    if head.0 < found.slot {
        *head = (found.slot, found.id);
    }
}

impl Reaping {
    fn commit(&self, state: &mut State, me: u8) {
        let session = &state.sessions[usize::from(me)];
        let (head, prev) = session.head;
        let object = Object { session: me, n: session.begun - 1 };
        let looks = match self.mistake {
            Some(Mistake::CommitDoesNotLook) => false,
            Some(Mistake::CommitLooksOnlyOnce) => session.doing == Doing::Ready { again: false },
            _ => true,
        };
        let reaped = looks && is_reaped(state, me, head);
        let session = &mut state.sessions[usize::from(me)];
        if reaped {
            session.refused.push(object.n);
            session.doing = Doing::Over;
            return;
        }
        let entry = Entry::new(head + 1, prev, Body::Name(object));
        session.doing = Doing::Waiting(entry.clone());
        state.log.send(entry);
    }

    fn reap(&self, state: &mut State, me: u8) {
        let Reaper { head: (head, prev), reaps: Reaps::Suspects(session, then) } =
            state.reapers[usize::from(me)]
        else {
            return;
        };
        if is_reaped(state, session, head) {
            state.reapers[usize::from(me)].reaps = Reaps::Reaped(session, then);
            return;
        }
        let entry = Entry::new(head + 1, prev, Body::Reap { session, by: me });
        state.reapers[usize::from(me)].reaps = if self.mistake == Some(Mistake::TrustsWhatItSent) {
            Reaps::Reaped(session, then)
        } else {
            Reaps::Waiting(session, then, entry.clone())
        };
        state.log.send(entry);
    }

    /// What a reaper may delete.
    fn deletable(&self, state: &State, reaper: &Reaper) -> Vec<Object> {
        let early = self.mistake == Some(Mistake::DeletesBeforeItReaped);
        let (session, then) = match reaper.reaps {
            Reaps::Suspects(session, then) if early => (session, then),
            Reaps::Reaped(session, then) => (session, then),
            _ => return Vec::new(),
        };
        let old = self.mistake == Some(Mistake::DoesNotLookAtReferencesAgain);
        let known = if old { then } else { reaper.head.0 };
        let listed = state.objects.iter().filter(|object| object.session == session);
        let unnamed = listed.filter(|&&object| names(state, object, known) == 0);
        unnamed.copied().filter(|object| !state.deletions.contains(object)).collect()
    }

    fn session_step(&self, last: &State, action: &Action, me: u8) -> Option<State> {
        let mut state = last.clone();
        let session = &mut state.sessions[usize::from(me)];
        match action {
            Action::Upload(_) => {
                let object = Object { session: me, n: session.begun };
                session.begun += 1;
                session.doing = if self.mistake == Some(Mistake::NamesWhatIsUnderWay) {
                    Doing::Ready { again: false }
                } else {
                    Doing::Uploading { there: false }
                };
                state.uploads.insert(object);
            }
            Action::Uploaded(_) => session.doing = Doing::Ready { again: false },
            Action::Commit(_) => self.commit(&mut state, me),
            Action::Resolve(_) => {
                let Doing::Waiting(sent) = session.doing.clone() else { return None };
                let found = last.log.at(sent.slot)?;
                follow(&mut session.head, found);
                session.doing = if found.id == sent.id {
                    session.acknowledged.push(session.begun - 1);
                    Doing::Nothing
                } else {
                    Doing::Ready { again: true }
                };
            }
            Action::GiveUp(_) => session.doing = Doing::Nothing,
            Action::CatchUp(_) => {
                let next = session.head.0 + 1;
                follow(&mut session.head, last.log.at(next)?);
            }
            _ => session.doing = Doing::Over,
        }
        Some(state)
    }

    fn reaper_step(&self, last: &State, action: &Action, me: u8) -> Option<State> {
        let mut state = last.clone();
        let reaper = &mut state.reapers[usize::from(me)];
        match action {
            Action::Suspect(_, session) => {
                let remembers = self.mistake == Some(Mistake::DoesNotLookAtReferencesAgain);
                let then = if remembers { reaper.head.0 } else { 0 };
                reaper.reaps = Reaps::Suspects(*session, then);
            }
            Action::Reap(_) => self.reap(&mut state, me),
            Action::ReaperResolve(_) => {
                let Reaps::Waiting(session, then, sent) = reaper.reaps.clone() else { return None };
                let found = last.log.at(sent.slot)?;
                follow(&mut reaper.head, found);
                reaper.reaps = if found.id == sent.id {
                    Reaps::Reaped(session, then)
                } else {
                    Reaps::Suspects(session, then)
                };
            }
            Action::ReaperCatchUp(_) => {
                let next = reaper.head.0 + 1;
                follow(&mut reaper.head, last.log.at(next)?);
            }
            Action::Delete(_, object) => {
                state.deletions.insert(*object);
            }
            _ => *reaper = Reaper { head: (0, Id::GENESIS), reaps: Reaps::Nobody },
        }
        Some(state)
    }
}

impl Model for Reaping {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let session = Session {
            head: (0, Id::GENESIS),
            begun: 0,
            doing: Doing::Nothing,
            acknowledged: Vec::new(),
            refused: Vec::new(),
        };
        let reaper = Reaper { head: (0, Id::GENESIS), reaps: Reaps::Nobody };
        vec![State {
            log: Log::new(),
            objects: BTreeSet::new(),
            uploads: BTreeSet::new(),
            deletions: BTreeSet::new(),
            sessions: vec![session; usize::from(self.sessions)],
            reapers: vec![reaper; usize::from(self.reapers)],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.log.sent.iter().cloned().map(Action::Land));
        actions.extend(state.uploads.iter().copied().map(Action::UploadLands));
        actions.extend(state.deletions.iter().copied().map(Action::DeleteLands));
        for (me, session) in (0..).zip(&state.sessions) {
            match &session.doing {
                Doing::Nothing if session.begun < self.objects => actions.push(Action::Upload(me)),
                Doing::Nothing => {}
                Doing::Uploading { there: true } => actions.push(Action::Uploaded(me)),
                Doing::Uploading { there: false } => {}
                Doing::Ready { .. } => actions.push(Action::Commit(me)),
                Doing::Waiting(sent) => {
                    actions.push(Action::GiveUp(me));
                    if state.log.at(sent.slot).is_some() {
                        actions.push(Action::Resolve(me));
                    }
                }
                Doing::Over => continue,
            }
            actions.push(Action::Crash(me));
            if state.log.at(session.head.0 + 1).is_some() {
                actions.push(Action::CatchUp(me));
            }
        }
        for (me, reaper) in (0..).zip(&state.reapers) {
            match &reaper.reaps {
                Reaps::Nobody => {
                    actions.extend((0..self.sessions).map(|session| Action::Suspect(me, session)));
                }
                Reaps::Suspects(..) => actions.push(Action::Reap(me)),
                Reaps::Waiting(_, _, sent) if state.log.at(sent.slot).is_some() => {
                    actions.push(Action::ReaperResolve(me));
                }
                Reaps::Waiting(..) | Reaps::Reaped(..) => {}
            }
            let deletable = self.deletable(state, reaper).into_iter();
            actions.extend(deletable.map(|object| Action::Delete(me, object)));
            if state.log.at(reaper.head.0 + 1).is_some() {
                actions.push(Action::ReaperCatchUp(me));
            }
            actions.push(Action::ReaperCrash(me));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let state = match &action {
            Action::Land(entry) => {
                let mut state = last.clone();
                state.log.land(entry);
                state
            }
            Action::UploadLands(object) => {
                let mut state = last.clone();
                state.objects.insert(*object);
                let session = &mut state.sessions[usize::from(object.session)];
                if let Doing::Uploading { there } = &mut session.doing {
                    *there |= session.begun - 1 == object.n;
                }
                state
            }
            Action::DeleteLands(object) => {
                let mut state = last.clone();
                state.objects.remove(object);
                state
            }
            Action::Upload(me)
            | Action::Uploaded(me)
            | Action::Commit(me)
            | Action::Resolve(me)
            | Action::GiveUp(me)
            | Action::CatchUp(me)
            | Action::Crash(me) => self.session_step(last, &action, *me)?,
            Action::Suspect(me, _)
            | Action::Reap(me)
            | Action::ReaperResolve(me)
            | Action::ReaperCatchUp(me)
            | Action::Delete(me, _)
            | Action::ReaperCrash(me) => self.reaper_step(last, &action, *me)?,
        };
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(THERE, |model, state| {
                let mut objects = model.each();
                objects
                    .all(|each| names(state, each, u8::MAX) == 0 || state.objects.contains(&each))
            }),
            Property::<Self>::always(ONCE, |model, state| {
                model.each().all(|each| names(state, each, u8::MAX) <= 1)
            }),
            Property::<Self>::always(STAYS, |model, state| {
                let mut objects = model.each();
                objects.all(|each| {
                    !state.sessions[usize::from(each.session)].acknowledged.contains(&each.n)
                        || names(state, each, u8::MAX) == 1
                })
            }),
            Property::<Self>::always(TOLD, |model, state| {
                let mut objects = model.each();
                objects.all(|each| {
                    !state.sessions[usize::from(each.session)].refused.contains(&each.n)
                        || names(state, each, u8::MAX) == 0
                })
            }),
            Property::<Self>::always("the log is chained", |_, state| state.log.is_chained()),
            Property::<Self>::sometimes("a session is told that it was reaped", |_, state| {
                state.sessions.iter().any(|session| !session.refused.is_empty())
            }),
            Property::<Self>::sometimes("a reaped session keeps what it has named", |_, state| {
                let mut reapers = state.reapers.iter();
                let mut named = state.log.slots.iter().flatten();
                reapers.any(|reaper| matches!(reaper.reaps, Reaps::Reaped(..)))
                    && named.any(|entry| matches!(entry.body, Body::Name(_)))
            }),
            Property::<Self>::sometimes("what nothing names is deleted", |_, state| {
                state.objects.is_empty() && !state.deletions.is_empty()
            }),
        ]
    }
}

impl Reaping {
    fn each(&self) -> impl Iterator<Item = Object> {
        let objects = self.objects;
        (0..self.sessions).flat_map(move |session| (0..objects).map(move |n| Object { session, n }))
    }
}

impl Protocol for Reaping {
    type Mistake = ReapingMistake;

    const NAME: &'static str = "session reaping";

    const MISTAKES: &'static [Mistaken<ReapingMistake>] = &[
        Mistaken {
            mistake: Mistake::DeletesBeforeItReaped,
            what: "objects are deleted before the reaping is committed",
            breaks: THERE,
        },
        Mistaken {
            mistake: Mistake::TrustsWhatItSent,
            what: "the reaping counts when it is sent",
            breaks: THERE,
        },
        Mistaken {
            mistake: Mistake::DoesNotLookAtReferencesAgain,
            what: "objects count as unnamed that were so before the reaping was committed",
            breaks: THERE,
        },
        Mistaken {
            mistake: Mistake::CommitLooksOnlyOnce,
            what: "a commit that lost its slot goes for the next without looking whether its session was reaped",
            breaks: THERE,
        },
        Mistaken {
            mistake: Mistake::CommitDoesNotLook,
            what: "a commit never looks whether its session was reaped",
            breaks: THERE,
        },
        Mistaken {
            mistake: Mistake::NamesWhatIsUnderWay,
            what: "a commit names an object whose upload was not answered",
            breaks: THERE,
        },
    ];

    fn right(size: Size) -> Vec<Self> {
        let sizes: &[(u8, u8, u8)] = match size {
            Size::Quick => &[(1, 2, 1)],
            Size::Large => &[(1, 2, 2), (2, 1, 1), (1, 3, 1)],
        };
        let of = |&(sessions, objects, reapers)| Self { sessions, objects, reapers, mistake: None };
        sizes.iter().map(of).collect()
    }

    fn wrong(mistake: ReapingMistake) -> Self {
        Self { sessions: 1, objects: 2, reapers: 1, mistake: Some(mistake) }
    }

    fn describe(&self) -> String {
        format!(
            "{} sessions with {} objects each, {} reapers",
            self.sessions, self.objects, self.reapers
        )
    }
}
