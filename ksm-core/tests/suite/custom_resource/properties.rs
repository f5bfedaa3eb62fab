//! Whatever an object holds, walking it ends, and yields each sample once.

use std::collections::HashSet;

use ksm_core::custom_resource::{CustomResourceConfig, Path};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use super::{foo, object_of};

const WORDS: &str = "a|b|c|-1|0|type|name|metadata|[a=b]|a=b|5Gi|True|2022-06-28T00:00:00Z|";

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(WORDS.split('|').map(str::to_owned).collect::<Vec<_>>())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|value| Number::from_f64(value).map_or(Value::Null, Value::Number)),
        word().prop_map(Value::String),
        "\\PC{0,8}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(word(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn path() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(word(), 0..4)
}

proptest! {
    #[test]
    fn prop_any_path_through_any_value_ends(value in json(), path in path()) {
        if let Ok(path) = Path::parse(&path) {
            let found = path.get(&value);
            prop_assert!(found.is_none_or(|found| !found.is_null()));
        }
    }

    #[test]
    fn prop_any_object_is_walked_and_no_sample_comes_twice(
        value in json(), path in path(), from in path(), label in path(), zero in any::<bool>(), word in word(),
    ) {
        let (path, from, label) = (Value::from(path), Value::from(from), Value::from(label));
        let labels = format!("labelsFromPath: {{x: {label}, '*': {label}, 'y*': []}}");
        let cel = if cfg!(feature = "cel") {
            ",{name: e, each: {type: gauge, gauge: {path: [spec], cel: 'type(self) == map ? size(self) : self', labelFromKey: k}}}"
        } else {
            ""
        };
        let yaml = super::with_metrics(&format!(
            "[{{name: a, each: {{type: gauge, gauge: {{path: {path}, valueFrom: {from}, nilIsZero: {zero}, labelFromKey: x, {labels}}}}}}},
              {{name: b, {labels}, each: {{type: info, info: {{path: {path}, labelFromKey: k, {labels}}}}}}},
              {{name: c, each: {{type: stateset, stateSet: {{path: {path}, valueFrom: {from}, labelName: x, list: ['{word}', b], {labels}}}}}}},
              {{name: d, each: {{type: gauge, gauge: {{path: {path}, valueFrom: {from}, aggregate: sum}}}}}}{cel}]"
        ));
        let object = Value::Object(Map::from_iter([("spec".to_owned(), value.clone()), ("a".to_owned(), value)]));
        let config = CustomResourceConfig::from_yaml(&yaml, "crs.yaml");
        let config = config.map_err(|errors| TestCaseError::fail(errors.to_string()))?;
        let lines = config.for_kind(&foo()).unwrap().sample_lines(&object_of(object));
        let samples: HashSet<&str> = lines.iter().filter_map(|line| Some(line.rsplit_once("} ")?.0)).collect();
        prop_assert_eq!(samples.len(), lines.len(), "{:#?}", lines);
    }

    #[test]
    fn prop_any_text_is_a_configuration_or_an_error(text in "\\PC{0,64}", yaml in "[-a-z:{}\\[\\], \n&*!|>'\"]{0,64}") {
        let _ = CustomResourceConfig::from_yaml(&text, "crs.yaml");
        let _ = CustomResourceConfig::from_yaml(&yaml, "crs.yaml");
    }
}
