//! The kubelets of a cluster's nodes, as far as they tell of usage: `/stats/summary`, `/pods` and `/healthz`.
//!
//! Every node has one, without being asked for: the API server's proxy, `/api/v1/nodes/NODE/proxy/stats/summary`,
//! leads straight into it. A port of its own, with TLS as real ones have it, is opened for the nodes that a test
//! [asks for](crate::Sim::kubelet).
//!
//! A document tells of the pods that are bound to the node, and follows from their objects, a seed and the simulator's
//! time: nothing is kept. Each container has a rate of its own, by which its counters grow from its start; once it is
//! started again (`state.running.startedAt` in the pod's status), they begin at zero. Samples are taken every 10 to 15
//! seconds, those of volumes every minute, so that two documents in between have the same `time`.
//!
//! ```
//! use cluster_sim::Sim;
//! use cluster_sim::kubelet::{KubeletFault, Way};
//! use cluster_sim::population::PopulationSpec;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sim = Sim::builder().population(&PopulationSpec::new(3, 60)).start().await?;
//! let node = sim.list("v1", "nodes")?.remove(0)["metadata"]["name"].as_str().unwrap_or_default().to_owned();
//!
//! // Its next answer breaks off in the middle.
//! sim.kubelets().faults().add(KubeletFault::on(&node).count(1).truncate());
//! let summary = || http::Request::get(format!("/api/v1/nodes/{node}/proxy/stats/summary")).body(Vec::new());
//! assert!(sim.client().request::<serde_json::Value>(summary()?).await.is_err());
//! let document: serde_json::Value = sim.client().request(summary()?).await?;
//! assert_eq!(document["node"]["nodeName"], node);
//! assert_eq!(sim.kubelets().requests().summaries_by(&node, Way::Proxy), 2);
//! # sim.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod bound;
pub(crate) mod builder;
pub(crate) mod core;
pub(crate) mod direct;
mod facts;
mod fault;
mod figures;
pub(crate) mod fleet;
mod handle;
mod json;
pub(crate) mod proxy;
mod requests;
mod rights;
mod server;
mod service;
mod summary;
mod view;

#[cfg(feature = "tls")]
pub use crate::tls::Certificate;
pub use builder::KubeletServerBuilder;
pub use fault::{KubeletFault, KubeletFaults};
pub use handle::Kubelets;
pub use requests::{KubeletRequest, KubeletRequests, Way};
pub use server::KubeletServer;
