//! Cgroups of our own, with a load in each, all of which is removed at the end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use procfs::process::{MountInfo, Process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::program;

/// What the names of our cgroups begin with; the process's id follows.
const PREFIX: &str = "kube-agent-kit-compare-";
/// A load works at the beginning of each of these.
const TURN: Duration = Duration::from_millis(10);

/// A process that works a part of the time, in a cgroup that it joins first.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// The share of a processor.
    #[arg(long)]
    share: f64,
    /// Directories of cgroups, one of each hierarchy.
    #[arg(required = true)]
    cgroups: Vec<PathBuf>,
}

/// Works until its input ends.
pub(crate) fn load(args: &LoadArgs) -> Result<()> {
    for cgroup in &args.cgroups {
        fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string())
            .with_context(|| format!("{} can't be joined", cgroup.display()))?;
    }
    println!("joined");
    let work = TURN.mul_f64(args.share.clamp(0.0, 1.0));
    std::thread::spawn(move || {
        loop {
            let began = Instant::now();
            while began.elapsed() < work {
                std::hint::spin_loop();
            }
            std::thread::sleep(TURN.saturating_sub(began.elapsed()));
        }
    });
    // It ends with who started it.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Where cgroups can be made.
#[derive(Debug, PartialEq, Eq)]
struct Mounts {
    unified: PathBuf,
    /// The hierarchy of the `cpu` controller, where it is one of its own: then tasks are scheduled by that one.
    cpu: Option<PathBuf>,
}

impl Mounts {
    fn of(mounts: impl IntoIterator<Item = MountInfo>) -> Result<Self> {
        let (mut unified, mut cpu) = (None, None);
        for mount in mounts {
            match mount.fs_type.as_str() {
                "cgroup2" => unified = unified.or(Some(mount.mount_point)),
                "cgroup" if mount.super_options.contains_key("cpu") => cpu = cpu.or(Some(mount.mount_point)),
                _ => {}
            }
        }
        Ok(Self { unified: unified.context("no cgroup2 is mounted")?, cpu })
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.unified).chain(&self.cpu)
    }
}

/// Cgroups with a load in each. They end with this.
#[derive(Debug)]
pub(crate) struct Groups {
    /// One for each cgroup: the name of a container.
    pub(crate) ids: Vec<String>,
    loads: Vec<Child>,
    roots: Roots,
}

impl Groups {
    /// So many, which together take that many processors.
    pub(crate) async fn start(count: u32, processors: f64) -> Result<Self> {
        let mounts = Mounts::of(Process::myself()?.mountinfo()?)?;
        let roots = Roots(mounts.all().map(|mount| mount.join(format!("{PREFIX}{}", std::process::id()))).collect());
        for root in &roots.0 {
            remove_what_others_left(root.parent().context("a mount without a parent")?);
            fs::create_dir(root).with_context(|| format!("no cgroup can be made at {}", root.display()))?;
        }
        let mut groups = Self { ids: Vec::new(), loads: Vec::new(), roots };
        let share = processors / f64::from(count.max(1));
        for number in 0..count {
            let (path, id) = name(number);
            let mut arguments: Vec<OsString> = vec!["load".into(), "--share".into(), share.to_string().into()];
            for root in &groups.roots.0 {
                arguments.push(make(root, &path)?.into());
            }
            let mut child = program::command(&std::env::current_exe()?)?
                .args(&arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let output = child.stdout.take().context("a load without an output")?;
            groups.loads.push(child);
            let joined = BufReader::new(output).lines().next_line().await?;
            ensure!(joined.as_deref() == Some("joined"), "a load has ended before it joined its cgroup");
            groups.ids.push(id);
        }
        Ok(groups)
    }

    /// What they have taken so far, in seconds of processors, as the kernel says.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        let root = self.roots.0.first().context("there is no cgroup")?;
        let text = fs::read_to_string(root.join("cpu.stat"))?;
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<f64>().ok());
        Ok(micros.context("a cpu.stat without usage_usec")? / 1e6)
    }

    /// Ends the loads, and removes the cgroups.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for load in &mut self.loads {
            load.kill().await?;
        }
        self.loads.clear();
        self.roots.remove()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for load in &mut self.loads {
            // Its cgroup can be removed a moment later.
            let _ = load.start_kill();
        }
    }
}

/// The directories that all others are in.
#[derive(Debug)]
struct Roots(Vec<PathBuf>);

impl Roots {
    fn remove(&mut self) -> Result<()> {
        for root in self.0.drain(..) {
            remove(&root).with_context(|| format!("{} could not be removed", root.display()))?;
        }
        Ok(())
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("{error:#}");
        }
    }
}

/// The path of a container's cgroup, as a kubelet makes it, and the container's id.
fn name(number: u32) -> (String, String) {
    // A number may be the beginning of another one, an id may not.
    let id = format!("{number:08x}{}", "c0ffee00".repeat(7));
    (format!("kubepods/burstable/pod6f1c9a3e-77aa-4a53-b0c4-{number:012x}/{id}"), id)
}

/// Makes a cgroup below one of ours. Where the `cpu` controller can be had, tasks are scheduled by it.
fn make(root: &Path, path: &str) -> Result<PathBuf> {
    let mut at = root.to_owned();
    for part in path.split('/') {
        let control = at.join("cgroup.subtree_control");
        // Only in our own, and only where the system gives it to its children.
        if fs::read_to_string(at.join("cgroup.controllers"))
            .is_ok_and(|have| have.split_whitespace().any(|it| it == "cpu"))
        {
            fs::write(&control, "+cpu").with_context(|| format!("{} can't be written", control.display()))?;
        }
        at.push(part);
        match fs::create_dir(&at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                bail!("no cgroup can be made at {}: {error}", at.display())
            }
            _ => {}
        }
    }
    Ok(at)
}

/// Removes a cgroup and all below it. Files of cgroups can't be removed, and needn't be.
fn remove(root: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(root) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    // A task that was killed leaves its cgroup a moment later.
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir(root) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

/// Of runs that were killed: those whose process is gone.
fn remove_what_others_left(mount: &Path) {
    for entry in fs::read_dir(mount).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            && let Err(error) = remove(&entry.path())
        {
            eprintln!("{}, which another run left, could not be removed: {error}", entry.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use procfs::FromRead;
    use procfs::process::MountInfos;

    use super::*;

    #[test]
    fn hierarchies_are_found() {
        let mounts = |text: &str| Mounts::of(MountInfos::from_read(text.as_bytes()).unwrap());
        let hybrid = "30 23 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
                      31 23 0:27 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
                      32 23 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n";
        let expected = Mounts { unified: "/sys/fs/cgroup/unified".into(), cpu: Some("/sys/fs/cgroup/cpu".into()) };
        assert_eq!(mounts(hybrid).unwrap(), expected);
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(mounts(unified).unwrap(), Mounts { unified: "/sys/fs/cgroup".into(), cpu: None });
        assert!(mounts("").is_err());
    }

    #[test]
    fn containers_have_names_of_their_own() {
        let ids: Vec<String> = (0..300).map(|number| name(number).1).collect();
        assert!(ids.iter().all(|id| id.len() == 64));
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| other.contains(id.as_str())).count(), 1);
        }
    }

    #[test]
    fn trees_are_made_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("root");
        fs::create_dir(&root).unwrap();
        let one = make(&root, &name(1).0).unwrap();
        let two = make(&root, &name(2).0).unwrap();
        assert!(one.is_dir() && two.is_dir() && one.starts_with(&root));
        remove(&root).unwrap();
        assert!(!root.exists());
        remove(&root).unwrap();
    }
}
