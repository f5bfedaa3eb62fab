use super::*;

const NEW: Version = Version { major: 6, minor: 12 };
const OLD: Version = Version { major: 6, minor: 1 };
const MS: u64 = 1_000_000;

fn figure(name: &str, value: u64, time: u64) -> Figure {
    let quality = "exact".to_owned();
    Figure { name: name.to_owned(), value, enabled: time, running: time, quality, count: Some(value) }
}

fn account(time: u64) -> Account {
    let counters = vec![figure("cycles", time, time), figure("instructions", time / 4, time)];
    Account { truth: time, ran: time, switches: 1, counters, samples_agree: true }
}

fn given() -> Given {
    Given {
        kernel: "6.12.117+deb12-cloud-arm64".to_owned(),
        hook: "SchedSwitch".to_owned(),
        timer: "AbsolutePinned".to_owned(),
        timer_reason: None,
        hierarchy: "Unified".to_owned(),
        groups: 1,
        hardware: true,
        counters: vec!["cycles".to_owned(), "instructions".to_owned()],
        missing: vec!["llc-misses: no event of this processor".to_owned()],
        text: "…; not counted: llc-misses: no event of this processor".to_owned(),
    }
}

fn a_work() -> Work {
    let noticed = Noticed::default();
    Work { what: "alone".to_owned(), hook: "sched_switch".to_owned(), accounts: vec![account(200 * MS)], noticed }
}

fn a_hotplug() -> Hotplug {
    let mut gap = account(1_300 * MS);
    for counter in &mut gap.counters {
        *counter = figure(&counter.name, counter.value / 2, counter.enabled / 2);
        "stalled".clone_into(&mut counter.quality);
    }
    Hotplug {
        by: "sched_switch".to_owned(),
        off: 0,
        before: account(100 * MS),
        gap,
        stalled: 650 * MS,
        after: account(200 * MS),
        other: account(400 * MS),
        reopened: 1,
        readings: 60,
        fell: 0,
        leap: 60,
        noticed: Noticed { frozen: 700, ..Noticed::default() },
    }
}

fn a_multiplexed() -> Multiplexed {
    let time = 500 * MS;
    let scaled = |name: &str, value: u64| Figure {
        value: value / 2,
        running: time / 2,
        quality: "scaled".to_owned(),
        ..figure(name, value, time)
    };
    let mut account = account(time);
    account.counters = vec![scaled("cycles", time)];
    account.counters.resize(8, scaled("r8", time / 4));
    let samples = vec![("exact".to_owned(), 250), ("not_counted".to_owned(), 250)];
    Multiplexed { groups: 2, account, samples, noticed: Noticed::default() }
}

fn a_removed() -> Removed {
    Removed {
        cgroups: 1_000,
        truth: 2_000 * MS,
        ran: 2_000 * MS,
        cycles: 2_000 * MS,
        worst: 50_000,
        astray: Vec::new(),
        absent: 0,
        unknown: 0,
        stranger: account(900 * MS),
        most_places: 140,
        early: 0,
        left: 0,
        reclaimed: 1_000,
        noticed: Noticed::default(),
    }
}

fn a_whole() -> Whole {
    let (wall, noticed) = (600 * MS, Noticed::default());
    Whole { processors: 2, slots: 500, wall, ran: wall, cycles: wall, instructions: wall / 4, inexact: 0, noticed }
}

#[track_caller]
fn wrong(version: Version, line: &Line) -> Vec<String> {
    one(version, line).unwrap().wrong
}

/// A change is one thing that is wrong, and its word is in what is said of it.
#[track_caller]
fn says<T: Clone>(good: &T, line: fn(T) -> Line, change: impl FnOnce(&mut T), word: &str) {
    assert_eq!(wrong(NEW, &line(good.clone())), Vec::<String>::new());
    let mut changed = good.clone();
    change(&mut changed);
    let wrong = wrong(NEW, &line(changed));
    assert!(wrong.iter().any(|text| text.contains(word)), "{word:?} is not in {wrong:?}");
}

#[test]
fn capabilities_are_those_of_the_kernel() {
    let line = Line::Capabilities;
    says(&given(), line, |given| "Relative".clone_into(&mut given.timer), "the timer is Relative");
    says(&given(), line, |given| "6.1.0-56".clone_into(&mut given.kernel), "the kernel is");
    says(&given(), line, |given| given.missing.clear(), "not counted: []");
    says(&given(), line, |given| given.text.clear(), "does not say so");
    says(&given(), line, |given| given.counters.truncate(1), "counted: [\"cycles\"]");
    says(&given(), line, |given| given.hardware = false, "groups");
    let mut old = given();
    "6.1.0-56-cloud-arm64".clone_into(&mut old.kernel);
    "Relative".clone_into(&mut old.timer);
    assert_eq!(wrong(OLD, &Line::Capabilities(old.clone())).len(), 1, "no reason is given");
    old.timer_reason = Some("error 22".to_owned());
    assert_eq!(wrong(OLD, &Line::Capabilities(old)), Vec::<String>::new());
}

