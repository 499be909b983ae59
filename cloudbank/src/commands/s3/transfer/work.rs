//! One thing after the other, several at a time: each moved, counted, and its failure told.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt, TryStreamExt};
use storage_core::ErrorKind;

use super::about::Given;
use super::read::{Reader, Wanted};
use super::tally::Tally;
use super::upload::Put;
use super::{Options, Then};
use crate::commands::s3::failed;
use crate::error::{Code, Error, Result};
use crate::output::count;
use crate::run::Context;
use crate::s3::client::Client;
use crate::s3::multipart::Begun;
use crate::s3::object::{About, Name};

/// Something to be moved.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) from: End,
    pub(super) to: End,
    /// What is known of the source, if it was listed.
    pub(super) known: Option<Known>,
}

/// What a listing says of an object or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified: Option<DateTime<Utc>>,
}

/// Where it is or shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    File(PathBuf),
    Object(Name),
    /// Standard input or output.
    Stdio,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    Move(Box<Task>),
    /// It is not moved, and that is as it should be.
    LeftOut {
        what: String,
        why: String,
    },
    /// It is there already.
    Same(String),
    Failed(Error),
}

impl End {
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => crate::commands::shown_line(&path.to_string_lossy()),
            Self::Object(name) => name.to_string(),
            Self::Stdio => "-".into(),
        }
    }
}

/// Who moves.
pub(super) struct Worker<'a> {
    pub(super) context: &'a Context,
    pub(super) options: &'a Options,
    pub(super) reader: Reader,
    pub(super) tally: Tally<'a>,
    pub(super) begun: Begun,
}

