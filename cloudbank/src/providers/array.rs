//! `type = "mirror"`, `"erasure"`, `"shard"` and `"encrypt"`: providers made of others.

use std::sync::Arc;

use storage_array::{Encrypt, Erasure, Member, Mirror, Shard};
use storage_core::Env;
use storage_wrappers::TokioEnv;

use crate::config::{Problem, Section};
use crate::registry::{Backend, Members, Registry};

/// The greatest weight of a member of a shard.
const WEIGHT_MAX: u64 = 1_000_000;

/// Adds the types of arrays.
pub(super) fn register(registry: Registry) -> Registry {
    registry
        .register("encrypt", encrypt)
        .register("erasure", erasure)
        .register("mirror", mirror)
        .register("shard", shard)
}

fn env() -> Arc<dyn Env> {
    Arc::new(TokioEnv::new())
}

/// The names of the members and the domains they fail in.
struct Named {
    members: Vec<String>,
    domains: Vec<String>,
}

impl Named {
    fn read(section: &mut Section<'_>) -> Self {
        let members = names(section);
        let domains = section.texts("domains").or(members.clone());
        if domains.len() != members.len() {
            let (domains, members) = (domains.len(), members.len());
            let message =
                format!("`domains` has {domains} names for the {members} names of `members`");
            let help =
                "one for each member, in the same order: members that fail together share one";
            section.problem("domains", Problem::error(message).help(help));
        }
        Self { members, domains }
    }

    fn settings(&self) -> [(String, Vec<String>); 1] {
        [("members".into(), self.members.clone())]
    }

    fn of(&self, opened: &Members) -> Vec<Member> {
        let named = self.members.iter().zip(&self.domains);
        named
            .map(|(name, domain)| {
                Member::new(name.as_str(), opened[name].clone()).in_domain(domain.as_str())
            })
            .collect()
    }
}

fn names(section: &mut Section<'_>) -> Vec<String> {
    let members = section.texts("members").optional();
    if members.is_none() && !section.has("members") {
        let problem = Problem::error("an array needs `members`");
        let help = "name other providers of this file: members = [\"a\", \"b\", \"c\"]";
        section.problem("members", problem.help(help));
    }
    members.unwrap_or_default()
}

/// How many members a put must reach; any number will do where those of the pieces are wrong already.
fn quorum(section: &mut Section<'_>, data: usize, total: usize) -> Option<usize> {
    let sound = (1..=total).contains(&data);
    let (min, max) = if sound { (data as u64, total as u64) } else { (1, 255) };
    section.number("quorum", min, max).optional().map(|quorum| quorum as usize)
}

fn mirror(section: &mut Section<'_>) -> Backend {
    let named = Named::read(section);
    if section.has("members") && !(1..=255).contains(&named.members.len()) {
        section.problem("members", Problem::error("`members` must have 1 to 255 names"));
    }
    let quorum = quorum(section, 1, named.members.len());
    Backend::array(named.settings(), move |opened| {
        Ok(Arc::new(Mirror::new(named.of(opened), quorum, env())?))
    })
}

fn erasure(section: &mut Section<'_>) -> Backend {
    let data = section.number("data", 2, 254).required() as usize;
    let parity = section.number("parity", 1, 253).required() as usize;
    let named = Named::read(section);
    let count = named.members.len();
    let counted = data > 1 && parity > 0;
    if section.has("members") && counted && count != data + parity {
        let message = format!(
            "`members` has {count} names, but `data` = {data} and `parity` = {parity} make {} pieces",
            data + parity
        );
        let help = "one member for each piece";
        section.problem("members", Problem::error(message).help(help));
    }
    let quorum = quorum(section, data, if counted { data + parity } else { 0 });
    Backend::array(named.settings(), move |opened| {
        Ok(Arc::new(Erasure::new(data, parity, named.of(opened), quorum, env())?))
    })
}

fn shard(section: &mut Section<'_>) -> Backend {
    let members = names(section);
    if section.has("members") && members.is_empty() {
        section.problem("members", Problem::error("`members` must have a name at least"));
    }
    let weights = weights(section, "weights", &members);
    let previous = section.texts("previous").optional();
    let previous_weights = previous.as_ref().map(|it| weights_of_previous(section, it));
    let mut settings = vec![("members".to_owned(), members.clone())];
    settings.extend(previous.iter().map(|previous| ("previous".to_owned(), previous.clone())));
    Backend::array(settings, move |opened| {
        let weighted = |names: &[String], weights: &[u64]| -> Vec<(Member, f64)> {
            let named = names.iter().zip(weights);
            let member = |name: &String| Member::new(name.as_str(), opened[name].clone());
            named.map(|(name, weight)| (member(name), *weight as f64)).collect()
        };
        let shard = Shard::new(weighted(&members, &weights))?;
        Ok(Arc::new(match (&previous, &previous_weights) {
            (Some(previous), Some(weights)) => shard.growing_from(weighted(previous, weights))?,
            _ => shard,
        }))
    })
}

fn weights_of_previous(section: &mut Section<'_>, previous: &[String]) -> Vec<u64> {
    weights(section, "previous_weights", previous)
}

fn weights(section: &mut Section<'_>, setting: &str, members: &[String]) -> Vec<u64> {
    let weights = section.numbers(setting, 1, WEIGHT_MAX).optional();
    let weights = weights.unwrap_or_else(|| vec![1; members.len()]);
    if weights.len() != members.len() {
        let (numbers, names) = (weights.len(), members.len());
        let message = format!("`{setting}` has {numbers} numbers for {names} members");
        section.problem(setting, Problem::error(message).help("one for each member"));
    }
    weights
}

fn encrypt(section: &mut Section<'_>) -> Backend {
    let inner = section.text("inner").required();
    let key = section.secret("key").required();
    section.check(storage_array::check_keys(&key));
    Backend::array([("inner".to_owned(), vec![inner.clone()])], move |opened| {
        Ok(Arc::new(Encrypt::new(opened[&inner].clone(), &key, env())?))
    })
}
