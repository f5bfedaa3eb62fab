//! What is on the terminal, and what keys do to it.

use std::collections::{HashMap, VecDeque};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::columns::Sort;
use crate::rows::{Choice, Key, Row, rows};
use crate::snapshot::{Counted, Snapshot};

/// Intervals that a row remembers.
pub(crate) const HISTORY: usize = 20;

/// The state of the terminal.
pub(crate) struct App {
    pub(crate) counted: Counted,
    pub(crate) choice: Choice,
    pub(crate) paused: bool,
    /// Whether keys are the filter's letters.
    pub(crate) editing: bool,
    pub(crate) selected: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
    /// The interval that is shown, in seconds; none before the first is over.
    pub(crate) seconds: Option<f64>,
    /// The snapshots that are shown, and the last one that there was.
    shown: Option<(Snapshot, Snapshot)>,
    last: Option<Snapshot>,
    history: HashMap<(bool, Key), VecDeque<f64>>,
}

impl App {
    pub(crate) fn new(counted: Counted, choice: Choice) -> Self {
        Self {
            counted,
            choice,
            paused: false,
            editing: false,
            selected: 0,
            rows: Vec::new(),
            notes: Vec::new(),
            seconds: None,
            shown: None,
            last: None,
            history: HashMap::new(),
        }
    }

    /// Takes what was counted up to now. Where it is paused, that is shown later.
    pub(crate) fn take(&mut self, snapshot: Snapshot) {
        let Some(last) = self.last.replace(snapshot.clone()) else { return };
        if self.paused {
            return;
        }
        self.remember(&last, &snapshot);
        self.seconds = Some(snapshot.at.saturating_sub(last.at) as f64 / 1e9);
        self.shown = Some((last, snapshot));
        self.refresh();
    }

    /// The last intervals of a row, the newest last.
    pub(crate) fn history(&self, row: &Row) -> impl DoubleEndedIterator<Item = f64> {
        self.history.get(&(self.choice.tree, row.key.clone())).into_iter().flatten().copied()
    }

    /// Cycles where they are counted, and else cpu time, of all rows in both views, shown or not.
    fn remember(&mut self, earlier: &Snapshot, later: &Snapshot) {
        let mut old = std::mem::take(&mut self.history);
        for tree in [false, true] {
            let everything = Choice { tree, all: true, ..Choice::default() };
            for row in rows(earlier, later, &self.counted, &everything) {
                let cycles = self.counted.cycles.and_then(|number| row.figures.per_second(number));
                let value = if self.counted.cycles.is_some() { cycles } else { Some(row.figures.cpu) };
                let key = (tree, row.key);
                let mut values = old.remove(&key).unwrap_or_default();
                values.push_back(value.unwrap_or(0.0));
                if values.len() > HISTORY {
                    values.pop_front();
                }
                self.history.insert(key, values);
            }
        }
    }

    fn refresh(&mut self) {
        if let Some((earlier, later)) = &self.shown {
            self.rows = rows(earlier, later, &self.counted, &self.choice);
        }
        self.selected = self.selected.min(self.rows.len().saturating_sub(1));
    }

    /// Does what a key says; false where that is to end.
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return true;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code != KeyCode::Char('c');
        }
        if self.editing {
            match key.code {
                KeyCode::Enter => self.editing = false,
                KeyCode::Esc => {
                    self.editing = false;
                    self.choice.filter.clear();
                }
                KeyCode::Backspace => {
                    self.choice.filter.pop();
                }
                KeyCode::Char(letter) => self.choice.filter.push(letter),
                _ => {}
            }
            self.refresh();
            return true;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('t') => self.choice.tree = !self.choice.tree,
            KeyCode::Char('a') => self.choice.all = !self.choice.all,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('/') => self.editing = true,
            KeyCode::Char('c') => self.sort(Sort::Cycles),
            KeyCode::Char('u') => self.sort(Sort::Cpu),
            KeyCode::Char('i') => self.sort(Sort::Cpi),
            KeyCode::Char('m') => self.sort(Sort::Misses),
            KeyCode::Char('s') => self.sort(Sort::Switches),
            KeyCode::Char('n') => self.sort(Sort::Name),
            KeyCode::Down | KeyCode::Char('j') => self.selected = self.selected.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = self.selected.saturating_add(10),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            KeyCode::Home => self.selected = 0,
            KeyCode::End => self.selected = usize::MAX,
            _ => {}
        }
        self.refresh();
        true
    }

    /// What is not counted is nothing to sort by.
    fn sort(&mut self, sort: Sort) {
        if sort.is_counted(&self.counted) {
            self.choice.sort = sort;
        }
    }
}

#[cfg(test)]
#[path = "app_tests.rs"]
pub(crate) mod tests;
