//! What checkpoints in objects of the API server have in common.

use kube::api::{PatchParams, PostParams};
use metrics::counter;

use super::{CheckpointError, MAX_STORED, Marks, decode};
use crate::telemetry;

/// The longest object that is read: etcd takes none that is longer.
pub(super) const MAX_OBJECT: usize = 4 << 20;
/// How often it is tried to write over what others write.
pub(super) const ATTEMPTS: u32 = 4;

const FIELD_MANAGER: &str = "kube-events";

pub(super) fn to_create() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

pub(super) fn to_patch() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// The marks in a text that an object holds.
pub(super) fn marks(place: impl Fn() -> String, text: &str) -> Result<Marks, CheckpointError> {
    if text.len() > MAX_STORED {
        return Err(CheckpointError::TooLong { place: place() });
    }
    decode(place, text.as_bytes())
}

/// Counts that somebody else had written.
pub(super) fn count_conflict(place: &str) {
    counter!(telemetry::CHECKPOINT_STORES, "result" => "conflict").increment(1);
    tracing::debug!(place, "the checkpoint was changed by others; it is replaced");
}
