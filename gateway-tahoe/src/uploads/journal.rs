//! The journal of uploads: one line for each that was begun, written to, or is over.
//!
//! It is not synced: it outlives the process, and what is lost with the machine are uploads that were not complete.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::StorageIndex;
use crate::error::{Error, Result};
use crate::record::Lease;

/// From so many bytes on the journal is written anew, without what is over.
const BYTES_MAX: u64 = 16 << 20;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Begun {
        id: u64,
        place: (StorageIndex, u64),
        size: u64,
        secret: blake3::Hash,
        lease: Lease,
        deadline: u64,
    },
    Wrote {
        id: u64,
        begin: u64,
        end: u64,
        deadline: u64,
    },
    Over {
        id: u64,
    },
}

impl Entry {
    /// Of which upload it is.
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Begun { id, .. } | Self::Wrote { id, .. } | Self::Over { id } => *id,
        }
    }

    fn line(&self) -> String {
        let line = match self {
            Self::Begun { id, place: (index, number), size, secret, lease, deadline } => json!({
                "begun": id, "index": index.to_string(), "share": number, "size": size,
                "secret": secret.to_hex().as_str(), "renew": hex(&lease.renew_hash),
                "cancel": hex(&lease.cancel_hash), "expires": lease.expires, "until": deadline,
            }),
            Self::Wrote { id, begin, end, deadline } => {
                json!({ "wrote": id, "begin": begin, "end": end, "until": deadline })
            }
            Self::Over { id } => json!({ "over": id }),
        };
        format!("{line}\n")
    }

    /// A line, unless it is none: the last one may have been cut off.
    fn parse(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let number = |name: &str| line.get(name)?.as_u64();
        let text = |name: &str| line.get(name)?.as_str();
        let bytes = |name: &str| data_encoding::HEXLOWER.decode(text(name)?.as_bytes()).ok();
        if let Some(id) = number("over") {
            return Some(Self::Over { id });
        }
        let deadline = number("until")?;
        if let Some(id) = number("wrote") {
            let (begin, end) = (number("begin")?, number("end")?);
            return Some(Self::Wrote { id, begin, end, deadline });
        }
        Some(Self::Begun {
            id: number("begun")?,
            place: (StorageIndex::parse(text("index")?)?, number("share")?),
            size: number("size")?,
            secret: blake3::Hash::from_hex(text("secret")?).ok()?,
            lease: Lease {
                renew_hash: Bytes::from(bytes("renew")?),
                cancel_hash: Bytes::from(bytes("cancel")?),
                expires: number("expires")?,
            },
            deadline,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// A journal with what was in it.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) entries: Vec<Entry>,
}

/// The journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<Appended>,
}

#[derive(Debug)]
struct Appended {
    file: File,
    bytes: u64,
}

impl Journal {
    pub(super) fn open(path: &Path) -> Result<Opened> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::file(path)(error)),
        };
        let entries = read(&text);
        let file = append(path)?;
        let bytes = text.len() as u64;
        let file = Mutex::new(Appended { file, bytes });
        Ok(Opened { journal: Self { path: path.to_owned(), file }, entries })
    }

    /// Adds lines.
    pub(super) fn add(&self, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let lines: String = entries.iter().map(Entry::line).collect();
        let mut appended = self.appended();
        appended.file.write_all(lines.as_bytes()).map_err(Error::file(&self.path))?;
        appended.bytes += lines.len() as u64;
        if appended.bytes > BYTES_MAX {
            self.shorten(&mut appended)?;
        }
        Ok(())
    }

    /// Writes the journal anew.
    pub(super) fn replace(&self, entries: &[Entry]) -> Result<()> {
        self.rewrite(&mut self.appended(), entries)
    }

    /// Leaves out what is over. When most is under way, it gets as long as that is.
    fn shorten(&self, appended: &mut Appended) -> Result<()> {
        let text = std::fs::read(&self.path).map_err(Error::file(&self.path))?;
        let mut entries = read(&text);
        let over: std::collections::HashSet<u64> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Over { id } => Some(*id),
                _ => None,
            })
            .collect();
        let before = entries.len();
        entries.retain(|entry| !over.contains(&entry.id()));
        if entries.len() * 2 > before {
            // Not worth it yet: look again when it has become much longer.
            appended.bytes = 0;
            return Ok(());
        }
        self.rewrite(appended, &entries)
    }

    fn rewrite(&self, appended: &mut Appended, entries: &[Entry]) -> Result<()> {
        let text: String = entries.iter().map(Entry::line).collect();
        crate::files::write_private(&self.path, text.as_bytes())
            .map_err(Error::file(&self.path))?;
        *appended = Appended { file: append(&self.path)?, bytes: text.len() as u64 };
        Ok(())
    }

    fn appended(&self) -> MutexGuard<'_, Appended> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(text: &[u8]) -> Vec<Entry> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    // What does not end was not written to its end, so nobody was told that it counts.
    let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
    whole.filter_map(|line| Entry::parse(std::str::from_utf8(line).ok()?)).collect()
}

fn append(path: &Path) -> Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_up_to_where_it_was_cut_off() {
        let entries = vec![
            Entry::Begun {
                id: 7,
                place: (StorageIndex([3; 16]), 2),
                size: 100,
                secret: blake3::hash(b"secret"),
                lease: Lease {
                    renew_hash: Bytes::from_static(&[1; 32]),
                    cancel_hash: Bytes::from_static(&[2; 32]),
                    expires: 99,
                },
                deadline: 1000,
            },
            Entry::Wrote { id: 7, begin: 0, end: 10, deadline: 1001 },
            Entry::Over { id: 7 },
        ];
        let text: String = entries.iter().map(Entry::line).collect();
        for cut in 0..=text.len() {
            let whole = text[..cut].matches('\n').count();
            assert_eq!(read(&text.as_bytes()[..cut]), entries[..whole], "{cut}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let opened = Journal::open(&path).unwrap();
        opened.journal.add(&entries[..2]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().entries, entries[..2]);
        opened.journal.replace(&entries[..1]).unwrap();
        opened.journal.add(&entries[1..]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().entries, entries);
    }
}
