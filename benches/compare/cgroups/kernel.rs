//! What the programs that a process has in the kernel take.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use aya::sys::{Stats, enable_stats};
use procfs::process::Process;

/// The kernel counts what programs take as long as this lives, and no longer, however this process ends.
#[derive(Debug)]
pub(crate) struct Counting {
    _file: OwnedFd,
}

impl Counting {
    pub(crate) fn begin() -> Result<Self> {
        let file = enable_stats(Stats::RunTime).context("the kernel does not count what programs take")?;
        Ok(Self { _file: file })
    }
}

/// What programs have taken since the kernel counts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Taken {
    pub(crate) programs: u64,
    pub(crate) runs: u64,
    pub(crate) seconds: f64,
}

/// All programs that a process has files of.
pub(crate) fn taken(process: &Process) -> Result<Taken> {
    let directory = format!("/proc/{}/fdinfo", process.pid());
    let mut programs = BTreeMap::new();
    for file in fs::read_dir(Path::new(&directory))? {
        // Files come and go meanwhile.
        let Ok(text) = fs::read_to_string(file?.path()) else { continue };
        if let Some((id, runs, nanoseconds)) = program(&text) {
            // Links and copies of a file are the same program.
            programs.insert(id, (runs, nanoseconds));
        }
    }
    let seconds = programs.values().map(|(_, nanoseconds)| *nanoseconds as f64 / 1e9).sum();
    Ok(Taken { programs: programs.len() as u64, runs: programs.values().map(|(runs, _)| runs).sum(), seconds })
}

/// Id, runs and nanoseconds, where a file is of a program.
fn program(fdinfo: &str) -> Option<(u64, u64, u64)> {
    let field = |name: &str| -> Option<u64> {
        fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
    };
    Some((field("prog_id")?, field("run_cnt")?, field("run_time_ns")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_program() {
        let text = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\nprog_tag:\t1a2b\nmemlock:\t4096\nprog_id:\t17\n\
                    run_time_ns:\t1234\nrun_cnt:\t5\nrecursion_misses:\t0\n";
        assert_eq!(program(text), Some((17, 5, 1234)));
    }

    #[test]
    fn a_link_and_anything_else_is_none() {
        assert_eq!(program("link_type:\traw_tracepoint\nlink_id:\t1\nprog_tag:\tx\nprog_id:\t17\n"), None);
        assert_eq!(program("pos:\t0\n"), None);
    }
}
