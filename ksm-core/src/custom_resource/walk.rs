//! An object → samples, by compiled metrics.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::element::{Bad, Element};
use super::expression::Scope;
use super::labels::{LabelRules, Labels, RESERVED};
use super::metric::{Aggregate, Each, Entry, Gauge, Info, Metric, Source, StateSet};
use super::number::{NumberError, to_number};
use super::resource::ResourceMetrics;
use super::seen::Seen;
use super::text::label_value;
use crate::family::FamilyIndex;
use crate::samples::{Label, Reuse, Samples};

/// Logs what was left out: at trace level where klog's verbosity is above that of debugging, else at debug level.
macro_rules! left_out {
    ($metric:expr, $($fields:tt)+) => {
        if $metric.error_log_v > KLOG_DEBUG {
            tracing::trace!($($fields)+);
        } else {
            tracing::debug!($($fields)+);
        }
    };
}

const KLOG_DEBUG: u32 = 4;

/// Walks an object, and hands its samples over.
pub(super) fn walk<'a>(of: &'a ResourceMetrics, object: &'a Value, samples: &mut Samples<'_>) {
    let mut walk =
        Walk { of, object, samples, own: Labels::default(), seen: Seen::default(), scope: Scope::new(object) };
    let reserved: [Label<'_>; 3] =
        [(RESERVED[0], &of.gvk.group), (RESERVED[1], &of.gvk.kind), (RESERVED[2], &of.gvk.version)];
    // What the samples of one entry have in common is the object's identity. Those of several entries share less.
    if let [(entry, begin)] = of.entries.as_slice() {
        let mut base = labels_of(&entry.labels, object);
        let identity = base.take(|name| !entry.replaceable.has(name));
        walk.identity(&reserved, &identity);
        walk.entry(entry, *begin, &base, &identity);
    } else {
        let identity = Labels::default();
        walk.identity(&reserved, &identity);
        for (entry, begin) in &of.entries {
            walk.entry(entry, *begin, &labels_of(&entry.labels, object), &identity);
        }
    }
}

fn labels_of<'a>(rules: &'a LabelRules, object: &'a Value) -> Labels<'a> {
    let mut labels = Labels::default();
    rules.constants(&mut labels);
    rules.apply(object, &mut labels);
    labels
}

struct Walk<'a, 's, 'x> {
    of: &'a ResourceMetrics,
    object: &'a Value,
    samples: &'s mut Samples<'x>,
    /// The labels of the sample that is being made, beyond those of its object and metric.
    own: Labels<'a>,
    seen: Seen,
    scope: Scope<'a>,
}

/// A metric, and what its samples have in common.
#[derive(Clone, Copy)]
struct Current<'m, 'a> {
    metric: &'a Metric,
    family: FamilyIndex,
    base: &'m Labels<'a>,
}

