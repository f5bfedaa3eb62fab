//! The counters of each processor: one group where the kernel allows it.

use std::{io, os::fd::OwnedFd};

use crate::{
    events::{CoreType, Encoded, Event, Resolved, Resolver},
    sys,
};

use super::{LoadError, Missing, Options};

/// What is opened on every processor.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) events: Vec<Resolved>,
    /// Which of them lead a group.
    pub(crate) leaders: u32,
    pub(crate) missing: Vec<Missing>,
    /// The kinds of processors, where there are several.
    pub(crate) core_types: Vec<CoreType>,
}

/// The counters of one processor, in the plan's order; `None` where this processor has none.
pub(crate) type Opened = Vec<Option<OwnedFd>>;

impl Plan {
    /// Tries what can be opened: on one processor of each kind.
    pub(crate) fn make(options: &Options, online: &[u32]) -> Result<Self, LoadError> {
        let resolver = Resolver::of_this_machine();
        let first = |cores: &CoreType| online.iter().copied().find(|cpu| cores.cpus.contains(cpu));
        let mut tried: Vec<u32> = resolver.core_types().iter().filter_map(first).collect();
        if tried.is_empty() {
            tried.push(online.first().copied().unwrap_or(0));
        }
        let mut open = open;
        let mut plan = Self::of(&resolver, &options.counters, &tried, &mut open)?;
        if plan.events.is_empty() && options.software_fallback {
            let missing = plan.missing;
            plan = Self::of(&resolver, &Event::WITHOUT_PMU, &tried, &mut open)?;
            plan.missing = missing;
        }
        if plan.events.is_empty() {
            let reasons: Vec<_> = plan.missing.iter().map(Missing::to_string).collect();
            return Err(LoadError::NoCounters(reasons.join("; ")));
        }
        Ok(plan)
    }

    /// What `open` opens on these processors, each of another kind.
    fn of<F>(
        resolver: &Resolver,
        events: &[Event],
        cpus: &[u32],
        open: &mut impl FnMut(Encoded, u32, Option<&F>) -> io::Result<F>,
    ) -> Result<Self, LoadError> {
        let core_types = resolver.core_types().to_vec();
        let mut plan = Self { events: Vec::new(), leaders: 0, missing: Vec::new(), core_types };
        let mut opened: Vec<Vec<F>> = Vec::new();
        // Where in `opened` the leaders of the present group are: one for each of the processors.
        let mut leader: Option<usize> = None;
        for event in events {
            let mut resolved = match resolver.resolve(event) {
                Ok(resolved) => resolved,
                Err(error) => {
                    let reason = error_chain(&error);
                    plan.missing.push(Missing { event: event.clone(), reason });
                    continue;
                }
            };
            let leaders = leader.and_then(|index| opened.get(index));
            // A group that a processor cannot count at once is refused here, and the event leads one of its own.
            let joined = leaders.and_then(|leaders| {
                let each = cpus.iter().zip(leaders);
                each.map(|(cpu, leader)| open(resolved.on(*cpu)?, *cpu, Some(leader)).ok()).collect::<Option<Vec<_>>>()
            });
            let leads = joined.is_none();
            let (mut fds, mut lacking) = (joined.unwrap_or_default(), Vec::new());
            for cpu in cpus.iter().filter(|_| leads) {
                let fd = match resolved.on(*cpu) {
                    Some(encoded) => open(encoded, *cpu, None),
                    None => Err(io::Error::from_raw_os_error(libc::ENOENT)),
                };
                match fd {
                    Ok(fd) => fds.push(fd),
                    Err(error) => match error.raw_os_error() {
                        Some(libc::EMFILE | libc::ENFILE) => return Err(LoadError::FileLimit(error)),
                        Some(libc::EPERM | libc::EACCES) => return Err(LoadError::PerfRights(error)),
                        _ => lacking.push((*cpu, reason(&error))),
                    },
                }
            }
            if fds.is_empty() {
                let reason = lacking.pop().map(|(_, reason)| reason).unwrap_or_default();
                plan.missing.push(Missing { event: event.clone(), reason });
                continue;
            }
            for (cpu, reason) in &lacking {
                let name = plan.core_types.iter().find(|cores| cores.cpus.contains(cpu)).map(CoreType::to_string);
                write_lacking(&mut resolved.note, &name.unwrap_or_default(), reason);
            }
            if leads {
                plan.leaders |= 1 << plan.events.len();
                // What one kind of processors lacks leads nobody there: it is alone, and so is what comes after it.
                leader = lacking.is_empty().then_some(opened.len());
            }
            opened.push(fds);
            plan.events.push(resolved);
        }
        Ok(plan)
    }

