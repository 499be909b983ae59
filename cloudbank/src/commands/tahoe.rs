//! `tahoe`: what the server of Tahoe-LAFS keeps, and who it is.

mod announce;
mod identity;
mod list;
mod moving;
mod place;
mod status;

pub(crate) use place::{config_in, failed};

use crate::cli::{IdentityCommand, TahoeCommand};
use crate::error::Result;
use crate::run::Context;

pub(crate) async fn run(context: &Context, command: TahoeCommand) -> Result<()> {
    match command {
        TahoeCommand::Announce { which, location } => {
            announce::run(context, &which, &location).await
        }
        TahoeCommand::Status { which } => status::status(context, &which).await,
        TahoeCommand::Shares { which, index, limit } => {
            list::shares(context, &which, index.as_deref(), limit).await
        }
        TahoeCommand::Leases { which, index } => list::leases(context, &which, &index).await,
        TahoeCommand::Advisories { which } => list::advisories(context, &which).await,
        TahoeCommand::Gc { which, after, dry_run } => {
            status::collect(context, &which, after, dry_run).await
        }
        TahoeCommand::Import { which, folder, no_identity, no_verify, verify_only } => {
            let (import, verify, identity) = (!verify_only, !no_verify, !no_identity);
            let tasks = moving::Tasks { identity, import, verify };
            moving::import(context, &which, &folder, tasks).await
        }
        TahoeCommand::Export { which, folder } => moving::export(context, &which, &folder).await,
        TahoeCommand::Identity(IdentityCommand::Export { which, file }) => {
            identity::export(context, &which, &file).await
        }
        TahoeCommand::Identity(IdentityCommand::Import { which, file, replace }) => {
            identity::import(context, &which, &file, replace).await
        }
    }
}
