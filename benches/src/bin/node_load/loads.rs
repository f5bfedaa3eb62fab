//! Processes that work a little, over and over: what containers run.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// The variable by which a process knows that it is a load, with its share of a processor in thousandths.
const LOAD: &str = "NODE_LOAD_SHARE";
/// And the one with the number of whom it is to end with.
const PARENT: &str = "NODE_LOAD_OF";
/// What it does its work in.
const TURN: Duration = Duration::from_millis(50);
/// Some are busy, most are not: 6.4 thousandths on average.
const SHARES: [u32; 8] = [2, 4, 1, 9, 3, 25, 1, 6];

/// Starts one.
pub(crate) fn start(number: usize) -> Result<Child> {
    let share = SHARES.get(number % SHARES.len()).copied().unwrap_or(1);
    let mut command = Command::new(std::env::current_exe()?);
    command.env(LOAD, share.to_string()).env(PARENT, std::process::id().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().context("no load can be started")
}

/// Whether this process is one; then it works until its parent is gone.
pub(crate) fn is_load() -> bool {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u32>().ok());
    let Some(share) = number(LOAD) else { return false };
    let parent = number(PARENT);
    while u32::try_from(nix::unistd::getppid().as_raw()).ok() == parent {
        let begun = Instant::now();
        let mut number = 1_u64;
        while begun.elapsed() < TURN * share.min(1_000) / 1_000 {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        std::thread::sleep(TURN.saturating_sub(begun.elapsed()));
    }
    true
}
