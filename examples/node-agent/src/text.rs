//! Samples → Prometheus' text, or OpenMetrics.

use std::collections::BTreeMap;
use std::fmt::Write;

use cgroup_perf::output::openmetrics::Format;

/// A family: name, kind and help.
type Head = (&'static str, &'static str, &'static str);

/// Families with their samples, each under its head whatever the order that they come in.
#[derive(Debug)]
pub(crate) struct Text {
    format: Format,
    families: BTreeMap<&'static str, (Head, String)>,
}

impl Text {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, families: BTreeMap::new() }
    }

    pub(crate) fn sample(&mut self, head: Head, labels: &[(&str, &str)], value: f64) {
        let (_, text) = self.families.entry(head.0).or_insert_with(|| (head, String::new()));
        text.push_str(head.0);
        for (number, (name, value)) in labels.iter().enumerate() {
            text.push(if number == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        // Writing into a string does not fail.
        let _ = writeln!(text, " {value}");
    }

    /// The text, without an end.
    pub(crate) fn finish(self) -> String {
        let mut all = String::new();
        for ((name, kind, help), samples) in self.families.into_values() {
            // In OpenMetrics a counter's family has not the suffix of its samples.
            let family = match self.format {
                Format::OpenMetrics if kind == "counter" => name.strip_suffix("_total").unwrap_or(name),
                _ => name,
            };
            let _ = write!(all, "# HELP {family} {help}\n# TYPE {family} {kind}\n{samples}");
        }
        all
    }
}

fn escape(text: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            char => text.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Head = ("a_total", "counter", "Some.");
    const B: Head = ("b", "gauge", "Others.");

    fn text(format: Format) -> String {
        let mut text = Text::new(format);
        text.sample(B, &[], 1.5);
        text.sample(A, &[("x", "a\"\\\n"), ("y", "")], 2.0);
        text.sample(B, &[("z", "1")], 3.0);
        text.finish()
    }

    #[test]
    fn families_are_whole_and_labels_escaped() {
        let wanted = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"a\\\"\\\\\\n\",y=\"\"} 2\n\
                      # HELP b Others.\n# TYPE b gauge\nb 1.5\nb{z=\"1\"} 3\n";
        assert_eq!(text(Format::Prometheus), wanted);
    }

    #[test]
    fn in_openmetrics_a_counters_family_has_no_suffix() {
        let text = text(Format::OpenMetrics);
        assert!(text.contains("# TYPE a counter\na_total{"), "{text}");
    }
}
