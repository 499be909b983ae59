//! `s3 ...`: the buckets and objects of any S3 service.

mod access;
mod buckets;
mod cat;
mod connect;
mod filter;
mod ls;
mod place;
mod presign;
mod rm;
mod stat;
mod transfer;

use crate::cli::{S3Args, S3Command};
use crate::error::{Error, Result};
use crate::run::Context;
use crate::s3::failure::Failure;

const NOTHING_CHANGED: &str = "nothing was changed";
/// How many requests there are at a time where there is nothing to say about it.
const CONNECTIONS: u16 = 16;

pub(crate) async fn run(context: &Context, arguments: S3Args) -> Result<()> {
    let connection = &arguments.connection;
    let jobs = match &arguments.command {
        S3Command::Cp(arguments) | S3Command::Mv(arguments) => arguments.transfer.jobs,
        S3Command::Sync(arguments) => arguments.transfer.jobs,
        S3Command::Rm(arguments) => arguments.jobs,
        _ => CONNECTIONS,
    };
    // Not before the command line is known to be right.
    let connect = || connect::connect(context, connection, jobs);
    let unless = |remains: &'static str| (context, remains);
    match arguments.command {
        S3Command::Mb { bucket, if_absent } => {
            let bucket = place::S3Place::bucket(&bucket)?;
            let work = buckets::make(context, connect()?, &bucket, if_absent);
            interruptible(unless("the bucket may or may not have been made"), work).await
        }
        S3Command::Rb { bucket, force, yes } => {
            let bucket = place::S3Place::bucket(&bucket)?;
            let work = buckets::remove(context, connect()?, &bucket, force, yes);
            interruptible(unless("a part of it may have been removed"), work).await
        }
        S3Command::Ls(arguments) => {
            let ls = ls::Ls::new(arguments)?;
            interruptible(unless(NOTHING_CHANGED), ls.run(context, connect()?)).await
        }
        S3Command::Cp(arguments) => {
            transfer::copy(context, connect, arguments, transfer::Then::Keep).await
        }
        S3Command::Mv(arguments) => {
            transfer::copy(context, connect, arguments, transfer::Then::Remove).await
        }
        S3Command::Sync(arguments) => transfer::sync(context, connect, arguments).await,
        S3Command::Rm(arguments) => {
            let rm = rm::Rm::new(arguments)?;
            let remains = "some objects may have been removed; run the same command again";
            interruptible(unless(remains), rm.run(context, connect()?)).await
        }
        S3Command::Stat { address, which } => {
            let work = stat::run(context, &connect, &address, &which);
            interruptible(unless(NOTHING_CHANGED), work).await
        }
        S3Command::Cat { objects, which, range } => {
            let cat = cat::Cat::new(&objects, &which, range.as_deref())?;
            interruptible(unless(NOTHING_CHANGED), cat.run(context, connect()?)).await
        }
        S3Command::Presign { object, which, method, expires_in } => {
            let call = presign::Presign::new(&object, &which, method, &expires_in)?;
            interruptible(unless(NOTHING_CHANGED), call.run(context, connect()?)).await
        }
        S3Command::Getacl { address, which } => {
            let work = access::show(context, &connect, &address, &which);
            interruptible(unless(NOTHING_CHANGED), work).await
        }
        S3Command::Setacl { address, acl, which, recursive } => {
            let set = access::Set::new(&address, &acl, &which, recursive)?;
            let remains = "some lists of access may have been changed";
            interruptible(unless(remains), set.run(context, connect()?)).await
        }
    }
}

async fn interruptible(
    (context, remains): (&Context, &str),
    work: impl Future<Output = Result<()>>,
) -> Result<()> {
    context.unless_interrupted(remains, work).await
}

/// What to say when a request failed.
fn failed(what: impl Into<String>) -> impl FnOnce(Failure) -> Error {
    move |failure| Error::S3 { what: what.into(), failure: Box::new(failure) }
}
