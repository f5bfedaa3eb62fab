//! What runtimes and the kernel take.

use std::ops::RangeInclusive;

use super::error::BadAdjustment;
use super::kinds::{DeviceKind, SeccompAction, SeccompOperator};
use super::removal::is_marked;
use crate::api::{
    Hook, LinuxDevice, LinuxDeviceCgroup, LinuxMemoryPolicy, LinuxScheduler, LinuxSchedulerPolicy, LinuxSeccomp, Mount,
    MpolFlag, MpolMode, PosixRlimit,
};

pub(super) type Checked = Result<(), BadAdjustment>;

fn value(field: &'static str, value: impl Into<String>, rule: &'static str) -> BadAdjustment {
    BadAdjustment::Value { field, value: value.into(), rule }
}

fn ensure(good: bool, bad: impl FnOnce() -> BadAdjustment) -> Checked {
    if good { Ok(()) } else { Err(bad()) }
}

/// A name that can have a removal mark, or a key.
pub(super) fn name(field: &'static str, name: &str) -> Checked {
    let rule = "give a name that is not empty, has no NUL and no leading -, which would be a removal";
    ensure(!name.is_empty() && !name.contains('\0') && !is_marked(name), || BadAdjustment::Name {
        field,
        name: name.to_owned(),
        rule,
    })
}

/// Of a variable of the environment: the process gets `NAME=value`.
pub(super) fn env_name(text: &str) -> Checked {
    name("an environment variable", text)?;
    let rule = "give a name without =, as what follows would be its value";
    ensure(!text.contains('='), || BadAdjustment::Name {
        field: "an environment variable",
        name: text.to_owned(),
        rule,
    })
}

pub(super) fn no_nul(field: &'static str, text: &str) -> Checked {
    ensure(!text.contains('\0'), || value(field, text, "give a text without NUL, which would end it"))
}

/// A text that counts as not given if it is empty.
pub(super) fn given(field: &'static str, text: &str) -> Checked {
    ensure(!text.is_empty(), || value(field, text, "give a text that is not empty, as that counts as not given"))?;
    no_nul(field, text)
}

pub(super) fn absolute(field: &'static str, path: &str) -> Checked {
    ensure(path.starts_with('/') && !path.contains('\0'), || BadAdjustment::Path { field, path: path.to_owned() })
}

pub(super) fn range(field: &'static str, value: impl Into<i128>, range: RangeInclusive<i128>) -> Checked {
    let (value, least, most) = (value.into(), *range.start(), *range.end());
    ensure(range.contains(&value), || BadAdjustment::Range { field, value, least, most })
}

/// A list as `cpuset(7)` has it.
pub(super) fn list(field: &'static str, list: &str) -> Checked {
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let good = |part: &str| match part.split_once('-') {
        None => number(part).is_some(),
        Some((first, last)) => matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last),
    };
    ensure(list.split(',').all(good), || BadAdjustment::List { field, list: list.to_owned() })
}

/// A size as the kernel names it in `hugetlb.SIZE.max`: a number, then KB, MB or GB.
pub(super) fn page_size(size: &str) -> Checked {
    let digits = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit)).unwrap_or_default();
    let good = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    ensure(good, || value("the size of huge pages", size, "give a number and KB, MB or GB, such as 2MB"))
}

/// A file in the container's own cgroup.
pub(super) fn cgroup_file(file: &str) -> Checked {
    name("a cgroup2 file", file)?;
    ensure(!file.contains('/'), || value("a cgroup2 file", file, "give a file of the container's cgroup, without /"))
}

/// A class that has a directory under `/sys/fs/resctrl`.
pub(super) fn clos_id(id: &str) -> Checked {
    given("the RDT class of service", id)?;
    ensure(!matches!(id, "." | "..") && !id.contains(['/', '\n']), || {
        value("the RDT class of service", id, "give the name of a directory, without / and line ends")
    })
}

/// What CDI calls a qualified name.
pub(super) fn cdi_name(text: &str) -> Checked {
    let parts = text.split_once('=').and_then(|(kind, device)| Some((kind.split_once('/')?, device)));
    let good = parts.is_some_and(|((vendor, class), device)| {
        let word = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/' || c == '=');
        word(vendor) && word(class) && word(device)
    });
    ensure(good, || value("a CDI device", text, "give a qualified name: vendor.com/class=device"))
}

/// What the kernel takes for the name of a network device.
pub(super) fn interface(text: &str) -> Checked {
    name("a network device", text)?;
    let good = text.len() <= 15
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
    ensure(good, || value("a network device", text, "give 15 bytes at most, without /, : and spaces"))
}

