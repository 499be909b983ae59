//! Putting and deleting, step by step.

use bytes::Bytes;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use storage_core::{Error, ErrorKind, Key, PutIf, Result, Version};

use crate::direct;
use crate::durable::Directory;
use crate::error::{errno, not_applied, refused_outright, unknown};
use crate::folder::Folder;
use crate::key;
use crate::lock::FileLock;
use crate::object::{self, Header};
use crate::step::Step;

impl Folder {
    /// Stores an object.
    pub(crate) fn put(&self, key: &Key, body: &Bytes, when: &PutIf) -> Result<Version> {
        let (size, limit) = (body.len() as u64, self.config.object_bytes_max);
        if size > limit {
            let message = format!("{size} bytes, but an object has at most {limit}");
            return Err(Error::not_applied(ErrorKind::TooLarge, message));
        }
        self.durable.check()?;
        self.check_there()?;
        // A condition that does not hold now is refused before anything is written.
        if let Some(found) = self.differs(key, when)? {
            return Err(self.conflict(key, found));
        }

        let writer = self.writer()?;
        let header = Header::new(key, body)?;
        let mut temporary = writer.directory.file(&self.observer)?;
        self.observer.before(|| Step::WriteTemp { path: temporary.path() });
        let written = match self.syncs() {
            true => direct::write(&self.pool, &mut temporary.file, &header, body),
            false => Ok(0),
        };
        written
            .and_then(|written| object::write(&mut temporary.file, &header, body, written))
            .map_err(|error| not_applied(errno(&error), "write a temporary file"))?;
        if self.syncs() {
            self.observer.before(|| Step::SyncTemp { path: temporary.path() });
            temporary
                .file
                .sync_data()
                .map_err(|error| not_applied(errno(&error), "sync a temporary file"))?;
        }

        let path = key::object_path(key);
        let (directory, name) = key::split(&path);
        let chain = self.directory_to_write(directory)?;
        let lock = self.lock(key, matches!(when, PutIf::Matches(_)))?;
        if let PutIf::Matches(_) = when {
            self.observer.before(|| Step::Compare { path: format!("objects/{path}") });
            if let Some(found) = self.differs(key, when)? {
                drop((lock, temporary));
                return Err(self.conflict(key, found));
            }
        }
        self.durable.check()?;
        self.observer
            .before(|| Step::Publish { from: temporary.path(), to: format!("objects/{path}") });
        self.durable.announce(key);
        let published = match when {
            PutIf::Absent => temporary.publish_new(&chain[0].file, name, writer.create_new),
            PutIf::Always | PutIf::Matches(_) => temporary.publish(&chain[0].file, name),
        };
        drop((lock, temporary));
        if let Err(errno) = published {
            self.durable.withdraw(key);
            return Err(match errno {
                Errno::EXIST if *when == PutIf::Absent => {
                    self.conflict(key, "the object exists".to_owned())
                }
                errno if refused_outright(errno) => not_applied(errno, "give it its name"),
                errno => unknown(errno, "give it its name"),
            });
        }
        if self.syncs() {
            self.durable.sync(&chain, &self.observer, |path| Step::SyncDirectory { path })?;
        }
        self.durable.withdraw(key);
        Ok(header.version())
    }

    /// Removes an object; a missing one is as wanted.
    pub(crate) fn delete(&self, key: &Key) -> Result<()> {
        self.durable.check()?;
        let path = key::object_path(key);
        let (directory, name) = key::split(&path);
        let chain = match self.chain(directory) {
            Ok(chain) => chain,
            Err(Errno::NOENT) => return self.check_there(),
            Err(errno) => return Err(not_applied(errno, "open its directory")),
        };
        let lock = self.lock(key, false)?;
        self.observer.before(|| Step::Unlink { path: format!("objects/{path}") });
        self.durable.announce(key);
        let unlinked = rustix::fs::unlinkat(&chain[0].file, name, AtFlags::empty());
        drop(lock);
        match unlinked {
            Ok(()) => {}
            // Whoever has removed it, in whatever process, may not have synced that yet: go on.
            Err(Errno::NOENT) => {
                if let Err(error) = self.check_there() {
                    self.durable.withdraw(key);
                    return Err(error);
                }
            }
            Err(errno) => {
                self.durable.withdraw(key);
                let because = if refused_outright(errno) { not_applied } else { unknown };
                return Err(because(errno, "remove its file"));
            }
        }
        if self.syncs() {
            self.durable.sync(&chain, &self.observer, |path| Step::SyncAfterUnlink { path })?;
        }
        self.durable.withdraw(key);
        self.may_be_empty(directory);
        Ok(())
    }

    /// What is there instead, if the condition does not hold.
    fn differs(&self, key: &Key, when: &PutIf) -> Result<Option<String>> {
        Ok(match when {
            PutIf::Always => None,
            PutIf::Absent => self.open_object(key)?.map(|_| "the object exists".to_owned()),
            PutIf::Matches(wanted) => match self.open_object(key)? {
                None => Some("there is no object".to_owned()),
                Some(file) => {
                    let version = object::read_version(&file, key)?;
                    (version != *wanted).then(|| format!("the version is {version}, not {wanted}"))
                }
            },
        })
    }

    /// The answer that a condition does not hold, given once what was found is durable: who is told
    /// that somebody was first may build on it.
    fn conflict(&self, key: &Key, found: String) -> Error {
        match self.settle(key) {
            Ok(()) => Error::not_applied(ErrorKind::Conflict, found),
            Err(error) => error,
        }
    }

    fn lock(&self, key: &Key, exclusive: bool) -> Result<FileLock> {
        self.observer.before(|| Step::Lock { path: format!("locks/{}", key::stripe(key)) });
        FileLock::stripe(&self.locks, key, exclusive)
    }

    /// The directory to put into, made if need be, and those above it that must be synced with it.
    /// They are opened before the object is published, so that only a sync can fail after.
    fn directory_to_write(&self, path: &str) -> Result<Vec<Directory>> {
        let failed = |errno| not_applied(errno, format_args!("open the directory \"{path}\""));
        match self.chain(path) {
            Err(Errno::NOENT) => {}
            result => return result.map_err(failed),
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for directory in ends.map(|end| &path[..end]) {
            self.observer.before(|| Step::MakeDirectory { path: format!("objects/{directory}") });
            match rustix::fs::mkdirat(&self.objects, directory, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => {
                    return Err(not_applied(errno, format_args!("make \"{directory}\"")));
                }
            }
        }
        self.chain(path).map_err(failed)
    }
}
