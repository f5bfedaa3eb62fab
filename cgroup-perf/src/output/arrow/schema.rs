//! Which columns there are.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};

use crate::output::Event;
use crate::sample::MAX_COUNTERS;

/// The columns that every batch has, before those of counters.
pub(super) const FIRST: [&str; 6] = ["time", "slot_ns", "cpu", "cgroup_id", "ran_ns", "switches"];
/// The columns of labels.
pub(super) const LABELS: [&str; 5] = ["namespace", "pod", "pod_uid", "container", "container_id"];

/// Why there can be no such columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnsError {
    /// More counters than samples have.
    #[error("{0} counters are more than the {MAX_COUNTERS} that a sample has")]
    TooMany(usize),
    /// A name that is none.
    #[error("{0:?} is no name of a column: use small letters, digits and underscores, a letter first")]
    Name(String),
    /// A name that is another column's.
    #[error("{0:?} is the name of another column: give the counter another one")]
    Duplicate(String),
}

/// Which columns there are.
///
/// ```
/// use cgroup_perf::output::{Event, arrow::Columns};
/// use cgroup_perf::quality::Counter;
///
/// let cycles = Event::new("cycles", "PERF_COUNT_HW_CPU_CYCLES", Counter::CYCLES);
/// let columns = Columns::new(vec![cycles], false)?;
/// assert!(columns.schema().field_with_name("cycles_running_ns").is_ok());
/// # Ok::<(), cgroup_perf::output::arrow::ColumnsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Columns {
    events: Vec<Event>,
    tasks: bool,
    labels: Vec<String>,
    schema: Arc<Schema>,
}

impl Columns {
    /// The columns of some counters, in the order of samples', and with `tasks` those of processes.
    pub fn new(events: Vec<Event>, tasks: bool) -> Result<Self, ColumnsError> {
        if events.len() > MAX_COUNTERS {
            return Err(ColumnsError::TooMany(events.len()));
        }
        if let Some(event) = events.iter().find(|event| !event.has_valid_name()) {
            return Err(ColumnsError::Name(event.name.clone()));
        }
        Self::of(events, tasks, Vec::new())
    }

    /// And a column for each of some labels of [`Labels::more`](crate::resolver::Labels::more), by name: that of
    /// `app.kubernetes.io/name` is `label_app_kubernetes_io_name`.
    pub fn with_labels<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Result<Self, ColumnsError> {
        Self::of(self.events, self.tasks, names.into_iter().map(Into::into).collect())
    }

    fn of(events: Vec<Event>, tasks: bool, labels: Vec<String>) -> Result<Self, ColumnsError> {
        let fields = fields(&events, tasks, &labels);
        let duplicate =
            |(at, field): &(usize, &Field)| fields.iter().take(*at).any(|other| other.name() == field.name());
        if let Some((_, field)) = fields.iter().enumerate().find(duplicate) {
            return Err(ColumnsError::Duplicate(field.name().clone()));
        }
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { events, tasks, labels, schema })
    }

    /// The counters.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Whether there are columns of processes.
    pub fn tasks(&self) -> bool {
        self.tasks
    }

    /// The names of the labels that have columns beside those of containers.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The schema of all batches.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }
}

/// A column of few different texts.
pub(super) fn dictionary(key: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8))
}

/// The name of a label's column.
fn label_column(name: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '_' };
    format!("label_{}", name.chars().map(plain).collect::<String>())
}

fn fields(events: &[Event], tasks: bool, labels: &[String]) -> Vec<Field> {
    let types = [
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        DataType::UInt64,
        DataType::UInt32,
        DataType::UInt64,
        DataType::UInt64,
        DataType::UInt32,
    ];
    let mut fields: Vec<_> = FIRST.into_iter().zip(types).map(|(name, kind)| Field::new(name, kind, false)).collect();
    for Event { name, .. } in events {
        fields.push(Field::new(name, DataType::UInt64, false));
        fields.push(Field::new(format!("{name}_enabled_ns"), DataType::UInt64, true));
        fields.push(Field::new(format!("{name}_running_ns"), DataType::UInt64, true));
        fields.push(Field::new(format!("{name}_quality"), dictionary(DataType::Int8), false));
    }
    fields.push(Field::new("quality", dictionary(DataType::Int8), false));
    fields.extend(LABELS.map(|name| Field::new(name, dictionary(DataType::Int32), true)));
    fields.extend(labels.iter().map(|name| Field::new(label_column(name), dictionary(DataType::Int32), true)));
    if tasks {
        fields.push(Field::new("pid", DataType::UInt32, true));
        fields.push(Field::new("comm", dictionary(DataType::Int32), true));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::Counter;

    fn columns(names: &[&str]) -> Result<Vec<String>, ColumnsError> {
        let events = names.iter().map(|name| Event::new(*name, "", Counter::EVENTS)).collect();
        let columns = Columns::new(events, true)?;
        Ok(columns.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    #[test]
    fn each_counter_has_four_columns() {
        let expected = [
            "time",
            "slot_ns",
            "cpu",
            "cgroup_id",
            "ran_ns",
            "switches",
            "llc_misses",
            "llc_misses_enabled_ns",
            "llc_misses_running_ns",
            "llc_misses_quality",
            "quality",
            "namespace",
            "pod",
            "pod_uid",
            "container",
            "container_id",
            "pid",
            "comm",
        ];
        assert_eq!(columns(&["llc_misses"]).unwrap(), expected);
    }

    #[test]
    fn labels_have_columns_of_their_own() {
        let columns = Columns::new(Vec::new(), false).unwrap();
        let named = |names: &[&str]| columns.clone().with_labels(names.iter().copied());
        let with = named(&["app.kubernetes.io/name", "Team"]).unwrap();
        let names: Vec<_> = with.schema().fields().iter().skip(12).map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["label_app_kubernetes_io_name", "label_team"]);
        let error = named(&["team", "Team"]).unwrap_err();
        assert_eq!(error, ColumnsError::Duplicate("label_team".to_owned()));
    }

    #[test]
    fn a_name_is_one_of_a_column_and_no_others() {
        for name in ["", "Cycles", "1st", "a-b", "_a", "a b", "é"] {
            assert_eq!(columns(&[name]), Err(ColumnsError::Name(name.to_owned())));
        }
        for names in [&["pod"][..], &["a", "a"], &["a", "a_enabled_ns"]] {
            assert_eq!(columns(names), Err(ColumnsError::Duplicate((*names.last().unwrap()).to_owned())));
        }
        assert_eq!(columns(&["a"; 9]), Err(ColumnsError::TooMany(9)));
        assert_eq!(columns(&[]).unwrap().len(), 14);
    }
}
