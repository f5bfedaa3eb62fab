//! Kubelets of all kinds on loopback → summaries and errors.

mod answers;
mod kubelet;
mod tls;
