//! What a recorder of metrics gets to see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, KeyName, Metadata, SharedString, Unit,
};
use storage_wrappers::describe_metrics;

use crate::script::some_of_everything;

type Series<T> = BTreeMap<(String, String), T>;

/// Keeps what is recorded: by name, and by the values of the labels.
#[derive(Debug, Default, Clone)]
pub(crate) struct Recorder {
    counters: Arc<Mutex<Series<u64>>>,
    histograms: Arc<Mutex<Series<Vec<f64>>>>,
    described: Arc<Mutex<BTreeMap<String, Option<Unit>>>>,
}

struct One(Recorder, (String, String));

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.0.counters.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }
    fn absolute(&self, _: u64) {
        unreachable!("counters only count");
    }
}

impl HistogramFn for One {
    fn record(&self, value: f64) {
        self.0.histograms.lock().unwrap().entry(self.1.clone()).or_default().push(value);
    }
}

impl Recorder {
    fn one(&self, key: &metrics::Key) -> Arc<One> {
        let labels: BTreeMap<&str, &str> =
            key.labels().map(|label| (label.key(), label.value())).collect();
        let values = labels.values().copied().collect::<Vec<_>>().join(" ");
        Arc::new(One(self.clone(), (key.name().into(), values)))
    }

    /// Labels by value, in the order of their names: operation, outcome, provider.
    pub(crate) fn counters(&self, name: &str) -> Vec<(String, u64)> {
        of(&self.counters, name)
    }

    pub(crate) fn histograms(&self, name: &str) -> Vec<(String, Vec<f64>)> {
        of(&self.histograms, name)
    }
}

fn of<T: Clone>(series: &Mutex<Series<T>>, name: &str) -> Vec<(String, T)> {
    let series = series.lock().unwrap();
    let named = series.iter().filter(|((this, _), _)| this == name);
    named.map(|((_, labels), value)| (labels.clone(), value.clone())).collect()
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().insert(name.as_str().into(), unit);
    }
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        unreachable!("there are no gauges");
    }
    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().insert(name.as_str().into(), unit);
    }
    fn register_counter(&self, key: &metrics::Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }
    fn register_gauge(&self, _: &metrics::Key, _: &Metadata<'_>) -> Gauge {
        unreachable!("there are no gauges");
    }
    fn register_histogram(&self, key: &metrics::Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.one(key))
    }
}

#[test]
fn every_request_is_counted_and_timed_by_operation_and_outcome() {
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, some_of_everything);

    let outcomes = [
        ("delete dropped aws", 1),
        ("delete ok aws", 1),
        ("get not_found aws", 1),
        ("get ok aws", 1),
        ("list ok aws", 1),
        ("put conflict aws", 1),
        ("put ok aws", 1),
    ]
    .map(|(labels, count)| (labels.to_string(), count));
    assert_eq!(recorder.counters("cloudbank_provider_requests_total"), outcomes);
    let bytes = recorder.counters("cloudbank_provider_bytes_total");
    assert_eq!(bytes, [("get aws".to_string(), 6), ("put aws".to_string(), 20)]);
    let seconds = recorder.histograms("cloudbank_provider_request_seconds");
    assert_eq!(seconds.len(), outcomes.len());
    for (labels, values) in seconds {
        assert_eq!(values.len(), 1, "{labels}");
        assert_eq!(values[0] >= 3.0, labels == "get ok aws", "{labels} {values:?}");
    }
}

#[test]
fn a_recorder_can_be_told_what_the_metrics_are() {
    let recorder = Recorder::default();
    metrics::with_local_recorder(&recorder, describe_metrics);
    let described: Vec<_> = recorder.described.lock().unwrap().clone().into_iter().collect();
    let expected = [
        ("cloudbank_provider_bytes_total", Unit::Bytes),
        ("cloudbank_provider_request_seconds", Unit::Seconds),
        ("cloudbank_provider_requests_total", Unit::Count),
    ]
    .map(|(name, unit)| (name.to_string(), Some(unit)));
    assert_eq!(described, expected);
}
