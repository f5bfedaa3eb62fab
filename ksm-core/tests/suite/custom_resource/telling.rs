//! What is left out is counted, at no cost for each sample that is taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ksm_core::{AllowLists, FamilyIndex, FamilySet, Label, Reuse, SampleSink, Samples};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::json;

use super::{config, example, foo, lines, object_of, with_metrics};

/// Counters by `name resource`.
#[derive(Default)]
pub(super) struct Counters(Mutex<Vec<(String, Arc<Count>)>>);

#[derive(Default)]
struct Count(AtomicU64);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Counters {
    /// All that were counted: `name resource count`.
    pub(super) fn read(&self) -> Vec<String> {
        let counters = self.0.lock().unwrap();
        let mut read: Vec<String> =
            counters.iter().map(|(name, count)| format!("{name} {}", count.0.load(Ordering::Relaxed))).collect();
        read.sort();
        read
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        let mut counters = self.0.lock().unwrap();
        if let Some((_, count)) = counters.iter().find(|(known, _)| *known == name) {
            return Counter::from_arc(count.clone());
        }
        let count = Arc::new(Count::default());
        counters.push((name, count.clone()));
        Counter::from_arc(count)
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn bad_values_and_duplicates_are_counted_with_their_resource() {
    let metrics = "[{name: bad, each: {type: gauge, gauge: {path: [status, phase]}}},
                    {name: gone, each: {type: gauge, gauge: {path: [gone]}}},
                    {name: absent, each: {type: gauge, gauge: {path: [spec], valueFrom: [gone]}}},
                    {name: twice, each: {type: gauge, gauge: {path: [spec, ports], nilIsZero: true}}}]";
    let counters = Counters::default();
    metrics::with_local_recorder(&counters, || lines(metrics, example()));
    assert_eq!(
        counters.read(),
        ["ksm_core_bad_values_total foos.myteam.io 2", "ksm_core_duplicate_samples_total foos.myteam.io 1"]
    );
}

#[derive(Default)]
struct Taken(usize);

impl SampleSink for Taken {
    fn identity(&mut self, _: &[Label<'_>]) {}

    fn sample(&mut self, _: FamilyIndex, _: &[Label<'_>], _: f64, _: Reuse) {
        self.0 += 1;
    }
}

#[test]
fn samples_cost_no_allocation_each() {
    let yaml = with_metrics(
        "[{name: a, each: {type: gauge, gauge: {path: [status, conditions], valueFrom: [status], labelsFromPath: {type: [type]}}}},
          {name: b, each: {type: stateset, stateSet: {path: [status, phase], labelName: phase, list: [Running, Failed]}}},
          {name: c, each: {type: gauge, gauge: {path: [status, conditions, '[type=t7]', status]}}}]",
    );
    let metrics = config(&yaml).for_kind(&foo()).unwrap();
    let families = FamilySet::all(metrics.families().len());
    let measure = |conditions: usize| {
        let conditions: Vec<_> = (0..conditions).map(|n| json!({"type": format!("t{n}"), "status": "True"})).collect();
        let object =
            object_of(json!({"metadata": {"name": "a"}, "status": {"phase": "Running", "conditions": conditions}}));
        let mut taken = Taken::default();
        let allow = AllowLists::default();
        let counted = allocation_counter::measure(|| {
            metrics.collect(&object, &mut Samples::new(&families, &allow, &mut taken));
        });
        (taken.0, counted.count_total)
    };
    // The second look: whatever is set up once, is.
    measure(8);
    let (few, many) = (measure(1), measure(8));
    assert_eq!((few.0, many.0), (3, 11));
    assert!(many.1 <= few.1 && many.1 <= 4, "{few:?} {many:?}");
}