#[test]
fn a_cgroup_is_charged_for_what_it_did() {
    let line = Line::Work;
    says(&a_work(), line, |work| work.accounts[0].ran += 5 * MS, "nanoseconds that it ran");
    says(&a_work(), line, |work| work.accounts[0].counters[0].count = Some(197 * MS), "cycles, by time");
    says(&a_work(), line, |work| work.accounts[0].counters[1].count = Some(49 * MS), "instructions, by time");
    says(&a_work(), line, |work| "scaled".clone_into(&mut work.accounts[0].counters[0].quality), "cycles is scaled");
    says(&a_work(), line, |work| work.accounts[0].samples_agree = false, "do not add up");
    says(&a_work(), line, |work| work.accounts.clear(), "0 cgroups");
    says(&a_work(), line, |work| work.accounts[0] = account(MS), "only");
    says(&a_work(), line, |work| work.noticed.lost = 1, "lost: 1");
    says(&a_work(), line, |work| work.noticed.unattributed = MS, "nobody's");
    let mut event = a_work();
    "cgroup-switches".clone_into(&mut event.hook);
    event.noticed.unattributed = 3 * MS;
    event.accounts[0] = Account { truth: 203 * MS, ..account(200 * MS) };
    assert_eq!(wrong(NEW, &Line::Work(event)), Vec::<String>::new(), "what is nobody's is missing");
}

#[test]
fn all_cgroups_together_are_the_time_of_the_processors() {
    let line = Line::Whole;
    says(&a_whole(), line, |whole| whole.cycles -= 3 * MS, "their cycles");
    says(&a_whole(), line, |whole| whole.ran -= 3 * MS, "all cgroups ran");
    says(&a_whole(), line, |whole| whole.instructions -= MS, "their instructions");
    says(&a_whole(), line, |whole| whole.processors = 1, "1 processors");
    says(&a_whole(), line, |whole| whole.inexact = 1, "not exact");
    says(&a_whole(), line, |whole| whole.wall = 0, "only");
}

#[test]
fn scaled_figures_are_near_the_truth() {
    let line = Line::Multiplexed;
    says(&a_multiplexed(), line, |line| line.account.counters[7].count = Some(120 * MS), "r8: 120000000");
    says(&a_multiplexed(), line, |line| "exact".clone_into(&mut line.account.counters[0].quality), "cycles is exact");
    says(&a_multiplexed(), line, |line| line.account.counters[0].running = 0, "0 % of the time");
    says(&a_multiplexed(), line, |line| line.groups = 1, "one group");
    says(&a_multiplexed(), line, |line| line.samples.truncate(1), "the samples are");
}

#[test]
fn a_gap_is_told_and_nothing_falls_or_leaps() {
    let line = Line::Hotplug;
    says(&a_hotplug(), line, |line| "exact".clone_into(&mut line.gap.counters[0].quality), "of the gap is exact");
    says(&a_hotplug(), line, |line| line.stalled = 600 * MS, "counted and stood still");
    says(&a_hotplug(), line, |line| line.fell = 1, "fell");
    says(&a_hotplug(), line, |line| line.leap = 300, "leapt by 300 %");
    says(&a_hotplug(), line, |line| line.reopened = 0, "not opened anew");
    says(&a_hotplug(), line, |line| line.noticed.backwards = 1, "backwards: 1");
    says(&a_hotplug(), line, |line| "stalled".clone_into(&mut line.after.counters[0].quality), "cycles is stalled");
}

#[test]
fn removed_cgroups_keep_what_is_theirs_and_leave_nothing() {
    let line = Line::Removed;
    says(&a_removed(), line, |line| line.unknown = 1, "of no cgroup");
    says(&a_removed(), line, |line| line.left = 1, "not given back");
    says(&a_removed(), line, |line| line.early = 1, "before their time");
    says(&a_removed(), line, |line| line.absent = 1, "no sample");
    says(&a_removed(), line, |line| line.worst = 3 * MS, "off by 3000000");
    says(&a_removed(), line, |line| line.astray = vec![(0, 0, 0); 51], "51 of them");
    says(&a_removed(), line, |line| line.stranger.ran += 50 * MS, "nanoseconds that it ran");
    says(&a_removed(), line, |line| line.most_places = 3, "none was kept");
    says(&a_removed(), line, |line| line.ran += 100 * MS, "nanoseconds that they ran");
}

