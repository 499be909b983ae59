//! The objects of one provider, with all they ever were.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::{
    Error, ErrorKind, Get, Key, Listed, Object, Operation, Page, Prefix, PutIf, Result, Version,
};

/// What is asked of a provider, owned, since it outlives its sender.
#[derive(Clone)]
pub(crate) enum Call {
    Put { key: Key, body: Bytes, when: PutIf },
    Get { key: Key, request: Get },
    List { prefix: Prefix, start_after: Option<Key>, limit: usize },
    Delete { key: Key },
}

/// What it answers: the kind that fits the call.
pub(crate) enum Answer {
    Put(Version),
    Get(Object),
    List(Page),
    Delete,
}

/// How much of what has changed a call sees.
#[derive(Clone, Copy)]
pub(crate) enum View {
    Now,
    /// A list misses those of the last `changes` whose bit in the mask is not set.
    Stale {
        changes: u64,
        shown: u8,
    },
    /// A get sees what was before the last change.
    Older,
}

/// A change that was applied to a provider's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place in the order of all changes to this provider, from one.
    pub number: u64,
    /// The object.
    pub key: Key,
    /// What it became, or `None` when it was deleted.
    pub body: Option<Bytes>,
}

pub(crate) struct Objects {
    pub(crate) name: Arc<str>,
    /// Every state of every object, also of deleted ones.
    by_key: BTreeMap<Key, Vec<State>>,
    pub(crate) changes: u64,
}

struct State {
    change: u64,
    found: Option<(Bytes, Version)>,
}

impl Objects {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self { name, by_key: BTreeMap::new(), changes: 0 }
    }

    /// Does what is asked, at once and as one step.
    pub(crate) fn apply(&mut self, call: &Call, view: View) -> Result<Answer> {
        match call {
            Call::Put { key, body, when } => self
                .put(key, body, when)
                .map(Answer::Put)
                .map_err(|error| error.during(Operation::Put, key)),
            Call::Get { key, request } => self
                .get(key, request, view)
                .map(Answer::Get)
                .map_err(|error| error.during(Operation::Get, key)),
            Call::List { prefix, start_after, limit } => {
                Ok(Answer::List(self.list(prefix, start_after.as_ref(), *limit, view)))
            }
            Call::Delete { key } => {
                if self.current(key).is_some() {
                    self.change(key, None);
                }
                Ok(Answer::Delete)
            }
        }
    }

    /// What is under a key.
    pub(crate) fn current(&self, key: &Key) -> Option<&(Bytes, Version)> {
        self.by_key.get(key)?.last()?.found.as_ref()
    }

    /// Everything there is, in the order of keys.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, &Bytes)> {
        self.by_key.iter().filter_map(|(key, states)| {
            states.last().and_then(|state| state.found.as_ref()).map(|(body, _)| (key, body))
        })
    }

    /// Every change, in the order in which they were applied.
    pub(crate) fn history(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::with_capacity(self.changes as usize);
        for (key, states) in &self.by_key {
            changes.extend(states.iter().map(|state| Change {
                number: state.change,
                key: key.clone(),
                body: state.found.as_ref().map(|(body, _)| body.clone()),
            }));
        }
        changes.sort_unstable_by_key(|change| change.number);
        changes
    }

    /// Makes an object what it should be, or nothing, whatever it was.
    pub(crate) fn change(&mut self, key: &Key, body: Option<Bytes>) -> Option<Version> {
        self.changes += 1;
        let found = body.map(|body| (body, version(self.changes)));
        let version = found.as_ref().map(|(_, version)| version.clone());
        let state = State { change: self.changes, found };
        match self.by_key.get_mut(key) {
            Some(states) => states.push(state),
            None => {
                self.by_key.insert(key.clone(), vec![state]);
            }
        }
        version
    }

    fn put(&mut self, key: &Key, body: &Bytes, when: &PutIf) -> Result<Version> {
        let found = self.current(key).map(|(_, version)| version);
        let conflict = match (when, found) {
            (PutIf::Always, _) | (PutIf::Absent, None) => None,
            (PutIf::Matches(wanted), Some(found)) if wanted == found => None,
            (PutIf::Absent, Some(_)) => Some("the object exists".to_owned()),
            (PutIf::Matches(wanted), Some(found)) => {
                Some(format!("the version is {found}, not {wanted}"))
            }
            (PutIf::Matches(_), None) => Some("there is no object".to_owned()),
        };
        match conflict {
            Some(message) => Err(Error::not_applied(ErrorKind::Conflict, message)),
            None => Ok(self.change(key, Some(body.clone())).expect("a body has a version")),
        }
    }

    fn get(&self, key: &Key, request: &Get, view: View) -> Result<Object> {
        let states = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        let seen = match view {
            View::Older if states.len() > 1 => &states[..states.len() - 1],
            View::Older | View::Now | View::Stale { .. } => states,
        };
        let (body, version) = seen
            .last()
            .and_then(|state| state.found.as_ref())
            .ok_or_else(|| Error::not_applied(ErrorKind::NotFound, "there is no object"))?;
        request.check(version)?;
        let size = body.len() as u64;
        let body = match request.range {
            _ if request.meta_only => Bytes::new(),
            None => body.clone(),
            Some(range) => {
                let range = range.within(size)?;
                body.slice(range.start as usize..range.end as usize)
            }
        };
        Ok(Object { body, size, version: version.clone() })
    }

    fn list(&self, prefix: &Prefix, start_after: Option<&Key>, limit: usize, view: View) -> Page {
        let limit = limit.max(1);
        let from = match start_after {
            Some(key) if key.as_str() >= prefix.as_str() => Bound::Excluded(key),
            Some(_) | None => Bound::Unbounded,
        };
        let seen = |state: &&State| match view {
            View::Stale { changes, shown } => {
                state.change + changes <= self.changes || shown >> (state.change % 8) & 1 == 1
            }
            View::Now | View::Older => true,
        };
        // No key is a prefix, so what begins with one cannot be found by its bound alone.
        let start = match Key::new(prefix.as_str()) {
            Ok(key) if from == Bound::Unbounded => Bound::Included(key),
            _ => from.cloned(),
        };
        let mut matching = self
            .by_key
            .range((start, Bound::Unbounded))
            .skip_while(|(key, _)| key.as_str() < prefix.as_str())
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, states)| {
                let (body, _) = states.iter().rev().find(seen)?.found.as_ref()?;
                Some(Listed { key: key.clone(), size: body.len() as u64 })
            });
        let objects = matching.by_ref().take(limit).collect();
        Page { objects, more: matching.next().is_some() }
    }
}

