//! Functions on numbers, lists, maps, times, and on what may not be there.

use std::cmp::Ordering;

use jiff::Timestamp;
use minijinja::value::{Value, ValueKind};

use super::text::arg;
use super::value::{elements, entries, from_json, text};
use super::{ANY, Function, MAX_ELEMENTS, Outcome, error, function};
use crate::layout::scope::{self, Time};

pub(super) const FUNCTIONS: &[Function] = &[
    // Truth.
    function("and", 1, ANY, |a| Ok(a.iter().find(|value| !value.is_true()).or(a.last()).cloned().unwrap_or_default())),
    function("or", 1, ANY, |a| Ok(a.iter().find(|value| value.is_true()).or(a.last()).cloned().unwrap_or_default())),
    function("not", 1, 1, |a| yes(!arg(a, 0).is_true())),
    function("eq", 2, ANY, |a| yes(a.iter().skip(1).any(|value| same(arg(a, 0), value)))),
    function("ne", 2, 2, |a| yes(!same(arg(a, 0), arg(a, 1)))),
    function("lt", 2, 2, |a| order(a).map(|order| order.is_lt().into())),
    function("le", 2, 2, |a| order(a).map(|order| order.is_le().into())),
    function("gt", 2, 2, |a| order(a).map(|order| order.is_gt().into())),
    function("ge", 2, 2, |a| order(a).map(|order| order.is_ge().into())),
    function("default", 1, 2, |a| Ok(arg(a, usize::from(arg(a, 1).is_true())).clone())),
    function("empty", 1, 1, |a| yes(!arg(a, 0).is_true())),
    function("coalesce", 0, ANY, |a| Ok(a.iter().find(|value| value.is_true()).cloned().unwrap_or_default())),
    function("ternary", 3, 3, |a| Ok(arg(a, usize::from(!arg(a, 2).is_true())).clone())),
    // Numbers.
    function("int", 1, 1, |a| Ok(integer(arg(a, 0)).into())),
    function("int64", 1, 1, |a| Ok(integer(arg(a, 0)).into())),
    function("atoi", 1, 1, |a| Ok(integer(arg(a, 0)).into())),
    function("float64", 1, 1, |a| Ok(float(arg(a, 0)).into())),
    function("add", 1, ANY, |a| Ok(a.iter().map(integer).fold(0, i64::wrapping_add).into())),
    function("add1", 1, 1, |a| Ok(integer(arg(a, 0)).wrapping_add(1).into())),
    function("sub", 2, 2, |a| Ok(integer(arg(a, 0)).wrapping_sub(integer(arg(a, 1))).into())),
    function("mul", 1, ANY, |a| Ok(a.iter().map(integer).fold(1, i64::wrapping_mul).into())),
    function("div", 2, 2, |a| divide(a, i64::checked_div)),
    function("mod", 2, 2, |a| divide(a, i64::checked_rem)),
    function("max", 1, ANY, |a| Ok(a.iter().map(integer).max().unwrap_or(0).into())),
    function("min", 1, ANY, |a| Ok(a.iter().map(integer).min().unwrap_or(0).into())),
    // Lists and maps.
    function("len", 1, 1, |a| match arg(a, 0) {
        text if text.as_str().is_some() => Ok(text.as_str().map_or(0, str::len).into()),
        other => other.len().map(Value::from).ok_or_else(|| error("`len` of a value that has no length")),
    }),
    function("index", 1, ANY, |a| a.iter().skip(1).try_fold(arg(a, 0).clone(), |value, key| index(&value, key))),
    function("list", 0, ANY, |a| Ok(a.to_vec().into())),
    function("first", 1, 1, |a| Ok(elements(arg(a, 0)).first().cloned().unwrap_or_default())),
    function("last", 1, 1, |a| Ok(elements(arg(a, 0)).last().cloned().unwrap_or_default())),
    function("rest", 1, 1, |a| Ok(elements(arg(a, 0)).into_iter().skip(1).collect())),
    function("has", 2, 2, |a| yes(elements(arg(a, 1)).iter().any(|value| same(value, arg(a, 0))))),
    function("sortAlpha", 1, 1, |a| {
        let mut texts: Vec<String> = elements(arg(a, 0)).iter().map(text).collect();
        texts.sort();
        Ok(texts.into())
    }),
    function("until", 1, 1, |a| {
        let count = arg(a, 0).as_usize().unwrap_or(0);
        if count > MAX_ELEMENTS { Err(error("`until` more than there is room for")) } else { Ok((0..count).collect()) }
    }),
    function("dict", 0, ANY, |a| {
        let pairs = a.chunks(2).filter_map(|pair| pair.split_first());
        let pair =
            |(key, value): (&Value, &[Value])| (text(key), value.first().cloned().unwrap_or_else(|| Value::from("")));
        Ok(Value::from_pairs(pairs.map(pair)))
    }),
    function("get", 2, 2, |a| Ok(entry(arg(a, 0), arg(a, 1)).unwrap_or_else(|| Value::from("")))),
    function("hasKey", 2, 2, |a| yes(entry(arg(a, 0), arg(a, 1)).is_some())),
    function("keys", 1, 1, |a| Ok(entries(arg(a, 0)).into_iter().map(|(key, _)| Value::from(key)).collect())),
    function("values", 1, 1, |a| Ok(entries(arg(a, 0)).into_iter().map(|(_, value)| value).collect())),
    function("fromJson", 1, 1, |a| {
        let json: Result<serde_json::Value, _> = serde_json::from_str(&text(arg(a, 0)));
        json.map(|json| from_json(&json)).map_err(|problem| error(format!("`fromJson`: {problem}")))
    }),
    // Times.
    function("now", 0, 0, |_| Ok(scope::time(Some(Timestamp::now())))),
    function("unixEpoch", 1, 1, |a| Ok(time(arg(a, 0))?.0.map_or(0, Timestamp::as_second).to_string().into())),
    function("date", 2, 2, |a| Ok(time(arg(a, 1))?.format(&text(arg(a, 0))).into())),
    function("dateInZone", 3, 3, |a| match text(arg(a, 2)).as_str() {
        "" | "UTC" | "Local" => Ok(time(arg(a, 1))?.format(&text(arg(a, 0))).into()),
        other => Err(error(format!("`dateInZone`: times are told in UTC, not in `{other}`"))),
    }),
];

