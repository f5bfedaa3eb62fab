//! What the processes in the cgroups do.

use std::{
    io::{Read, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Does one job after a byte from the standard input:
///
/// - `spin CPU MS`: that much processor time on one processor;
/// - `wander MS EVERY`: that much on processors 0 and 1 in turn;
/// - `pulse CPU ON OFF`: milliseconds of work and of sleep, until the input ends.
pub(crate) fn main(job: &[String]) -> Result<()> {
    let words: Vec<&str> = job.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().with_context(|| format!("no number: {text}"));
    let mut input = std::io::stdin();
    match words.as_slice() {
        ["spin", cpu, time] => {
            pin(number(cpu)?)?;
            await_command(&mut input)?;
            spin(number(time)?);
        }
        ["wander", time, every] => {
            let (time, every) = (number(time)?, number(every)?.max(1));
            await_command(&mut input)?;
            for turn in 0..time / every {
                pin(turn % 2)?;
                spin(every);
            }
        }
        ["pulse", cpu, on, off] => {
            pin(number(cpu)?)?;
            let (on, off) = (number(on)?, Duration::from_millis(number(off)?));
            await_command(&mut input)?;
            let (sender, receiver) = mpsc::channel::<()>();
            thread::spawn(move || {
                // Until the other end is closed.
                let _ = input.read(&mut [0]);
                drop(sender);
            });
            loop {
                spin(on);
                if !matches!(receiver.recv_timeout(off), Err(RecvTimeoutError::Timeout)) {
                    break;
                }
            }
        }
        other => bail!("no job {other:?}"),
    }
    Ok(())
}

fn await_command(input: &mut impl Read) -> Result<()> {
    let mut output = std::io::stdout();
    output.write_all(b"\n").and_then(|()| output.flush()).context("nobody listens")?;
    input.read_exact(&mut [0]).context("nobody commands")
}

/// Uses milliseconds of processor time.
fn spin(time: u64) {
    let until = cpu_time() + u128::from(time) * 1_000_000;
    while cpu_time() < until {}
}

fn cpu_time() -> u128 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u128::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u128::try_from(time.tv_nsec).unwrap_or(0)
}

/// Keeps the calling thread on a processor.
pub(crate) fn pin(cpu: u64) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(usize::try_from(cpu)?);
    sched_setaffinity(None, &set).with_context(|| format!("processor {cpu} cannot be chosen"))
}
