//! What is counted and by what, in few words: of equal reasons, one.

use cgroup_perf::loader::{Capabilities, Hook};

/// A statement for the terminal's head; the whole of it is the capabilities' own text.
pub(crate) fn statement(what: &Capabilities) -> String {
    let counters = what.counters.iter().map(|counter| (counter.name.clone(), counter.note.as_str()));
    let missing = what.missing.iter().map(|missing| (missing.event.to_string(), missing.reason.as_str()));
    let hook = match what.hook {
        Hook::SchedSwitch => "the tracepoint sched_switch",
        Hook::CgroupSwitches => "the perf event cgroup-switches",
        Hook::SchedSwitchRaw => "the raw tracepoint sched_switch",
        _ => "the kernel",
    };
    let by = match (what.hardware(), what.groups) {
        (false, _) => "; none of the processor's own counters is read",
        (true, 0 | 1) => "; the counters are one group",
        (true, _) => "; the counters do not all count at the same time",
    };
    let mut said = grouped("", counters);
    said.extend(grouped("not counted: ", missing));
    said.push(format!("by {hook}{by}; {}", what.hierarchy));
    said.join(". ")
}

/// `one, two: why`, in the order of the first of each.
fn grouped<'a>(before: &str, items: impl Iterator<Item = (String, &'a str)>) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, why) in items {
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => groups.push((why, vec![name])),
        }
    }
    groups.into_iter().map(|(why, names)| format!("{before}{}: {why}", names.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_same_reason_is_said_once() {
        let items = [("a", "x"), ("b", "y"), ("c", "x")].map(|(name, why)| (name.to_owned(), why));
        assert_eq!(grouped("not counted: ", items.into_iter()), ["not counted: a, c: x", "not counted: b: y"]);
    }
}
