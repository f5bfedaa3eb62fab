use super::*;
use crate::events::SETTINGS;
use crate::state::Living;

fn state(program: &str, pods: u64, cpu: f64) -> state::Row {
    state::Row { program: program.to_owned(), pods, cpu_until_complete_s: cpu, ..state::Row::default() }
}

fn report() -> Report {
    let mut report = Report {
        state: vec![state("kube-state-metrics", 1000, 2.0), state("ksm-exporter", 1000, 0.2)],
        ..Report::default()
    };
    report
        .state
        .push(state::Row { living: Some(Living { cores: 0.5, peak_mb: 416.4 }), ..state("ksm-exporter", 11_000, 1.2) });
    report.state.push(state("kube-state-metrics", 11_000, 22.0));
    for (program, setting) in [("kubernetes-event-exporter", SETTINGS[1]), ("event-exporter", SETTINGS[0])] {
        report.events.push(events::Row {
            program: program.to_owned(),
            setting: setting.name.to_owned(),
            events_per_second: 20,
            ..events::Row::default()
        });
    }
    report.failures.push(Failure {
        program: "rezolus".to_owned(),
        at: "10 cgroups".to_owned(),
        error: "it has ended\nrezolus said last:\n  no".to_owned(),
    });
    report.sort();
    report
}

#[test]
fn ours_is_always_first() {
    let report = report();
    let order: Vec<(&str, u64)> = report.state.iter().map(|row| (row.program.as_str(), row.pods)).collect();
    let expected = [
        ("ksm-exporter", 1000),
        ("kube-state-metrics", 1000),
        ("ksm-exporter", 11_000),
        ("kube-state-metrics", 11_000),
    ];
    assert_eq!(order, expected);
    assert_eq!(report.events[0].program, "event-exporter");
}

#[test]
fn tables_say_what_was_measured_and_what_was_not() {
    let text = report().markdown();
    assert!(text.contains("\n| CPU until complete, s | 0.200 | 2 | 1.20 | 22 |\n"), "{text}");
    assert!(text.contains("\n| cores while things happen | – | – | 0.500 | – |\n"), "{text}");
    // Two sizes: 10,000 pods more cost 1 s and 20 s more.
    assert!(text.contains("\n| CPU until complete, s | 0.100 | 0.100 | 2 | 0 |\n"), "{text}");
    assert!(text.contains("\n## Events, defaults\n") && text.contains("\n## Events, generous\n"), "{text}");
    assert!(!text.contains("## Cgroups"), "{text}");
    assert!(text.ends_with("- rezolus, 10 cgroups: it has ended\n  rezolus said last:\n    no\n"), "{text}");
}

#[test]
fn one_size_has_neither_growth_nor_plots() {
    let mut report = report();
    report.state.truncate(2);
    assert!(!report.markdown().contains("straight line"));
    let directory = tempfile::tempdir().unwrap();
    report.write(directory.path()).unwrap();
    let there = |name: &str| directory.path().join(name).exists();
    assert!(there("compare.md") && there("compare.json") && !there("state.svg") && !there("events.svg"));
}

#[test]
fn several_sizes_have_a_plot_for_each_line_of_the_table() {
    let report = report();
    let plotted = panels(&report.state, "pods", &STATE, |row| (row.program.clone(), row.pods as f64));
    assert_eq!(plotted.len(), STATE.len());
    assert_eq!(plotted[0].lines.len(), 2);
    assert_eq!(plotted[0].lines[1].points, [(1000.0, 2.0), (11_000.0, 22.0)]);
    // What was not measured has no points.
    assert_eq!(plotted[10].lines[1].points, []);
    let directory = tempfile::tempdir().unwrap();
    report.write(directory.path()).unwrap();
    assert!(directory.path().join("state.svg").exists());
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(directory.path().join("compare.json")).unwrap()).unwrap();
    assert_eq!(json["state"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["failures"][0]["program"], "rezolus");
}
