//! What belongs to one processor: opened when it comes, closed when it goes, opened anew when it stands still.

use aya::programs::perf_event::{
    PerfEvent, PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent,
};

use crate::{abi::Control, cpus, sys};

use super::{Attached, Hook, LoadError, Timer, attached::Cpu};

/// From how many readings on, between two looks, a counter stands still rather than just having been started.
const STANDS_STILL: u64 = 3;

impl Attached {
    /// Opens a processor's counters, and what is attached to it alone.
    pub(super) fn open(&mut self, cpu: u32) -> Result<(), LoadError> {
        let counters = self.plan.open(cpu)?;
        let generation = self.generations.get(&cpu).copied().unwrap_or(0);
        // Odd while it lasts: the programs read nothing.
        self.tell(cpu, generation.wrapping_add(1))?;
        for ((map, event), what) in self.events.iter().zip(&counters).zip(&self.plan.events) {
            let Some(event) = event else { continue };
            sys::set_event(map.fd(), cpu, event).map_err(|source| LoadError::SetCounter {
                event: what.name.clone(),
                cpu,
                source,
            })?;
        }
        self.plan.start(&counters);
        self.tell(cpu, generation.wrapping_add(2))?;
        self.generations.insert(cpu, generation.wrapping_add(2));
        let hook = if self.capabilities.hook == Hook::CgroupSwitches {
            let switches = PerfEventConfig::Software(SoftwareEvent::CgroupSwitches);
            Some(self.attach_perf("cgroup_switch", switches, cpu, 1)?)
        } else {
            None
        };
        self.cpus.insert(cpu, Cpu { counters, hook, tick: None });
        Ok(())
    }

    fn attach_perf(
        &mut self,
        name: &'static str,
        event: PerfEventConfig,
        cpu: u32,
        period: u64,
    ) -> Result<PerfEventLinkId, LoadError> {
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        self.program::<PerfEvent>(name)?
            .attach(event, scope, SamplePolicy::Period(period), false)
            .map_err(|error| LoadError::program(name, error))
    }

    pub(super) fn attach_clocks(&mut self, online: &[u32]) -> Result<(), LoadError> {
        self.capabilities.timer = Timer::PerfClock;
        self.capabilities.tickless_idle = false;
        for &cpu in online {
            let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
            let period = u64::try_from(self.slot.as_nanos()).unwrap_or(u64::MAX);
            let link = self.attach_perf("tick_clock", clock, cpu, period)?;
            if let Some(cpu) = self.cpus.get_mut(&cpu) {
                cpu.tick = Some(link);
            }
        }
        Ok(())
    }

    fn tell(&mut self, cpu: u32, generation: u32) -> Result<(), LoadError> {
        let control = Control { generation, emit: u32::from(self.emit) };
        self.control.set(cpu, control, 0).map_err(|error| LoadError::map("CONTROL", error))
    }

    /// Lets records go through the ring, or not.
    pub fn set_samples(&mut self, on: bool) -> Result<(), LoadError> {
        self.emit = on;
        let generations: Vec<_> = self.generations.iter().map(|(cpu, generation)| (*cpu, *generation)).collect();
        generations.into_iter().try_for_each(|(cpu, generation)| self.tell(cpu, generation))
    }

    /// Follows processors that came and went, and opens the counters of those anew that stand still. Gives how many
    /// were opened.
    ///
    /// A counter whose processor was off stays silent for ever after.
    pub fn follow_processors(&mut self) -> Result<usize, LoadError> {
        let online = cpus::online().map_err(LoadError::Cpus)?;
        self.follow(&online)
    }

