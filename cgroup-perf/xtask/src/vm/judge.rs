//! From a machine's console to what is right and wrong of it. Pure.

use anyhow::{Context, Result, ensure};

use super::{
    fetch::Version,
    report::{Account, Figure, Given, Hotplug, Line, MARK, Multiplexed, Noticed, Removed, Whole, Work},
};

/// What one line came to.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) what: String,
    /// The figures that matter, in words.
    pub(crate) figures: String,
    /// What is not as it should be; empty where all is.
    pub(crate) wrong: Vec<String>,
    /// The whole line.
    pub(crate) line: String,
}

/// Nanoseconds of an instruction: `-icount shift=2`. A cycle is one.
const INSTRUCTION: u64 = 4;
/// By how much a time may differ from the kernel's own account, in parts of a thousand of it.
const PER_MILLE: u64 = 1;
/// And for each switch: the kernel charges a task from its wake-up on, and the programs from the switch on; between them
/// are some thousand instructions.
const SWITCH: u64 = 40_000;
/// And this, for two turns: the emulator runs its processors in turns, as long as a tick at most. Where one ends between two
/// looks at the clock, or between two counters of a group, the other processor's turn is on one side for the one and on
/// the other for the other.
const TURNS: u64 = 2_000_000;
/// By how much figures that are of the same moments may differ: one part in this many, and
const SAME: u64 = 10_000;
/// these nanoseconds, beside the turns.
const SAME_FLOOR: u64 = 10_000;
/// By how much the sums over all work may differ, in which turns make up for one another: one part in this many.
const ALL: u64 = 1_000;
/// By how much a scaled figure may be off, in percent.
const SCALED_PERCENT: u64 = 3;
/// The most that all totals may come forward between two readings, in percent of what the processors can: the readings
/// are some 50 ms apart, and the clock is looked at after them.
const LEAP_PERCENT: u64 = 150;

/// Reads the console. Lines that are not of the report are passed over.
pub(crate) fn parse(console: &str) -> Result<Vec<(u64, Line)>> {
    let mut lines = Vec::new();
    for text in console.lines().filter_map(|line| line.split_once(MARK)).map(|(_, text)| text) {
        let (at, line) = text.split_once(' ').with_context(|| format!("no time in the line {text:?}"))?;
        let at = at.parse().with_context(|| format!("no time in the line {text:?}"))?;
        lines.push((at, serde_json::from_str(line).with_context(|| format!("a line is cut off: {line}"))?));
    }
    let last = lines.last().map(|(_, line)| line);
    let number = lines.len();
    ensure!(
        matches!(last, Some(Line::Done { lines }) if lines + 1 == number),
        "the report ends after {number} lines, without its last one"
    );
    Ok(lines)
}

/// Judges a whole report.
pub(crate) fn judge(version: Version, lines: &[(u64, Line)]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = lines.iter().filter_map(|(_, line)| one(version, line)).collect();
    let ended = lines.last().map_or(0, |(at, _)| *at);
    let mut wrong: Vec<String> = EXPECTED
        .iter()
        .filter(|expected| !findings.iter().any(|finding| finding.what == **expected))
        .map(|expected| format!("there is no line {expected:?}"))
        .collect();
    // Whether a processor comes while its counters are looked at is a matter of the moment: not so twice.
    let stood_still =
        lines.iter().any(|(_, line)| matches!(line, Line::Hotplug(hotplug) if hotplug.stalled > hotplug.gap.ran / 100));
    if !stood_still {
        wrong.push("no counter stood still after its processor was off".to_owned());
    }
    let (ran, cycles, instructions) = all_work(lines);
    for (what, sum) in [("cycles", cycles), ("instructions", instructions * INSTRUCTION)] {
        if sum.abs_diff(ran) > ran / ALL {
            wrong.push(format!("{what} of all work, by time: {sum}, not {ran} by {} at most", ran / ALL));
        }
    }
    findings.push(Finding {
        what: "report".to_owned(),
        figures: format!(
            "{} lines in {} s of the machine's time; of all work together, {}, cycles {} and instructions {}",
            lines.len(),
            ended / 1_000,
            milliseconds(ran),
            off(cycles, ran),
            off(instructions * INSTRUCTION, ran),
        ),
        wrong,
        line: String::new(),
    });
    findings
}