impl<'a> Walk<'a, '_, '_> {
    fn identity(&mut self, reserved: &[Label<'_>], labels: &Labels<'_>) {
        let all: Vec<Label<'_>> = reserved.iter().copied().chain(labels.iter()).collect();
        self.samples.identity(&all);
    }

    fn entry(&mut self, entry: &'a Entry, begin: u16, base: &Labels<'a>, identity: &Labels<'a>) {
        let mut last = None;
        for metric in &entry.metrics {
            let family = FamilyIndex(begin.saturating_add(u16::try_from(metric.family).unwrap_or(u16::MAX)));
            if !self.samples.wants(family) {
                continue;
            }
            if last != Some(family) {
                self.seen.clear();
                last = Some(family);
            }
            let at = metric.path.get(self.object);
            let Some(rules) = &metric.base else {
                self.metric(Current { metric, family, base }, at);
                continue;
            };
            let mut base = labels_of(rules, self.object);
            drop(base.take(|name| identity.has(name)));
            self.metric(Current { metric, family, base: &base }, at);
        }
    }

    fn metric(&mut self, current: Current<'_, 'a>, at: Option<&'a Value>) {
        match &current.metric.each {
            Each::Gauge(gauge) => self.gauge(current, gauge, at),
            Each::StateSet(states) => match at {
                Some(Value::Array(list)) => {
                    for (index, element) in list.iter().enumerate() {
                        self.states(current, states, Element::Index(index), element);
                    }
                }
                Some(value) => self.states(current, states, Element::Whole, value),
                None => {}
            },
            Each::Info(info) => self.info(current, info, at),
        }
    }

    fn gauge(&mut self, current: Current<'_, 'a>, gauge: &'a Gauge, at: Option<&'a Value>) {
        if gauge.aggregate.is_some() {
            return self.aggregate(current, gauge, at);
        }
        match (at, &gauge.value) {
            (Some(Value::Array(list)), _) => {
                for (index, element) in list.iter().enumerate() {
                    let element = Some(element).filter(|element| !element.is_null());
                    self.gauge_of(current, gauge, Element::Index(index), element);
                }
            }
            (Some(parent @ Value::Object(map)), Source::Path(path)) => {
                self.gauge_of_map(current, gauge, (parent, map), path.only_step());
            }
            (Some(parent @ Value::Object(map)), Source::Expression(_)) if gauge.label_from_key.is_some() => {
                self.gauge_of_map(current, gauge, (parent, map), None);
            }
            _ => self.gauge_of(current, gauge, Element::Whole, at),
        }
    }

    /// A sample for each key. Where `valueFrom` is one of the keys, it means that key's value.
    fn gauge_of_map(
        &mut self,
        current: Current<'_, 'a>,
        gauge: &'a Gauge,
        (parent, map): (&'a Value, &'a serde_json::Map<String, Value>),
        named: Option<&str>,
    ) {
        // With `nilIsZero` the other keys yield zeros, which have the same labels unless they take the key's name: the
        // value that is meant comes first, and stays.
        if let Some((key, value)) = named.and_then(|named| map.get_key_value(named)) {
            let number = match to_number(value) {
                Err(NumberError::Null) if gauge.nil_is_zero => Ok(Some(0.0)),
                other => other.map(Some).map_err(Bad::from),
            };
            self.gauge_of_key(current, gauge, parent, (key, value), number);
        }
        for (key, value) in map.iter().filter(|(key, _)| Some(key.as_str()) != named) {
            let element = Some(value).filter(|value| !value.is_null());
            let number = self.number(gauge, Element::Key(key), element);
            self.gauge_of_key(current, gauge, parent, (key, value), number);
        }
    }

    fn gauge_of_key(
        &mut self,
        current: Current<'_, 'a>,
        gauge: &'a Gauge,
        parent: &'a Value,
        (key, value): (&'a str, &'a Value),
        number: Result<Option<f64>, Bad>,
    ) {
        let Some(number) = self.good(current, Element::Key(key), number) else { return };
        self.own.clear();
        if let Some(name) = gauge.label_from_key.as_deref().filter(|_| !key.is_empty()) {
            self.own.set(name, key);
        }
        current.metric.labels.apply(value, &mut self.own);
        current.metric.labels.apply(parent, &mut self.own);
        self.emit(current, number, reuse_of(number));
    }

    fn gauge_of(&mut self, current: Current<'_, 'a>, gauge: &'a Gauge, place: Element<'_>, element: Option<&'a Value>) {
        let number = self.number(gauge, place, element);
        let Some(number) = self.good(current, place, number) else { return };
        self.own.clear();
        if let Some(element) = element {
            current.metric.labels.apply(element, &mut self.own);
        }
        self.emit(current, number, reuse_of(number));
    }

    /// What a source says of an element; none where that is nothing, or null.
    fn find(
        &mut self,
        source: &'a Source,
        element: &'a Value,
        place: Element<'_>,
    ) -> Result<Option<Cow<'a, Value>>, Bad> {
        Ok(match source {
            Source::Path(path) => path.get(element).map(Cow::Borrowed),
            Source::Expression(_) if element.is_null() => None,
            Source::Expression(expression) => {
                let value = self.scope.evaluate(expression, element, place)?;
                (!value.is_null()).then_some(Cow::Owned(value))
            }
        })
    }

