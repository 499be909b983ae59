//! `s3 cp`, `s3 mv`, `s3 sync`: objects and files from one place to another.

mod about;
mod copy;
mod download;
mod plan;
mod read;
mod side;
mod sync;
mod tally;
mod upload;
mod work;

use std::time::Duration;

use crate::cli::{Checksum, CopyArgs, SyncArgs, TransferArgs};
use crate::config::parse_size;
use crate::error::{Error, Result};
use crate::run::Context;
use crate::s3::checksum::Algorithm;
use crate::s3::client::Client;
use crate::s3::multipart::{COPY_BYTES_MAX, PART_BYTES_MIN};

use super::filter::Filter;
use about::Given;
pub(super) use read::{Reader, Wanted};
use work::Worker;

/// The largest part there is, which is in memory as a whole.
const PART_BYTES_MAX: u64 = 1 << 30;
/// How long what is left of uploads may take to be given up once all is interrupted.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What becomes of the source of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Keep,
    Remove,
}

/// How everything is moved.
struct Options {
    filter: Filter,
    given: Given,
    checksum: Option<Algorithm>,
    part_bytes: u64,
    jobs: usize,
    dry_run: bool,
    follow_links: bool,
    at: Option<String>,
    then: Then,
    if_absent: bool,
}

impl Options {
    fn new(arguments: &TransferArgs, then: Then, if_absent: bool) -> Result<Self> {
        let wrong = |why: &str| {
            Error::Usage(format!(
                "--part-size `{}` {why}\n  = expected a size from 5MiB to 1GiB",
                arguments.part_size.escape_debug()
            ))
        };
        let part_bytes = parse_size(&arguments.part_size).ok_or_else(|| wrong("is no size"))?;
        if !(PART_BYTES_MIN..=PART_BYTES_MAX.min(COPY_BYTES_MAX)).contains(&part_bytes) {
            return Err(wrong("is no size of a part"));
        }
        if then == Then::Remove && arguments.at.is_some() {
            return Err(Error::Usage("what is past cannot be moved: copy it".into()));
        }
        Ok(Self {
            filter: Filter::new(&arguments.filters)?,
            given: Given::new(&arguments.about)?,
            checksum: match arguments.checksum {
                Checksum::Crc64nvme => Some(Algorithm::Crc64Nvme),
                Checksum::Crc32c => Some(Algorithm::Crc32c),
                Checksum::Crc32 => Some(Algorithm::Crc32),
                Checksum::None => None,
            },
            part_bytes,
            jobs: arguments.jobs.into(),
            dry_run: arguments.dry_run,
            follow_links: arguments.follow_links,
            at: arguments.at.clone(),
            then,
            if_absent,
        })
    }
}

pub(super) async fn copy(
    context: &Context,
    connect: impl FnOnce() -> Result<Client>,
    arguments: CopyArgs,
    then: Then,
) -> Result<()> {
    let options = Options::new(&arguments.transfer, then, arguments.if_absent)?;
    let copy = plan::Copy::new(&arguments, &options)?;
    let remains = "what has been copied stays; run the same command again to go on";
    run(context, connect()?, &options, remains, async |worker| copy.run(worker).await).await
}

pub(super) async fn sync(
    context: &Context,
    connect: impl FnOnce() -> Result<Client>,
    arguments: SyncArgs,
) -> Result<()> {
    let options = Options::new(&arguments.transfer, Then::Keep, false)?;
    let sync = sync::Sync::new(&arguments, &options)?;
    let remains =
        "what has been copied stays, and nothing was removed; run the same command again to go on";
    run(context, connect()?, &options, remains, async |worker| sync.run(worker).await).await
}

/// Does it, shows how far it has come, and tidies up when it is interrupted.
async fn run(
    context: &Context,
    client: Client,
    options: &Options,
    remains: &str,
    work: impl AsyncFnOnce(&Worker<'_>) -> Result<()>,
) -> Result<()> {
    let worker = Worker::new(context, client, options);
    let done = context.unless_interrupted(remains, work(&worker)).await;
    let Worker { tally, begun, reader, .. } = worker;
    if let Err(error) = done {
        tally.bar.finish_and_clear();
        context.output.note(tally.words());
        let give_up = async {
            for upload in begun.take() {
                upload::give_up(&reader.client, &upload).await;
            }
        };
        // Who does not answer now keeps the parts; `rm --uploads` removes them.
        let _ = tokio::time::timeout(LAST_WORDS, give_up).await;
        return Err(error);
    }
    tally.finish()
}
