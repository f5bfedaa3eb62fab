//! What is open for one cgroup on one processor.

use std::{fs::File, io, io::Read, os::fd::OwnedFd};

use crate::sample::Delta;

/// A counter, and how far it was when it was read last.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) file: File,
    last: Delta,
}

impl Counted {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { file: fd.into(), last: Delta::default() }
    }

    /// How far it came since it was read last. Nothing where it went backwards: that is a new baseline.
    pub(super) fn step(&mut self) -> io::Result<Delta> {
        let now = read(&self.file)?;
        let last = std::mem::replace(&mut self.last, now);
        Ok(since(now, last))
    }
}

/// A counter's value, and the times for which it was to count and did.
fn read(mut file: &File) -> io::Result<Delta> {
    let mut bytes = [0; 24];
    // One that is in an error state gives nothing.
    file.read_exact(&mut bytes)?;
    let [value, enabled, running] = [0, 8, 16].map(|at| {
        let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
        u64::from_ne_bytes(word.unwrap_or_default())
    });
    Ok(Delta { value, enabled, running })
}

fn since(now: Delta, last: Delta) -> Delta {
    let parts = (
        now.value.checked_sub(last.value),
        now.enabled.checked_sub(last.enabled),
        now.running.checked_sub(last.running),
    );
    match parts {
        (Some(value), Some(enabled), Some(running)) => Delta { value, enabled, running },
        _ => Delta::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_is_a_new_baseline() {
        let delta = |value, enabled, running| Delta { value, enabled, running };
        assert_eq!(since(delta(5, 20, 20), delta(2, 10, 15)), delta(3, 10, 5));
        assert_eq!(since(delta(1, 20, 20), delta(2, 10, 10)), Delta::default());
        assert_eq!(since(delta(5, 9, 20), delta(2, 10, 10)), Delta::default());
        assert_eq!(since(delta(5, 20, 9), delta(2, 10, 10)), Delta::default());
    }
}
