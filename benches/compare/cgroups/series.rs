//! How many series an answer has, and how many cgroups of ours they name.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use serde_json::Value;

/// Characters of an id that tell it apart: the kernel hands over 63 of a name to Rezolus, and an id has 64.
const TOLD: usize = 32;

/// What is in one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) all: u64,
    /// Of our cgroups.
    pub(crate) ours: u64,
    /// Our cgroups that at least one series names.
    pub(crate) named: BTreeSet<String>,
}

impl Series {
    /// Of Prometheus' text, or of Rezolus' JSON in either of its forms. `ids` are the names of our cgroups.
    pub(crate) fn of(body: &[u8], ids: &[String]) -> Result<Self> {
        let text = std::str::from_utf8(body)?;
        let mut series = Self::default();
        if !text.trim_start().starts_with('{') {
            for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                series.take(line, ids);
            }
            return Ok(series);
        }
        match serde_json::from_str(text)? {
            Value::Object(snapshot) => {
                let groups = match snapshot.get("groups").and_then(Value::as_array) {
                    Some(groups) => groups.iter().collect(),
                    None => vec![],
                };
                let before = series.clone();
                for group in groups {
                    series.take_group(group, ids);
                }
                if series == before {
                    series.take_lists(&Value::Object(snapshot), ids);
                }
                Ok(series)
            }
            _ => bail!("an answer of an unknown shape"),
        }
    }

    /// Names stand in the group's schema, values beside it.
    fn take_group(&mut self, group: &Value, ids: &[String]) {
        match group.get("schema") {
            Some(schema) => self.take_lists(schema, ids),
            None => self.take_lists(group, ids),
        }
    }

    fn take_lists(&mut self, of: &Value, ids: &[String]) {
        for list in ["counters", "gauges", "histograms"] {
            for metric in of.get(list).and_then(Value::as_array).into_iter().flatten() {
                self.take(&metric.to_string(), ids);
            }
        }
    }

    fn take(&mut self, named: &str, ids: &[String]) {
        self.all += 1;
        if let Some(id) = ids.iter().find(|id| named.contains(id.get(..TOLD).unwrap_or(id))) {
            self.ours += 1;
            self.named.insert(id.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<String> {
        vec!["aaaa".to_owned(), "bbbb".to_owned()]
    }

    #[test]
    fn the_text_of_prometheus() {
        let text = b"# HELP x y\n# TYPE x counter\nx{id=\"aaaa\"} 1\nx{id=\"aaaa\",cpu=\"1\"} 1\n\nx 3\n";
        let series = Series::of(text, &ids()).unwrap();
        assert_eq!((series.all, series.ours, series.named.len()), (3, 2, 1));
    }

    #[test]
    fn snapshots_of_both_forms() {
        let flat = br#"{"counters": [{"name": "1", "metadata": {"name": "/aaaa"}}, {"name": "2"}], "gauges": [], "histograms": [{"name": "3"}]}"#;
        let grouped = br#"{"groups": [{"name": "g", "schema": {"counters": [{"name": "c", "metadata": {"name": "/x/bbbb"}}, {"name": "d"}]}, "counters": [1, 2]},
            {"name": "h", "schema": {"gauges": [{"name": "e"}]}, "gauges": [3]}]}"#;
        for (body, named) in [(flat.as_slice(), "aaaa"), (grouped.as_slice(), "bbbb")] {
            let series = Series::of(body, &ids()).unwrap();
            assert_eq!((series.all, series.ours), (3, 1), "{named}");
            assert!(series.named.contains(named));
        }
    }

    #[test]
    fn an_id_whose_end_was_cut_is_known() {
        let id = format!("00000001{}", "c0ffee00".repeat(7));
        let text = format!("x{{name=\"/pod/{}\"}} 1\n", &id[..63]);
        let other = format!("00000002{}", "c0ffee00".repeat(7));
        let series = Series::of(text.as_bytes(), &[other, id.clone()]).unwrap();
        assert_eq!((series.ours, series.named.first()), (1, Some(&id)));
    }

    #[test]
    fn what_is_neither_is_an_error() {
        assert!(Series::of(b"{", &ids()).is_err());
        assert!(Series::of(&[0xff, 0xfe], &ids()).is_err());
    }
}