#[test]
fn messages_of_both_processors_name_the_timers_mode() {
    let messages = |mode| {
        (0..2).map(move |cpu| format!(" INFO cgroup_perf::kernel: processor {cpu}: the timer runs in mode {mode}"))
    };
    let line = |mode| Line::Log { messages: messages(mode).collect() };
    assert_eq!(wrong(NEW, &line(0)), Vec::<String>::new());
    assert_eq!(wrong(OLD, &line(2)), Vec::<String>::new());
    assert_eq!(wrong(NEW, &line(2)).len(), 2);
    assert_eq!(wrong(NEW, &Line::Log { messages: Vec::new() }).len(), 2);
}

fn written(lines: &[Line]) -> String {
    let texts = lines.iter().map(|line| format!("{MARK}17 {}\r\n", serde_json::to_string(line).unwrap()));
    texts.collect::<Vec<_>>().concat()
}

#[test]
fn a_report_is_read_from_among_the_kernels_lines() {
    let lines = [Line::Work(a_work()), Line::Done { lines: 1 }];
    let console = format!("[    0.000000] Booting\r\n{}[    1.0] reboot: Power down\r\n", written(&lines));
    let read = parse(&console).unwrap();
    assert_eq!(read.iter().map(|(_, line)| line).collect::<Vec<_>>(), lines.iter().collect::<Vec<_>>());
    for cut in ["", "Kernel panic", &written(&lines[..1]), &console[..200], &written(&[Line::Done { lines: 5 }])] {
        assert!(parse(cut).is_err(), "{cut:?}");
    }
}

#[test]
fn a_report_without_one_of_its_lines_is_wrong() {
    let mut lines = vec![Line::Capabilities(given()), Line::Whole(a_whole()), Line::Multiplexed(a_multiplexed())];
    for hook in ["sched_switch", "cgroup-switches", "raw sched_switch"] {
        for what in ["alone", "contended", "wandering"] {
            let accounts = vec![account(200 * MS); if what == "contended" { 2 } else { 1 }];
            let (what, hook) = (what.to_owned(), hook.to_owned());
            lines.push(Line::Work(Work { what, hook, accounts, noticed: Noticed::default() }));
        }
    }
    for by in ["sched_switch", "cgroup-switches"] {
        lines.push(Line::Hotplug(Hotplug { by: by.to_owned(), ..a_hotplug() }));
    }
    lines.push(Line::Hotplug(Hotplug { off: 1_500 * MS, ..a_hotplug() }));
    lines.push(Line::Removed(a_removed()));
    let message = |cpu| format!(" INFO cgroup_perf::kernel: processor {cpu}: the timer runs in mode 0");
    lines.push(Line::Log { messages: vec![message(0), message(1)] });
    let all: Vec<(u64, Line)> = lines.into_iter().map(|line| (17, line)).collect();
    let wrong = |lines: &[(u64, Line)]| -> usize { judge(NEW, lines).iter().map(|finding| finding.wrong.len()).sum() };
    assert_eq!(wrong(&all), 0);
    for missing in 0..all.len() {
        let mut lines = all.clone();
        lines.remove(missing);
        assert_eq!(wrong(&lines), 1, "{:?}", all[missing]);
    }
    let mut failed = all.clone();
    failed.push((18, Line::Failed { what: "whole".to_owned(), error: "no samples".to_owned() }));
    assert_eq!(wrong(&failed), 1);
}

#[test]
fn all_work_together_is_nearer_than_each() {
    let mut low = a_work();
    low.accounts[0].counters[0].count = Some(200 * MS - MS / 2);
    let mut high = a_work();
    high.accounts[0].counters[0].count = Some(200 * MS + MS / 2);
    let all = |lines: [&Work; 2]| {
        let lines = lines.map(|work| (17, Line::Work(work.clone())));
        judge(NEW, &lines).pop().unwrap().wrong.iter().any(|wrong| wrong.starts_with("cycles of all work"))
    };
    assert_eq!(wrong(NEW, &Line::Work(low.clone())), Vec::<String>::new());
    assert!(!all([&low, &high]));
    assert!(all([&low, &low]));
}

#[test]
fn where_no_counter_ever_stood_still_nothing_was_tried() {
    let mut hotplug = a_hotplug();
    hotplug.stalled = 0;
    hotplug.gap = account(1_300 * MS);
    assert_eq!(wrong(NEW, &Line::Hotplug(hotplug.clone())), Vec::<String>::new());
    let findings = judge(NEW, &[(17, Line::Hotplug(hotplug))]);
    assert!(findings.last().unwrap().wrong.iter().any(|wrong| wrong.contains("no counter stood still")));
}
