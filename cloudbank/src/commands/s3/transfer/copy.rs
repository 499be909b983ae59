//! Copies within a service: no byte comes here.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::upload::give_up;
use super::work::{Known, Worker};
use crate::commands::s3::failed;
use crate::error::{Code, Error, Result};
use crate::s3::failure::Failure;
use crate::s3::multipart::{COPY_BYTES_MAX, PARTS_MAX};
use crate::s3::object::{Head, Name};

/// How large the parts are that a copy of more than [`COPY_BYTES_MAX`] goes in.
const PART_BYTES: u64 = 512 << 20;

impl Worker<'_> {
    /// Copies an object; how many bytes it has.
    pub(super) async fn copy(&self, from: &Name, known: Option<&Known>, to: &Name) -> Result<u64> {
        let given = &self.options.given;
        let what = || failed(format!("copy {from} to {to}"));
        let mut head = None;
        if known.is_none_or(|known| known.size > COPY_BYTES_MAX) || given.replaces() {
            let _permit = self.reader.request().await;
            head = Some(self.client().head(from).await.map_err(what())?);
        }
        let (size, etag) = match (&head, known) {
            (Some(head), _) => (head.size, &head.etag),
            (None, Some(known)) => (known.size, &known.etag),
            (None, None) => unreachable!("what is not known was asked for"),
        };
        if known.is_none() {
            self.tally.expect(size);
        }
        if self.options.if_absent && self.is_there(to).await.map_err(what())? {
            return Err(Error::Conflict(format!("{to} is there already, and was left as it is")));
        }
        match &head {
            Some(head) if size > COPY_BYTES_MAX => self.copy_in_parts(from, head, to).await?,
            head => {
                let replaced = match head {
                    Some(head) if given.replaces() => Some(given.of_copy(head)),
                    _ => None,
                };
                let _permit = self.reader.request().await;
                let besides = given.besides();
                let copied =
                    self.client().copy(from, (etag, size), to, replaced.as_ref(), &besides);
                copied.await.map_err(what())?;
                self.tally.bar.inc(size);
            }
        }
        Ok(size)
    }

    async fn is_there(&self, name: &Name) -> Result<bool, Failure> {
        match self.client().head(name).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_not_found() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn copy_in_parts(&self, from: &Name, head: &Head, to: &Name) -> Result<()> {
        let what = || failed(format!("copy {from} to {to}"));
        let about = self.options.given.of_copy(head);
        let upload = self.client().begin(to, &about, None).await.map_err(what())?;
        self.begun.note(&upload);
        let step = PART_BYTES.max(head.size.div_ceil(PARTS_MAX));
        let starts = (0..head.size).step_by(step as usize);
        let copied = stream::iter((1..).zip(starts))
            .map(|(number, start)| {
                let (upload, etag) = (&upload, &head.etag);
                async move {
                    let length = step.min(head.size - start);
                    let _permit = self.reader.request().await;
                    let range = (start, length);
                    let part = self.client().copy_part(upload, number, (from, etag), range).await?;
                    self.tally.bar.inc(length);
                    Ok::<_, Failure>(part)
                }
            })
            .buffered(self.options.jobs)
            .try_collect::<Vec<_>>();
        let done = async {
            let parts = copied.await.map_err(what())?;
            let completed = self.client().complete(&upload, &parts, None, false).await;
            completed.map(drop).map_err(what())
        };
        let done = done.await;
        if let Err(error) = &done
            && error.code() != Code::Unknown
        {
            give_up(self.client(), &upload).await;
        }
        self.begun.forget(&upload);
        done
    }
}
