//! Metrics, kept in memory and told in the text format of Prometheus.

mod arrays;
mod histogram;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Key, KeyName, Label, Metadata, SharedString, Unit, set_global_recorder,
};

pub(crate) use arrays::set_arrays;
use histogram::Buckets;
pub(crate) use store::{set_combining, set_counters, set_maintenance, set_store};

/// Keeps what is reported through the `metrics` crate. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Kept>);

#[derive(Default)]
struct Kept {
    about: Mutex<BTreeMap<String, About>>,
    counters: Family<AtomicU64>,
    gauges: Family<AtomicU64>,
    histograms: Family<Buckets>,
}

/// What a metric is, in a sentence.
struct About {
    kind: &'static str,
    help: SharedString,
}

/// Metrics of one type, by name and labels.
struct Family<T>(RwLock<HashMap<Key, Arc<T>>>);

impl<T> Default for Family<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Default> Family<T> {
    fn get(&self, key: &Key) -> Arc<T> {
        if let Some(found) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return found.clone();
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(key.clone()).or_default().clone()
    }

    /// The lines of each, under its name; `write` is given name and labels.
    fn render(
        &self,
        kind: &'static str,
        blocks: &mut BTreeMap<String, Block>,
        write: impl Fn(&mut String, &str, &str, &T),
    ) {
        for (key, value) in &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            let block = blocks.entry(key.name().to_owned()).or_default();
            block.kind = kind;
            let labels = labels(key.labels());
            let mut lines = String::new();
            write(&mut lines, key.name(), &labels, value);
            block.lines.insert(labels, lines);
        }
    }
}

/// All lines of one name.
#[derive(Default)]
struct Block {
    kind: &'static str,
    lines: BTreeMap<String, String>,
}

impl Recorder {
    /// A recorder for the whole process, if there is none yet.
    pub(crate) fn install() -> Self {
        let recorder = Self::default();
        // A program that has one of its own keeps it.
        let _ = set_global_recorder(recorder.clone());
        describe_all();
        recorder
    }

    /// All of them, in the order of their names.
    pub(crate) fn render(&self) -> String {
        let mut blocks = BTreeMap::new();
        self.0.counters.render("counter", &mut blocks, |out, name, labels, value| {
            let _ = writeln!(out, "{name}{} {}", braced(labels, ""), value.load(Ordering::Relaxed));
        });
        self.0.gauges.render("gauge", &mut blocks, |out, name, labels, value| {
            let value = f64::from_bits(value.load(Ordering::Relaxed));
            let _ = writeln!(out, "{name}{} {value}", braced(labels, ""));
        });
        self.0.histograms.render("histogram", &mut blocks, |out, name, labels, buckets| {
            buckets.render(out, |suffix, more| format!("{name}{suffix}{}", braced(labels, more)));
        });
        let about = self.0.about.lock().unwrap_or_else(PoisonError::into_inner);
        // What has not happened yet is told of too, so that it can be looked for.
        for (name, About { kind, .. }) in &*about {
            blocks.entry(name.clone()).or_insert_with(|| Block { kind, ..Block::default() });
        }
        let mut text = String::new();
        for (name, block) in blocks {
            if let Some(About { help, .. }) = about.get(&name) {
                let _ = writeln!(text, "# HELP {name} {help}");
            }
            let _ = writeln!(text, "# TYPE {name} {}", block.kind);
            block.lines.values().for_each(|lines| text.push_str(lines));
        }
        text
    }

    fn describe(&self, kind: &'static str, name: &KeyName, help: SharedString) {
        let mut about = self.0.about.lock().unwrap_or_else(PoisonError::into_inner);
        about.insert(name.as_str().to_owned(), About { kind, help });
    }
}

/// Says of all metrics what they are.
fn describe_all() {
    gateway_http::describe_metrics();
    storage_wrappers::describe_metrics();
    arrays::describe_metrics();
    store::describe_metrics();
    #[cfg(feature = "gateway-s3")]
    super::traces::describe_metrics();
    super::upkeep::describe_metrics();
    #[cfg(feature = "gateway-tahoe")]
    gateway_tahoe::describe_metrics();
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe("counter", &name, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe("gauge", &name, help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe("histogram", &name, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.0.counters.get(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.0.gauges.get(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::from_arc(self.0.histograms.get(key))
    }
}

/// `a="b",c="d"`, in the order given.
fn labels<'a>(labels: impl Iterator<Item = &'a Label>) -> String {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let value = label.value().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{}=\"{value}\"", label.key());
    }
    text
}

/// Labels in braces, with one more behind them; nothing if there are none.
fn braced(labels: &str, more: &str) -> String {
    match (labels, more) {
        ("", "") => String::new(),
        (labels, "") => format!("{{{labels}}}"),
        ("", more) => format!("{{{more}}}"),
        (labels, more) => format!("{{{labels},{more}}}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_documentation_has_all_metrics_and_no_others() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, describe_all);
        let about = recorder.0.about.lock().unwrap();
        let described: Vec<String> = about
            .iter()
            .map(|(name, About { kind, help })| format!("| `{name}` | {kind} | {help} |"))
            .collect();
        let page = include_str!("../../../docs/operate.md");
        let section = page.split("### All metrics").nth(1).expect("there is such a section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let documented: Vec<&str> =
            section.lines().filter(|line| line.starts_with("| `cloudbank_")).collect();
        assert_eq!(documented.join("\n"), described.join("\n"));
        for name in about.keys() {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.starts_with("cloudbank_") && name.bytes().all(plain), "{name}");
            let is_total = name.ends_with("_total");
            assert_eq!(is_total, about[name].kind == "counter", "{name}");
        }
    }

    #[test]
    fn metrics_are_told_as_prometheus_reads_them() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!("puts_total", "how many");
            metrics::counter!("puts_total", "status" => "200").increment(2);
            metrics::counter!("puts_total", "status" => "a \"b\"\n").increment(1);
            metrics::gauge!("open").set(3.0);
            metrics::gauge!("open").decrement(1.0);
            metrics::histogram!("wait_seconds", "operation" => "put").record(0.002);
            metrics::histogram!("wait_seconds", "operation" => "put").record(1000.0);
        });
        let said = recorder.render();
        let said: Vec<_> =
            said.lines().filter(|line| !line.ends_with(" 1") || line.contains("0.0025")).collect();
        expect![[r#"
            # TYPE open gauge
            open 2
            # HELP puts_total how many
            # TYPE puts_total counter
            puts_total{status="200"} 2
            # TYPE wait_seconds histogram
            wait_seconds_bucket{operation="put",le="0.0005"} 0
            wait_seconds_bucket{operation="put",le="0.001"} 0
            wait_seconds_bucket{operation="put",le="0.0025"} 1
            wait_seconds_bucket{operation="put",le="+Inf"} 2
            wait_seconds_sum{operation="put"} 1000.002
            wait_seconds_count{operation="put"} 2"#]]
        .assert_eq(&said.join("\n"));
    }
}
