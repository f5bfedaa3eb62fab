//! How floats, label values, help texts and whole samples are written.

use ksm_core::render::sample_lines;
use ksm_core::value::{escape_help, escape_label_value, write_value};
use ksm_core::{AllowLists, Family, FamilyIndex, FamilySet, MetricType, Resource, Samples};
use serde::Deserialize;
use serde_json::Value;

const CASES: &str = include_str!("../../data/format.jsonl");

#[derive(Deserialize)]
#[serde(tag = "level", rename_all = "snake_case")]
enum Case {
    /// JSON has no infinities and no NaN: those are texts.
    Float {
        id: String,
        value: Value,
        text: String,
    },
    LabelEscape {
        id: String,
        value: String,
        text: String,
    },
    HelpEscape {
        id: String,
        value: String,
        text: String,
    },
    Sample {
        id: String,
        name: String,
        label_names: Vec<String>,
        label_values: Vec<String>,
        value: f64,
        text: String,
        want_bytes_with_newline: Option<usize>,
    },
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("what is written is UTF-8")
}

/// An object that is its one sample.
struct OneSample {
    labels: Vec<(String, String)>,
    value: f64,
}

fn collect(object: &OneSample, s: &mut Samples<'_>) {
    let labels: Vec<(&str, &str)> = object.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let (identity, rest) = labels.split_at(1);
    s.identity(identity);
    s.put(FamilyIndex(0), rest, object.value);
}

fn sample_line(name: &str, object: &OneSample) -> String {
    let families = vec![Family::dynamic(name, "Help.", MetricType::Gauge)].leak();
    let resource = Resource { name: "samples", families, collect, unread: &[] };
    sample_lines(&resource, object, &FamilySet::all(1), &AllowLists::default()).concat()
}

fn float(value: &Value) -> f64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().expect("a number")
}

#[test]
fn numbers_texts_and_samples_are_written_as_upstream() {
    let mut counts = [0; 4];
    for line in CASES.lines() {
        let case = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        match case {
            Case::Float { id, value, text } => {
                counts[0] += 1;
                assert_eq!(written(|out| write_value(out, float(&value))), text, "{id}");
            }
            Case::LabelEscape { id, value, text } => {
                counts[1] += 1;
                assert_eq!(written(|out| escape_label_value(out, &value)), text, "{id}");
            }
            Case::HelpEscape { id, value, text } => {
                counts[2] += 1;
                assert_eq!(written(|out| escape_help(out, &value)), text, "{id}");
            }
            Case::Sample { id, name, label_names, label_values, value, text, want_bytes_with_newline } => {
                counts[3] += 1;
                let labels = label_names.into_iter().zip(label_values).collect();
                let line = sample_line(&name, &OneSample { labels, value });
                assert_eq!(line, text, "{id}");
                if let Some(want) = want_bytes_with_newline {
                    assert_eq!(line.len() + 1, want, "{id}");
                }
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 0), "cases of every level were run: {counts:?}");
}
