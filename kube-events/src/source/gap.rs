//! Where a source goes on from, and what it may have missed.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use crate::checkpoint::{Checkpoint, Marks};
use crate::pace::Backoff;

/// A time in which events may have been missed: those that were deleted or changed again within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The namespace that is watched, or the empty string for all.
    pub partition: Arc<str>,
    /// The newest event before it; none if that is not known.
    pub since: Option<Timestamp>,
    /// When the list was made that the source goes on from.
    pub until: Timestamp,
    /// Why.
    pub reason: GapReason,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events may have been missed")?;
        if let Some(since) = self.since {
            write!(f, " since {since}")?;
        }
        write!(f, " until {}", self.until)?;
        if !self.partition.is_empty() {
            write!(f, " in namespace {}", self.partition)?;
        }
        write!(f, ": {}", self.reason.why())
    }
}

/// Why events may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The server has forgotten the position (410): it keeps some minutes.
    Compacted,
    /// The server's newest version is older than the position: its state was restored from a backup, or it is another
    /// cluster.
    VersionReset,
    /// The position is of the other API.
    ApiChanged,
    /// The stored position can't be read.
    CheckpointLost,
    /// The host's watch began anew, and does not say what happened in between.
    Relisted,
}

impl GapReason {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compacted => "compacted",
            Self::VersionReset => "version_reset",
            Self::ApiChanged => "api_changed",
            Self::CheckpointLost => "checkpoint_lost",
            Self::Relisted => "relisted",
        }
    }

    const fn why(self) -> &'static str {
        match self {
            Self::Compacted => "the API server has forgotten the position",
            Self::VersionReset => "the API server's state is older than the position (restored, or another cluster)",
            Self::ApiChanged => "the stored position is of the other API",
            Self::CheckpointLost => "the stored position can't be read",
            Self::Relisted => "the shared watch began anew",
        }
    }

    /// Whether versions from before it mean anything after it.
    pub(super) const fn keeps_versions(self) -> bool {
        matches!(self, Self::Compacted | Self::Relisted)
    }
}

/// What a source goes on from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// Nothing was stored: of what is there, events up to a maximum age are told.
    #[default]
    Fresh,
    /// From these marks.
    From(Marks),
    /// Something was stored, and can't be read: as [`Fresh`](Self::Fresh), with a [`Gap`].
    Lost,
}

impl Resume {
    /// What a checkpoint has. An API server, or a disk, that does not answer is waited for: to go on without would lose
    /// events.
    pub async fn load(checkpoint: &dyn Checkpoint) -> Self {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        loop {
            match checkpoint.load().await {
                Ok(Some(marks)) => return Self::From(marks),
                Ok(None) => return Self::Fresh,
                Err(error) if error.is_lost() => {
                    tracing::warn!(%error, "the stored position is lost");
                    return Self::Lost;
                }
                Err(error) => {
                    let pause = backoff.next(None);
                    tracing::warn!(%error, ?pause, "the stored position can't be loaded yet");
                    sleep(pause).await;
                }
            }
        }
    }

    /// The marks; empty if there are none.
    pub fn marks(&self) -> &Marks {
        static NONE: LazyLock<Marks> = LazyLock::new(Marks::default);
        match self {
            Self::From(marks) => marks,
            Self::Fresh | Self::Lost => &NONE,
        }
    }
}
