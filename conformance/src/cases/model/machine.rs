//! Plays a sequence on the provider and on a sorted map, and compares the answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage_core::{
    Atomicity, ByteRange, ErrorKind, Get, Key, List, ListConsistency, Object, PutIf, Result,
    StorageProvider, Version, Versions,
};

use super::paste;
use super::step::{Body, GetStep, Keys, Operation, PREFIXES, Step, When, Which};
use crate::Context;

/// A sequence that does not answer as the map does.
#[derive(Debug)]
pub(super) struct Broken {
    /// What was expected and what was seen at the last step.
    pub(super) what: String,
    /// The steps up to there, each as code that asserts what is expected.
    pub(super) code: Vec<String>,
}

/// What the map says a mutation or read answers.
type Expected<T> = std::result::Result<T, ErrorKind>;

struct Machine<'a> {
    context: &'a Context,
    keys: &'static Keys,
    place: &'a str,
    map: BTreeMap<usize, (Body, Version)>,
    seen: Vec<Seen>,
    code: Vec<String>,
}

/// A version, and the put that made it.
struct Seen {
    step: usize,
    key: usize,
    version: Version,
    body: Body,
}

/// Plays `steps` on keys under `place`.
pub(super) async fn run(
    context: &Context,
    keys: &'static Keys,
    place: &str,
    steps: &[Step],
) -> std::result::Result<(), Broken> {
    let mut machine =
        Machine { context, keys, place, map: BTreeMap::new(), seen: Vec::new(), code: Vec::new() };
    for (number, step) in steps.iter().enumerate() {
        if let Err(what) = machine.play(number, step).await {
            return Err(Broken { what: format!("step {number}: {what}"), code: machine.code });
        }
    }
    // Whatever the steps looked at, the end is the same.
    let all = Operation::List { prefix: 0, start_after: None, limit: 1000 };
    let last = Step { other: true, operation: all };
    match machine.play(steps.len(), &last).await {
        Ok(()) => Ok(()),
        Err(what) => Err(Broken { what: format!("at the end: {what}"), code: machine.code }),
    }
}