pub(super) fn mount(mount: &Mount) -> Checked {
    absolute("a mount", &mount.destination)?;
    no_nul("the source of a mount", &mount.source)?;
    no_nul("the type of a mount", &mount.r#type)?;
    mount.options.iter().try_for_each(|option| given("an option of a mount", option))
}

pub(super) fn hook(hook: &Hook) -> Checked {
    absolute("a hook", &hook.path)?;
    hook.args.iter().chain(&hook.env).try_for_each(|text| no_nul("an argument or variable of a hook", text))?;
    hook.timeout.map_or(Ok(()), |timeout| range("the timeout of a hook", timeout.value, 1..=i128::from(i32::MAX)))
}

pub(super) fn rlimit(limit: &PosixRlimit) -> Checked {
    ensure(limit.soft <= limit.hard, || {
        let rule = "give a soft limit that is not above the hard one, as setrlimit(2) refuses it";
        value("a resource limit", format!("{} {} of {}", limit.r#type, limit.soft, limit.hard), rule)
    })
}

pub(super) fn device(device: &LinuxDevice) -> Checked {
    absolute("a device", &device.path)?;
    ensure(matches!(&*device.r#type, "b" | "c" | "u" | "p"), || {
        value("the type of a device", &*device.r#type, "give b for block, c or u for character, p for FIFO")
    })?;
    range("the major number of a device", device.major, 0..=4095)?;
    range("the minor number of a device", device.minor, 0..=0xf_ffff)
}

pub(super) fn device_rule(rule: &LinuxDeviceCgroup) -> Checked {
    ensure(rule.r#type.parse::<DeviceKind>().is_ok(), || {
        value("the type of a device rule", &*rule.r#type, "give a for all, b for block, c for character")
    })?;
    let access = &rule.access;
    let good = !access.is_empty() && access.len() <= 3 && access.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
    ensure(good, || value("the access of a device rule", &**access, "give some of r, w and m (mknod)"))
}

/// By `sched(7)`.
pub(super) fn scheduler(scheduler: &LinuxScheduler) -> Checked {
    use LinuxSchedulerPolicy as Policy;

    let policy = Policy::try_from(scheduler.policy)
        .map_err(|_| value("a scheduling policy", scheduler.policy.to_string(), "give one that the schema has"))?;
    match policy {
        Policy::SchedOther | Policy::SchedBatch => range("a nice value", scheduler.nice, -20..=19),
        Policy::SchedFifo | Policy::SchedRr => range("a real-time priority", scheduler.priority, 1..=99),
        Policy::SchedDeadline => {
            let LinuxScheduler { runtime, deadline, period, .. } = *scheduler;
            // A period of 0 is the deadline.
            let good =
                runtime >= 1024 && runtime <= deadline && (period == 0 || deadline <= period) && period < 1 << 63;
            ensure(good, || {
                let times = format!("{runtime} of {deadline} in {period} ns");
                value(
                    "a deadline",
                    times,
                    "give 1024 ns <= runtime <= deadline <= period, as sched_setattr(2) asks for",
                )
            })
        }
        Policy::SchedNone | Policy::SchedIso | Policy::SchedIdle => Ok(()),
    }
}

/// By `set_mempolicy(2)`.
pub(super) fn memory_policy(mode: MpolMode, policy: &LinuxMemoryPolicy) -> Checked {
    match mode {
        MpolMode::MpolDefault | MpolMode::MpolLocal => ensure(policy.nodes.is_empty(), || {
            value("the nodes of a memory policy", &*policy.nodes, "give none for a mode that has none")
        })?,
        // Without nodes this is the local one.
        MpolMode::MpolPreferred if policy.nodes.is_empty() => {}
        _ => list("the nodes of a memory policy", &policy.nodes)?,
    }
    let has = |flag: MpolFlag| policy.flags.contains(&(flag as i32));
    ensure(!(has(MpolFlag::MpolFStaticNodes) && has(MpolFlag::MpolFRelativeNodes)), || {
        value("the flags of a memory policy", "static and relative", "give nodes as static or as relative, not both")
    })
}

/// By `libseccomp`, which runtimes hand names to.
pub(super) fn seccomp(policy: &LinuxSeccomp) -> Checked {
    let action = |text: &str| {
        ensure(text.parse::<SeccompAction>().is_ok(), || {
            value("a seccomp action", text, "give a name of the OCI runtime specification, such as SCMP_ACT_ERRNO")
        })
    };
    action(&policy.default_action)?;
    policy.architectures.iter().try_for_each(|architecture| given("a seccomp architecture", architecture))?;
    policy.flags.iter().try_for_each(|flag| given("a seccomp flag", flag))?;
    for rule in &policy.syscalls {
        action(&rule.action)?;
        ensure(!rule.names.is_empty(), || value("a seccomp rule", &*rule.action, "give the names of system calls"))?;
        rule.names.iter().try_for_each(|name| given("the name of a system call", name))?;
        for condition in &rule.args {
            range("the index of a seccomp argument", condition.index, 0..=5)?;
            ensure(condition.op.parse::<SeccompOperator>().is_ok(), || {
                value("a seccomp operator", &*condition.op, "give a name such as SCMP_CMP_EQ")
            })?;
        }
    }
    Ok(())
}