    fn follow(&mut self, online: &[u32]) -> Result<usize, LoadError> {
        let gone: Vec<u32> = self.cpus.keys().copied().filter(|cpu| !online.contains(cpu)).collect();
        for cpu in gone {
            tracing::info!(cpu, "the processor went away");
            self.close(cpu);
        }
        let mut opened = 0;
        for (cpu, health) in self.health_by_cpu().map_err(|error| LoadError::map("STATS", error))? {
            if !online.contains(&cpu) {
                continue;
            }
            let before = self.frozen.insert(cpu, health.frozen).unwrap_or(0);
            if self.cpus.contains_key(&cpu) {
                if health.frozen.saturating_sub(before) < STANDS_STILL {
                    continue;
                }
                tracing::info!(cpu, "the processor's counters stand still");
                self.close(cpu);
            } else {
                tracing::info!(cpu, "the processor came");
            }
            self.open(cpu)?;
            if self.capabilities.timer == Timer::PerfClock {
                self.attach_clocks(&[cpu])?;
            }
            opened += 1;
        }
        Ok(opened)
    }

    fn close(&mut self, cpu: u32) {
        let Some(closed) = self.cpus.remove(&cpu) else { return };
        for (name, link) in [("cgroup_switch", closed.hook), ("tick_clock", closed.tick)] {
            let Some(link) = link else { continue };
            let detached = self.program::<PerfEvent>(name).map(|program| program.detach(link));
            if let Ok(Err(error)) = detached {
                tracing::debug!(cpu, name, %error, "detached from a processor that is gone");
            }
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::field_reassign_with_default,
    clippy::cast_possible_truncation,
    reason = "as users set options; and small numbers"
)]
mod tests {
    use std::time::{Duration, Instant};

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;
    use crate::{
        loader::{HookChoice, Loader, Options},
        sample::Total,
    };

    /// Root, the kernel's type information, and two processors; the reason is printed where that is not so.
    fn possible() -> bool {
        let possible = rustix::process::geteuid().is_root()
            && std::path::Path::new(crate::btf::KERNEL).exists()
            && cpus::online().is_ok_and(|online| online.len() > 1);
        if !possible {
            eprintln!("skipped: not root, no type information, or a single processor");
        }
        possible
    }

    /// All there is, together: processes of this machine are in whatever cgroups they are.
    fn sum(attached: &Attached) -> Total {
        let totals = attached.totals().unwrap();
        let mut sum = Total { cgroup: crate::sample::CgroupId(0), ran: 0, switches: 0, counters: Default::default() };
        for total in totals {
            sum.ran += total.ran;
            sum.switches += total.switches;
            for (to, from) in sum.counters.iter_mut().zip(&total.counters) {
                to.value += from.value;
                to.enabled += from.enabled;
            }
        }
        sum
    }

    fn spin(time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {}
    }

    /// Keeps this thread on a processor until it is dropped.
    struct Pinned(CpuSet);

    impl Pinned {
        fn to(cpu: usize) -> Self {
            let before = sched_getaffinity(None).unwrap();
            let mut set = CpuSet::new();
            set.set(cpu);
            sched_setaffinity(None, &set).unwrap();
            Self(before)
        }
    }

    impl Drop for Pinned {
        fn drop(&mut self) {
            sched_setaffinity(None, &self.0).unwrap();
        }
    }

    #[test]
    fn counters_that_stand_still_are_noticed_and_opened_anew() {
        if !possible() {
            return;
        }
        let mut options = Options::default();
        options.counters = vec!["task-clock".parse().unwrap()];
        let mut attached = Loader::new().load(&options).unwrap();
        let online = cpus::online().unwrap();
        let _pinned = Pinned::to(1);
        spin(Duration::from_millis(20));
        assert_eq!(attached.follow(&online).unwrap(), 0);
        let before = sum(&attached);
        for cpu in attached.cpus.values() {
            crate::sys::perf_event_disable(cpu.counters[0].as_ref().unwrap());
        }
        spin(Duration::from_millis(50));
        let frozen = sum(&attached);
        assert!(frozen.ran - before.ran > 30_000_000, "time goes on by the clock: {before:?} {frozen:?}");
        let counted = frozen.counters[0].enabled - before.counters[0].enabled;
        assert!(counted < 20_000_000, "the counter does not: {before:?} {frozen:?}");
        assert!(attached.health().unwrap().frozen > 0);
        assert!(attached.follow(&online).unwrap() > 0);
        let reopened = sum(&attached);
        spin(Duration::from_millis(50));
        let after = sum(&attached);
        assert!(after.counters[0].enabled - reopened.counters[0].enabled > 30_000_000, "{reopened:?} {after:?}");
        let health = attached.health().unwrap();
        assert_eq!(health.backwards, 0, "a baseline, and no step back");
        assert!(health.baselines as usize > online.len());
    }

