use std::path::Path;

use cgroup_perf::quality::Counter;
use cgroup_perf::sample::Delta;

use super::*;

const SECOND: u64 = 1_000_000_000;

pub(crate) fn counted() -> Counted {
    Counted {
        names: ["cycles", "instructions", "llc-misses"].map(str::to_owned).to_vec(),
        counters: vec![Counter::CYCLES, Counter::INSTRUCTIONS, Counter::EVENTS],
        cycles: Some(0),
        instructions: Some(1),
        misses: Some(2),
    }
}

fn usage(milliseconds: u64, values: [u64; 3]) -> Usage {
    let ran = milliseconds * 1_000_000;
    let mut usage = Usage { ran, switches: milliseconds, ..Usage::default() };
    for (sum, value) in usage.counters.iter_mut().zip(values) {
        sum.delta = Delta { value, enabled: ran, running: ran };
    }
    usage
}

/// At a time of so many seconds, a machine of which each part has done as much in each of them:
///
/// ```text
/// /                1
/// ├ kube           2
/// │ └ pod          3
/// │   └ app        4  200 ms   the container "app"
/// │     └ init     5  100 ms   in it
/// ├ idle           6
/// └ system         7  500 ms
/// ```
pub(crate) fn machine(seconds: u64) -> Snapshot {
    let owner = Arc::new(Owner {
        id: "app-id".into(),
        pod: Some("web".into()),
        container: Some("app".into()),
        ..Owner::default()
    });
    let cgroups = [
        (1, 1, "", None),
        (2, 1, "kube", None),
        (3, 2, "kube/pod", None),
        (4, 3, "kube/pod/app", Some(&owner)),
        (5, 4, "kube/pod/app/init", Some(&owner)),
        (6, 1, "idle", None),
        (7, 1, "system", None),
    ];
    let place = |(id, parent, path, owner): (u64, u64, &str, Option<&Arc<Owner>>)| {
        let place =
            Place { path: Path::new(path).into(), parent: CgroupId(parent), removed: false, owner: owner.cloned() };
        (CgroupId(id), place)
    };
    let per_second = |milliseconds: u64, cpi: u64, instructions_per_miss: u64| {
        let cycles = milliseconds * 3_000_000 * seconds;
        usage(milliseconds * seconds, [cycles, cycles / cpi, cycles / cpi / instructions_per_miss])
    };
    let app = per_second(200, 2, 50);
    let init = per_second(100, 2, 50);
    let mut system = per_second(500, 4, 100);
    system.switches = 100 * seconds;
    let mut container = app;
    container.merge(&init);
    let mut all = container;
    all.merge(&system);
    let map = |usages: &[(u64, Usage)]| usages.iter().map(|(id, usage)| (CgroupId(*id), *usage)).collect();
    Snapshot {
        at: seconds * SECOND,
        own: map(&[(4, app), (5, init), (7, system)]),
        subtrees: map(&[(1, all), (2, container), (3, container), (4, container), (5, init), (7, system)]),
        places: cgroups.map(place).into(),
    }
}

fn listed(choice: &Choice) -> Vec<(usize, String)> {
    let rows = rows(&machine(1), &machine(2), &counted(), choice);
    rows.into_iter().map(|row| (row.depth, row.name)).collect()
}

fn names(choice: &Choice) -> Vec<String> {
    listed(choice).into_iter().map(|(_, name)| name).collect()
}

#[test]
fn figures_are_of_the_interval() {
    let rows = rows(&machine(2), &machine(4), &counted(), &Choice::default());
    let [system, app] = &rows[..] else { panic!("{rows:?}") };
    assert!((system.figures.cpu - 0.5).abs() < 1e-9 && (app.figures.cpu - 0.3).abs() < 1e-9);
    assert_eq!((system.figures.cpi, app.figures.cpi), (Some(4.0), Some(2.0)));
    assert!((app.figures.mpki.unwrap() - 20.0).abs() < 1e-3);
    assert!((app.figures.per_second(0).unwrap() - 0.9e9).abs() < 1.0);
    assert!((app.figures.switches_per_second() - 300.0).abs() < 1e-9);
}