    /// The number of an element; none where there is nothing to show, which is no fault.
    fn number(&mut self, gauge: &'a Gauge, place: Element<'_>, element: Option<&'a Value>) -> Result<Option<f64>, Bad> {
        let found = match element {
            Some(element) => self.find(&gauge.value, element, place)?,
            None => None,
        };
        match found {
            Some(value) => Ok(Some(to_number(&value)?)),
            None if gauge.nil_is_zero => Ok(Some(0.0)),
            None if element.is_none() => Err(NumberError::Null.into()),
            None => Ok(None),
        }
    }

    fn aggregate(&mut self, current: Current<'_, 'a>, gauge: &'a Gauge, at: Option<&'a Value>) {
        let number = self.aggregated(gauge, at);
        let Some(number) = self.good(current, Element::Whole, number) else { return };
        self.own.clear();
        if let Some(at) = at {
            current.metric.labels.apply(at, &mut self.own);
        }
        self.emit(current, number, reuse_of(number));
    }

    fn aggregated(&mut self, gauge: &'a Gauge, at: Option<&'a Value>) -> Result<Option<f64>, Bad> {
        let Some(aggregate) = gauge.aggregate else { return Ok(None) };
        let mut so_far = aggregate.of_nothing();
        let mut add = |walk: &mut Self, place: Element<'_>, element: &'a Value| {
            let found = walk.find(&gauge.value, element, place)?;
            let number = match found.as_deref() {
                // What an element says is counted, not what number it is.
                Some(Value::Bool(false)) | None if aggregate == Aggregate::Count => None,
                Some(_) if aggregate == Aggregate::Count => Some(1.0),
                None => gauge.nil_is_zero.then_some(0.0),
                Some(value) => Some(to_number(value).map_err(|error| Bad::from(error).at(place))?),
            };
            if let Some(number) = number {
                so_far = Some(aggregate.with(so_far, number));
            }
            Ok::<(), Bad>(())
        };
        match at {
            Some(Value::Array(list)) => {
                for (index, element) in list.iter().enumerate() {
                    add(self, Element::Index(index), element)?;
                }
            }
            Some(Value::Object(map)) => {
                for (key, value) in map {
                    add(self, Element::Key(key), value)?;
                }
            }
            Some(_) => return Err(Bad::NotAList),
            None if gauge.nil_is_zero => return Ok(Some(0.0)),
            None => return Err(NumberError::Null.into()),
        }
        Ok(so_far.or(gauge.nil_is_zero.then_some(0.0)))
    }