/// How long all cgroups that worked ran, their cycles and their instructions.
fn all_work(lines: &[(u64, Line)]) -> (u64, u64, u64) {
    let accounts = lines.iter().filter_map(|(_, line)| match line {
        Line::Work(work) => Some(&work.accounts),
        _ => None,
    });
    accounts.flatten().fold((0, 0, 0), |(ran, cycles, instructions), account| {
        let count = |index: usize| account.counters.get(index).and_then(|counter| counter.count).unwrap_or(0);
        (ran + account.ran, cycles + count(0), instructions + count(1))
    })
}

/// What a whole report has.
const EXPECTED: &[&str] = &[
    "capabilities",
    "alone by sched_switch",
    "contended by sched_switch",
    "wandering by sched_switch",
    "alone by cgroup-switches",
    "contended by cgroup-switches",
    "wandering by cgroup-switches",
    "alone by raw sched_switch",
    "contended by raw sched_switch",
    "wandering by raw sched_switch",
    "whole",
    "multiplexed",
    "off for 1500 ms by sched_switch",
    "off for 0 ms by sched_switch",
    "off for 0 ms by cgroup-switches",
    "removed",
    "log",
];

fn one(version: Version, line: &Line) -> Option<Finding> {
    let mut wrong = Wrong::default();
    let (what, figures) = match line {
        Line::Capabilities(given) => ("capabilities".to_owned(), capabilities(version, given, &mut wrong)),
        Line::Work(work) => (format!("{} by {}", work.what, work.hook), self::work(work, &mut wrong)),
        Line::Whole(whole) => ("whole".to_owned(), self::whole(whole, &mut wrong)),
        Line::Multiplexed(multiplexed) => ("multiplexed".to_owned(), self::multiplexed(multiplexed, &mut wrong)),
        Line::Hotplug(hotplug) => {
            (format!("off for {} ms by {}", hotplug.off / 1_000_000, hotplug.by), self::hotplug(hotplug, &mut wrong))
        }
        Line::Removed(removed) => ("removed".to_owned(), self::removed(removed, &mut wrong)),
        Line::Log { messages } => ("log".to_owned(), log(version, messages, &mut wrong)),
        Line::Failed { what, error } => {
            wrong.0.push(error.clone());
            (what.clone(), "it came to no end".to_owned())
        }
        Line::Done { .. } => return None,
    };
    let line = serde_json::to_string(line).unwrap_or_else(|error| error.to_string());
    Some(Finding { what, figures, wrong: wrong.0, line })
}

#[derive(Debug, Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.0.push(what());
        }
    }

    /// Two figures that are of the same time are the same.
    fn unless_near(&mut self, what: &str, is: u64, should: u64, allowed: u64) {
        self.unless(is.abs_diff(should) <= allowed, || format!("{what}: {is}, not {should} by {allowed} at most"));
    }

    /// Nothing went wrong in the programs. Standing still is a matter of one check.
    fn unless_quiet(&mut self, noticed: &Noticed) {
        let quiet = Noticed { unattributed: noticed.unattributed, frozen: noticed.frozen, ..Noticed::default() };
        self.unless(*noticed == quiet, || format!("the programs noticed {noticed:?}"));
    }

    /// A cgroup's time is the kernel's, but for so many nanoseconds that no cgroup was charged for.
    fn unless_time(&mut self, account: &Account, uncharged: u64) {
        let allowed = allowed(account) + uncharged;
        self.unless_near("nanoseconds that it ran", account.ran, account.truth, allowed);
        self.unless(account.truth >= 20_000_000, || format!("it worked for {} ns only", account.truth));
        self.unless(account.samples_agree, || "its samples do not add up to its totals".to_owned());
    }

    /// All that a cgroup did was counted, and is what the emulator's clock says.
    fn unless_exact(&mut self, account: &Account, uncharged: u64) {
        self.unless_time(account, uncharged);
        for counter in &account.counters {
            self.unless(counter.quality == "exact", || format!("{} is {}", counter.name, counter.quality));
        }
        let [cycles, instructions] = account.counters.as_slice() else {
            return self.0.push(format!("{} counters", account.counters.len()));
        };
        self.unless_near("cycles, by time", cycles.count.unwrap_or(0), account.ran, same(account.ran));
        let by_instructions = instructions.count.unwrap_or(0) * INSTRUCTION;
        self.unless_near("four times the instructions, by time", by_instructions, account.ran, same(account.ran));
    }
}

