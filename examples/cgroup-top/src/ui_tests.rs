use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::tests::{app, press};
use crate::rows::Choice;
use crate::rows::tests::counted;

use super::*;

fn screen(app: &App) -> Vec<String> {
    screen_of(110, app)
}

fn screen_of(width: u16, app: &App) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, 16)).unwrap();
    terminal.draw(|frame| draw(frame, app, "accounted by a test; cycles: of the processor")).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..16).map(line).collect()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn containers_and_cgroups_are_listed_with_what_is_counted() {
    let screen = screen(&app());
    assert_eq!(screen[0], "cgroup-top  2 rows  flat  by cycles  last 1.0 s");
    assert_eq!(screen[1], "accounted by a test; cycles: of the processor");
    assert_eq!(words(&screen[2]), ["CYCLES/s", "CPI", "MPKI", "CPU%", "SWITCH/s", "LAST", "NAME"]);
    assert_eq!(words(&screen[3]), ["1.5G", "4.00", "10.00", "50.0", "100", "██", "/system"]);
    assert_eq!(words(&screen[4]), ["900M", "2.00", "20.00", "30.0", "300", "██", "web/app"]);
    assert!(screen[15].starts_with("q quit"));
}

#[test]
fn eighty_columns_are_enough() {
    let screen = screen_of(80, &app());
    assert_eq!(words(&screen[2]), ["CYCLES/s", "CPI", "MPKI", "CPU%", "SWITCH/s", "LAST", "NAME"]);
    assert!(screen[15].ends_with("n name"), "{}", screen[15]);
}

#[test]
fn the_tree_is_set_in() {
    let mut app = app();
    press(&mut app, "t");
    let screen = screen(&app);
    let indent = |name: &str| screen.iter().find_map(|line| line.find(name)).unwrap();
    assert_eq!(indent("web/app"), indent("kube") + 4);
    assert!(screen[0].contains("tree"));
}

#[test]
fn a_pause_a_filter_and_notes_are_seen() {
    let mut app = app();
    app.notes = vec!["Containers have no names.".to_owned()];
    press(&mut app, "p/we");
    let editing = screen(&app);
    assert!(editing[0].ends_with("PAUSED") && editing[2] == "Containers have no names.");
    assert!(editing[15].starts_with("/we") && !editing.iter().any(|line| line.contains("/system")));
    press(&mut app, "\n");
    assert!(screen(&app)[15].starts_with("/we  q quit"));
}

#[test]
fn before_the_first_figures_it_says_so_and_no_size_is_too_small() {
    let mut app = App::new(counted(), Choice::default());
    assert!(screen(&app)[2].starts_with("Counting"));
    app = super::tests::app();
    for size in [(1, 1), (5, 3), (30, 4), (300, 2)] {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal.draw(|frame| draw(frame, &app, "statement")).unwrap();
    }
}
