//! Liars that several processes share: objects as files in one folder.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use conformance::{CrashHook, FnHarness, Hooks, Reach, child, harness};
use storage_core::{
    Atomicity, Capabilities, Durability, ListConsistency, Operation, Sharing, Versions,
};
use tempfile::TempDir;

use super::prelude::*;

liars! {
    absent_is_locked_in_the_process: "put.absent.race-processes", folder(Mistake::AbsentLockedHere),
        "decides `Absent` under a mutex of the process: spiceai#9842, every `static LOCK`";
    matches_is_locked_in_the_process: "put.matches.race-processes", folder(Mistake::MatchesLockedHere),
        "decides `Matches` under a mutex of the process: compare-and-swap on files, as arrow-rs#6536 was refused for";
    matches_unlocks_before_it_writes: "put.matches.counter-processes", folder(Mistake::UnlocksEarly),
        "holds the lock while it compares and not while it writes: a guard dropped at the end of an `if`";
    reads_are_cached_in_the_process: "race.linearizable-processes", folder(Mistake::CachesReads),
        "answers from what its process read or wrote: attribute caches, \"we are the only writer\"";
    crash_litters: "crash.put.new", folder(Mistake::Litters),
        "never sweeps the temporary files of those who died: disks that fill up over a year";
    crash_leaves_a_placeholder: "crash.put.absent", folder(Mistake::ReservesName),
        "takes the name with an empty file and fills it afterwards: O_EXCL, then write";
    crash_leaves_half: "crash.put.overwrite", folder(Mistake::WritesInPlace),
        "truncates the old object and writes over it: minio#17416, Tahoe#200, borg#2099";
    crash_loses_the_old: "crash.put.matches", folder(Mistake::RemovesFirst),
        "removes the old object before the new one takes its name: where rename does not replace";
    crash_leaves_what_it_shredded: "crash.delete", folder(Mistake::Shreds),
        "empties the object before it removes it: secure deletion, freeing space first";
    acknowledges_before_it_writes: "crash.random", folder(Mistake::AcknowledgesEarly),
        "says ok and writes later, sixteen at a time: write-behind, a buffer flushed when it is full";
}

/// What the folder gets wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    None,
    AbsentLockedHere,
    MatchesLockedHere,
    UnlocksEarly,
    CachesReads,
    Litters,
    ReservesName,
    WritesInPlace,
    RemovesFirst,
    Shreds,
    AcknowledgesEarly,
}

const ALL: [Mistake; 11] = [
    Mistake::None,
    Mistake::AbsentLockedHere,
    Mistake::MatchesLockedHere,
    Mistake::UnlocksEarly,
    Mistake::CachesReads,
    Mistake::Litters,
    Mistake::ReservesName,
    Mistake::WritesInPlace,
    Mistake::RemovesFirst,
    Mistake::Shreds,
    Mistake::AcknowledgesEarly,
];

/// A new folder, which the liar or the honest one keeps.
fn folder(mistake: Mistake) -> World {
    let place = Arc::new(TempDir::new().expect("there is room for a temporary folder"));
    let opens = |mistake| {
        let place = place.clone();
        move |_| {
            Arc::new(Folder::open(place.path(), mistake, unobserved()).unwrap())
                as Arc<dyn StorageProvider>
        }
    };
    let (liar, honest) = (opens(mistake), opens(Mistake::None));
    World::apart(liar, honest)
        .hooks(move |lying, _| hooks(place.path(), if lying { mistake } else { Mistake::None }))
}

fn hooks(place: &Path, mistake: Mistake) -> Hooks {
    let name = place.to_str().expect("temporary folders have names in plain letters");
    Hooks {
        second_process: Some(child::this_binary(&format!("{mistake:?}"), name)),
        crash: Some(Arc::new(Killed { place: place.to_owned(), mistake })),
        ..Hooks::default()
    }
}

/// What the second process works with.
pub(crate) fn second_process(mistake: &str) -> FnHarness {
    let mistake =
        ALL.into_iter().find(|it| format!("{it:?}") == mistake).expect("a mistake's name");
    let place = PathBuf::from(child::place().expect("the first process says where"));
    let hooks = hooks(&place, mistake);
    let open = move || {
        let opened = Folder::open(&place, mistake, unobserved());
        async move { opened }
    };
    harness(open).with_hooks(hooks)
}