#[expect(clippy::unnecessary_wraps, reason = "the functions' outcome")]
fn yes(value: bool) -> Outcome {
    Ok(value.into())
}

/// What isn't there is like an empty text.
fn same(one: &Value, two: &Value) -> bool {
    let missing = |value: &Value| value.is_undefined() || value.is_none();
    match (missing(one), missing(two)) {
        (true, true) => true,
        (true, false) => two.as_str() == Some(""),
        (false, true) => one.as_str() == Some(""),
        (false, false) => one == two,
    }
}

fn order(arguments: &[Value]) -> Result<Ordering, minijinja::Error> {
    let (one, two) = (arg(arguments, 0), arg(arguments, 1));
    let comparable = (one.is_number() && two.is_number()) || (one.as_str().is_some() && two.as_str().is_some());
    if comparable { Ok(one.cmp(two)) } else { Err(error("only two numbers, or two texts, have an order")) }
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float keeps within the bounds")]
fn integer(value: &Value) -> i64 {
    let text = || value.as_str().and_then(|text| text.trim().parse().ok());
    value.as_i64().or_else(text).unwrap_or_else(|| float(value) as i64)
}

fn float(value: &Value) -> f64 {
    let text = || value.as_str().and_then(|text| text.trim().parse().ok());
    let boolean = || (value.kind() == ValueKind::Bool).then(|| f64::from(u8::from(value.is_true())));
    text().or_else(boolean).or_else(|| f64::try_from(value.clone()).ok()).unwrap_or(0.0)
}

fn divide(arguments: &[Value], by: fn(i64, i64) -> Option<i64>) -> Outcome {
    let result = by(integer(arg(arguments, 0)), integer(arg(arguments, 1)));
    result.map(Value::from).ok_or_else(|| error("a division by zero"))
}

/// Of a map: what isn't there is an empty text, as of a map of texts in Go.
fn index(value: &Value, key: &Value) -> Outcome {
    match value.kind() {
        ValueKind::Map => Ok(entry(value, key).unwrap_or_else(|| Value::from(""))),
        ValueKind::Seq | ValueKind::Iterable => {
            let at = key.as_usize().ok_or_else(|| error("`index` of a list takes a number"))?;
            elements(value).get(at).cloned().ok_or_else(|| error(format!("`index`: there is no element {at}")))
        }
        _ => Err(error("`index` of a value that has no elements")),
    }
}

fn entry(map: &Value, key: &Value) -> Option<Value> {
    let key = text(key);
    map.get_attr(&key).ok().filter(|value| !value.is_undefined())
}

/// A time, or seconds since 1970, or a text of RFC 3339.
fn time(value: &Value) -> Result<Time, minijinja::Error> {
    let seconds = || value.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let written = || value.as_str().and_then(|text| text.parse().ok());
    let known = value.downcast_object_ref::<Time>().copied();
    let read = || seconds().or_else(written).map(|time| Time(Some(time)));
    known.or_else(read).ok_or_else(|| error("a value that is no time is asked for its date"))
}
