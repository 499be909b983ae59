//! The record of a walk over all objects, kept on the members: any process can go on with it, and tell when the
//! last one was.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use storage_core::{Get, Key, Prefix, PutIf};

use crate::cell::crc;
use crate::core::Core;
use crate::scrub::{Depth, MemberScrubbed, Scrub, Scrubbed};

/// Where the record is, on every member.
const RECORD: &str = "w/scrub";
/// Its last line begins so, with a CRC-32 of all before it. Members do damage what they keep.
const SUM: &str = "sum ";
/// How many keys of unreadable objects it has at most.
const KEYS_MAX: usize = 1000;

/// A walk over all objects, as it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// How thoroughly it looks.
    pub depth: Depth,
    /// Whether it repairs what it finds.
    pub repair: bool,
    /// What the keys begin with that it goes over.
    pub prefix: Prefix,
    /// When it began, since the Unix epoch.
    pub began: Duration,
    /// When it was put on record, since the Unix epoch.
    pub told: Duration,
    /// Whether it has come to its end. Otherwise it is under way, or was interrupted.
    pub done: bool,
    /// What it found so far; of failures, how many.
    pub found: Scrubbed,
    /// Whether all members answered all the time.
    pub(crate) everyone: bool,
}

impl Walk {
    pub(crate) fn new(scrub: &Scrub, now: Duration) -> Self {
        Self {
            depth: scrub.depth,
            repair: scrub.repair,
            prefix: scrub.prefix.clone(),
            began: now,
            told: now,
            done: false,
            found: Scrubbed::default(),
            everyone: true,
        }
    }

    /// Whether it was stopped on the way, and this is a walk like it.
    pub(crate) fn is_interrupted(&self, scrub: &Scrub) -> bool {
        let like = (scrub.depth, scrub.repair, &scrub.prefix);
        !self.done && self.found.last.is_some() && like == (self.depth, self.repair, &self.prefix)
    }

    fn write(&self) -> String {
        let Self { found, .. } = self;
        let depth = match self.depth {
            Depth::Lists => "lists",
            Depth::Heads => "heads",
            Depth::Bytes => "bytes",
        };
        let mut text = format!("walk 1\ndepth {depth}\n");
        let numbers = [
            ("repair", u64::from(self.repair)),
            ("began", millis(self.began)),
            ("told", millis(self.told)),
            ("done", u64::from(self.done)),
            ("everyone", u64::from(self.everyone)),
            ("objects", found.objects),
            ("bytes", found.bytes),
            ("missing", found.missing),
            ("damaged", found.damaged),
            ("repaired", found.repaired),
            ("failures", found.failures),
            ("forgotten", found.forgotten),
        ];
        // Nothing can go wrong when text is written to text.
        for (name, number) in numbers {
            let _ = writeln!(text, "{name} {number}");
        }
        let _ = writeln!(text, "prefix {}", self.prefix);
        let short: Vec<_> = found.short_by.iter().map(u64::to_string).collect();
        let _ = writeln!(text, "short {}", short.join(" "));
        for (name, it) in &found.members {
            let MemberScrubbed { missing, damaged, repaired, failed } = it;
            let _ = writeln!(text, "member {missing} {damaged} {repaired} {failed} {name}");
        }
        for key in found.unreadable.iter().take(KEYS_MAX) {
            let _ = writeln!(text, "unreadable {key}");
        }
        if let Some(last) = &found.last {
            let _ = writeln!(text, "last {last}");
        }
        let sum = sum(&text);
        let _ = writeln!(text, "{SUM}{sum:08x}");
        text
    }

