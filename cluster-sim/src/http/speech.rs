//! How a port is spoken to.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::{Connections, Service};
#[cfg(feature = "tls")]
use crate::tls::Tls;

#[derive(Clone, Debug)]
pub(crate) enum Speech {
    Http,
    #[cfg(feature = "tls")]
    Tls(Arc<Tls>),
}

impl Speech {
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Http => "http",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "https",
        }
    }

    /// Serve a connection, once it is agreed on how to speak.
    pub(crate) fn begin(&self, service: &Arc<impl Service>, stream: TcpStream, connections: &Arc<Connections>) {
        let service = Arc::clone(service);
        match self {
            Self::Http => connections.begin(service, stream, Arc::default()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let (shaken, later) = (tls.accept(stream), Arc::clone(connections));
                connections.prepare(async move {
                    match shaken.await {
                        Ok(stream) => later.begin(service, stream, Arc::default()),
                        Err(error) => tracing::debug!(%error, "a client did not agree on TLS"),
                    }
                });
            }
        }
    }
}
