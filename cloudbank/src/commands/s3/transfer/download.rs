//! Objects that become files: written beside, checked, then given their name.

use std::cell::RefCell;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use futures_util::{StreamExt, TryStreamExt, stream};
use storage_core::ErrorKind;

use super::read::{Reader, Wanted};
use crate::commands::s3::failed;
use crate::commands::target::Target;
use crate::error::{Error, Result};
use crate::s3::checksum::Expected;
use crate::s3::failure::Failure;
use crate::s3::object::Reading;

/// How much of a file is read at a time to check it.
const CHECK_BYTES: usize = 1 << 20;

impl Reader {
    /// Gives a file the bytes of an object, all of them or none, and its time. The first answer may be there already.
    pub(super) async fn download(
        &self,
        wanted: &Wanted<'_>,
        first: Option<Reading>,
        path: &Path,
        count: &impl Fn(u64),
    ) -> Result<()> {
        let write = || Error::file(format!("write {}", path.display()));
        let mut target = Target::open(path).map_err(write())?;
        let head = wanted.head;
        if !target.is_file() {
            return self
                .in_order(wanted, |bytes| {
                    count(bytes.len() as u64);
                    target.write(bytes).map_err(write())
                })
                .await;
        }
        let in_parts = first.is_none() && head.size > 2 * self.part_bytes;
        let mut done = match in_parts {
            true => self.in_parts(wanted, &mut target, path, count).await,
            false => self.in_one(wanted, first, &mut target, path, count).await,
        };
        if let Err(Error::S3 { failure, .. }) = &done
            && failure.kind == ErrorKind::Unsupported
            && in_parts
        {
            tracing::info!("{}: in one piece, since the service knows no ranges", wanted.name);
            target = Target::open(path).map_err(write())?;
            done = self.in_one(wanted, None, &mut target, path, count).await;
        }
        done?;
        if let Some(time) = head.modified {
            target.file().set_modified(SystemTime::from(time)).map_err(write())?;
        }
        target.finish().map_err(write())
    }

    async fn in_one(
        &self,
        wanted: &Wanted<'_>,
        first: Option<Reading>,
        target: &mut Target,
        path: &Path,
        count: &impl Fn(u64),
    ) -> Result<()> {
        let mut summer = wanted.head.expected.as_ref().map(Expected::summer);
        self.range(wanted, first, (0, wanted.head.size), |_, bytes| {
            if let Some(summer) = &mut summer {
                summer.add(bytes);
            }
            count(bytes.len() as u64);
            target.write(bytes).map_err(Error::file(format!("write {}", path.display())))
        })
        .await?;
        match (&wanted.head.expected, summer) {
            (Some(expected), Some(summer)) => expected.check(summer).map_err(damaged(wanted)),
            _ => Ok(()),
        }
    }

    async fn in_parts(
        &self,
        wanted: &Wanted<'_>,
        target: &mut Target,
        path: &Path,
        count: &impl Fn(u64),
    ) -> Result<()> {
        let shared = RefCell::new(&mut *target);
        stream::iter(self.parts(0, wanted.head.size))
            .map(Ok)
            .try_for_each_concurrent(self.jobs, |(start, length)| {
                let shared = &shared;
                self.range(wanted, None, (start, length), move |at, bytes| {
                    count(bytes.len() as u64);
                    let written = shared.borrow_mut().write_at(at, bytes);
                    written.map_err(Error::file(format!("write {}", path.display())))
                })
            })
            .await?;
        let Some(expected) = wanted.head.expected.clone() else { return Ok(()) };
        // What was written is read again: so the order in which it came does not matter.
        let read = || Error::file(format!("read {}", path.display()));
        let file = target.file().try_clone().map_err(read())?;
        let checked = tokio::task::spawn_blocking(move || check(file, &expected)).await;
        let checked = checked.map_err(|error| Error::Failed(error.to_string()))?;
        checked.map_err(read())?.map_err(damaged(wanted))
    }
}

fn check(
    mut file: std::fs::File,
    expected: &Expected,
) -> std::io::Result<std::result::Result<(), String>> {
    file.seek(SeekFrom::Start(0))?;
    let mut summer = expected.summer();
    let mut piece = vec![0; CHECK_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(expected.check(summer)),
            length => summer.add(&piece[..length]),
        }
    }
}

fn damaged(wanted: &Wanted<'_>) -> impl FnOnce(String) -> Error {
    let what = failed(format!("read {}", wanted.name));
    move |why| what(Failure::wrong_answer(why))
}