fn unobserved() -> Reach {
    Arc::new(|_| ())
}

struct Killed {
    place: PathBuf,
    mistake: Mistake,
}

#[async_trait]
impl CrashHook for Killed {
    async fn open_observed(&self, reach: Reach) -> Result<Arc<dyn StorageProvider>> {
        Ok(Arc::new(Folder::open(&self.place, self.mistake, reach)?))
    }

    async fn leftovers(&self) -> Result<Vec<String>> {
        let names = names_in(&self.place).map_err(broken)?;
        Ok(names.into_iter().filter(|name| name.starts_with(TEMPORARY)).collect())
    }
}

/// The lock of a process, for those who think that there is only one.
static LOCKED_HERE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// How long a slow disk takes.
const SLOW_DISK: std::time::Duration = std::time::Duration::from_millis(3);
const TEMPORARY: &str = ".tmp-";
const LOCK: &str = ".lock";
/// A version and a line end, before the body.
const HEADER_BYTES: usize = 17;
/// How many objects are written at once by who acknowledges early.
const BEHIND_MAX: usize = 16;

/// Objects as files. One lock for all changes, held by whoever makes one.
struct Folder {
    place: PathBuf,
    mistake: Mistake,
    reach: Reach,
    remembered: Mutex<HashMap<Key, (Version, Bytes)>>,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("place", &self.place).finish_non_exhaustive()
    }
}

fn broken(error: io::Error) -> Error {
    Error::not_applied(ErrorKind::Unexpected, "the folder cannot be used").with_source(error)
}

