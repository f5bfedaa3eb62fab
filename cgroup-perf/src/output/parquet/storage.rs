//! Where files lie: a directory, or in tests one that fails.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The most that is read of a file that is kept beside another: the end of one of thousands of row groups.
const MAX_SIDE: u64 = 64 << 20;

/// A directory of files.
pub(super) trait Storage: Send + std::fmt::Debug {
    /// Makes a file that is not there yet, and takes it for this process alone.
    fn create(&self, name: &str) -> io::Result<Box<dyn Stored>>;
    /// Takes a file that is there; none if another process has it.
    fn take(&self, name: &str) -> io::Result<Option<Box<dyn Stored>>>;
    /// Reads a small file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Writes a small file, in the place of the one that was there, or not at all.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Whether there is a file of that name.
    fn has(&self, name: &str) -> bool;
}

/// A file.
pub(super) trait Stored: Send + std::fmt::Debug {
    /// Writes at a place.
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Cuts it off at a place.
    fn truncate(&mut self, at: u64) -> io::Result<()>;
    /// Waits until it is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// How long it is.
    fn length(&self) -> io::Result<u64>;
}

/// A directory of the file system.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }

    /// A new name is on the disk when the directory is.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Storage for Directory {
    fn create(&self, name: &str) -> io::Result<Box<dyn Stored>> {
        let file = File::options().read(true).write(true).create_new(true).open(self.0.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn take(&self, name: &str) -> io::Result<Option<Box<dyn Stored>>> {
        let file = File::options().read(true).write(true).open(self.0.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.0.join(name))?.take(MAX_SIDE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.0.join(format!("{name}.new"));
        let write = || {
            let file = File::create(&new)?;
            file.write_all_at(bytes, 0)?;
            file.sync_all()?;
            fs::rename(&new, self.0.join(name))
        };
        let written = write();
        if written.is_err() {
            // It takes place where there may be none.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))?;
        self.sync()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }
}

impl Stored for File {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn truncate(&mut self, at: u64) -> io::Result<()> {
        self.set_len(at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
