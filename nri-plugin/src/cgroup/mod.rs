//! Cgroups of processes and containers: which directory, and which id.
//!
//! [`CgroupFs`] reads the kernel's files; all rules are pure functions beside it.
//!
//! | from | to | by |
//! |---|---|---|
//! | `/proc/PID/cgroup`, `/proc/self/mountinfo` | paths, mounts | [`ProcessCgroups`], [`CgroupMounts`] |
//! | a container's `cgroups_path` | its directory, before it has a process | [`container_directory`] |
//! | a directory's names | container id, pod uid | [`identify`] |
//! | a directory | its id | [`CgroupFs::stat`] |

mod fs;
mod identify;
mod parse;
mod rules;

pub use fs::{CgroupDir, CgroupError, CgroupFs, Layout};
pub use identify::{Identity, Runtime, identify};
pub use parse::{Cgroup2Mount, CgroupMounts, CgroupPath, LegacyCgroup, ProcessCgroups};
pub use rules::{container_directory, expand_slice};
