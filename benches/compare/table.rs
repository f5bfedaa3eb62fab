//! Tables: a line for each figure, a column for each program under each condition.

use std::fmt::Write;

/// Figures, as they are printed.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<String>,
    lines: Vec<(String, Vec<String>)>,
}

impl Table {
    /// One with these columns beside the names.
    pub(crate) fn new(columns: impl IntoIterator<Item = String>) -> Self {
        Self { columns: columns.into_iter().collect(), lines: Vec::new() }
    }

    /// A line of numbers; what was not measured is a dash.
    pub(crate) fn numbers(&mut self, name: &str, values: impl IntoIterator<Item = Option<f64>>) {
        self.texts(name, values.into_iter().map(|value| value.map_or_else(|| "–".to_owned(), short)));
    }

    /// A line of anything else.
    pub(crate) fn texts(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        self.lines.push((name.to_owned(), values.into_iter().collect()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("|");
        // A String takes any text, here and below.
        for column in &self.columns {
            let _ = write!(text, " | {column}");
        }
        text.push_str(" |\n|---");
        text.push_str(&"|---:".repeat(self.columns.len()));
        text.push_str("|\n");
        for (name, values) in &self.lines {
            let _ = writeln!(text, "| {name} | {} |", values.join(" | "));
        }
        text
    }
}

/// Three digits that count; whole numbers as they are.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        // Few of them would be seen as rounded.
        size if value.fract() == 0.0 && size < 1e15 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => {
            let text = format!("{value:.5}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            if text == "-0" { "0".to_owned() } else { text.to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_column_for_each_and_says_what_was_not_measured() {
        let mut table = Table::new(["ours".to_owned(), "peer".to_owned()]);
        table.numbers("CPU, s", [Some(0.123_4), Some(12.34)]);
        table.numbers("memory, MB", [None, Some(416.4)]);
        table.texts("version", ["1".to_owned(), "2".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| | ours | peer |\n|---|---:|---:|\n| CPU, s | 0.123 | 12.3 |\n| memory, MB | – | 416 |\n| version | 1 | 2 |\n"
        );
    }

    #[test]
    fn numbers_are_rounded_to_what_counts() {
        for (value, text) in [
            (0.0, "0"),
            (20_000.0, "20000"),
            (1234.5, "1234"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.012_34, "0.012"),
            (0.001_234, "0.00123"),
            (0.01 - 1e-12, "0.01"),
            (-0.000_000_1, "0"),
            (-0.5, "-0.500"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