impl<'a> Worker<'a> {
    pub(super) fn new(context: &'a Context, client: Client, options: &'a Options) -> Self {
        Self {
            context,
            options,
            reader: Reader::with(client, options.jobs, options.part_bytes),
            tally: Tally::new(context, options.dry_run),
            begun: Begun::default(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.reader.client
    }

    fn given(&self) -> &Given {
        &self.options.given
    }

    /// Does all of it. What fails is told, and the rest goes on; only what would fail for everything ends it.
    pub(super) async fn all(&self, next: impl Stream<Item = Result<Next>>) -> Result<()> {
        let told = next.map(|next| async move {
            match next? {
                Next::Move(task) => self.one(&task).await,
                Next::LeftOut { what, why } => {
                    self.tally.left_out(&what, &why);
                    Ok(())
                }
                Next::Same(what) => {
                    self.tally.same(&what);
                    Ok(())
                }
                Next::Failed(error) => {
                    self.tally.failed(&error);
                    Ok(())
                }
            }
        });
        told.buffer_unordered(self.options.jobs).try_for_each(async |()| Ok(())).await
    }

    async fn one(&self, task: &Task) -> Result<()> {
        let action = match (&task.from, &task.to) {
            _ if self.options.then == Then::Remove => "move",
            (End::Object(_), End::Object(_)) => "copy",
            (_, End::Object(_)) => "upload",
            _ => "download",
        };
        let (from, to) = (task.from.shown(), task.to.shown());
        let size = task.known.as_ref().map(|known| known.size);
        if self.options.dry_run {
            return self.tally.moved(action, &from, &to, size.unwrap_or_default());
        }
        if task.to == End::Stdio {
            self.tally.goes_to_stdout();
        }
        let moved = async {
            let size = self.transfer(task).await?;
            if self.options.then == Then::Remove {
                self.remove(&task.from).await?;
            }
            Ok(size)
        };
        match moved.await {
            // What goes to standard output is all there is to see there.
            Ok(_) if task.to == End::Stdio => Ok(()),
            Ok(size) => self.tally.moved(action, &from, &to, size),
            Err(error) if is_for_all(&error) => Err(error),
            Err(error) => {
                self.tally.failed(&error);
                Ok(())
            }
        }
    }

    /// Moves the bytes; how many there were.
    async fn transfer(&self, task: &Task) -> Result<u64> {
        match (&task.from, &task.to) {
            (End::File(path), End::Object(name)) => {
                let about = self.given().of_upload(Some(path), &name.key);
                self.reader.upload(path, self.put(name, about)).await
            }
            (End::Stdio, End::Object(name)) => {
                let about = self.given().of_upload(None, &name.key);
                let stdin = Box::pin(tokio::io::stdin());
                self.reader.upload_stream(stdin, "standard input", self.put(name, about)).await
            }
            (End::Object(from), End::Object(to)) => self.copy(from, task.known.as_ref(), to).await,
            (End::Object(from), to) => self.download(from, task.known.as_ref(), to).await,
            // The plan has no such thing.
            (from, to) => {
                let (from, to) = (from.shown(), to.shown());
                Err(Error::Usage(format!("neither {from} nor {to} is an object")))
            }
        }
    }

    fn put<'b>(&'b self, name: &'b Name, about: About) -> Put<'b> {
        Put {
            name,
            about,
            checksum: self.options.checksum,
            if_absent: self.options.if_absent,
            bar: &self.tally.bar,
            begun: &self.begun,
        }
    }

    async fn download(&self, from: &Name, listed: Option<&Known>, to: &End) -> Result<u64> {
        if let End::File(path) = to
            && self.options.if_absent
            && path.symlink_metadata().is_ok()
        {
            return Err(Error::Conflict(format!(
                "{} is there already, and was left as it is",
                path.display()
            )));
        }
        let count = |bytes| self.tally.bar.inc(bytes);
        // A small object that was listed is read at once; of others more must be known first.
        let small = listed.is_some_and(|known| known.size <= 2 * self.reader.part_bytes);
        let what = || failed(format!("read {from}"));
        let permit = self.reader.request().await;
        let (head, first) = match small {
            true => {
                let reading = self.client().get(from, None, None).await.map_err(what())?;
                (reading.head.clone(), Some(reading))
            }
            false => (self.client().head(from).await.map_err(what())?, None),
        };
        drop(permit);
        if listed.is_none() {
            self.tally.expect(head.size);
        }
        let wanted = Wanted { name: from, head: &head, start: 0, length: head.size };
        match to {
            End::File(path) => self.reader.download(&wanted, first, path, &count).await?,
            _ => {
                let output = &self.context.output;
                self.reader
                    .in_order(&wanted, |bytes| {
                        count(bytes.len() as u64);
                        output.bytes(bytes)
                    })
                    .await?;
            }
        }
        Ok(head.size)
    }

    async fn remove(&self, from: &End) -> Result<()> {
        match from {
            End::File(path) => {
                let what = format!("remove {}", path.display());
                std::fs::remove_file(path).map_err(Error::file(what))
            }
            End::Object(name) => {
                let _permit = self.reader.request().await;
                self.client().delete(name).await.map_err(failed(format!("remove {name}")))
            }
            End::Stdio => Ok(()),
        }
    }

    /// Removes what only the target has. Returns how many were.
    pub(super) async fn remove_all(&self, ends: Vec<End>) -> Result<()> {
        let objects = ends.into_iter().map(|end| async move {
            if !self.options.dry_run {
                match self.remove(&end).await {
                    Err(error) if is_for_all(&error) => return Err(error),
                    Err(error) => {
                        self.tally.failed(&error);
                        return Ok(());
                    }
                    Ok(()) => {}
                }
            }
            self.tally.removed(&end.shown())
        });
        futures_util::stream::iter(objects)
            .buffer_unordered(self.options.jobs)
            .try_for_each(async |()| Ok(()))
            .await
    }

    /// Says that nothing is removed, and why.
    pub(super) fn nothing_removed(&self, ends: usize, why: &str) {
        let what = count(ends as u64, "object");
        self.context.output.note(format_args!("{what} not removed: {why}"));
    }
}

/// Whether there is no use in going on with others.
fn is_for_all(error: &Error) -> bool {
    match error {
        Error::OutputClosed | Error::Interrupted(_) => true,
        Error::S3 { failure, .. } => {
            matches!(failure.code.as_str(), "NoSuchBucket" | "InvalidAccessKeyId")
                || (failure.status.is_none() && failure.kind == ErrorKind::PermissionDenied)
        }
        error => error.code() == Code::Interrupted,
    }
}
