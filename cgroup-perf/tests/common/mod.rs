//! A node that does not exist: what its kernel would tell.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers made up, and small")]

use std::collections::BTreeMap;
use std::sync::Arc;

use cgroup_perf::output::Event;
use cgroup_perf::output::arrow::Columns;
use cgroup_perf::quality::Counter;
use cgroup_perf::resolver::Labels;
use cgroup_perf::sample::{CgroupId, Delta, MAX_COUNTERS, Sample};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;
/// 2026-03-01T12:00:00Z less the time since the start of the machine, neither of which is even.
pub(crate) const OFFSET: i64 = 1_772_366_400_123_456_789;

pub(crate) fn columns() -> Columns {
    let events = [
        ("cycles", "PERF_COUNT_HW_CPU_CYCLES", Counter::CYCLES),
        ("instructions", "PERF_COUNT_HW_INSTRUCTIONS", Counter::INSTRUCTIONS),
        ("llc_misses", "PERF_COUNT_HW_CACHE_MISSES", Counter::EVENTS),
    ];
    Columns::new(events.map(|(name, event, counter)| Event::new(name, event, counter)).to_vec(), false).unwrap()
}

pub(crate) fn labels(container: u64) -> Arc<Labels> {
    let pod = container / 2;
    Arc::new(Labels {
        namespace: format!("team-{}", pod % 8),
        pod: format!("web-{pod}-7d9f8b6c5d-{:05x}", pod * 7_919),
        pod_uid: format!("0f2c6a1e-8f3b-4c55-9d0e-{:012x}", pod * 1_048_573),
        container: ["app", "sidecar"][usize::from(container % 2 == 1)].to_owned(),
        container_id: {
            let mut digits = Chance::new(container + 1);
            [digits.next(), digits.next(), digits.next(), digits.next()].map(|part| format!("{part:016x}")).concat()
        },
        more: Vec::new(),
    })
}

/// A chance that is the same each time (xorshift64*).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// Normal, with mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// What a container is like.
struct Habit {
    hungry: bool,
    /// The median of its bursts, in nanoseconds.
    burst: f64,
    /// Instructions in a cycle.
    ipc: f64,
    /// Misses in a thousand instructions.
    mpki: f64,
}

/// A node of 2 processors: some containers use all they get, in slices of up to 3 ms, most wake up for some tens of
/// microseconds, and now and then nobody does anything. Counters are one perf group; their clock is read beside that of the
/// accounting, so times differ by some nanoseconds.
pub(crate) struct Node {
    chance: Chance,
    habits: Vec<Habit>,
    cpus: [Cpu; 2],
    slot: u64,
}

#[derive(Default, Clone, Copy)]
struct Cpu {
    /// Who runs, and for how long it still does.
    running: Option<(usize, u64)>,
    /// For how long nobody runs.
    idle: u64,
}

impl Node {
    pub(crate) fn new(containers: usize) -> Self {
        let mut chance = Chance::new(0x5eed);
        let habits = (0..containers).map(|number| Habit {
            hungry: number % 20 == 0,
            burst: 20_000.0 + 100_000.0 * chance.unit(),
            ipc: 0.4 + 2.0 * chance.unit(),
            mpki: (0.3 * (1.2 * chance.normal()).exp()).min(20.0),
        });
        let habits = habits.collect();
        Self { chance, habits, cpus: [Cpu::default(); 2], slot: 0 }
    }

    /// The next slot's samples, in order.
    pub(crate) fn slot(&mut self) -> Vec<Sample> {
        let start = 5_000 * SECOND + self.slot * MS;
        self.slot += 1;
        // Where a tick is late, slots end later.
        let late = if self.chance.below(100) == 0 { self.chance.below(80_000) } else { 0 };
        let mut samples = Vec::new();
        for cpu in 0..2 {
            for (container, (ran, switches)) in self.run(cpu) {
                samples.push(self.sample(start, start + MS + late, cpu, container, ran, switches));
            }
        }
        samples
    }

    fn run(&mut self, cpu: usize) -> BTreeMap<usize, (u64, u32)> {
        let Self { chance, habits, cpus, .. } = self;
        let cpu = &mut cpus[cpu];
        let mut left = MS;
        let mut did: BTreeMap<usize, (u64, u32)> = BTreeMap::new();
        while left > 0 {
            if cpu.idle > 0 {
                let idle = cpu.idle.min(left);
                cpu.idle -= idle;
                left -= idle;
                continue;
            }
            let Some((who, needs)) = cpu.running else {
                // A busy one is most likely there and waits; services wake up.
                let who = if chance.below(10) < 4 {
                    20 * chance.below((habits.len() as u64).div_ceil(20))
                } else {
                    chance.below(habits.len() as u64)
                };
                let habit = &habits[who as usize];
                let needs = if habit.hungry {
                    1_000_000.0 + 2_000_000.0 * chance.unit()
                } else {
                    habit.burst * (0.8 * chance.normal()).exp()
                };
                cpu.running = Some((who as usize, (needs as u64).max(2_000)));
                continue;
            };
            let ran = needs.min(left);
            left -= ran;
            let entry = did.entry(who).or_default();
            entry.0 += ran;
            if ran == needs {
                entry.1 += 1;
                cpu.running = None;
                cpu.idle = if chance.below(10) < 3 { (-(1.0 - chance.unit()).ln() * 150_000.0) as u64 } else { 0 };
            } else {
                cpu.running = Some((who, needs - ran));
            }
        }
        did
    }

    fn sample(&mut self, start: u64, end: u64, cpu: usize, container: usize, ran: u64, switches: u32) -> Sample {
        let habit = &self.habits[container];
        let chance = &mut self.chance;
        let enabled = ran + chance.below(120) - 60_u64.min(ran);
        let cycles = enabled as f64 * 2.9 * (1.0 + 0.02 * chance.normal());
        let instructions = cycles * habit.ipc * (1.0 + 0.1 * chance.normal()).max(0.1);
        let misses = instructions / 1_000.0 * habit.mpki * (0.4 * chance.normal()).exp();
        let mut counters = [Delta::default(); MAX_COUNTERS];
        for (delta, value) in counters.iter_mut().zip([cycles, instructions, misses]) {
            *delta = Delta { value: value as u64, enabled, running: enabled };
        }
        let cgroup = CgroupId(4_000 + 37 * container as u64);
        Sample { start, end, cpu: cpu as u32, cgroup, task: None, ran, switches, counters }
    }
}

/// Which container a cgroup of a [`Node`] is.
pub(crate) fn container(sample: &Sample) -> usize {
    ((sample.cgroup.0 - 4_000) / 37) as usize
}
