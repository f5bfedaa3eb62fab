//! What answers at 169.254.169.254: the faces of three clouds, and what goes wrong there.

mod aws;
mod azure;
mod faults;
mod gce;
mod nodes;
mod server;
mod support;
