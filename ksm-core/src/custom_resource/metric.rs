//! Compiled metrics: what an entry of a configuration became.

use super::error::Place;
use super::expression::Expression;
use super::kind::KindPattern;
use super::labels::{LabelRules, Names};
use super::path::Path;
use crate::family::MetricType;

/// One entry of `spec.resources`.
#[derive(Debug)]
pub(super) struct Entry {
    /// What it says, wherever it stands: two entries of the same text are the same.
    pub(super) text: String,
    pub(super) pattern: KindPattern,
    pub(super) plural: Option<String>,
    pub(super) families: Vec<NamedFamily>,
    /// In the order of their families.
    pub(super) metrics: Vec<Metric>,
    pub(super) labels: LabelRules,
    /// The labels that metrics may replace, so that not all samples of an object have them in common.
    pub(super) replaceable: Names,
}

#[derive(Debug)]
pub(super) struct NamedFamily {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) kind: MetricType,
    pub(super) place: Place,
}

/// One entry of `metrics`.
#[derive(Debug)]
pub(super) struct Metric {
    /// The place of its family in the entry.
    pub(super) family: usize,
    /// The labels of entry and metric together, where the metric has any of its own.
    pub(super) base: Option<LabelRules>,
    pub(super) path: Path,
    pub(super) labels: LabelRules,
    pub(super) each: Each,
    /// klog's verbosity for what can't be read.
    pub(super) error_log_v: u32,
}

#[derive(Debug)]
pub(super) enum Each {
    Gauge(Gauge),
    StateSet(StateSet),
    Info(Info),
}

#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) value: Source,
    pub(super) label_from_key: Option<Box<str>>,
    pub(super) nil_is_zero: bool,
    pub(super) aggregate: Option<Aggregate>,
}

#[derive(Debug)]
pub(super) struct StateSet {
    pub(super) value: Source,
    pub(super) label_name: Box<str>,
    pub(super) states: Vec<Box<str>>,
}

#[derive(Debug)]
pub(super) struct Info {
    pub(super) label_from_key: Option<Box<str>>,
    /// Gives a map of labels, or a list of such maps.
    pub(super) expression: Option<Expression>,
}

/// Where the value of an element comes from.
#[derive(Debug)]
pub(super) enum Source {
    Path(Path),
    Expression(Expression),
}

/// What becomes of the elements of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    Sum,
    Min,
    Max,
}

impl Aggregate {
    pub(super) const WORDS: &str = "count, sum, min or max";

    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "min" => Self::Min,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// The aggregate so far and one more value.
    pub(super) fn with(self, so_far: Option<f64>, value: f64) -> f64 {
        match (self, so_far) {
            (Self::Count, so_far) => so_far.unwrap_or(0.0) + 1.0,
            (Self::Sum, so_far) => so_far.unwrap_or(0.0) + value,
            (_, None) => value,
            (Self::Min, Some(least)) => least.min(value),
            (Self::Max, Some(most)) => most.max(value),
        }
    }

    /// The aggregate of nothing, where there is one.
    pub(super) fn of_nothing(self) -> Option<f64> {
        matches!(self, Self::Count | Self::Sum).then_some(0.0)
    }
}