fn allowed(account: &Account) -> u64 {
    account.truth * PER_MILLE / 1_000 + (account.switches + 1) * SWITCH + TURNS
}

fn same(figure: u64) -> u64 {
    figure / SAME + SAME_FLOOR + TURNS
}

/// A difference in thousandths of a percent of the whole, with its sign.
fn off(is: u64, should: u64) -> String {
    format!("{:+.3} %", (is as f64 / should.max(1) as f64 - 1.0) * 100.0)
}

fn milliseconds(time: u64) -> String {
    format!("{:.3} ms", time as f64 / 1e6)
}

fn capabilities(version: Version, given: &Given, wrong: &mut Wrong) -> String {
    wrong.unless(given.kernel.starts_with(&format!("{version}.")), || format!("the kernel is {}", given.kernel));
    wrong.unless(given.hook == "SchedSwitch", || format!("the hook is {}", given.hook));
    let timer = match (version.major, version.minor) {
        later if later >= (6, 7) => "AbsolutePinned",
        later if later >= (6, 4) => "Absolute",
        _ => "Relative",
    };
    wrong.unless(given.timer == timer, || format!("the timer is {}, not {timer}", given.timer));
    let explained = given.timer_reason.is_some();
    wrong.unless(explained == (timer != "AbsolutePinned"), || format!("its reason is {:?}", given.timer_reason));
    wrong.unless(given.hierarchy == "Unified", || format!("the hierarchy is {}", given.hierarchy));
    wrong.unless(given.hardware && given.groups == 1, || format!("{} groups of counters", given.groups));
    wrong.unless(given.counters == ["cycles", "instructions"], || format!("counted: {:?}", given.counters));
    let no_cache = matches!(given.missing.as_slice(), [missing] if missing.starts_with("llc-misses: no event"));
    wrong.unless(no_cache, || format!("not counted: {:?}", given.missing));
    wrong.unless(given.text.contains("; not counted: llc-misses"), || "the statement does not say so".to_owned());
    given.text.clone()
}

fn work(work: &Work, wrong: &mut Wrong) -> String {
    wrong.unless_quiet(&work.noticed);
    wrong.unless(work.noticed.frozen == 0, || format!("{} readings stood still", work.noticed.frozen));
    let missed = work.noticed.unattributed;
    // The perf event is passed over at times, and that is said; nobody else is.
    wrong.unless(work.hook == "cgroup-switches" || missed == 0, || format!("{missed} ns are nobody's"));
    let cgroups = if work.what == "contended" { 2 } else { 1 };
    wrong.unless(work.accounts.len() == cgroups, || format!("{} cgroups", work.accounts.len()));
    let mut figures: Vec<String> = work.accounts.iter().map(told).collect();
    for account in &work.accounts {
        wrong.unless_exact(account, missed);
    }
    if missed > 0 {
        figures.push(format!("{} nobody's", milliseconds(missed)));
    }
    figures.join("; ")
}

