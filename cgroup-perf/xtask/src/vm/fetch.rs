//! Debian's packages for arm64, fetched by apt into a state of its own: nothing is installed.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::tools::Tools;

/// The target of the guest.
pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";

/// A kernel's version, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Version {
    /// Reads `6.12`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = parts.with_context(|| format!("{text:?} is no kernel's version: write 6.12"))?;
        Ok(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What was fetched, and is kept.
#[derive(Debug)]
pub(crate) struct Store<'a> {
    directory: &'a Path,
}

impl<'a> Store<'a> {
    pub(crate) const fn new(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// The image of a kernel.
    pub(crate) fn kernel(&self, version: Version) -> Result<PathBuf> {
        let kept = self.directory.join(format!("kernel-{version}"));
        if !kept.exists() {
            self.update()?;
            let names = self.apt("apt-cache", &["search", "--names-only", "^linux-image-.*-cloud-arm64$"])?;
            let name = newest(&names, version)
                .with_context(|| format!("the packages of arm64 have no cloud kernel {version}"))?;
            println!("fetching {name}");
            self.unpack(name, &kept)?;
        }
        let image = fs::read_dir(kept.join("boot"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")));
        image.with_context(|| format!("{} has no image: remove it, and run this again", kept.display()))
    }

    /// The compiler's library for the guest, as a system root.
    pub(crate) fn library(&self, tools: &Tools) -> Result<PathBuf> {
        let kept = self.directory.join(format!("{}-{}", tools.library, tools.version));
        if !kept.exists() {
            self.update()?;
            println!("fetching {} {}", tools.library, tools.version);
            self.unpack(&format!("{}={}", tools.library, tools.version), &kept)?;
        }
        let root = kept.join("usr");
        ensure!(
            root.join("lib/rustlib").join(TARGET).is_dir(),
            "{} has no library for {TARGET}: remove it, and run this again",
            kept.display()
        );
        Ok(root)
    }

    /// Fetches the lists of packages, once a run.
    fn update(&self) -> Result<()> {
        let lists = self.directory.join("apt");
        fs::create_dir_all(lists.join("partial"))?;
        fs::create_dir_all(self.directory.join("fetched"))?;
        let fresh = lists.join("fresh");
        let is_fresh = fs::metadata(&fresh)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|when| when.elapsed().is_ok_and(|age| age.as_secs() < 600));
        if !is_fresh {
            // One that cannot be fetched is told, and need not be the one that matters.
            match self.apt("apt-get", &["-oAPT::Update::Error-Mode=any", "update"]) {
                Ok(_) => fs::write(&fresh, "")?,
                Err(error) => eprintln!("not all lists of packages for arm64 can be fetched: {error:#}"),
            }
        }
        Ok(())
    }

    /// Fetches a package, and unpacks it into a directory that is there only once it is whole.
    fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let fetched = self.directory.join("fetched");
        // What an earlier run left.
        for path in packages(&fetched)? {
            fs::remove_file(path)?;
        }
        self.apt("apt-get", &["download", package]).with_context(|| format!("{package} cannot be fetched"))?;
        let archive = packages(&fetched)?.pop().with_context(|| format!("apt-get left no {package}"))?;
        let part = into.with_extension("part");
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&part))?;
        fs::rename(&part, into)?;
        fs::remove_file(archive)?;
        Ok(())
    }

    /// Runs a tool of apt's for arm64, with lists of its own and nothing installed.
    fn apt(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(tool);
        command.current_dir(self.directory.join("fetched")).args([
            "-oAPT::Architecture=arm64",
            "-oAPT::Architectures=arm64",
            "-oDir::State::status=/dev/null",
            // What is fetched lies where root alone may write.
            "-oAPT::Sandbox::User=root",
            "-oAcquire::Retries=2",
        ]);
        command.arg(format!("-oDir::State::Lists={}", self.directory.join("apt").display())).args(arguments);
        run(&mut command)
    }
}

fn packages(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(entries.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
}

/// What a command printed, where it succeeds.
fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{name} does not run"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}", errors.lines().last().unwrap_or("it failed without a word"));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Of a list of packages (`linux-image-6.1.0-56-cloud-arm64 - Linux 6.1 …`), the newest with an image of that version.
fn newest<'a>(list: &'a str, version: Version) -> Option<&'a str> {
    let name = |line: &'a str| line.split_whitespace().next();
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let ours = [u64::from(version.major), u64::from(version.minor)];
    // Those with two numbers alone are empty packages that depend on the newest; the last number is the architecture's.
    let images = list.lines().filter_map(name).map(|name| (numbers(name), name));
    images.filter(|(numbers, _)| numbers.len() > 3 && numbers.starts_with(&ours)).max().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
linux-image-6.1.0-47-cloud-arm64 - Linux 6.1 for arm64 cloud (signed)
linux-image-6.1.0-9-cloud-arm64 - Linux 6.1 for arm64 cloud (signed)
linux-image-6.12-cloud-arm64 - Linux for arm64 cloud (meta-package)
linux-image-6.12.101+deb12-cloud-arm64 - Linux 6.12 for arm64 cloud (signed)
linux-image-6.12.99+deb12-cloud-arm64 - Linux 6.12 for arm64 cloud (signed)
linux-image-cloud-arm64 - Linux for arm64 cloud (meta-package)
";

    #[test]
    fn the_newest_of_a_version_is_by_its_numbers() {
        let newest = |version: &str| newest(LIST, Version::parse(version).unwrap());
        assert_eq!(newest("6.1"), Some("linux-image-6.1.0-47-cloud-arm64"));
        assert_eq!(newest("6.12"), Some("linux-image-6.12.101+deb12-cloud-arm64"));
        assert_eq!(newest("6.2"), None);
    }

    #[test]
    fn versions_have_two_numbers() {
        assert_eq!(Version::parse("6.12").unwrap().to_string(), "6.12");
        for bad in ["", "6", "6.", "6.x", "../6.1", "6.1.0"] {
            assert!(Version::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_command_says_last_is_in_the_error() {
        let error = run(Command::new("sh").args(["-c", "echo first >&2; echo last >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "sh: last");
        assert_eq!(run(Command::new("sh").args(["-c", "echo out"])).unwrap(), "out\n");
    }
}
