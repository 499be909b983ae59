//! `s3 getacl`, `s3 setacl`: who may do what.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::place::S3Place;
use super::{CONNECTIONS, failed};
use crate::cli::WhichVersion;
use crate::config::closest;
use crate::error::{Error, Result};
use crate::output::{Grid, count};
use crate::run::Context;
use crate::s3::acl::CANNED;
use crate::s3::client::Client;
use crate::s3::list::{Entry, Listing};
use crate::s3::object::Name;

pub(super) async fn show(
    context: &Context,
    connect: &impl Fn() -> Result<Client>,
    address: &str,
    which: &WhichVersion,
) -> Result<()> {
    let name = place(address)?.name(which)?;
    let list = connect()?.acl(&name).await.map_err(failed(format!("list of access of {name}")))?;
    if context.output.json {
        let grants: Vec<_> = list
            .grants()
            .iter()
            .map(|grant| {
                let grantee = &grant.grantee;
                json!({
                    "grantee": grantee.shown(),
                    "id": grantee.id,
                    "uri": grantee.uri,
                    "permission": grant.permission,
                })
            })
            .collect();
        return context.output.json(&json!({
            "bucket": name.bucket,
            "key": Some(&name.key).filter(|key| !key.is_empty()),
            "owner": list.owner.shown(),
            "owner_id": list.owner.id,
            "grants": grants,
        }));
    }
    let mut table = Grid::new(&["WHO", "MAY"], &[]);
    table.row([list.owner.shown(), "own it".into()]);
    for grant in list.grants() {
        table.row([grant.grantee.shown(), grant.permission.clone()]);
    }
    table.lines().try_for_each(|line| context.output.line(line))
}

/// A list of access to be given.
pub(super) struct Set {
    place: S3Place,
    name: Name,
    acl: String,
    recursive: bool,
}

impl Set {
    pub(super) fn new(
        address: &str,
        acl: &str,
        which: &WhichVersion,
        recursive: bool,
    ) -> Result<Self> {
        // Whichever comes first: other tools have it the other way round.
        let (address, acl) = match acl.starts_with("s3://") {
            true => (acl, address),
            false => (address, acl),
        };
        if which.at.is_some() {
            return Err(Error::Usage("what is past cannot be changed: leave --at out".into()));
        }
        let place = place(address)?;
        let acl = canned(acl)?.to_owned();
        Ok(Self { name: place.name(which)?, place, acl, recursive })
    }

    pub(super) async fn run(self, context: &Context, client: Client) -> Result<()> {
        if !self.recursive {
            let what = failed(format!("list of access of {}", self.name));
            client.set_acl(&self.name, &self.acl).await.map_err(what)?;
            return context.output.done(
                format_args!("{} is {}", self.name, self.acl),
                &json!({ "bucket": self.name.bucket, "key": self.name.key, "acl": self.acl }),
            );
        }
        let (bucket, prefix) = (self.place.bucket.clone(), self.place.key.clone());
        let mut lister = client.list(Listing { bucket, prefix, ..Listing::default() });
        let mut changed = 0;
        while let Some(entries) =
            lister.page().await.map_err(failed(format!("list {}", self.place.shown())))?
        {
            let names = entries.into_iter().filter_map(|entry| match entry {
                Entry::Object(object) => Some(Name::new(&self.place.bucket, &object.key)),
                Entry::Folder(_) => None,
            });
            changed += stream::iter(names)
                .map(|name| {
                    let (client, acl) = (&client, &self.acl);
                    async move {
                        let what = failed(format!("list of access of {name}"));
                        client.set_acl(&name, acl).await.map_err(what)
                    }
                })
                .buffer_unordered(CONNECTIONS.into())
                .try_fold(0, |changed, ()| async move { Ok(changed + 1) })
                .await?;
        }
        context.output.done(
            format_args!(
                "{} of {} made {}",
                count(changed, "object"),
                self.place.shown(),
                self.acl
            ),
            &json!({ "changed": changed, "acl": self.acl }),
        )
    }
}

fn place(address: &str) -> Result<S3Place> {
    let place = S3Place::parse(address)?;
    match place.bucket.is_empty() {
        true => Err(Error::Usage(format!("`{address}` names no bucket"))),
        false => Ok(place),
    }
}

/// One of the lists that have names.
///
/// # Errors
///
/// [`Error::Usage`] for another.
pub(super) fn canned(text: &str) -> Result<&str> {
    if CANNED.contains(&text) {
        return Ok(text);
    }
    let mut message = format!("`{}` is no list of access", text.escape_debug());
    message += &format!("\n  = expected one of {}", CANNED.join(", "));
    if let Some(near) = closest(text, CANNED) {
        message += &format!("\n  = did you mean `{near}`?");
    }
    Err(Error::Usage(message))
}