    #[test]
    fn a_processor_that_goes_and_comes_is_counted_once() {
        if !possible() {
            return;
        }
        let mut options = Options::default();
        options.counters = vec!["task-clock".parse().unwrap(), "cpu-clock".parse().unwrap()];
        // Before the programs count.
        let began = Instant::now();
        let mut attached = Loader::new().load(&options).unwrap();
        let online = cpus::online().unwrap();
        let _pinned = Pinned::to(1);
        for _ in 0..20 {
            spin(Duration::from_millis(5));
            attached.follow(&[0]).unwrap();
            spin(Duration::from_millis(5));
            assert!(attached.follow(&online).unwrap() >= 1);
        }
        spin(Duration::from_millis(5));
        let sum = sum(&attached);
        let most = began.elapsed().as_nanos() as u64 * online.len() as u64;
        assert!(sum.ran <= most, "{sum:?} in {most} ns");
        for counter in &sum.counters[..2] {
            assert!(counter.value <= most && counter.enabled <= most, "{sum:?} in {most} ns");
        }
        assert!(sum.ran > 100_000_000, "{sum:?}");
        assert_eq!(attached.health().unwrap().backwards, 0);
    }

    /// A process that keeps a processor busy in a cgroup of its own.
    struct Busy {
        process: std::process::Child,
        cgroup: std::path::PathBuf,
    }

    impl Busy {
        fn new() -> Option<Self> {
            use std::fs::{create_dir, read_to_string, write};
            let mounts = read_to_string("/proc/self/mountinfo").unwrap();
            let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?.to_owned();
            let name = format!("cgroup-perf-busy-{}", std::process::id());
            let cgroup = std::path::Path::new(&mount).join(name);
            create_dir(&cgroup).unwrap();
            let process = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
            let busy = Self { process, cgroup };
            write(busy.cgroup.join("cgroup.procs"), busy.process.id().to_string()).unwrap();
            Some(busy)
        }

        fn id(&self) -> crate::sample::CgroupId {
            crate::sample::CgroupId(std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&self.cgroup).unwrap()))
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
            let deadline = Instant::now() + Duration::from_secs(10);
            while std::fs::remove_dir(&self.cgroup).is_err() && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn the_tracepoint_takes_over_where_the_perf_event_is_silent() {
        if !possible() {
            return;
        }
        let Some(busy) = Busy::new() else {
            eprintln!("skipped: no cgroup2 is mounted");
            return;
        };
        let mut options = Options::default();
        options.counters = vec!["task-clock".parse().unwrap()];
        options.hook = HookChoice::CgroupSwitches;
        let mut attached = Loader::new().load(&options).unwrap();
        let mut links = Vec::new();
        for cpu in attached.cpus.values_mut() {
            links.extend(cpu.hook.take());
        }
        for link in links {
            attached.program::<PerfEvent>("cgroup_switch").unwrap().detach(link).unwrap();
        }
        let switches = |attached: &Attached| {
            let totals = attached.totals().unwrap();
            totals.into_iter().find(|total| total.cgroup == busy.id()).map_or(0, |total| total.switches)
        };
        let until = |done: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !done() {
                assert!(Instant::now() < deadline, "nobody noticed: {:?}", attached.health());
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        until(&|| attached.health().unwrap().hook_missed > 0);
        let before = switches(&attached);
        until(&|| switches(&attached) > before + 5);
    }
}
