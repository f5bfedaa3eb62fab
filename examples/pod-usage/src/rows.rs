//! An answer → rows: what is used, asked for and allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use kubelet_summary::query::{Aggregate, Figures, ResourceTallies, Tally};
use kubelet_summary::resources::{Resources, ratio};
use kubelet_summary::{PodUsage, Usage};
use serde_json::{Value, json};

use crate::flags::By;

/// What a row is of: namespace, then the rest of its name.
type Key = (String, Vec<String>);

/// A resource: used, asked for, and allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amounts {
    pub(crate) used: Option<u64>,
    pub(crate) requested: Option<u64>,
    pub(crate) limit: Option<u64>,
    /// Whether it is known of all that the row is of, what they use.
    pub(crate) is_whole: bool,
}

impl Amounts {
    pub(crate) fn of_limit(&self) -> Option<f64> {
        // A part of what is used, by all that may be, would be too little.
        ratio(self.used.filter(|_| self.is_whole), self.limit)
    }

    fn json(&self, unit: &str) -> Value {
        json!({
            (format!("used{unit}")): self.used,
            (format!("requested{unit}")): self.requested,
            (format!("limit{unit}")): self.limit,
            "ofLimit": self.of_limit(),
        })
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) namespace: String,
    /// The columns between the namespace and the figures.
    pub(crate) name: Vec<String>,
    pub(crate) parts: usize,
    pub(crate) cpu: Amounts,
    pub(crate) memory: Amounts,
    pub(crate) storage: Amounts,
    pub(crate) age: Duration,
}

/// The heads of the columns between the namespace and the figures.
pub(crate) fn heads(by: By) -> &'static [&'static str] {
    match by {
        By::Workload => &["KIND", "NAME"],
        By::Pod => &["POD", "NODE"],
        By::Container => &["POD", "CONTAINER", "NODE"],
    }
}

/// Processor time of a pod, or of one of its containers, in nano-cores.
pub(crate) type Cpu<'a> = &'a dyn Fn(&PodUsage, Option<&str>) -> Option<u64>;

/// `cpu`: what counters gained between two documents, where they are followed. Of a single document there is the
/// kubelet's own figure, which is nought where others ask it too.
pub(crate) fn rows(usage: &Usage, by: By, cpu: Option<Cpu<'_>>) -> Vec<Row> {
    let figures = |value: &PodUsage, container: Option<&str>, mut figures: Figures| {
        if let Some(cpu) = cpu {
            figures.cpu_nano_cores = cpu(value, container);
        }
        figures
    };

    let mut all: BTreeMap<Key, Aggregate> = BTreeMap::new();
    let mut add = |namespace: &str, name: &[&str], figures: &Figures, requests: Resources, limits: Resources, age| {
        let name = name.iter().map(|part| (*part).to_owned()).collect();
        all.entry((namespace.to_owned(), name)).or_default().add(figures, requests, limits, age);
    };
    for value in &usage.values {
        let (pod, age) = (value.pod(), value.age());
        match by {
            By::Workload => {
                let workload = value.workload();
                let name = [&*workload.kind, &*workload.name];
                add(
                    pod.namespace(),
                    &name,
                    &figures(value, None, value.figures()),
                    value.requests(),
                    value.limits(),
                    age,
                );
            }
            By::Pod => {
                let name = [pod.name(), value.node()];
                add(
                    pod.namespace(),
                    &name,
                    &figures(value, None, value.figures()),
                    value.requests(),
                    value.limits(),
                    age,
                );
            }
            By::Container => {
                for container in value.containers().iter().filter(|container| container.stats.is_some()) {
                    let name = [pod.name(), container.name, value.node()];
                    let figures = figures(value, Some(container.name), container.figures());
                    add(pod.namespace(), &name, &figures, container.requests, container.limits, age);
                }
            }
        }
    }
    all.into_iter().map(|((namespace, name), sum)| row(namespace, name, &sum)).collect()
}

fn row(namespace: String, name: Vec<String>, sum: &Aggregate) -> Row {
    let amounts = |used: Tally, of: fn(&ResourceTallies) -> Tally| Amounts {
        used: used.sum(),
        requested: of(&sum.requests).sum(),
        limit: sum.of_all(of(&sum.limits)),
        is_whole: used.of == sum.parts,
    };
    Row {
        namespace,
        name,
        parts: sum.parts,
        cpu: amounts(sum.cpu_nano_cores, |of| of.cpu),
        memory: amounts(sum.memory_working_set_bytes, |of| of.memory),
        storage: amounts(sum.ephemeral_storage_bytes, |of| of.ephemeral_storage),
        age: sum.age,
    }
}

impl Row {
    pub(crate) fn json(&self, by: By) -> Value {
        let mut row = json!({
            "namespace": self.namespace,
            "parts": self.parts,
            "cpu": self.cpu.json("NanoCores"),
            "memory": self.memory.json("Bytes"),
            "ephemeralStorage": self.storage.json("Bytes"),
            "ageSeconds": self.age.as_secs_f64(),
        });
        for (head, name) in heads(by).iter().zip(&self.name) {
            if let Some(row) = row.as_object_mut() {
                row.insert(head.to_lowercase(), name.as_str().into());
            }
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_what_is_used_is_no_part_of_the_limit() {
        let limits = Resources { memory: Some(100), ..Resources::default() };
        let figures = |memory| {
            let mut figures = Figures::default();
            figures.memory_working_set_bytes = memory;
            figures
        };
        let row = |second: Option<u64>, limits_of_second: Resources| {
            let mut sum = Aggregate::default();
            sum.add(&figures(Some(50)), Resources::default(), limits, Duration::ZERO);
            sum.add(&figures(second), Resources::default(), limits_of_second, Duration::ZERO);
            row(String::new(), Vec::new(), &sum).memory
        };
        assert_eq!(row(Some(90), limits).of_limit(), Some(0.7));
        let half = row(None, limits);
        assert_eq!((half.used, half.limit, half.of_limit()), (Some(50), Some(200), None));
        assert_eq!(row(Some(90), Resources::default()).of_limit(), None);
    }
}
