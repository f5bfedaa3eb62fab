//! Where a source was, kept over restarts: at least once, whatever order sinks acknowledge in.
//!
//! A [`Tracker`] (pure) or a [`Progress`] (shared) turns acknowledged positions into [`Marks`]; a [`Checkpoint`] keeps
//! these: [`Memory`], [`File`], [`ConfigMap`] or [`LeaseAnnotation`].

mod config_map;
mod file;
mod lease;
mod object;
mod position;
mod progress;
mod tracker;

use std::path::PathBuf;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use thiserror::Error;

pub use config_map::ConfigMap;
pub use file::File;
pub use lease::LeaseAnnotation;
pub use position::{EventsApi, Mark, Marks, Position};
pub use progress::{Progress, SaveOptions};
pub use tracker::{Full, Ticket, Tracker};

use crate::api::ApiError;

/// The longest stored text that is read: thousands of namespaces.
const MAX_STORED: usize = 1 << 20;

/// A place that keeps marks.
///
/// A mark only says that what is before it was dealt with, so that an older one costs repetitions and no events: whoever
/// writes last may win.
pub trait Checkpoint: Send + Sync + 'static {
    /// What was stored last; none if nothing was.
    fn load(&self) -> BoxFuture<'_, Result<Option<Marks>, CheckpointError>>;

    /// Keeps these marks in place of those before. Either all of them are kept or none.
    fn store<'a>(&'a self, marks: &'a Marks) -> BoxFuture<'a, Result<(), CheckpointError>>;
}

/// Marks that could not be loaded or stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file can't be read or written.
    #[error("checkpoint {}: {source}: let the process write to its directory, which must outlive the pod", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// What is stored is no checkpoint.
    #[error("{place} holds no checkpoint: {source}: delete it, or name another place")]
    Corrupt {
        /// The file or object.
        place: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// What is stored is longer than any checkpoint.
    #[error("{place} is longer than {MAX_STORED} bytes: it is no checkpoint, name another place")]
    TooLong {
        /// The file or object.
        place: String,
    },
    /// The API server refused, or did not answer.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// Others write the same object all the time.
    #[error("{place} was changed by others at each of {attempts} attempts: give each instance a checkpoint of its own")]
    Contended {
        /// The object.
        place: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// Another implementation's error.
    #[error("the checkpoint failed: {0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CheckpointError {
    /// Whether another attempt can't help: what is stored is lost.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::TooLong { .. })
    }
}

fn decode(place: impl Fn() -> String, text: &[u8]) -> Result<Marks, CheckpointError> {
    serde_json::from_slice(text).map_err(|source| CheckpointError::Corrupt { place: place(), source })
}

fn encode(place: impl Fn() -> String, marks: &Marks) -> Result<String, CheckpointError> {
    let text = serde_json::to_string(marks).map_err(|source| CheckpointError::Other(source.into()))?;
    if text.len() > MAX_STORED { Err(CheckpointError::TooLong { place: place() }) } else { Ok(text) }
}

/// Marks that end with the process: for tests, and for a host that keeps them itself.
///
/// ```
/// use kube_events::checkpoint::{Checkpoint, EventsApi, Marks, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kube_events::checkpoint::CheckpointError> {
/// let memory = Memory::default();
/// assert_eq!(memory.load().await?, None);
/// memory.store(&Marks::new(EventsApi::Core)).await?;
/// assert_eq!(memory.load().await?, Some(Marks::new(EventsApi::Core)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Memory(Mutex<Option<Marks>>);

impl Memory {
    /// With these marks.
    pub fn new(marks: Marks) -> Self {
        Self(Mutex::new(Some(marks)))
    }
}

impl Checkpoint for Memory {
    fn load(&self) -> BoxFuture<'_, Result<Option<Marks>, CheckpointError>> {
        let marks = self.0.lock().clone();
        async move { Ok(marks) }.boxed()
    }

    fn store<'a>(&'a self, marks: &'a Marks) -> BoxFuture<'a, Result<(), CheckpointError>> {
        *self.0.lock() = Some(marks.clone());
        async { Ok(()) }.boxed()
    }
}

impl<C: Checkpoint + ?Sized> Checkpoint for std::sync::Arc<C> {
    fn load(&self) -> BoxFuture<'_, Result<Option<Marks>, CheckpointError>> {
        self.as_ref().load()
    }

    fn store<'a>(&'a self, marks: &'a Marks) -> BoxFuture<'a, Result<(), CheckpointError>> {
        self.as_ref().store(marks)
    }
}
