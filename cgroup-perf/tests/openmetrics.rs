//! Totals → text.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use cgroup_perf::output::Event;
use cgroup_perf::output::openmetrics::{Exporter, Format};
use cgroup_perf::quality::{Counter, Span};
use cgroup_perf::resolver::Labels;
use cgroup_perf::sample::{CgroupId, Delta};
use cgroup_perf::totals::Usage;

const SECOND: u64 = 1_000_000_000;

fn events() -> Vec<Event> {
    vec![
        Event::new("cycles", "PERF_COUNT_HW_CPU_CYCLES", Counter::CYCLES),
        Event::new("instructions", "PERF_COUNT_HW_INSTRUCTIONS", Counter::INSTRUCTIONS),
        Event::new("llc_misses", "raw \"0x37\" (LL_CACHE_MISS_RD)", Counter::EVENTS),
    ]
}

fn labels(pod: &str, container: &str) -> Arc<Labels> {
    let [namespace, container_id] = ["shop", "0123abcd"].map(str::to_owned);
    let [pod, container] = [pod, container].map(str::to_owned);
    Arc::new(Labels { namespace, pod, container, container_id, ..Labels::default() })
}

/// What ran for some seconds, of which counters counted a part.
fn add(total: &mut Usage, seconds: u64, percent: u64, values: [u64; 3]) {
    let (ran, running) = (seconds * SECOND, seconds * SECOND / 100 * percent);
    total.ran += ran;
    total.switches += 3;
    for ((sum, event), value) in total.counters.iter_mut().zip(events()).zip(values) {
        sum.add(&event.counter, Delta { value, enabled: ran, running }, Span { ran, wall: 0 });
    }
}

fn total(seconds: u64, percent: u64, values: [u64; 3]) -> Usage {
    let mut total = Usage::default();
    add(&mut total, seconds, percent, values);
    total
}

