#![doc = include_str!("../README.md")]

mod access;
mod api;
mod builder;
mod chores;
pub mod churn;
mod client;
mod clock;
mod crd;
mod direct;
mod error;
mod fault;
mod http;
mod kinds;
pub mod kubelet;
pub mod metadata;
mod mutation;
#[cfg(all(unix, feature = "nri"))]
pub mod nri;
mod object;
mod patch;
pub mod population;
mod rbac;
mod reference;
mod requests;
mod resource;
mod server;
mod sim;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod user;

pub use access::Deny;
pub use api::route::Verb;
pub use api::status::Status;
pub use builder::SimBuilder;
pub use error::SimError;
pub use fault::{Fault, FaultId, Faults};
pub use mutation::Mutation;
pub use rbac::Right;
pub use reference::ObjectRef;
pub use requests::{Request, Requests};
pub use sim::Sim;
