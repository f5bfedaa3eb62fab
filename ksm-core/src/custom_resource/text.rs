//! JSON values as label values: the way Go prints them by default, which is what kube-state-metrics exposes.

use std::borrow::Cow;

use serde_json::{Number, Value};

use crate::value::write_value;

/// The label value that a JSON value stands for: text as it is, `true`, `1`, `1.5e+06`, `[a b]`, `map[a:1 b:2]`.
pub(super) fn label_value(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        other => {
            let mut text = String::new();
            print(&mut text, other);
            Cow::Owned(text)
        }
    }
}

fn print(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => print_number(out, number),
        Value::String(text) => out.push_str(text),
        Value::Array(list) => {
            out.push('[');
            for (at, element) in list.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print(out, element);
            }
            out.push(']');
        }
        Value::Object(map) => {
            // Whether the map is sorted is a feature of serde_json that any crate of the application may change.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push_str("map[");
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                print(out, value);
            }
            out.push(']');
        }
    }
}

fn print_number(out: &mut String, number: &Number) {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => out.push_str(itoa::Buffer::new().format(integer)),
        (None, Some(float)) => {
            let mut text = Vec::new();
            write_value(&mut text, float);
            out.push_str(&String::from_utf8_lossy(&text));
        }
        (None, None) => out.push_str(&number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_go_prints_them() {
        for (value, want) in [
            (json!("a \"b\""), "a \"b\""),
            (json!(true), "true"),
            (json!(1_500_000), "1500000"),
            (json!(1_500_000.5), "1.5000005e+06"),
            (json!(18_446_744_073_709_551_615_u64), "1.8446744073709552e+19"),
            (json!(["a", 1, null, []]), "[a 1 <nil> []]"),
            (json!({"b": {"c": true}, "a": 1}), "map[a:1 b:map[c:true]]"),
        ] {
            assert_eq!(label_value(&value), want);
        }
    }
}
