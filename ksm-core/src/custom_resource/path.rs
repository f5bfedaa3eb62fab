//! `[status, conditions, "[type=Ready]", status]`: the way to a value in an object.

use serde_json::Value;
use thiserror::Error;

use super::number::number;

/// A path that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// A segment in brackets without `=`.
    #[error("path segment {segment:?} looks up nothing: write it like \"[type=Ready]\"")]
    Lookup {
        /// The segment as it was given.
        segment: String,
    },
}

/// A compiled path. Walking it allocates nothing.
///
/// | segment | on a map | on a list |
/// |---|---|---|
/// | `name` | the field | nothing |
/// | `0`, `-1` | the field of that name | the element, from the end where negative |
/// | `[key=value]` | nothing | the first element whose field `key` is `value`, as text, number or boolean |
/// | `key=value` | the field `key` where it is that text, else the field of that whole name | nothing |
///
/// ```
/// use ksm_core::custom_resource::Path;
/// use serde_json::json;
///
/// let ready = Path::parse(&["conditions", "[type=Ready]", "status"])?;
/// let status = json!({"conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]});
/// assert_eq!(ready.get(&status), Some(&json!("True")));
/// assert_eq!(Path::parse(&["conditions", "7"])?.get(&status), None);
/// # Ok::<(), ksm_core::custom_resource::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Path {
    segments: Box<[Segment]>,
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Step { name: Box<str>, index: Option<i64>, equals: Option<(Box<str>, Box<str>)> },
    Find { key: Box<str>, text: Box<str>, number: Option<f64>, flag: Option<bool> },
}

impl Path {
    /// Compiles a path. The empty one leads to the value itself.
    pub fn parse<S: AsRef<str>>(segments: &[S]) -> Result<Self, PathError> {
        let segments = segments.iter().map(|segment| Segment::parse(segment.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }

    /// The value at the end of the path; none where any part of it is missing, or null.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let found = self.segments.iter().try_fold(value, |value, segment| segment.get(value));
        found.filter(|value| !value.is_null())
    }

    /// Whether the path leads to the value itself.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The name of its only step; none where it has several, or looks something up.
    pub(super) fn only_step(&self) -> Option<&str> {
        match &*self.segments {
            [Segment::Step { name, .. }] => Some(name),
            _ => None,
        }
    }
}

impl Segment {
    fn parse(segment: &str) -> Result<Self, PathError> {
        if let Some(inside) = segment.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let Some((key, text)) = inside.split_once('=') else {
                return Err(PathError::Lookup { segment: segment.to_owned() });
            };
            return Ok(Self::Find { key: key.into(), text: text.into(), number: number(text), flag: flag(text) });
        }
        let equals = segment.split_once('=').filter(|(_, value)| !value.contains('='));
        Ok(Self::Step {
            name: segment.into(),
            index: segment.parse().ok(),
            equals: equals.map(|(key, value)| (key.into(), value.into())),
        })
    }

    fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match (self, value) {
            (Self::Step { name, equals, .. }, Value::Object(map)) => {
                let equal = equals
                    .as_ref()
                    .and_then(|(key, wanted)| map.get(&**key).filter(|value| value.as_str() == Some(wanted)));
                equal.or_else(|| map.get(&**name))
            }
            (Self::Step { index: Some(index), .. }, Value::Array(list)) => {
                let from_start = usize::try_from(*index).ok();
                let from_end = || list.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
                list.get(from_start.or_else(from_end)?)
            }
            (Self::Find { key, text, number, flag }, Value::Array(list)) => list
                .iter()
                .find(|element| element.get(&**key).is_some_and(|candidate| is_meant(candidate, text, *number, *flag))),
            _ => None,
        }
    }
}

/// Whether `candidate` is the value of a look-up: the same text, the same number (by the rules that values are
/// converted by), or the same boolean.
fn is_meant(candidate: &Value, text: &str, wanted: Option<f64>, flag: Option<bool>) -> bool {
    let as_number = || match candidate {
        Value::String(candidate) => number(candidate),
        Value::Number(candidate) => candidate.as_f64(),
        Value::Bool(candidate) => Some(f64::from(u8::from(*candidate))),
        _ => None,
    };
    candidate.as_str() == Some(text)
        || wanted.is_some_and(|wanted| as_number() == Some(wanted))
        || (flag.is_some() && candidate.as_bool() == flag)
}

/// A boolean as Go's `strconv.ParseBool` reads it.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn get(path: &[&str], value: &Value) -> Option<Value> {
        Path::parse(path).unwrap().get(value).cloned()
    }

    #[test]
    fn lookups_compare_as_text_number_and_boolean() {
        let list = json!([{"k": "a"}, {"k": 3}, {"k": "4Ki"}, {"k": true}, 5, {"other": 1}]);
        assert_eq!(get(&["[k=a]"], &list), Some(json!({"k": "a"})));
        assert_eq!(get(&["[k=3]"], &list), Some(json!({"k": 3})));
        assert_eq!(get(&["[k=4096]"], &list), Some(json!({"k": "4Ki"})));
        assert_eq!(get(&["[k=t]"], &list), Some(json!({"k": true})));
        assert_eq!(get(&["[k=]"], &list), None);
        assert_eq!(get(&["[other=1]", "other"], &list), Some(json!(1)));
    }

    #[test]
    fn indexes_count_from_both_ends_and_end_at_them() {
        let list = json!(["a", "b", "c"]);
        let at = |index: &str| get(&[index], &list);
        assert_eq!((at("0"), at("2"), at("3")), (Some(json!("a")), Some(json!("c")), None));
        assert_eq!((at("-1"), at("-3"), at("-4")), (Some(json!("c")), Some(json!("a")), None));
        assert_eq!((at("9223372036854775807"), at("-9223372036854775808"), at("x")), (None, None, None));
    }

    #[test]
    fn a_field_is_found_by_name_index_like_name_and_value() {
        let map = json!({"0": "zero", "bar": "baz", "bar=no": "odd", "none": null});
        assert_eq!(get(&["0"], &map), Some(json!("zero")));
        assert_eq!(get(&["bar=baz"], &map), Some(json!("baz")));
        assert_eq!(get(&["bar=no"], &map), Some(json!("odd")));
        assert_eq!((get(&["bar=other"], &map), get(&["none"], &map)), (None, None));
        assert_eq!(get(&[], &map), Some(map));
    }

    #[test]
    fn a_lookup_needs_an_equals_sign() {
        assert!(Path::parse(&["status", "[Ready]"]).is_err());
        assert!(Path::parse(&["[", "]", "[a=b=c]"]).is_ok());
    }
}
