//! Cloud metadata services on loopback: what answers at 169.254.169.254 inside a virtual machine.
//!
//! A [`MetadataServer`] is the service of one [`Machine`] and has the face of its cloud: EC2's with its session tokens
//! (IMDSv2, and version 1 where allowed), Google Compute Engine's, or Azure's. Paths, headers, refusals and documents are
//! those of the real services; paths of the other clouds are as unknown as they are there.
//!
//! ```
//! use cluster_sim::metadata::{Machine, MetadataFault, MetadataServer};
//! use http::Method;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cluster_sim::SimError> {
//! let service = MetadataServer::builder(Machine::aws("i-0123456789abcdef0")).ipv6(false).start().await?;
//! let endpoint = service.url(); // Instead of http://169.254.169.254.
//!
//! // The first request for a token is answered 503.
//! service.faults().add(MetadataFault::on("/latest/api/token").count(1).status(503));
//! // … let a client ask …
//! assert_eq!(service.requests().count(&Method::PUT, "/latest/api/token"), 0);
//! service.shutdown().await;
//! # assert!(endpoint.starts_with("http://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```

mod aws;
mod azure;
mod builder;
mod fault;
pub(crate) mod fleet;
mod gce;
mod machine;
mod node;
mod requests;
mod server;
mod service;
mod tokens;
mod tree;
mod wire;

pub use builder::MetadataServerBuilder;
pub use fault::{MetadataFault, MetadataFaults};
pub use machine::{Machine, Provider};
pub use requests::{MetadataRequest, MetadataRequests};
pub use server::MetadataServer;
