//! Whether members may come and go: looked at before anything is changed.

use storage_array::{Inspect, Inspection};
use storage_core::{List, Prefix};

use crate::arrays::Array;
use crate::config::Config;
use crate::error::{Error, Result};

/// Sees to it that a provider can become a member: it is there, empty, and used by nobody.
pub(super) async fn check_newcomer(config: &Config, array: &str, name: &str) -> Result<()> {
    let provider = config.provider(Some(name))?;
    let user = config.providers().find(|other| {
        let mut parts = other.parts().iter();
        parts.any(|(_, members)| members.iter().any(|member| member == name))
    });
    if let Some(user) = user {
        return Err(Error::Conflict(format!(
            "`{name}` is a member of `{}` already\n  = a provider belongs to one array: give the other a folder or bucket of its own",
            user.name()
        )));
    }
    if config.names_store(name) {
        return Err(Error::Conflict(format!(
            "`{name}` is where [store] keeps something\n  = name a provider with a folder or bucket of its own"
        )));
    }
    let mut within = std::collections::BTreeSet::new();
    let mut names = Vec::new();
    super::within(config, name, &mut within, &mut names);
    if name == array || names.iter().any(|inner| inner == array) {
        return Err(Error::Usage(format!("`{name}` is made of `{array}`")));
    }
    let opened = provider.open().await?;
    let prefix = Prefix::all();
    let request = List { prefix: &prefix, start_after: None, limit: 1 };
    let page = opened.list(request).await.map_err(|error| provider.explain(error))?;
    if let Some(object) = page.objects.first() {
        return Err(Error::Conflict(format!(
            "`{name}` is not empty: there is {}\n  = if all of it may go: cloudbank provider rm -p {name} --prefix '' --yes",
            object.key
        )));
    }
    Ok(())
}

/// Sees to it that everything is on the members other than `leaving`, as far as lists and records tell.
pub(super) async fn check_others(array: &Array, name: &str, leaving: Option<&str>) -> Result<()> {
    let look = Inspect::default();
    let seen = match array {
        Array::Mirror(array) => array.inspect(&look, &mut |_| true).await,
        Array::Erasure(array) => array.inspect(&look, &mut |_| true).await,
        Array::Shard(_) | Array::Encrypt(_) => return Ok(()),
    };
    let seen =
        seen.map_err(|error| Error::Provider { provider: name.to_owned(), place: None, error })?;
    match what_lacks(&seen, leaving) {
        None => Ok(()),
        Some(what) => Err(Error::Conflict(format!(
            "{what}: its members are changed one at a time, when the others have everything\n  = first: cloudbank array repair -p {name}"
        ))),
    }
}

fn what_lacks(seen: &Inspection, leaving: Option<&str>) -> Option<String> {
    seen.members.iter().filter(|member| Some(&*member.name) != leaving).find_map(|member| {
        let name = &member.name;
        match &member.answer {
            Err(why) => Some(format!("`{name}` does not answer ({why})")),
            Ok(_) if member.missing > 0 => {
                Some(format!("`{name}` lacks {}", crate::output::count(member.missing, "piece")))
            }
            Ok(_) if member.behind_since.is_some() => {
                Some(format!("`{name}` is on record as behind"))
            }
            Ok(_) => None,
        }
    })
}
