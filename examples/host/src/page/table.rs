//! Counts, tables, and links to what a machine reads.

use maud::{Markup, html};

/// Counts side by side, each with its name.
pub fn figures<N: AsRef<str>, V: AsRef<str>>(figures: &[(N, V)]) -> Markup {
    html! {
        dl.totals {
            @for (name, value) in figures { div { dt { (name.as_ref()) } dd { (value.as_ref()) } } }
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    name: &'a str,
    class: &'static str,
}

impl<'a> Column<'a> {
    /// One of text.
    pub const fn text(name: &'a str) -> Self {
        Self { name, class: "text" }
    }

    /// One of numbers, which stand to the right.
    pub const fn number(name: &'a str) -> Self {
        Self { name, class: "number" }
    }

    /// One of states: on a phone it stands beside the row's name.
    pub const fn state(name: &'a str) -> Self {
        Self { name, class: "status" }
    }
}

/// A row: its cells, of which the first one names it, and what there is to say beneath.
#[derive(Debug, Clone)]
pub struct Row {
    /// One for each column.
    pub cells: Vec<Markup>,
    /// In the whole width beneath the row.
    pub note: Option<Markup>,
}

impl Row {
    /// A row without a note.
    pub fn new(cells: impl IntoIterator<Item = Markup>) -> Self {
        Self { cells: cells.into_iter().collect(), note: None }
    }

    /// The same with what there is to say beneath it.
    pub fn note(self, note: Option<Markup>) -> Self {
        Self { note, ..self }
    }
}

/// A table, for instance of those who talk most. On a phone each row becomes a card.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    /// Unique in the page, as its heading's id.
    pub id: &'a str,
    /// Its heading.
    pub title: &'a str,
    /// The columns, the first one that of the rows' names.
    pub columns: &'a [Column<'a>],
    /// The rows.
    pub rows: Vec<Row>,
    /// What to say where there are no rows.
    pub empty: &'a str,
}

impl Table<'_> {
    /// It as a section.
    pub fn html(&self) -> Markup {
        html! {
            section aria-labelledby=(self.id) {
                h2 id=(self.id) { (self.title) }
                @if self.rows.is_empty() { p.detail { (self.empty) } } @else { (self.table()) }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            div.table tabindex="0" role="region" aria-labelledby=(self.id) {
                // Roles are said, since browsers forget a table's own where the narrow layout makes it a block.
                table role="table" aria-labelledby=(self.id) {
                    thead role="rowgroup" {
                        tr role="row" {
                            @for Column { name, class } in self.columns {
                                th class=(class) role="columnheader" scope="col" { (name) }
                            }
                        }
                    }
                    tbody role="rowgroup" { @for row in &self.rows { (self.row(row)) } }
                }
            }
        }
    }

    fn row(&self, row: &Row) -> Markup {
        let mut cells = self.columns.iter().zip(&row.cells);
        html! {
            tr role="row" {
                @if let Some((_, cell)) = cells.next() { th role="rowheader" scope="row" { (cell) } }
                @for (Column { name, class }, cell) in cells {
                    td class=(class) role="cell" data-name=(name) { (cell) }
                }
            }
            @if let Some(note) = &row.note {
                tr.note role="row" { td role="cell" colspan=(self.columns.len()) { (note) } }
            }
        }
    }
}

/// A bar as long as `part` of `whole`, beside a number that says the same.
pub fn bar(part: f64, whole: f64) -> Markup {
    let share = part / whole * 100.0;
    let share = if share.is_finite() { share.clamp(0.0, 100.0) } else { 0.0 };
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.track width="100" height="8" {}
            rect.fill width=(format!("{share:.1}")) height="8" {}
        }
    }
}

/// What machines read: a path each, and what is there.
pub fn outputs(outputs: &[(&str, &str)]) -> Markup {
    html! {
        section aria-labelledby="outputs" {
            h2 id="outputs" { "Raw outputs" }
            ul.outputs { @for (path, what) in outputs { li { a href=(path) { (path) } " " span.since { (what) } } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<'_>] = &[Column::text("Reason"), Column::state("State"), Column::number("Events")];

    fn table(rows: Vec<Row>) -> String {
        Table { id: "top", title: "Top reasons", columns: COLUMNS, rows, empty: "No events yet." }.html().into_string()
    }

    fn cells(texts: [&str; 3]) -> Row {
        Row::new(texts.map(|text| html! { (text) }))
    }

    #[test]
    fn headings_have_scopes_and_the_table_its_name() {
        let text = table(vec![cells(["BackOff", "busy", "3"]), cells(["Killing", "ok", "1"])]);
        assert_eq!(text.matches("scope=\"col\"").count(), 3);
        assert_eq!(text.matches("scope=\"row\"").count(), 2);
        assert!(text.contains("<h2 id=\"top\">Top reasons</h2>") && text.contains("aria-labelledby=\"top\""), "{text}");
        assert!(text.contains("<td class=\"number\" role=\"cell\" data-name=\"Events\">3</td>"), "{text}");
    }

    #[test]
    fn what_others_wrote_is_escaped_and_notes_span_the_table() {
        let note = html! { "<b>" };
        let text = table(vec![cells(["<script>", "\"", "&"]).note(Some(note))]);
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script>"), "{text}");
        assert!(text.contains("colspan=\"3\"") && text.contains("&lt;b&gt;"), "{text}");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        let text = table(Vec::new());
        assert!(text.contains("No events yet.") && !text.contains("<table"), "{text}");
    }

    #[test]
    fn bars_stay_within_their_track() {
        let width = |part, whole| {
            let text = bar(part, whole).into_string();
            text.split("class=\"fill\" width=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        assert_eq!(width(1.0, 4.0), "25.0");
        assert_eq!(
            [width(9.0, 4.0), width(-1.0, 4.0), width(1.0, 0.0), width(f64::NAN, 1.0)],
            ["100.0", "0.0", "0.0", "0.0"]
        );
    }

    #[test]
    fn figures_and_outputs_are_named() {
        let text = figures(&[("Pods", "2,000"), ("<", "\"")]).into_string();
        assert!(text.contains("<dt>Pods</dt><dd>2,000</dd>") && text.contains("<dt>&lt;</dt>"), "{text}");
        let text = outputs(&[("/metrics", "for Prometheus")]).into_string();
        assert!(text.contains("<a href=\"/metrics\">/metrics</a> <span class=\"since\">for Prometheus</span>"));
    }
}
