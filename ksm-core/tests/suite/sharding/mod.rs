//! Several instances share a cluster → together they show what one alone shows, while objects and shards change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod auto;
mod cluster;
mod merge;
mod parts;
mod resharding;
mod script;
mod selected;
mod streams;