/// A cgroup's account in words.
fn told(account: &Account) -> String {
    let mut parts = vec![format!("{} of {}", off(account.ran, account.truth), milliseconds(account.truth))];
    let names = [("cycles", 1), ("instructions", INSTRUCTION)];
    parts.extend(account.counters.iter().zip(names).map(|(counter, (name, factor))| match counter.count {
        Some(count) => format!("{count} {name} ({}, {})", counter.quality, off(count * factor, account.ran)),
        None => format!("no {name} ({})", counter.quality),
    }));
    parts.join(", ")
}

fn whole(whole: &Whole, wrong: &mut Wrong) -> String {
    wrong.unless_quiet(&whole.noticed);
    wrong.unless(whole.processors == 2, || format!("{} processors", whole.processors));
    wrong.unless(whole.wall >= 300_000_000, || format!("slots of {} ns only", whole.wall));
    wrong.unless(whole.inexact == 0, || format!("{} samples are not exact", whole.inexact));
    let allowed = same(whole.wall);
    wrong.unless_near("nanoseconds that all cgroups ran", whole.ran, whole.wall, allowed);
    wrong.unless_near("their cycles", whole.cycles, whole.wall, allowed);
    wrong.unless_near("four times their instructions", whole.instructions * INSTRUCTION, whole.wall, allowed);
    format!(
        "{} slots of two processors, {}: ran {}, cycles {}, instructions {}; {} records lost",
        whole.slots,
        milliseconds(whole.wall),
        off(whole.ran, whole.wall),
        off(whole.cycles, whole.wall),
        off(whole.instructions * INSTRUCTION, whole.wall),
        whole.noticed.lost,
    )
}

fn multiplexed(multiplexed: &Multiplexed, wrong: &mut Wrong) -> String {
    let account = &multiplexed.account;
    wrong.unless_quiet(&multiplexed.noticed);
    wrong.unless_time(account, 0);
    wrong.unless(multiplexed.groups > 1, || "all counters are in one group".to_owned());
    wrong.unless(account.counters.len() == 8, || format!("{} counters", account.counters.len()));
    let mut worst = 0.0_f64;
    let mut share = Vec::new();
    for counter in &account.counters {
        let Figure { name, quality, .. } = counter;
        wrong.unless(quality == "scaled", || format!("{name} is {quality}"));
        let counted = counter.running * 100 / counter.enabled.max(1);
        wrong.unless((20..=80).contains(&counted), || format!("{name} was counted {counted} % of the time"));
        let should = if name == "cycles" { account.truth } else { account.truth / INSTRUCTION };
        let count = counter.count.unwrap_or(0);
        wrong.unless_near(name, count, should, should * SCALED_PERCENT / 100);
        let deviation = (count as f64 / should.max(1) as f64 - 1.0) * 100.0;
        if deviation.abs() > worst.abs() {
            worst = deviation;
        }
        share.push(counted);
    }
    // While the others have the counters, a sample of a millisecond has nothing to scale.
    let not_counted = multiplexed.samples.iter().any(|(quality, number)| quality == "not_counted" && *number > 0);
    wrong.unless(not_counted, || format!("the samples are {:?}", multiplexed.samples));
    format!(
        "{} counters in {} groups, counted {share:?} % of {}: scaled, at most {worst:+.2} % off; samples {:?}",
        account.counters.len(),
        multiplexed.groups,
        milliseconds(account.truth),
        multiplexed.samples,
    )
}

