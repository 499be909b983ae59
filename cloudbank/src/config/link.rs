//! Arrays are made of other providers of the same file: found, checked, and handed over.

use std::collections::{BTreeMap, BTreeSet};

use super::Config;
use super::problem::Problem;
use super::provider::Provider;

impl Config {
    /// Gives every array its members, and notes what is wrong with those that cannot have them.
    pub(super) fn link(&mut self) {
        if self.problems.is_empty()
            && let Some((log, objects)) = self.store.apart()
            && let (Some(log), Some(objects)) =
                (self.providers.get(log), self.providers.get(objects))
        {
            let split = Provider::split(log, objects);
            self.providers.insert(split.name().to_owned(), split);
        }
        if self.problems.is_empty()
            && let Some(roles) = self.store.quorum()
            && let Some(objects) = self.providers.get(&roles.objects)
        {
            let voters = roles.voters.iter().filter_map(|name| self.providers.get(name));
            let quorum = Provider::quorum(&roles.name(), voters, objects);
            self.providers.insert(roles.name(), quorum);
        }
        self.check_names();
        self.check_shared();
        let mut done = BTreeSet::new();
        for name in self.providers.keys().cloned().collect::<Vec<_>>() {
            self.link_one(&name, &mut Vec::new(), &mut done);
        }
    }

    /// Every name is that of a provider, and given once in a setting.
    fn check_names(&mut self) {
        let known: Vec<String> = self.providers().map(|it| it.name().to_owned()).collect();
        for provider in self.providers.values_mut() {
            for (setting, names) in provider.parts().to_vec() {
                let mut given = BTreeSet::new();
                for name in names {
                    if !known.contains(&name) {
                        let problem = Problem::error(format!(
                            "`{setting}` names a provider there is not: `{name}`"
                        ));
                        let known = known.iter().map(String::as_str);
                        provider.add_problem(&setting, problem.suggest(&name, known));
                    } else if !given.insert(name.clone()) {
                        let problem = Problem::error(format!("`{setting}` names `{name}` twice"));
                        let help = "what one provider loses is lost once: name another";
                        provider.add_problem(&setting, problem.help(help));
                    }
                }
            }
        }
    }

    /// No provider is a member of two arrays: they would write over each other's objects.
    fn check_shared(&mut self) {
        let mut users: BTreeMap<String, String> = BTreeMap::new();
        let mut shared = Vec::new();
        for provider in self.providers() {
            for (setting, names) in provider.parts() {
                for name in names {
                    let user = users.entry(name.clone()).or_insert_with(|| provider.name().into());
                    if user != provider.name() {
                        shared.push((
                            provider.name().to_owned(),
                            setting.clone(),
                            format!("`{setting}` names `{name}`, which is a member of `{user}`"),
                        ));
                    }
                }
            }
        }
        for (of, setting, message) in shared {
            let help =
                "a provider belongs to one array; give the other a folder or bucket of its own";
            if let Some(provider) = self.providers.get_mut(&of) {
                provider.add_problem(&setting, Problem::error(message).help(help));
            }
        }
    }

    /// Links an array after its members. `within` are the arrays that are being linked, the outermost first.
    fn link_one(&mut self, name: &str, within: &mut Vec<String>, done: &mut BTreeSet<String>) {
        let Some(provider) = self.providers.get(name) else { return };
        let parts = provider.parts().to_vec();
        if done.contains(name) || parts.is_empty() || provider.is_wrong() {
            return;
        }
        within.push(name.to_owned());
        for (setting, names) in &parts {
            for member in names {
                if let Some(at) = within.iter().position(|outer| outer == member) {
                    let circle = within[at..].iter().skip(1).chain([member]);
                    let circle: Vec<_> = circle.map(|name| format!("`{name}`")).collect();
                    let circle = circle.join(", which is made of ");
                    let message = format!("`{setting}`: `{member}` is made of {circle}");
                    if let Some(provider) = self.providers.get_mut(name) {
                        provider.add_problem(setting, Problem::error(message));
                    }
                    continue;
                }
                self.link_one(member, within, done);
                let wrong = self.providers.get(member).is_some_and(Provider::is_wrong);
                if wrong && let Some(provider) = self.providers.get_mut(name) {
                    let message = format!("`{setting}`: there is something wrong with `{member}`");
                    provider.add_problem(setting, Problem::error(message));
                }
            }
        }
        within.pop();
        done.insert(name.to_owned());
        let names: BTreeSet<&String> = parts.iter().flat_map(|(_, names)| names).collect();
        let Some(mut provider) = self.providers.remove(name) else { return };
        if !provider.is_wrong() {
            let members: Vec<&Provider> =
                names.into_iter().filter_map(|name| self.providers.get(name)).collect();
            provider.link(&members, &self.arrays);
        }
        self.providers.insert(name.to_owned(), provider);
    }
}
