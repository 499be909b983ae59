//! Metrics, kept in memory and told in the text format of Prometheus.

mod histogram;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Key, KeyName, Label, Metadata, SharedString, Unit, set_global_recorder,
};
use storage_txn::StoreInfo;

use histogram::Buckets;

const VERSION: &str = "cloudbank_store_version";
const SEGMENTS: &str = "cloudbank_store_segments";
const SEGMENT_BYTES: &str = "cloudbank_store_segment_bytes";
const TAIL: &str = "cloudbank_store_tail_entries";
const MEMORY: &str = "cloudbank_store_memory_bytes";
const CACHE: &str = "cloudbank_store_cache_bytes";
const MAINTENANCE: &str = "cloudbank_store_maintenance_ok";

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
        gateway_http::describe_metrics();
        storage_wrappers::describe_metrics();
        describe();
        super::upkeep::describe_metrics();
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
        let mut text = String::new();
        for (name, block) in blocks {
            if let Some(About { help }) = about.get(&name) {
                let _ = writeln!(text, "# HELP {name} {help}");
            }
            let _ = writeln!(text, "# TYPE {name} {}", block.kind);
            block.lines.values().for_each(|lines| text.push_str(lines));
        }
        text
    }

    fn describe(&self, name: &KeyName, help: SharedString) {
        let mut about = self.0.about.lock().unwrap_or_else(PoisonError::into_inner);
        about.insert(name.as_str().to_owned(), About { help });
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
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

/// The numbers of a store.
pub(crate) fn set_store(info: &StoreInfo) {
    metrics::gauge!(VERSION).set(info.version.0 as f64);
    metrics::gauge!(SEGMENTS).set(info.segments as f64);
    metrics::gauge!(SEGMENT_BYTES).set(info.segment_bytes as f64);
    metrics::gauge!(TAIL).set(info.tail_entries() as f64);
    metrics::gauge!(MEMORY).set(info.memory_bytes as f64);
    metrics::gauge!(CACHE).set(info.cache_bytes as f64);
}

/// Whether the store's own maintenance works.
pub(crate) fn set_maintenance(works: bool) {
    metrics::gauge!(MAINTENANCE).set(if works { 1.0 } else { 0.0 });
}

fn describe() {
    metrics::describe_gauge!(VERSION, "the last version that this server knows of");
    metrics::describe_gauge!(SEGMENTS, "segments of the store");
    metrics::describe_gauge!(SEGMENT_BYTES, Unit::Bytes, "bytes of segments as they are stored");
    metrics::describe_gauge!(TAIL, "entries of the log that opening the store has to read");
    metrics::describe_gauge!(MEMORY, Unit::Bytes, "bytes in memory that are not in segments yet");
    metrics::describe_gauge!(CACHE, Unit::Bytes, "bytes of segments in memory to be read again");
    metrics::describe_gauge!(MAINTENANCE, "1 while flushes and compactions of this server work");
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
