//! Connections within the process: pipes, which hide no byte from a paused clock.
//!
//! Tokio's paused time moves on when every task waits. With a socket, that is also the case while bytes are under way
//! in the kernel, so that deadlines pass that should not. A pipe wakes its reader at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper_util::client::legacy::connect::{Connect, Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::connection::Abort;
use super::{Connections, Service};

/// How many bytes may be under way in each direction.
const BUFFER: usize = 64 * 1024;

/// Opens a pipe for each connection that a client asks for, whatever its URI.
pub(crate) fn connector(service: Arc<impl Service>, connections: Arc<Connections>) -> impl Connect + Clone {
    tower::service_fn(move |_: Uri| std::future::ready(connect(&service, &connections)))
}

fn connect(service: &Arc<impl Service>, connections: &Connections) -> io::Result<TokioIo<Pipe>> {
    if connections.stop.is_cancelled() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let (near, far) = tokio::io::duplex(BUFFER);
    let abort = Arc::new(Abort::default());
    connections.begin(Arc::clone(service), far, Arc::clone(&abort));
    Ok(TokioIo::new(Pipe { stream: near, abort }))
}

/// The client's end of a connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    stream: DuplexStream,
    abort: Arc<Abort>,
}

impl Pipe {
    /// The other end has gone: was that a reset?
    fn check(&self) -> io::Result<()> {
        if self.abort.is_reset() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Pipe {
    /// What was sent before a reset is still read, as from a socket.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let ended = buf.filled().len() == before && buf.remaining() > 0;
        Poll::Ready(if ended { self.check() } else { Ok(()) })
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
