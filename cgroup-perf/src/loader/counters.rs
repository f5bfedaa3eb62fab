//! The counters of each processor: one group where the kernel allows it.

use std::{io, os::fd::OwnedFd};

use crate::{
    events::{Event, Resolved, Resolver},
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
}

/// The counters of one processor, in the plan's order; `None` where this processor has none.
pub(crate) type Opened = Vec<Option<OwnedFd>>;

impl Plan {
    /// Tries on one processor what can be opened.
    pub(crate) fn make(options: &Options, cpu: u32) -> Result<Self, LoadError> {
        let resolver = Resolver::of_this_machine();
        let mut plan = Self::of(&resolver, &options.counters, cpu)?;
        if plan.events.is_empty() && options.software_fallback {
            let missing = plan.missing;
            plan = Self::of(&resolver, &Event::WITHOUT_PMU, cpu)?;
            plan.missing = missing;
        }
        if plan.events.is_empty() {
            let reasons: Vec<_> = plan.missing.iter().map(Missing::to_string).collect();
            return Err(LoadError::NoCounters(reasons.join("; ")));
        }
        Ok(plan)
    }

    fn of(resolver: &Resolver, events: &[Event], cpu: u32) -> Result<Self, LoadError> {
        let mut plan = Self { events: Vec::new(), leaders: 0, missing: Vec::new() };
        let mut opened: Opened = Vec::new();
        let mut leader: Option<usize> = None;
        for event in events {
            let resolved = match resolver.resolve(event) {
                Ok(resolved) => resolved,
                Err(error) => {
                    let reason = error_chain(&error);
                    plan.missing.push(Missing { event: event.clone(), reason });
                    continue;
                }
            };
            let group = leader.and_then(|index| opened.get(index)?.as_ref());
            // A group that the processor cannot count at once is refused here, and the event leads one of its own.
            let (fd, leads) = match group.map(|leader| open(&resolved, cpu, Some(leader))) {
                Some(Ok(fd)) => (Ok(fd), false),
                _ => (open(&resolved, cpu, None), true),
            };
            match fd {
                Ok(fd) => {
                    if leads {
                        leader = Some(opened.len());
                        plan.leaders |= 1 << opened.len();
                    }
                    opened.push(Some(fd));
                    plan.events.push(resolved);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE) => return Err(LoadError::FileLimit(error)),
                    Some(libc::EPERM | libc::EACCES) => return Err(LoadError::PerfRights(error)),
                    _ => plan.missing.push(Missing { event: event.clone(), reason: reason(&error) }),
                },
            }
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
            let fd = match open_one(event, cpu, group, cgroup) {
                Ok(fd) => Some(fd),
                Err(error) => match error.raw_os_error() {
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

    /// Starts the groups.
    pub(crate) fn start(&self, opened: &Opened) {
        for (index, fd) in opened.iter().enumerate() {
            if self.leaders & (1 << index) != 0
                && let Some(fd) = fd
                && let Err(error) = sys::perf_event_enable(fd)
            {
                tracing::warn!(index, %error, "a counter cannot be started");
            }
        }
    }
}

fn open(event: &Resolved, cpu: u32, leader: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    open_one(event, cpu, leader, None)
}

fn open_one(event: &Resolved, cpu: u32, leader: Option<&OwnedFd>, cgroup: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    sys::perf_event_open(event.kind, event.config, event.config1, cpu, leader, cgroup)
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
}
