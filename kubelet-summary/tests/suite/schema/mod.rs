//! Documents of kubelets, sound and broken, and what is understood of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that can't go on fails")]

mod cost;
mod hostile;
mod lenient;
mod values;
