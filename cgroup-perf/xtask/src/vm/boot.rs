//! One machine, from its start to its end.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::tools::EMULATOR;

/// How often is looked whether a machine has ended.
const LOOK: Duration = Duration::from_millis(50);

/// What a machine is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine<'a> {
    pub(crate) image: &'a Path,
    pub(crate) initrd: &'a Path,
    /// How long it may take.
    pub(crate) timeout: Duration,
}

impl Machine<'_> {
    /// Runs it until it ends, with its console in a file.
    pub(crate) fn boot(&self, console: &Path) -> Result<()> {
        let output = File::create(console).with_context(|| format!("{}", console.display()))?;
        let mut command = Command::new(EMULATOR);
        command.args(arguments(self.image, self.initrd));
        command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        let running = Running(command.spawn().with_context(|| format!("{EMULATOR} does not run"))?);
        let status = running.wait(self.timeout)?;
        ensure!(status.success(), "the emulator ended with {status}");
        Ok(())
    }
}

/// What the emulator is started with.
fn arguments(image: &Path, initrd: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "-machine",
        // Two boots of the same kernel and guest are the same: no chance, and no time of the host's.
        "virt,dtb-randomness=off",
        "-seed",
        "1",
        "-rtc",
        "base=2026-01-01,clock=vm",
        // As many features as it has, a PMU among them; pointers are signed by a cheaper way than the architecture's.
        "-cpu",
        "max,pauth-impdef=on",
        "-smp",
        "2",
        "-m",
        "512",
        // Four nanoseconds for an instruction, and none of waiting.
        "-icount",
        "shift=2,sleep=off",
        "-nodefaults",
        "-nographic",
        "-serial",
        "stdio",
        // A panic is an end, too.
        "-no-reboot",
        "-append",
        "console=ttyAMA0 quiet panic=-1",
        "-kernel",
    ]
    .map(OsString::from)
    .to_vec();
    arguments.extend([image.into(), "-initrd".into(), initrd.into()]);
    arguments
}

/// An emulator that is killed where nobody waits for it to the end.
#[derive(Debug)]
struct Running(Child);

impl Running {
    fn wait(mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the machine did not end within {} s", timeout.as_secs());
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let end = |child: &mut Child| -> io::Result<()> {
            child.kill()?;
            child.wait().map(drop)
        };
        if let Err(error) = end(&mut self.0) {
            eprintln!("the emulator cannot be ended: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_counts_instructions_and_ends_by_itself() {
        let arguments = arguments(Path::new("/k/vmlinuz"), Path::new("/i/initrd"));
        let follows = |option: &str, value: &str| {
            let at = arguments.iter().position(|argument| argument == option).unwrap();
            assert_eq!(arguments[at + 1], value, "{option}");
        };
        follows("-icount", "shift=2,sleep=off");
        follows("-smp", "2");
        follows("-kernel", "/k/vmlinuz");
        follows("-initrd", "/i/initrd");
        assert!(arguments.iter().any(|argument| argument == "-no-reboot"));
    }

    #[test]
    fn what_does_not_end_is_killed() {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let id = child.id();
        let error = Running(child).wait(Duration::from_millis(10)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "it was waited for");
    }

    #[test]
    fn what_ends_gives_its_status() {
        let child = Command::new("true").spawn().unwrap();
        assert!(Running(child).wait(Duration::from_mins(1)).unwrap().success());
    }
}
