//! What can go wrong with a simulator.

use std::io;
use std::net::SocketAddr;

use crate::api::status::Status;

/// Why a simulator could not start, or did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The port could not be opened.
    #[error("cannot listen on 127.0.0.1:{port}: choose another port, or 0 for any free one")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The port of a metadata service could not be opened.
    #[error("no metadata service can listen on {address}: choose another port, or leave IPv6 out where there is none")]
    MetadataListen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The port of a kubelet could not be opened.
    #[error(
        "no kubelet can listen on {address}: choose another port, or 0 for any free one; for many nodes raise the \
             limit of open files"
    )]
    KubeletListen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A kubelet was to serve TLS, and cannot.
    #[error("the kubelet of {node:?} cannot serve TLS: build cluster-sim with its feature tls, or serve plain HTTP")]
    NoTls {
        /// The node's name.
        node: String,
    },
    /// A serving certificate, or that of the cluster's authority, could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no node of this name.
    #[error("there is no node {0:?}")]
    UnknownNode(String),
    /// A node is not a virtual machine of a cloud that is simulated.
    #[error(
        "the node {node:?} is no machine of a known cloud: its spec.providerID is {provider_id:?}, not aws:///ZONE/ID, \
             gce://PROJECT/ZONE/NAME or azure:///subscriptions/…"
    )]
    NoMachine {
        /// The node's name.
        node: String,
        /// Its `spec.providerID`; empty if it has none.
        provider_id: String,
    },
    /// An object is not one: it lacks a name or a kind, or has fields of the wrong type.
    #[error("the object is not usable: {0}")]
    Object(String),
    /// No resource of this kind is served; create its CustomResourceDefinition first.
    #[error("no resource serves {kind} of {api_version}: create its CustomResourceDefinition first")]
    UnknownKind {
        /// The object's `apiVersion`.
        api_version: String,
        /// The object's `kind`.
        kind: String,
    },
    /// The API refused.
    #[error("the API refused: {0}")]
    Api(#[from] Status),
    /// A client for the simulator could not be built.
    #[error("cannot build a client for the simulator")]
    Client(#[source] Box<kube::Error>),
}