fn names_in(place: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(place)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

impl Folder {
    fn open(place: &Path, mistake: Mistake, reach: Reach) -> Result<Self> {
        let folder = Self { place: place.to_owned(), mistake, reach, remembered: Mutex::default() };
        if mistake != Mistake::Litters {
            let _lock = folder.lock()?;
            for name in names_in(place).map_err(broken)? {
                if name.starts_with(TEMPORARY) {
                    fs::remove_file(place.join(name)).map_err(broken)?;
                }
            }
        }
        Ok(folder)
    }

    /// Held until dropped, or until the process dies. Nothing may wait for a task while it is.
    fn lock(&self) -> Result<File> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(self.place.join(LOCK)).map_err(broken)?;
        file.lock().map_err(broken)?;
        Ok(file)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.place.join(key.as_str().replace('/', "%"))
    }

    fn read(&self, key: &Key) -> Result<(Version, Bytes)> {
        if let Some(found) = self.remembered.lock().unwrap().get(key) {
            return Ok(found.clone());
        }
        let bytes = match fs::read(self.path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refusal(ErrorKind::NotFound));
            }
            bytes => Bytes::from(bytes.map_err(broken)?),
        };
        if bytes.len() < HEADER_BYTES {
            return Ok((Version::new("none"), Bytes::new()));
        }
        let version = String::from_utf8_lossy(&bytes[..HEADER_BYTES - 1]).into_owned();
        let found = (Version::new(version), bytes.slice(HEADER_BYTES..));
        if self.mistake == Mistake::CachesReads {
            self.remembered.lock().unwrap().insert(key.clone(), found.clone());
        }
        Ok(found)
    }

    fn check(&self, key: &Key, when: &PutIf) -> Result<()> {
        let found = self.read(key).ok().map(|(version, _)| version);
        let holds = match when {
            PutIf::Always => true,
            PutIf::Absent => found.is_none(),
            PutIf::Matches(wanted) => found.as_ref() == Some(wanted),
        };
        if holds { Ok(()) } else { Err(refusal(ErrorKind::Conflict)) }
    }

    fn write(&self, key: &Key, body: &Bytes, version: &Version) -> io::Result<()> {
        let path = self.path(key);
        let bytes = [version.as_str().as_bytes(), b"\n", body].concat();
        if self.mistake == Mistake::WritesInPlace {
            (self.reach)("truncate");
            let (first, second) = bytes.split_at(bytes.len() / 2);
            let mut file = File::create(path)?;
            file.write_all(first)?;
            (self.reach)("write the rest");
            return file.write_all(second);
        }
        if self.mistake == Mistake::ReservesName && !path.exists() {
            (self.reach)("reserve");
            File::create(&path)?;
        }
        let temporary = self.place.join(format!("{TEMPORARY}{version}"));
        (self.reach)("write");
        fs::write(&temporary, bytes)?;
        if self.mistake == Mistake::RemovesFirst && path.exists() {
            (self.reach)("remove");
            fs::remove_file(&path)?;
        }
        (self.reach)("rename");
        fs::rename(temporary, path)
    }

    /// Keeps what has been acknowledged, and writes it when there is enough.
    fn write_later(&self, key: &Key, body: Bytes, version: &Version) -> io::Result<()> {
        let mut waiting = self.remembered.lock().unwrap();
        waiting.insert(key.clone(), (version.clone(), body));
        if waiting.len() >= BEHIND_MAX {
            for (key, (version, body)) in waiting.drain() {
                self.write(&key, &body, &version)?;
            }
        }
        Ok(())
    }

    async fn put_now(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let version = Version::new(format!("{:016x}", rand::random::<u64>()));
        let locked_here = match when {
            PutIf::Always => false,
            PutIf::Absent => self.mistake == Mistake::AbsentLockedHere,
            PutIf::Matches(_) => self.mistake == Mistake::MatchesLockedHere,
        };
        if self.mistake == Mistake::AcknowledgesEarly && when == PutIf::Always {
            self.write_later(key, body.clone(), &version).map_err(broken)?;
        } else if locked_here {
            let _lock = LOCKED_HERE.lock().await;
            self.check(key, &when)?;
            // A slow disk: two processes seldom meet within what a quick one takes.
            tokio::time::sleep(SLOW_DISK).await;
            self.write(key, &body, &version).map_err(broken)?;
        } else {
            let lock = self.lock()?;
            self.check(key, &when)?;
            if self.mistake == Mistake::UnlocksEarly && when != PutIf::Always {
                drop(lock);
                pause().await;
            }
            self.write(key, &body, &version).map_err(broken)?;
        }
        if self.mistake == Mistake::CachesReads {
            self.remembered.lock().unwrap().insert(key.clone(), (version.clone(), body));
        }
        Ok(version)
    }

    fn delete_now(&self, key: &Key) -> io::Result<()> {
        self.remembered.lock().unwrap().remove(key);
        let path = self.path(key);
        if self.mistake == Mistake::Shreds && path.exists() {
            (self.reach)("empty");
            OpenOptions::new().write(true).open(&path)?.set_len(HEADER_BYTES as u64)?;
        }
        (self.reach)("remove");
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn list_now(&self, request: &List<'_>) -> io::Result<Page> {
        let mut objects = Vec::new();
        for name in names_in(&self.place)? {
            let Ok(key) = Key::new(name.replace('%', "/")) else { continue };
            let after = request.start_after.is_none_or(|start| key > *start);
            // Gone since its name was read: then it need not be listed.
            let Ok(about) = fs::metadata(self.place.join(name)) else { continue };
            if key.starts_with(request.prefix) && after {
                objects.push(Listed { key, size: about.len().saturating_sub(HEADER_BYTES as u64) });
            }
        }
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(page_of(objects, request))
    }
}

#[async_trait]
impl StorageProvider for Folder {
    fn info(&self) -> ProviderInfo {
        ProviderInfo {
            name: "folder".into(),
            capabilities: Capabilities {
                absent: Atomicity::OneHost,
                matches: Atomicity::OneHost,
                list: ListConsistency::Strong,
                durability: Durability::ProcessCrash,
                versions: Versions::PerWrite,
                sharing: Sharing::OneHost,
                key_bytes_max: 200,
                object_bytes_max: 1 << 20,
            },
        }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let result = self.put_now(key, body, when).await;
        result.map_err(|error| error.during(Operation::Put, key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let get = || {
            let (version, whole) = self.read(key)?;
            request.check(&version)?;
            let size = whole.len() as u64;
            let body = match request.range {
                _ if request.meta_only => Bytes::new(),
                None => whole,
                Some(range) => {
                    let range = range.within(size)?;
                    whole.slice(range.start as usize..range.end as usize)
                }
            };
            Ok(Object { body, size, version })
        };
        get().map_err(|error: Error| error.during(Operation::Get, key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.list_now(&request).map_err(|error| broken(error).during_list())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let _lock = self.lock()?;
        self.delete_now(key).map_err(|error| broken(error).during(Operation::Delete, key))
    }
}
