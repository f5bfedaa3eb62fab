//! What answers at 169.254.169.254: the faces of three clouds, and what goes wrong there.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails is a test that fails")]

mod aws;
mod azure;
mod faults;
mod gce;
mod nodes;
mod server;
mod support;