/// The lines of one metric.
fn of(exporter: &Exporter, metric: &str) -> Vec<String> {
    let text = exporter.render(Format::OpenMetrics);
    let name = format!("cgroup_perf_{metric}");
    let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(&name));
    lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn the_text_is_that_of_openmetrics() {
    let mut exporter = Exporter::new(events());
    exporter.update(CgroupId(8), &labels("web", "a\"b\\c\nd"), &total(2, 50, [3 * SECOND, SECOND, 1_000]));
    let mut app = total(1, 100, [3 * SECOND, 2 * SECOND, 4_000_000]);
    app.ran += 250_000_000 / 1_000;
    exporter.update(CgroupId(7), &labels("api", "app"), &app);
    exporter.end_interval();
    let expected = r#"# HELP cgroup_perf_cpu_seconds For how long tasks ran on a processor.
# TYPE cgroup_perf_cpu_seconds counter
# UNIT cgroup_perf_cpu_seconds seconds
cgroup_perf_cpu_seconds_total{namespace="shop",pod="api",container="app",container_id="0123abcd"} 1.00025
cgroup_perf_cpu_seconds_total{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd"} 2
# HELP cgroup_perf_switches How often a processor was taken from tasks.
# TYPE cgroup_perf_switches counter
cgroup_perf_switches_total{namespace="shop",pod="api",container="app",container_id="0123abcd"} 3
cgroup_perf_switches_total{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd"} 3
# HELP cgroup_perf_cycles What cycles counted, scaled where it shared its counter.
# TYPE cgroup_perf_cycles counter
cgroup_perf_cycles_total{namespace="shop",pod="api",container="app",container_id="0123abcd"} 3000000000
cgroup_perf_cycles_total{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd"} 6000000000
# HELP cgroup_perf_instructions What instructions counted, scaled where it shared its counter.
# TYPE cgroup_perf_instructions counter
cgroup_perf_instructions_total{namespace="shop",pod="api",container="app",container_id="0123abcd"} 2000000000
cgroup_perf_instructions_total{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd"} 2000000000
# HELP cgroup_perf_llc_misses What llc_misses counted, scaled where it shared its counter.
# TYPE cgroup_perf_llc_misses counter
cgroup_perf_llc_misses_total{namespace="shop",pod="api",container="app",container_id="0123abcd"} 4000000
cgroup_perf_llc_misses_total{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd"} 2000
# HELP cgroup_perf_quality What the last interval of a counter is worth: 0 exact, 1 scaled, 2 not counted, 3 stalled, 4 implausible.
# TYPE cgroup_perf_quality gauge
cgroup_perf_quality{namespace="shop",pod="api",container="app",container_id="0123abcd",counter="cycles"} 0
cgroup_perf_quality{namespace="shop",pod="api",container="app",container_id="0123abcd",counter="instructions"} 0
cgroup_perf_quality{namespace="shop",pod="api",container="app",container_id="0123abcd",counter="llc_misses"} 0
cgroup_perf_quality{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd",counter="cycles"} 1
cgroup_perf_quality{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd",counter="instructions"} 1
cgroup_perf_quality{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd",counter="llc_misses"} 1
# HELP cgroup_perf_cycles_per_instruction Cycles for each instruction in the last interval.
# TYPE cgroup_perf_cycles_per_instruction gauge
cgroup_perf_cycles_per_instruction{namespace="shop",pod="api",container="app",container_id="0123abcd"} 1.5
cgroup_perf_cycles_per_instruction{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd"} 3
# HELP cgroup_perf_llc_misses_per_kilo_instruction Misses of the last cache for each thousand instructions in the last interval.
# TYPE cgroup_perf_llc_misses_per_kilo_instruction gauge
cgroup_perf_llc_misses_per_kilo_instruction{namespace="shop",pod="api",container="app",container_id="0123abcd"} 2
cgroup_perf_llc_misses_per_kilo_instruction{namespace="shop",pod="web",container="a\"b\\c\nd",container_id="0123abcd"} 0.001
# HELP cgroup_perf_counter Which event a counter counts on this machine.
# TYPE cgroup_perf_counter info
cgroup_perf_counter_info{counter="cycles",event="PERF_COUNT_HW_CPU_CYCLES"} 1
cgroup_perf_counter_info{counter="instructions",event="PERF_COUNT_HW_INSTRUCTIONS"} 1
cgroup_perf_counter_info{counter="llc_misses",event="raw \"0x37\" (LL_CACHE_MISS_RD)"} 1
# HELP cgroup_perf_containers_left_out Containers that there was no place for.
# TYPE cgroup_perf_containers_left_out gauge
cgroup_perf_containers_left_out 0
# EOF
"#;
    assert_eq!(exporter.render(Format::OpenMetrics), expected);
}

#[test]
fn the_older_text_has_its_own_names() {
    let exporter = Exporter::new(vec![Event::new("cycles", "x", Counter::CYCLES)]);
    let expected = "\
# HELP cgroup_perf_cpu_seconds_total For how long tasks ran on a processor.
# TYPE cgroup_perf_cpu_seconds_total counter
# HELP cgroup_perf_switches_total How often a processor was taken from tasks.
# TYPE cgroup_perf_switches_total counter
# HELP cgroup_perf_cycles_total What cycles counted, scaled where it shared its counter.
# TYPE cgroup_perf_cycles_total counter
# HELP cgroup_perf_quality What the last interval of a counter is worth: 0 exact, 1 scaled, 2 not counted, 3 stalled, 4 implausible.
# TYPE cgroup_perf_quality gauge
# HELP cgroup_perf_counter_info Which event a counter counts on this machine.
# TYPE cgroup_perf_counter_info gauge
cgroup_perf_counter_info{counter=\"cycles\",event=\"x\"} 1
# HELP cgroup_perf_containers_left_out Containers that there was no place for.
# TYPE cgroup_perf_containers_left_out gauge
cgroup_perf_containers_left_out 0
";
    assert_eq!(exporter.render(Format::Prometheus), expected);
}

#[test]
fn a_counter_with_anothers_name_is_left_out() {
    let names = ["quality", "cycles", "cycles", "A", "counter", "page_faults"];
    let exporter = Exporter::new(names.map(|name| Event::new(name, "", Counter::SOFTWARE)).to_vec());
    let text = exporter.render(Format::OpenMetrics);
    let shown: Vec<_> = text.lines().filter(|line| line.starts_with("cgroup_perf_counter_info")).collect();
    let expected =
        ["cycles", "page_faults"].map(|name| format!(r#"cgroup_perf_counter_info{{counter="{name}",event=""}} 1"#));
    assert_eq!(shown, expected);
    assert_eq!(text.matches("# TYPE cgroup_perf_cycles counter\n").count(), 1);
}

#[test]
fn a_counter_never_goes_back_though_its_scale_does() {
    let mut exporter = Exporter::new(events());
    let web = labels("web", "app");
    let mut so_far = Usage::default();
    let mut before = 0;
    // A tenth of the time at first, then all of it: the sum's own scale falls from ten to one.
    for (percent, cycles) in [(10, SECOND), (100, SECOND), (100, SECOND)] {
        add(&mut so_far, 1, percent, [cycles, SECOND, 0]);
        exporter.update(CgroupId(7), &web, &so_far);
        exporter.end_interval();
        let now: u64 = of(&exporter, "cycles_total")[0].parse().unwrap();
        assert!(now > before, "{now}");
        before = now;
    }
    assert_eq!(before, 12 * SECOND);
    assert_eq!(of(&exporter, "quality"), ["0", "0", "0"]);
}

#[test]
fn an_interval_that_is_worth_nothing_has_no_ratio() {
    let mut exporter = Exporter::new(events());
    let web = labels("web", "app");
    let mut so_far = total(1, 100, [SECOND, SECOND, 0]);
    exporter.update(CgroupId(7), &web, &so_far);
    exporter.end_interval();
    assert_eq!(of(&exporter, "cycles_per_instruction"), ["1"]);
    // The counters had no place in hardware for a whole interval.
    add(&mut so_far, 1, 0, [0, 0, 0]);
    exporter.update(CgroupId(7), &web, &so_far);
    exporter.end_interval();
    assert_eq!(of(&exporter, "quality"), ["2", "2", "2"]);
    assert_eq!(of(&exporter, "cycles_per_instruction"), [""; 0]);
    assert_eq!(of(&exporter, "cycles_total"), ["1000000000"]);
    // It did not run: nothing by nothing is no ratio either.
    exporter.update(CgroupId(7), &web, &so_far);
    exporter.end_interval();
    assert_eq!(
        (of(&exporter, "quality").concat(), of(&exporter, "cycles_per_instruction").len()),
        ("000".to_owned(), 0)
    );
}

#[test]
fn cgroups_of_the_same_labels_are_one_series() {
    let mut exporter = Exporter::new(events());
    for cgroup in [7, 8] {
        exporter.update(CgroupId(cgroup), &labels("web", "app"), &total(1, 100, [SECOND, SECOND, 0]));
    }
    exporter.end_interval();
    assert_eq!(of(&exporter, "cpu_seconds_total"), ["2"]);
    // One of them is gone, and its id is used again: the series goes on.
    exporter.update(CgroupId(8), &labels("web", "app"), &total(0, 100, [0, 0, 0]));
    exporter.end_interval();
    assert_eq!(of(&exporter, "cpu_seconds_total"), ["2"]);
}

#[test]
fn no_more_is_shown_than_there_is_place_for_and_what_is_gone_makes_room() {
    let mut exporter = Exporter::new(events()).with_most(2);
    let told = |exporter: &mut Exporter, pods: &[&str]| {
        for (number, pod) in (1..).zip(pods) {
            exporter.update(CgroupId(number), &labels(pod, "app"), &total(1, 100, [SECOND, SECOND, 0]));
        }
        exporter.end_interval();
        exporter.series().iter().map(|series| series.labels.split('"').nth(3).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut exporter, &["a", "b", "c", "d"]), ["a", "b"]);
    assert_eq!(of(&exporter, "containers_left_out"), ["2"]);
    assert_eq!(told(&mut exporter, &["b"]), ["b"]);
    assert_eq!(told(&mut exporter, &["b", "c"]), ["b", "c"]);
    assert_eq!(of(&exporter, "containers_left_out"), ["0"]);
    assert_eq!(told(&mut exporter, &[]), [""; 0]);
}