    /// Opens the counters of a processor. They count once they are started.
    pub(crate) fn open(&self, cpu: u32) -> Result<Opened, LoadError> {
        self.open_in(cpu, None).map_err(|(_, error)| match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => LoadError::FileLimit(error),
            _ => LoadError::PerfRights(error),
        })
    }

    /// The same, of all that runs there or of a cgroup, by its directory. What the processor does not count is `None`; an
    /// error is of the process, of the cgroup, or of a processor that is gone.
    pub(crate) fn open_in(&self, cpu: u32, cgroup: Option<&OwnedFd>) -> Result<Opened, (&str, io::Error)> {
        let mut opened: Opened = Vec::with_capacity(self.events.len());
        let mut leader: Option<usize> = None;
        for (index, event) in self.events.iter().enumerate() {
            let leads = self.leaders & (1 << index) != 0;
            let group = if leads { None } else { leader.and_then(|at| opened.get(at)?.as_ref()) };
            let encoded = event.on(cpu);
            let fd = match encoded.map(|encoded| open_in(encoded, cpu, group, cgroup)) {
                // Another kind of processors has it.
                None => None,
                Some(Ok(fd)) => Some(fd),
                Some(Err(error)) => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE | libc::EPERM | libc::EACCES) => return Err((&event.name, error)),
                    Some(libc::ENODEV) if cgroup.is_some() => return Err((&event.name, error)),
                    _ => {
                        tracing::warn!(cpu, event = event.name, error = %error, "this processor does not count it");
                        None
                    }
                },
            };
            if leads {
                leader = Some(index);
            }
            opened.push(fd);
        }
        Ok(opened)
    }

    /// Starts the groups: also what is in none, as this processor lacks its leader.
    pub(crate) fn start(&self, opened: &Opened) {
        for (event, fd) in self.events.iter().zip(opened) {
            if let Some(fd) = fd
                && let Err(error) = sys::perf_event_enable(fd)
            {
                tracing::warn!(event = event.name, %error, "a counter cannot be started");
            }
        }
    }
}

fn open(event: Encoded, cpu: u32, leader: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    open_in(event, cpu, leader, None)
}

fn open_in(event: Encoded, cpu: u32, leader: Option<&OwnedFd>, cgroup: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    sys::perf_event_open(event.kind, event.config, event.config1, cpu, leader, cgroup)
}

fn write_lacking(note: &mut String, cores: &str, reason: &str) {
    note.push_str("; not counted by ");
    note.push_str(cores);
    note.push_str(": ");
    note.push_str(reason);
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV | libc::ENXIO) => {
            "this machine's processor does not offer it (a virtual machine without a PMU, most often)".to_owned()
        }
        Some(libc::EINVAL) => "the kernel does not take the event's number".to_owned(),
        Some(libc::EBUSY) => "somebody else has the counter to himself".to_owned(),
        _ => error.to_string(),
    }
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_is_not_to_be_had_has_its_reason() {
        let reason = |number| reason(&io::Error::from_raw_os_error(number));
        assert!(reason(libc::EBUSY).contains("somebody else has the counter"));
        for none in [libc::ENOENT, libc::EOPNOTSUPP, libc::ENODEV, libc::ENXIO] {
            assert!(reason(none).contains("virtual machine without a PMU"));
        }
        assert!(reason(libc::EINVAL).contains("event's number"));
    }

    /// Intel's two kinds: the efficient processors count two at once, and have no `cpu_core` events.
    #[test]
    fn a_plan_is_of_all_kinds_of_processors() {
        let devices = tempfile::tempdir().unwrap();
        for (name, kind, cpus) in [("cpu_core", 4, "0-7"), ("cpu_atom", 10, "8-11")] {
            let pmu = devices.path().join(name);
            std::fs::create_dir_all(pmu.join("format")).unwrap();
            for (file, text) in
                [("type", format!("{kind}")), ("cpus", cpus.to_owned()), ("format/event", "config:0-7".to_owned())]
            {
                std::fs::write(pmu.join(file), text).unwrap();
            }
        }
        let resolver = Resolver::new(devices.path(), "vendor_id : GenuineIntel", false);
        let events: Vec<Event> = ["cycles", "instructions", "llc-misses", "cpu_core/event=0xcd/", "r11", "task-clock"]
            .map(|name| name.parse().unwrap())
            .to_vec();
        // A group is how many are in it.
        let mut sizes: Vec<u32> = Vec::new();
        let mut open = |encoded: Encoded, cpu: u32, leader: Option<&usize>| {
            assert!(encoded.kind != 4 || cpu == 0, "asked for what it has not");
            let group = match leader {
                Some(group) => *group,
                None => {
                    sizes.push(0);
                    sizes.len() - 1
                }
            };
            if cpu == 8 && sizes[group] == 2 {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            sizes[group] += 1;
            Ok(group)
        };
        let plan = Plan::of(&resolver, &events, &[0, 8], &mut open).unwrap();
        assert!(plan.missing.is_empty(), "{:?}", plan.missing);
        assert_eq!(plan.core_types.len(), 2);
        // Cycles with instructions; misses, as the small ones take no third; the one kind's own; and two more together.
        assert_eq!(plan.leaders, 0b01_1101);
        assert!(plan.events[3].note.contains("not counted by cpu_atom on 8-11"), "{}", plan.events[3].note);
        assert!(!plan.events[0].note.contains("not counted"));
    }
}
