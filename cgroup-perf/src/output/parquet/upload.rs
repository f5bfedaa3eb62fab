//! Finished files, on to an object store.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use super::config::full_prefix;
use super::file::SEALED;

/// Bytes of a part, unless [`Uploader::with_part`] says otherwise: stores take none of less than 5 MiB.
const DEFAULT_PART: usize = 8 << 20;

/// Why a file could not be sent. It stays where it is, and is tried again the next time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// A file can't be read or removed.
    #[error("{path} can't be read, or removed once it was sent")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store did not take it.
    #[error("{location} was not taken by the object store; the file is kept, and tried again")]
    Store {
        /// Where it was to go.
        location: Path,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

/// A file that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uploaded {
    /// Where it is now.
    pub location: Path,
    /// Its bytes.
    pub bytes: u64,
}

/// Sends the files of a [`ParquetWriter`](super::ParquetWriter)'s directory to an object store, and removes them when they
/// are there.
///
/// A file is sent when it is complete, so an object is never half a file; a process that is killed has its files on its
/// disk, and sends them after the next start. While the store does not answer, files gather in the directory.
///
/// It reads files where it is polled, a part at a time. Where its future is dropped in the middle of a large file, the store
/// keeps parts of no object: stores have a rule that removes those after some days.
///
/// ```
/// use std::sync::Arc;
/// use cgroup_perf::output::parquet::Uploader;
/// use object_store::{memory::InMemory, path::Path};
///
/// # let directory = tempfile::tempdir()?;
/// let store = Arc::new(InMemory::new());
/// let uploader = Uploader::new(store, directory.path(), "cgroup-perf", Path::from("node-1"));
/// let sent = futures::executor::block_on(uploader.run_once());
/// assert!(sent?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Uploader {
    store: Arc<dyn ObjectStore>,
    directory: PathBuf,
    prefix: String,
    to: Path,
    part: usize,
}

impl Uploader {
    /// From a writer's directory and prefix to a place in a store.
    pub fn new(store: Arc<dyn ObjectStore>, directory: impl Into<PathBuf>, prefix: &str, to: Path) -> Self {
        Self { store, directory: directory.into(), prefix: full_prefix(prefix), to, part: DEFAULT_PART }
    }

    /// The bytes that are held in memory and sent at once.
    pub fn with_part(mut self, bytes: usize) -> Self {
        self.part = bytes.max(1);
        self
    }

    /// Sends all files that are complete, the oldest first, up to the first that fails.
    pub async fn run_once(&self) -> Result<Vec<Uploaded>, UploadError> {
        let mut sent = Vec::new();
        for name in self.complete()? {
            sent.push(self.send(&name).await?);
        }
        Ok(sent)
    }

    fn complete(&self) -> Result<Vec<String>, UploadError> {
        let failed = |source| UploadError::Io { path: self.directory.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.retain(|name| name.starts_with(&self.prefix) && name.ends_with(SEALED));
        // Names have their time in them.
        names.sort_unstable();
        Ok(names)
    }

    async fn send(&self, name: &str) -> Result<Uploaded, UploadError> {
        let path = self.directory.join(name);
        let location = self.to.clone().join(name);
        let failed = |source| UploadError::Io { path: path.clone(), source };
        let refused = |source| UploadError::Store { location: location.clone(), source };
        let mut file = File::open(&path).map_err(failed)?;
        let first = self.read(&mut file, &path)?;
        let mut bytes = first.len() as u64;
        if first.len() < self.part {
            self.store.put(&location, first.into()).await.map_err(refused)?;
        } else {
            let mut upload = self.store.put_multipart(&location).await.map_err(refused)?;
            match self.send_parts(&mut *upload, first, &mut file, &path, &location).await {
                Ok(sent) => bytes = sent,
                Err(error) => {
                    // Its error would say less than the first one's.
                    let _ = upload.abort().await;
                    return Err(error);
                }
            }
        }
        fs::remove_file(&path).map_err(failed)?;
        Ok(Uploaded { location, bytes })
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        mut part: Vec<u8>,
        file: &mut File,
        path: &FilePath,
        location: &Path,
    ) -> Result<u64, UploadError> {
        let refused = |source| UploadError::Store { location: location.clone(), source };
        let mut bytes = 0;
        while !part.is_empty() {
            bytes += part.len() as u64;
            upload.put_part(PutPayload::from(part)).await.map_err(refused)?;
            part = self.read(file, path)?;
        }
        upload.complete().await.map_err(refused)?;
        Ok(bytes)
    }

    /// The next part; empty at the end.
    fn read(&self, file: &mut File, path: &FilePath) -> Result<Vec<u8>, UploadError> {
        let mut part = Vec::new();
        let read = file.take(self.part as u64).read_to_end(&mut part);
        read.map_err(|source| UploadError::Io { path: path.to_owned(), source })?;
        Ok(part)
    }
}
