//! `type = "mirror"`, `"erasure"`, `"shard"` and `"encrypt"`: providers made of others.

use std::sync::Arc;

use storage_array::{Encrypt, Erasure, Member, Mirror, Shard};
use storage_core::Env;
use storage_wrappers::TokioEnv;

use crate::arrays::Array;
use crate::config::{Problem, Section};
use crate::registry::{Backend, Opened, Registry};

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
    /// What they are known by in the array: a member that took the place of another keeps its name there.
    places: Vec<String>,
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
        let places = section.texts("places").optional().unwrap_or_else(|| members.clone());
        if places.len() != members.len() {
            let (places, members) = (places.len(), members.len());
            let message = format!("`places` has {places} names for the {members} of `members`");
            let help = "one for each member, in the same order: what it is known by in the array";
            section.problem("places", Problem::error(message).help(help));
        }
        Self { members, places, domains }
    }

    fn settings(&self) -> [(String, Vec<String>); 1] {
        [("members".into(), self.members.clone())]
    }

    fn of(&self, opened: &Opened) -> Vec<Member> {
        let named = self.members.iter().zip(&self.places).zip(&self.domains);
        named
            .map(|((name, place), domain)| member(place, name, opened).in_domain(domain.as_str()))
            .collect()
    }
}

/// A member that is known by `place`, on the provider `name`.
fn member(place: &str, name: &str, opened: &Opened) -> Member {
    let prices = opened.prices.get(name).copied().unwrap_or_default();
    Member::new(place, opened.providers[name].clone()).at_prices(prices)
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
    Backend::known_array(named.settings(), move |opened| {
        Mirror::new(named.of(opened), quorum, env()).map(|array| Array::Mirror(Arc::new(array)))
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
    Backend::known_array(named.settings(), move |opened| {
        let array = Erasure::new(data, parity, named.of(opened), quorum, env())?;
        Ok(Array::Erasure(Arc::new(array)))
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
    Backend::known_array(settings, move |opened| {
        let weighted = |names: &[String], weights: &[u64]| -> Vec<(Member, f64)> {
            let named = names.iter().zip(weights);
            named.map(|(name, weight)| (member(name, name, opened), *weight as f64)).collect()
        };
        let shard = Shard::new(weighted(&members, &weights))?;
        let shard = match (&previous, &previous_weights) {
            (Some(previous), Some(weights)) => shard.growing_from(weighted(previous, weights))?,
            _ => shard,
        };
        Ok(Array::Shard(Arc::new(shard)))
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
    Backend::known_array([("inner".to_owned(), vec![inner.clone()])], move |opened| {
        let encrypt = Encrypt::new(opened.providers[&inner].clone(), &key, env())?;
        Ok(Array::Encrypt(Arc::new(encrypt)))
    })
}
