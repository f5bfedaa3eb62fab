//! The state → a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row as Cells, Table, TableState, Wrap};

use crate::app::{App, HISTORY};
use crate::columns::Column;
use crate::rows::Row;

const KEYS: &str =
    "q quit  t tree  p pause  / filter  a all  sort: c cycles  u cpu  i cpi  m misses  s switches  n name";
/// The same for a terminal that has no room for it.
const KEYS_NARROW: &str = "q quit t tree p pause / filter a all by c cycles u cpu i cpi m miss s sw n name";
/// Lines that the statement of what is counted may take.
const STATEMENT: u16 = 6;
const FIGURE_WIDTH: u16 = 9;

/// Draws everything; `statement` is what is counted, and by what.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App, statement: &str) {
    let area = frame.area();
    let width = usize::from(area.width.max(1));
    // Words are wrapped whole, which takes some more room than they have letters.
    let lines = statement.chars().count().div_ceil(width.saturating_sub(8).max(1));
    let statement_lines = u16::try_from(lines).unwrap_or(STATEMENT).clamp(1, STATEMENT);
    let notes = u16::try_from(app.notes.len()).unwrap_or(u16::MAX).min(3);
    let [head, what, noted, table, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(statement_lines),
        Constraint::Length(notes),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(self::head(app), head);
    let dim = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Paragraph::new(statement).style(dim).wrap(Wrap { trim: true }), what);
    let lines: Vec<_> = app.notes.iter().map(|note| Line::from(note.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).style(Style::new().add_modifier(Modifier::BOLD)), noted);
    self::table(frame, app, table);
    frame.render_widget(self::foot(app, width), foot);
}

fn head(app: &App) -> Line<'static> {
    let view = if app.choice.tree { "tree" } else { "flat" };
    let last = app.seconds.map(|seconds| format!("  last {seconds:.1} s")).unwrap_or_default();
    let text = format!("cgroup-top  {} rows  {view}  by {}{last}", app.rows.len(), app.choice.sort.as_str());
    let mut line = Line::from(Span::styled(text, Style::new().add_modifier(Modifier::BOLD)));
    if app.paused {
        line.push_span(Span::styled("  PAUSED", Style::new().add_modifier(Modifier::REVERSED)));
    }
    line
}

fn foot(app: &App, width: usize) -> Line<'static> {
    if app.editing {
        return Line::from(format!("/{}▏  Enter keep  Esc drop", app.choice.filter));
    }
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut line = Line::default();
    if !app.choice.filter.is_empty() {
        line.push_span(Span::raw(format!("/{}  ", app.choice.filter)));
    }
    line.push_span(Span::styled(if width < KEYS.len() { KEYS_NARROW } else { KEYS }, dim));
    line
}

fn table(frame: &mut Frame<'_>, app: &App, area: Rect) {
    if app.seconds.is_none() {
        frame.render_widget(Line::from("Counting: the first figures come in a moment."), area);
        return;
    }
    let columns = Column::of(&app.counted);
    let right = |text: String| Line::from(text).right_aligned();
    let titles = columns.iter().map(|column| right(column.title(&app.counted)));
    let header = Cells::new(titles.chain([Line::from("LAST"), Line::from("NAME")]));
    let rows = app.rows.iter().map(|row| {
        let figures = columns.iter().map(|column| right(column.text(&app.counted, row)));
        let name = format!("{}{}", "  ".repeat(row.depth), row.name);
        let line = Cells::new(figures.chain([Line::from(spark(app, row)), Line::from(name)]));
        if row.removed { line.style(Style::new().add_modifier(Modifier::DIM)) } else { line }
    });
    let width = |column: &Column| {
        let title = u16::try_from(column.title(&app.counted).len()).unwrap_or(u16::MAX);
        Constraint::Length(title.max(FIGURE_WIDTH))
    };
    let history = Constraint::Length(u16::try_from(HISTORY).unwrap_or(u16::MAX));
    let widths = columns.iter().map(width).chain([history, Constraint::Min(20)]);
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    let table = Table::new(rows, widths).header(header.style(reversed)).row_highlight_style(reversed);
    let mut state = TableState::new().with_selected(Some(app.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

/// A bar for each of the last intervals, as high as the row's highest is full; below a hundredth of a processor there is
/// nothing to see.
fn spark(app: &App, row: &Row) -> String {
    let bars = bar::NINE_LEVELS;
    let levels = [
        bars.empty,
        bars.one_eighth,
        bars.one_quarter,
        bars.three_eighths,
        bars.half,
        bars.five_eighths,
        bars.three_quarters,
        bars.seven_eighths,
        bars.full,
    ];
    let least = if app.counted.cycles.is_some() { 1e7 } else { 0.01 };
    let most = app.history(row).fold(least, f64::max);
    let level = |value: f64| {
        let passed = (1..levels.len()).rev().find(|level| value * 8.0 >= most * (*level as f64 - 0.5));
        levels.get(passed.unwrap_or(0)).copied().unwrap_or_default()
    };
    let shown: String = app.history(row).map(level).collect();
    format!("{shown:>HISTORY$}")
}

#[cfg(test)]
#[path = "ui_tests.rs"]
mod tests;