    fn states(&mut self, current: Current<'_, 'a>, states: &'a StateSet, place: Element<'_>, element: &'a Value) {
        let found = match self.find(&states.value, element, place) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(bad) => return self.bad(current, place, &bad),
        };
        let Some(state) = found.as_str() else { return self.bad(current, place, &Bad::NotAText) };
        for known in &states.states {
            self.own.clear();
            self.own.set(&*states.label_name, &**known);
            current.metric.labels.apply(element, &mut self.own);
            self.emit(current, f64::from(u8::from(**known == *state)), Reuse::Shared);
        }
    }

    fn info(&mut self, current: Current<'_, 'a>, info: &'a Info, at: Option<&'a Value>) {
        match at {
            None => {}
            Some(Value::Array(list)) => {
                for (index, element) in list.iter().enumerate() {
                    self.info_of(current, info, Element::Index(index), element, None);
                }
            }
            Some(parent @ Value::Object(map)) if info.expression.is_none() => {
                for (key, value) in map {
                    self.info_of(
                        current,
                        info,
                        Element::Key(key),
                        value,
                        info.label_from_key.as_deref().zip(Some(key)),
                    );
                }
                self.own.clear();
                current.metric.labels.apply(parent, &mut self.own);
                self.emit_info(current);
            }
            Some(value) => self.info_of(current, info, Element::Whole, value, None),
        }
    }

    fn info_of(
        &mut self,
        current: Current<'_, 'a>,
        info: &'a Info,
        place: Element<'_>,
        element: &'a Value,
        key: Option<(&'a str, &'a String)>,
    ) {
        let Some(expression) = &info.expression else {
            self.own.clear();
            if let Some((name, key)) = key.filter(|(_, key)| !key.is_empty()) {
                self.own.set(name, key.as_str());
            }
            current.metric.labels.apply(element, &mut self.own);
            return self.emit_info(current);
        };
        if element.is_null() {
            return;
        }
        match self.scope.evaluate(expression, element, place) {
            Ok(Value::Null) => {}
            Ok(Value::Array(maps)) => {
                for map in maps {
                    self.info_by_map(current, place, element, map);
                }
            }
            Ok(map) => self.info_by_map(current, place, element, map),
            Err(bad) => self.bad(current, place, &bad),
        }
    }

    fn info_by_map(&mut self, current: Current<'_, 'a>, place: Element<'_>, element: &'a Value, map: Value) {
        let Value::Object(map) = map else { return self.bad(current, place, &Bad::NotLabels) };
        self.own.clear();
        for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            self.own.set(crate::labels::label_name(key), label_value(value).into_owned());
        }
        current.metric.labels.apply(element, &mut self.own);
        self.emit_info(current);
    }

    /// A sample without labels of its own says nothing.
    fn emit_info(&mut self, current: Current<'_, 'a>) {
        if !self.own.is_empty() {
            self.emit(current, 1.0, Reuse::Unique);
        }
    }

    fn emit(&mut self, current: Current<'_, 'a>, value: f64, reuse: Reuse) {
        const FEW: usize = 24;
        let (own, base) = (&self.own, current.base);
        let inherited = base.iter().filter(|(name, _)| !own.has(name));
        let mut few: [Label<'_>; FEW] = [("", ""); FEW];
        let mut many = Vec::new();
        let labels = if own.len() + base.len() <= FEW {
            let mut count = 0;
            for (slot, label) in few.iter_mut().zip(own.iter().chain(inherited)) {
                *slot = label;
                count += 1;
            }
            few.get_mut(..count).unwrap_or_default()
        } else {
            many.extend(own.iter().chain(inherited));
            many.as_mut_slice()
        };
        labels.sort_unstable();
        if self.seen.insert(labels) {
            self.samples.put_with(current.family, labels, value, reuse);
        } else {
            self.duplicate(current);
        }
    }

    fn duplicate(&self, current: Current<'_, 'a>) {
        metrics::counter!("ksm_core_duplicate_samples_total", "resource" => self.of.name().to_owned()).increment(1);
        left_out!(
            current.metric,
            resource = self.of.name(),
            family = self.of.family_name(current.family),
            "sample left out: one has its labels"
        );
    }

    fn good(&self, current: Current<'_, 'a>, place: Element<'_>, number: Result<Option<f64>, Bad>) -> Option<f64> {
        number.unwrap_or_else(|bad| {
            self.bad(current, place, &bad);
            None
        })
    }

    fn bad(&self, current: Current<'_, 'a>, place: Element<'_>, why: &dyn fmt::Display) {
        metrics::counter!("ksm_core_bad_values_total", "resource" => self.of.name().to_owned()).increment(1);
        let of_object = |key: &str| self.object.get("metadata").and_then(|metadata| metadata.get(key)?.as_str());
        left_out!(
            current.metric,
            resource = self.of.name(),
            family = self.of.family_name(current.family),
            namespace = of_object("namespace"),
            name = of_object("name"),
            at = %place,
            %why,
            "value left out: it can't be read"
        );
    }
}

/// Small counts repeat from object to object; times and amounts hardly do.
fn reuse_of(value: f64) -> Reuse {
    let is_small_count = (0.0..1000.0).contains(&value) && value.fract() == 0.0;
    if is_small_count { Reuse::Shared } else { Reuse::Unique }
}
