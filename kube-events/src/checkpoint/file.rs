//! Marks in a file.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Checkpoint, CheckpointError, MAX_STORED, Marks, decode, encode};

/// Marks in a file: written beside it, synced, and renamed, so that a crash leaves the old or the new ones. Only one
/// process may have it: put it on a volume that outlives the pod and is its own.
#[derive(Debug, Clone)]
pub struct File {
    path: PathBuf,
}

impl File {
    /// The file, in a directory that exists; `PATH.tmp` is written beside it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CheckpointError> {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || work(&path)).await.unwrap_or_else(|gone| Err(gone.into()));
        done.map_err(|source| CheckpointError::Io { path: self.path.clone(), source })
    }
}

impl Checkpoint for File {
    fn load(&self) -> BoxFuture<'_, Result<Option<Marks>, CheckpointError>> {
        async {
            let Some(text) = self.blocking(read).await? else { return Ok(None) };
            if text.len() > MAX_STORED {
                return Err(CheckpointError::TooLong { place: self.place() });
            }
            decode(|| self.place(), &text).map(Some)
        }
        .boxed()
    }

    fn store<'a>(&'a self, marks: &'a Marks) -> BoxFuture<'a, Result<(), CheckpointError>> {
        async {
            let text = encode(|| self.place(), marks)?;
            self.blocking(move |path| write(path, text.as_bytes())).await
        }
        .boxed()
    }
}

/// The file's text, and one byte more than the limit at most; none if there is no file.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MAX_STORED as u64 + 1).read_to_end(&mut text)?;
    Ok(Some(text))
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".tmp");
    let mut file = fs::File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The new name is on the disk when its directory is. Systems whose directories can't be opened have no such step.
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{EventsApi, Mark};

    fn marks(version: &str) -> Marks {
        let mark = Mark { resource_version: version.to_owned(), last_event: None };
        Marks { api: EventsApi::Core, marks: [(String::new(), mark)].into() }
    }

    #[tokio::test]
    async fn what_is_stored_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("position.json");
        let file = File::new(&path);
        assert_eq!(file.load().await.unwrap(), None);
        file.store(&marks("1")).await.unwrap();
        file.store(&marks("2")).await.unwrap();
        assert_eq!(File::new(&path).load().await.unwrap(), Some(marks("2")));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else stays");
    }

    #[tokio::test]
    async fn a_crash_while_writing_leaves_the_old_marks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("position.json");
        let file = File::new(&path);
        file.store(&marks("1")).await.unwrap();
        fs::write(directory.path().join("position.json.tmp"), "{\"apiVer").unwrap();
        assert_eq!(file.load().await.unwrap(), Some(marks("1")));
        file.store(&marks("2")).await.unwrap();
        assert_eq!(file.load().await.unwrap(), Some(marks("2")));
    }

    #[tokio::test]
    async fn what_is_no_checkpoint_is_told_and_can_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("position.json");
        let file = File::new(&path);
        for text in ["", "{}garbage", "[1]"] {
            fs::write(&path, text).unwrap();
            let error = file.load().await.unwrap_err();
            assert!(error.is_lost() && error.to_string().contains("position.json"), "{error}");
        }
        fs::write(&path, " ".repeat(MAX_STORED + 5)).unwrap();
        assert!(matches!(file.load().await, Err(CheckpointError::TooLong { .. })));
        file.store(&marks("3")).await.unwrap();
        assert_eq!(file.load().await.unwrap(), Some(marks("3")));
        let nowhere = File::new(directory.path().join("none/position.json"));
        let error = nowhere.store(&marks("1")).await.unwrap_err();
        assert!(!error.is_lost() && error.to_string().contains("none/position.json"), "{error}");
    }
}