    /// Reads a record; `None` if it is none, or not as it was written: of one that is damaged nobody knows how far the
    /// walk was.
    fn read(text: &str) -> Option<Self> {
        let (told, sum_line) = text.split_at(text.rfind(SUM)?);
        if sum_line != format!("{SUM}{:08x}\n", sum(told)) {
            return None;
        }
        let mut lines = told.lines();
        if lines.next() != Some("walk 1") {
            return None;
        }
        let mut walk = Self::new(&Scrub::new(Depth::Lists), Duration::ZERO);
        let numbers = |text: &str| -> Option<Vec<u64>> {
            text.split(' ').map(|number| number.parse().ok()).collect()
        };
        for line in lines {
            let (name, value) = line.split_once(' ')?;
            let number = || value.parse::<u64>().ok();
            let found = &mut walk.found;
            match name {
                "depth" => {
                    walk.depth = match value {
                        "lists" => Depth::Lists,
                        "heads" => Depth::Heads,
                        "bytes" => Depth::Bytes,
                        _ => return None,
                    }
                }
                "repair" => walk.repair = number()? == 1,
                "began" => walk.began = Duration::from_millis(number()?),
                "told" => walk.told = Duration::from_millis(number()?),
                "done" => walk.done = number()? == 1,
                "everyone" => walk.everyone = number()? == 1,
                "objects" => found.objects = number()?,
                "bytes" => found.bytes = number()?,
                "missing" => found.missing = number()?,
                "damaged" => found.damaged = number()?,
                "repaired" => found.repaired = number()?,
                "failures" => found.failures = number()?,
                "forgotten" => found.forgotten = number()?,
                "prefix" => walk.prefix = Prefix::new(value).ok()?,
                "short" => found.short_by = numbers(value)?,
                "member" => {
                    let mut parts = value.splitn(5, ' ');
                    let mut next = || parts.next()?.parse::<u64>().ok();
                    let (missing, damaged, repaired, failed) = (next()?, next()?, next()?, next()?);
                    let it = MemberScrubbed { missing, damaged, repaired, failed };
                    found.members.insert(parts.next()?.to_owned(), it);
                }
                "unreadable" => found.unreadable.push(Key::new(value).ok()?),
                "last" => found.last = Some(Key::new(value).ok()?),
                // Of a later version of this format.
                _ => {}
            }
        }
        Some(walk)
    }
}

impl Core {
    /// The walk that was put on record last.
    pub(crate) async fn last_walk(&self) -> Option<Walk> {
        let asked: Vec<usize> =
            (0..self.workers.len()).filter(|member| !self.workers[*member].is_aside()).collect();
        self.last_walk_on(&asked).await
    }

    /// The same, of these members.
    pub(crate) async fn last_walk_on(&self, members: &[usize]) -> Option<Walk> {
        let record = record();
        let reads = members.iter().map(|member| {
            let record = &record;
            async move { self.workers[*member].get(record, Get::whole()).await.ok() }
        });
        let records = join_all(reads).await.into_iter().flatten();
        let walks = records.filter_map(|object| {
            let walk = Walk::read(std::str::from_utf8(&object.body).ok()?)?;
            let sound = walk.found.short_by.len() == self.workers.len() + 1;
            sound.then_some(walk)
        });
        walks.max_by_key(|walk| walk.told)
    }

    /// Puts a walk on record, on every member that takes it. Without one, the walk begins anew when it is
    /// interrupted, and nothing else is lost.
    pub(crate) async fn keep_walk(&self, walk: &mut Walk) {
        walk.told = self.env.wall();
        let (record, body) = (record(), Bytes::from(walk.write()));
        let puts = self.workers.iter().filter(|worker| !worker.is_aside()).map(|worker| {
            let (record, body) = (&record, body.clone());
            async move {
                let _ = worker.put(record, body, PutIf::Always).await;
            }
        });
        join_all(puts).await;
    }
}

fn sum(text: &str) -> u32 {
    crc(text.as_bytes())
}

fn record() -> Key {
    Key::new(RECORD).expect("it is a key")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_nothing_else_is_taken_for_one() {
        let key = |text: &str| Key::new(text).unwrap();
        let scrub = Scrub { prefix: Prefix::new("value/").unwrap(), ..Scrub::new(Depth::Bytes) };
        let mut walk = Walk::new(&scrub, Duration::from_millis(7));
        walk.found = Scrubbed {
            objects: 3,
            bytes: 4,
            damaged: 1,
            short_by: vec![1, 2, 0],
            unreadable: vec![key("value/2")],
            members: [("a b".to_owned(), MemberScrubbed { damaged: 1, ..Default::default() })]
                .into(),
            last: Some(key("value/3")),
            ..Scrubbed::default()
        };
        walk.everyone = false;
        let text = walk.write();
        assert_eq!(Walk::read(&text), Some(walk));
        let lines = text.rsplit_once(SUM).unwrap().0;
        let summed = |lines: &str| format!("{lines}{SUM}{:08x}\n", sum(lines));
        assert_eq!(Walk::read(&summed(&lines.replace("walk 1", "walk 2"))), None);
        assert_eq!(Walk::read(&summed(&lines.replace("bytes 4", "bytes many"))), None);
        assert_eq!(Walk::read(lines), None, "without its sum");
        assert_eq!(Walk::read(""), None);
    }

    #[test]
    fn a_record_with_any_bit_changed_is_none() {
        let mut walk = Walk::new(&Scrub::new(Depth::Bytes), Duration::from_millis(7));
        walk.done = true;
        walk.found.last = Some(Key::new("value/3").unwrap());
        let text = walk.write();
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = std::str::from_utf8(&bytes).ok().and_then(Walk::read);
            assert_eq!(read, None, "bit {bit}: {}", bytes.escape_ascii());
        }
    }
}
