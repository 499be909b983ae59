//! What is to be written in `[store]` after a command has changed where the log is.

use serde_json::{Map, Value, json};

/// Settings that are other now, in the order in which they are told; those without a value are to be taken out.
#[derive(Debug, Default)]
pub(super) struct ToWrite(Vec<(&'static str, Option<String>)>);

impl ToWrite {
    /// Names of providers.
    pub(super) fn names(&mut self, setting: &'static str, names: &[String]) {
        self.0.push((setting, Some(list(names))));
    }

    /// The name of one provider.
    pub(super) fn name(&mut self, setting: &'static str, name: &str) {
        self.0.push((setting, Some(format!("\"{name}\""))));
    }

    /// A setting that is no longer there.
    pub(super) fn without(&mut self, setting: &'static str) {
        self.0.push((setting, None));
    }

    /// The spares that are left when these vote, if they are not the same.
    pub(super) fn spares(&mut self, spares: &[String], voters: &[String]) {
        let left: Vec<_> = spares.iter().filter(|name| !voters.contains(name)).cloned().collect();
        if left.is_empty() && !spares.is_empty() {
            self.without("spares");
        } else if left != spares {
            self.names("spares", &left);
        }
    }

    /// As it is told to people, a line each; none if there is nothing to write.
    pub(super) fn lines(&self, file: &str) -> Vec<String> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let settings = self.0.iter().map(|(setting, value)| match value {
            Some(value) => format!("  {setting} = {value}"),
            None => format!("  (without {setting})"),
        });
        let first = format!("write in {file}, [store], wherever the store is used:");
        std::iter::once(first).chain(settings).collect()
    }

    /// The same for programs: by setting, null for one that is to be taken out.
    pub(super) fn json(&self) -> Value {
        let settings = self.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        settings.collect::<Map<_, _>>().into()
    }
}

/// Names as they are written in a file.
pub(super) fn list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", names.join(", "))
}