#[test]
fn a_container_is_one_row_with_all_cgroups_in_it() {
    let rows = rows(&machine(1), &machine(2), &counted(), &Choice::default());
    let app = rows.iter().find(|row| row.owner.is_some()).unwrap();
    assert_eq!((app.name.as_str(), app.cgroups.as_slice()), ("web/app", &[4, 5][..]));
    assert_eq!((app.path.as_deref(), app.figures.ran), (Some("/kube/pod/app"), 300_000_000));
}

#[test]
fn rows_come_in_the_order_that_was_asked_for() {
    let sorted = |sort| names(&Choice { sort, ..Choice::default() });
    for sort in [Sort::Cycles, Sort::Cpu, Sort::Cpi, Sort::Name] {
        assert_eq!(sorted(sort), ["/system", "web/app"], "{sort:?}");
    }
    for sort in [Sort::Misses, Sort::Switches] {
        assert_eq!(sorted(sort), ["web/app", "/system"], "{sort:?}");
    }
    let all = names(&Choice { all: true, sort: Sort::Name, ..Choice::default() });
    assert_eq!(all, ["/", "/idle", "/kube", "/kube/pod", "/system", "web/app"]);
}

#[test]
fn the_tree_has_what_is_below_in_each_row() {
    let choice = Choice { tree: true, ..Choice::default() };
    let listed = listed(&choice);
    let expected = [(0, "/"), (1, "system"), (1, "kube"), (2, "pod"), (3, "web/app"), (4, "init")];
    assert_eq!(listed, expected.map(|(depth, name)| (depth, name.to_owned())));
    let rows = rows(&machine(1), &machine(2), &counted(), &choice);
    assert_eq!(rows[0].figures.ran, 800_000_000);
    assert_eq!(rows[3].figures.ran, 300_000_000);
}

#[test]
fn a_filter_keeps_what_is_above_in_the_tree_and_nothing_else() {
    let mut choice = Choice { filter: "WEB".into(), ..Choice::default() };
    assert_eq!(names(&choice), ["web/app"]);
    choice.tree = true;
    assert_eq!(names(&choice), ["/", "kube", "pod", "web/app"]);
    choice.filter = "nothing has this".into();
    assert!(names(&choice).is_empty());
}

#[test]
fn what_was_not_counted_has_no_ratio() {
    let counted = counted();
    let mut broken = usage(100, [300_000_000, 100_000_000, 0]);
    broken.counters[1].delta.running = 0;
    let figures = Figures::of(&broken, &counted, SECOND);
    assert_eq!((figures.cpi, figures.mpki), (None, None));
    assert_eq!(figures.counts[1].quality, Quality::NotCounted);
    assert!(figures.per_second(0).is_some() && figures.per_second(1).is_none());
}

#[test]
fn a_cgroup_that_no_walk_has_seen_is_called_by_its_id() {
    let mut later = machine(2);
    later.own.insert(CgroupId(99), usage(10, [1, 1, 1]));
    let rows = rows(&machine(1), &later, &counted(), &Choice::default());
    let stranger = rows.iter().find(|row| row.name == "cgroup 99").unwrap();
    assert!(stranger.removed && stranger.path.is_none());
}

#[test]
fn two_equal_snapshots_and_none_at_all_are_no_error() {
    let idle = rows(&machine(1), &machine(1), &counted(), &Choice::default());
    assert_eq!(idle.len(), 1, "the container lives");
    assert!(idle[0].figures.cpu.abs() < f64::EPSILON && idle[0].figures.cpi.is_none());
    assert!(rows(&Snapshot::default(), &Snapshot::default(), &Counted::default(), &Choice::default()).is_empty());
}
