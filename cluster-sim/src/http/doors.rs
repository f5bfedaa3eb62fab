//! The ports of a service, which can refuse connections for a while.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Connections;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct DoorError {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

/// Ports that are open or closed, all at once.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) addresses: Vec<SocketAddr>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open {
        end: CancellationToken,
        accepting: Vec<JoinHandle<()>>,
    },
    /// Bound, so that the ports stay ours, but not listening, so that who connects is refused.
    Closed(Vec<TcpSocket>),
}

impl Doors {
    /// Take the ports; nothing listens yet.
    pub(crate) fn take(wanted: &[SocketAddr]) -> Result<Self, DoorError> {
        let sockets = bind(wanted)?;
        let addresses = sockets
            .iter()
            .zip(wanted)
            .map(|(socket, wanted)| socket.local_addr().map_err(|source| DoorError { address: *wanted, source }));
        let addresses = addresses.collect::<Result<_, _>>()?;
        Ok(Self { addresses, state: Mutex::new(State::Closed(sockets)) })
    }

    /// Let `accept` take connections until closed or stopped; nothing changes if they are taken already.
    pub(crate) fn open<F: Future<Output = ()> + Send + 'static>(
        &self,
        tracker: &TaskTracker,
        stop: &CancellationToken,
        accept: impl Fn(TcpListener, Arc<Connections>) -> F,
    ) -> Result<(), DoorError> {
        let mut state = self.state.lock();
        let State::Closed(sockets) = &mut *state else { return Ok(()) };
        let mut sockets = std::mem::take(sockets);
        if sockets.is_empty() {
            sockets = bind(&self.addresses)?;
        }
        let listen = |(socket, address): (TcpSocket, &SocketAddr)| {
            socket.listen(BACKLOG).map_err(|source| DoorError { address: *address, source })
        };
        let listeners = sockets.into_iter().zip(&self.addresses).map(listen).collect::<Result<Vec<_>, _>>()?;
        let end = stop.child_token();
        let connections = Arc::new(Connections::new(tracker.clone(), end.clone()));
        let accept = |listener| tracker.spawn(accept(listener, Arc::clone(&connections)));
        let accepting = listeners.into_iter().map(accept).collect();
        *state = State::Open { end, accepting };
        Ok(())
    }

    /// Reset every connection and refuse new ones, from the moment this returns.
    pub(crate) async fn close(&self) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Closed(Vec::new()));
        let sockets = match before {
            State::Closed(sockets) => sockets,
            State::Open { end, accepting } => {
                end.cancel();
                // The listener goes with its task.
                for task in accepting {
                    let _ = task.await;
                }
                // A port that somebody else was quick enough to take is asked for again when the door opens.
                bind(&self.addresses).unwrap_or_default()
            }
        };
        if let State::Closed(kept) = &mut *self.state.lock() {
            *kept = sockets;
        }
    }
}

fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpSocket>, DoorError> {
    let bound =
        addresses.iter().map(|address| bind_one(*address).map_err(|source| DoorError { address: *address, source }));
    bound.collect()
}

fn bind_one(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Otherwise the connections of before keep their port for a minute. Elsewhere the option shares ports.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