impl Machine<'_> {
    async fn play(&mut self, number: usize, step: &Step) -> std::result::Result<(), String> {
        let context = self.context;
        let handle = if step.other { context.other() } else { context.handle() };
        match &step.operation {
            Operation::Put { key, body, when } => {
                let Some(when) = self.when(*key, *when) else { return Ok(()) };
                let expected = self.expected_put(*key, &when);
                self.code.push(paste::put(
                    number,
                    self.keys[*key],
                    *body,
                    &self.named(&when),
                    &expected,
                ));
                let (name, bytes) = (self.key(*key), bytes_of(*body));
                let answer = handle.put(&name, bytes.clone(), when.clone()).await;
                self.after_put(number, *key, *body, expected, answer)
            }
            Operation::Get { key, get } => {
                let request = self.get(*key, get);
                let expected = self.expected_get(*key, &request);
                let version =
                    |version: &Option<Version>| version.as_ref().map(|it| self.name_of(it));
                let (if_match, if_changed) =
                    (version(&request.if_match), version(&request.if_changed));
                let found = expected
                    .as_ref()
                    .map_err(|kind| *kind)
                    .map(|(part, body, version)| (*part, body.length, self.name_of(version)));
                self.code.push(paste::get(self.keys[*key], &request, if_match, if_changed, found));
                let name = self.key(*key);
                let answer = handle.get(&name, request.clone()).await;
                compare_get(expected, answer)
            }
            Operation::Delete { key } => {
                self.code.push(paste::delete(self.keys[*key]));
                let name = self.key(*key);
                let answer = handle.delete(&name).await;
                self.map.remove(key);
                answer.map_err(|error| format!("expected Ok, saw the error {error}"))
            }
            Operation::List { prefix, start_after, limit } => {
                if context.capabilities().list == ListConsistency::Eventual {
                    return Ok(());
                }
                let expected = self.expected_list(*prefix, *start_after);
                self.code.push(paste::list(
                    *prefix,
                    start_after.map(|key| self.keys[key]),
                    *limit,
                    &expected,
                ));
                self.walk(&**handle, *prefix, *start_after, *limit, &expected).await
            }
        }
    }

    fn key(&self, key: usize) -> Key {
        self.context.key(format!("{}/{}", self.place, self.keys[key]))
    }

    /// The condition in the words of the trait; `None` where the provider does not take it.
    fn when(&self, key: usize, when: When) -> Option<PutIf> {
        let capabilities = self.context.capabilities();
        match when {
            When::Always => Some(PutIf::Always),
            When::Absent if capabilities.absent == Atomicity::Unsupported => None,
            When::Absent => Some(PutIf::Absent),
            When::Matches(_) if capabilities.matches == Atomicity::Unsupported => None,
            When::Matches(which) => self.version(key, which).map(PutIf::Matches),
        }
    }

    /// A version to ask for; `None` while none has been seen.
    fn version(&self, key: usize, which: Which) -> Option<Version> {
        let seen = match which {
            Which::Current => match self.map.get(&key) {
                Some((_, version)) => return Some(version.clone()),
                None => self.seen.last(),
            },
            Which::Seen(place) => self.seen.get(place % self.seen.len().max(1)),
        };
        seen.map(|seen| seen.version.clone())
    }

    fn get(&self, key: usize, get: &GetStep) -> Get {
        Get {
            range: get.range.map(|(start, end)| ByteRange { start, end }),
            if_match: get.if_match.and_then(|which| self.version(key, which)),
            if_changed: get.if_changed.and_then(|which| self.version(key, which)),
            meta_only: get.meta_only,
        }
    }

    fn expected_put(&self, key: usize, when: &PutIf) -> Expected<()> {
        let found = self.map.get(&key).map(|(_, version)| version);
        let holds = match when {
            PutIf::Always => true,
            PutIf::Absent => found.is_none(),
            PutIf::Matches(version) => found == Some(version),
        };
        if holds { Ok(()) } else { Err(ErrorKind::Conflict) }
    }

    /// How many bytes of which body, and its version.
    fn expected_get(&self, key: usize, request: &Get) -> Expected<(usize, Body, Version)> {
        let (body, version) = self.map.get(&key).ok_or(ErrorKind::NotFound)?;
        if request.if_match.as_ref().is_some_and(|wanted| wanted != version) {
            return Err(ErrorKind::Conflict);
        }
        if request.if_changed.as_ref() == Some(version) {
            return Err(ErrorKind::NotModified);
        }
        let part = match request.range {
            _ if request.meta_only => 0,
            None => body.length,
            Some(ByteRange { start, end }) => {
                let end = end.map_or(body.length, |end| (end as usize).min(body.length));
                let part = end.saturating_sub(start as usize);
                if part == 0 {
                    return Err(ErrorKind::InvalidRange);
                }
                part
            }
        };
        Ok((part, *body, version.clone()))
    }

    fn expected_list(&self, prefix: usize, start_after: Option<usize>) -> Vec<(&'static str, u64)> {
        let listed = self.map.iter().map(|(key, (body, _))| (self.keys[*key], body.length as u64));
        let mut listed: Vec<_> = listed
            .filter(|(key, _)| key.starts_with(PREFIXES[prefix]))
            .filter(|(key, _)| start_after.is_none_or(|after| *key > self.keys[after]))
            .collect();
        listed.sort_unstable();
        listed
    }

    fn after_put(
        &mut self,
        number: usize,
        key: usize,
        body: Body,
        expected: Expected<()>,
        answer: Result<Version>,
    ) -> std::result::Result<(), String> {
        match (expected, answer) {
            (Ok(()), Ok(version)) => {
                let same = |seen: &&Seen| seen.key == key && seen.version == version;
                let per_write = self.context.capabilities().versions == Versions::PerWrite;
                if let Some(before) = self.seen.iter().find(same)
                    && (per_write || before.body != body)
                {
                    let step = before.step;
                    return Err(format!(
                        "expected another version than in step {step}, saw {version}"
                    ));
                }
                self.seen.push(Seen { step: number, key, version: version.clone(), body });
                self.map.insert(key, (body, version));
                Ok(())
            }
            (Err(kind), Err(error)) if error.kind() == kind => Ok(()),
            (expected, Ok(_)) => Err(format!("expected {}, saw Ok", say(&expected))),
            (expected, Err(error)) => {
                Err(format!("expected {}, saw the error {error}", say(&expected)))
            }
        }
    }

    async fn walk(
        &self,
        handle: &dyn StorageProvider,
        prefix: usize,
        start_after: Option<usize>,
        limit: usize,
        expected: &[(&'static str, u64)],
    ) -> std::result::Result<(), String> {
        let root = format!("{}/", self.place);
        let prefix = self.context.prefix_of(format!("{root}{}", PREFIXES[prefix]));
        let root = self.context.prefix_of(root);
        let mut after = start_after.map(|key| self.key(key));
        let mut walked = Vec::new();
        loop {
            let request = List { prefix: &prefix, start_after: after.as_ref(), limit };
            let page = handle.list(request).await;
            let page = page.map_err(|error| format!("expected a page, saw the error {error}"))?;
            let count = page.objects.len();
            if count > limit || (page.more && count == 0) {
                return Err(format!(
                    "expected a page of at most {limit}, saw {count} objects and more: {}",
                    page.more
                ));
            }
            for listed in page.objects {
                let name = listed.key.as_str().strip_prefix(root.as_str()).unwrap_or("(elsewhere)");
                walked.push((name.to_owned(), listed.size));
                after = Some(listed.key);
            }
            if !page.more || walked.len() > expected.len() {
                break;
            }
        }
        let same =
            walked.iter().map(|(key, size)| (key.as_str(), *size)).eq(expected.iter().copied());
        if same { Ok(()) } else { Err(format!("expected to list {expected:?}, saw {walked:?}")) }
    }

    /// The name that a version has in the code to paste.
    fn name_of(&self, version: &Version) -> String {
        let made = self.seen.iter().rev().find(|seen| seen.version == *version);
        made.map_or_else(|| format!("{version:?}"), |seen| format!("v{}", seen.step))
    }

    fn named(&self, when: &PutIf) -> String {
        match when {
            PutIf::Always => "PutIf::Always".into(),
            PutIf::Absent => "PutIf::Absent".into(),
            PutIf::Matches(version) => format!("PutIf::Matches({}.clone())", self.name_of(version)),
        }
    }
}

fn bytes_of(body: Body) -> Bytes {
    vec![body.byte; body.length].into()
}

fn compare_get(
    expected: Expected<(usize, Body, Version)>,
    answer: Result<Object>,
) -> std::result::Result<(), String> {
    match (expected, answer) {
        (Ok((part, body, version)), Ok(object)) => {
            let same = object.body == vec![body.byte; part]
                && object.size == body.length as u64
                && object.version == version;
            if same {
                return Ok(());
            }
            let first = object.body.first();
            Err(format!(
                "expected {part} bytes of {} of an object of {}, version {version}, saw {} of {} of an object of \
                 {}, version {}",
                char::from(body.byte),
                body.length,
                object.body.len(),
                first.map_or_else(|| "nothing".into(), |byte| byte.escape_ascii().to_string()),
                object.size,
                object.version
            ))
        }
        (Err(kind), Err(error)) if error.kind() == kind => Ok(()),
        (expected, Ok(object)) => {
            Err(format!("expected {}, saw {}", say(&expected), crate::words::object(&object)))
        }
        (expected, Err(error)) => {
            Err(format!("expected {}, saw the error {error}", say(&expected)))
        }
    }
}

fn say<T>(expected: &Expected<T>) -> String {
    match expected {
        Ok(_) => "Ok".into(),
        Err(kind) => kind.to_string(),
    }
}