impl Call {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Put { .. } => Operation::Put,
            Self::Get { .. } => Operation::Get,
            Self::List { .. } => Operation::List,
            Self::Delete { .. } => Operation::Delete,
        }
    }

    /// The key, or the prefix of a list, as text.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Get { key, .. } | Self::Delete { key } => key.as_str(),
            Self::List { prefix, .. } => prefix.as_str(),
        }
    }

    /// Says which operation on which key failed.
    pub(crate) fn blame(&self, error: Error) -> Error {
        match self {
            Self::Put { key, .. } => error.during(Operation::Put, key),
            Self::Get { key, .. } => error.during(Operation::Get, key),
            Self::Delete { key } => error.during(Operation::Delete, key),
            Self::List { .. } => error.during_list(),
        }
    }

    /// What it asks for, for the trace: never a byte of a body.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Put { key, body, when } => {
                let when = match when {
                    PutIf::Always => "always".to_owned(),
                    PutIf::Absent => "if absent".to_owned(),
                    PutIf::Matches(version) => format!("if {version}"),
                };
                format!("put {key} ({} bytes, {when})", body.len())
            }
            Self::Get { key, request } => match request.range {
                _ if request.meta_only => format!("get {key} (meta only)"),
                Some(range) => format!("get {key} ({range:?})"),
                None => format!("get {key}"),
            },
            Self::List { prefix, start_after, limit } => {
                let mut text = format!("list {:?} (at most {limit}", prefix.as_str());
                if let Some(key) = start_after {
                    write!(text, ", after {key}").expect("a string takes all");
                }
                text + ")"
            }
            Self::Delete { key } => format!("delete {key}"),
        }
    }
}

impl Answer {
    /// What was answered, for the trace.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Put(version) => format!("version {version}"),
            Self::Get(object) => {
                format!(
                    "{} of {} bytes, version {}",
                    object.body.len(),
                    object.size,
                    object.version
                )
            }
            Self::List(page) => {
                let more = if page.more { " and more" } else { "" };
                format!("{} objects{more}", page.objects.len())
            }
            Self::Delete => "done".to_owned(),
        }
    }
}

/// The version of an object since change `number`. Hot, so written without the formatting machinery.
fn version(number: u64) -> Version {
    let mut text = [0; 20];
    let mut at = text.len();
    let mut left = number;
    while left > 0 || at == text.len() {
        at -= 1;
        text[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    Version::new(std::str::from_utf8(&text[at..]).expect("digits are text"))
}