fn hotplug(hotplug: &Hotplug, wrong: &mut Wrong) -> String {
    wrong.unless_quiet(&hotplug.noticed);
    let missed = hotplug.noticed.unattributed;
    wrong.unless(hotplug.by == "cgroup-switches" || missed == 0, || format!("{missed} ns are nobody's"));
    for account in [&hotplug.before, &hotplug.after, &hotplug.other] {
        wrong.unless_exact(account, missed);
    }
    let gap = &hotplug.gap;
    wrong.unless_time(gap, missed);
    let counted = gap.counters.first().map_or(0, |cycles| cycles.enabled);
    wrong.unless_near("counted and stood still", counted + hotplug.stalled, gap.ran, gap.ran / 100);
    for counter in &gap.counters {
        let should = if hotplug.stalled > gap.ran / 100 { "stalled" } else { "exact" };
        wrong.unless(counter.quality == should, || format!("{} of the gap is {}", counter.name, counter.quality));
        let factor = if counter.name == "cycles" { 1 } else { INSTRUCTION };
        let count = counter.count.unwrap_or(0) * factor;
        wrong.unless_near("what was counted of the gap, by time", count, counted, same(counted));
    }
    wrong.unless(hotplug.reopened > 0, || "the counters were not opened anew".to_owned());
    wrong.unless(hotplug.readings > 20, || format!("{} readings", hotplug.readings));
    wrong.unless(hotplug.fell == 0, || format!("{} times a total fell", hotplug.fell));
    wrong.unless(hotplug.leap <= LEAP_PERCENT, || format!("the totals leapt by {} %", hotplug.leap));
    format!(
        "before {}; from its return on {} of {} stood still ({}), opened anew {} times, then {}; in {} readings {} \
         totals fell, and they came forward by {} % at most",
        told(&hotplug.before),
        milliseconds(hotplug.stalled),
        milliseconds(gap.ran),
        gap.counters.first().map_or("", |cycles| cycles.quality.as_str()),
        hotplug.reopened,
        told(&hotplug.after),
        hotplug.readings,
        hotplug.fell,
        hotplug.leap,
    )
}

fn removed(removed: &Removed, wrong: &mut Wrong) -> String {
    wrong.unless_quiet(&removed.noticed);
    wrong.unless_exact(&removed.stranger, 0);
    let number = u64::try_from(removed.cgroups).unwrap_or(u64::MAX);
    wrong.unless(number == 1_000, || format!("{number} cgroups"));
    wrong.unless(removed.absent == 0, || format!("{} of them have no sample", removed.absent));
    wrong.unless(removed.unknown == 0, || format!("{} ids are of no cgroup", removed.unknown));
    wrong.unless_near("nanoseconds that they ran", removed.ran, removed.truth, number.saturating_mul(SWITCH));
    wrong.unless_near("their cycles, by time", removed.cycles, removed.ran, same(removed.ran));
    wrong.unless(removed.worst <= TURNS + 2 * SWITCH, || format!("one of them is off by {} ns", removed.worst));
    let few = removed.astray.len() * 20 <= removed.cgroups;
    wrong.unless(few, || format!("{} of them are off by more than 0.1 ms", removed.astray.len()));
    wrong.unless(removed.most_places > 20, || format!("{} places at most: none was kept", removed.most_places));
    wrong.unless(removed.early == 0, || format!("{} totals were gone before their time", removed.early));
    wrong.unless(removed.left == 0, || format!("{} places are not given back", removed.left));
    wrong.unless(removed.reclaimed >= number, || format!("{} places were given back", removed.reclaimed));
    format!(
        "{number} cgroups, {}: ran {}, cycles {}, {} off by more than 0.1 ms, the worst by {}; {} without a sample, {} \
         unknown ids; a stranger {}; at most {} places, {} gone early, {} left, {} given back",
        milliseconds(removed.truth),
        off(removed.ran, removed.truth),
        off(removed.cycles, removed.ran),
        removed.astray.len(),
        milliseconds(removed.worst),
        removed.absent,
        removed.unknown,
        told(&removed.stranger),
        removed.most_places,
        removed.early,
        removed.left,
        removed.reclaimed,
    )
}

fn log(version: Version, messages: &[String], wrong: &mut Wrong) -> String {
    let mode = match (version.major, version.minor) {
        later if later >= (6, 7) => 0,
        later if later >= (6, 4) => 1,
        _ => 2,
    };
    for cpu in 0..2 {
        let text = format!("cgroup_perf::kernel: processor {cpu}: the timer runs in mode {mode}");
        wrong.unless(messages.iter().any(|message| message.contains(&text)), || format!("nobody says {text:?}"));
    }
    messages.iter().map(|message| message.trim()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
