use crate::rows::tests::{counted, machine};

use super::*;

pub(crate) fn app() -> App {
    let mut app = App::new(counted(), Choice { sort: Sort::Cycles, ..Choice::default() });
    for second in 1..4 {
        app.take(machine(second));
    }
    app
}

pub(crate) fn press(app: &mut App, keys: &str) -> bool {
    keys.chars().all(|letter| {
        let code = if letter == '\n' { KeyCode::Enter } else { KeyCode::Char(letter) };
        app.key(KeyEvent::new(code, KeyModifiers::NONE))
    })
}

#[test]
fn q_and_control_c_end_it() {
    let mut app = app();
    assert!(press(&mut app, "tapx"));
    assert!(!press(&mut app, "q"));
    assert!(!app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(!app.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)));
}

#[test]
fn there_is_nothing_to_show_before_two_snapshots() {
    let mut app = App::new(counted(), Choice::default());
    app.take(machine(1));
    assert!(app.rows.is_empty() && app.seconds.is_none());
    app.take(machine(3));
    assert_eq!((app.rows.len(), app.seconds), (2, Some(2.0)));
}

#[test]
fn a_pause_keeps_what_is_shown_and_goes_on_with_the_last_interval() {
    let mut app = app();
    let shown = app.rows.clone();
    press(&mut app, " ");
    let mut later = machine(4);
    later.own.clear();
    app.take(later);
    assert!(app.paused && app.rows == shown);
    press(&mut app, "n");
    assert_eq!(app.rows.len(), shown.len());
    press(&mut app, "p");
    app.take(machine(5));
    assert_eq!(app.seconds, Some(1.0));
}

#[test]
fn letters_are_the_filters_while_it_is_edited() {
    let mut app = app();
    press(&mut app, "/sysq");
    assert!(app.editing && app.rows.is_empty());
    app.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
    assert_eq!(app.rows.len(), 1);
    press(&mut app, "\n");
    assert_eq!((app.editing, app.choice.filter.as_str()), (false, "sys"));
    press(&mut app, "/");
    app.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
    assert_eq!(app.rows.len(), 2);
}

#[test]
fn it_is_sorted_by_what_is_counted_alone() {
    let mut app = app();
    press(&mut app, "m");
    assert_eq!(app.choice.sort, Sort::Misses);
    app.counted.misses = None;
    press(&mut app, "um");
    assert_eq!(app.choice.sort, Sort::Cpu);
}

#[test]
fn a_row_remembers_so_many_intervals() {
    let mut app = App::new(counted(), Choice::default());
    for second in 0..30 {
        app.take(machine(second));
    }
    let row = app.rows[0].clone();
    let history: Vec<_> = app.history(&row).collect();
    assert_eq!(history.len(), HISTORY);
    assert!(history.iter().all(|cycles| (cycles - 1.5e9).abs() < 1.0), "{history:?}");
}

#[test]
fn the_selection_stays_in_the_list() {
    let mut app = app();
    app.key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
    assert_eq!(app.selected, 1);
    press(&mut app, "jjk");
    assert_eq!(app.selected, 0);
}
