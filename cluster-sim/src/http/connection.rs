//! Connections that can be cut: what a crash, a firewall or a full table does to a client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The switch that resets a connection instead of closing it.
#[derive(Debug, Default)]
pub(crate) struct Abort(AtomicBool);

impl Abort {
    /// From now on, the connection's end is a reset (RST), not a close (FIN).
    pub(crate) fn reset(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What carries a connection's bytes.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Make the end, which is about to come, a reset.
    fn reset(&self);
}

impl Wire for TcpStream {
    fn reset(&self) {
        // Without lingering the kernel sends RST at the close. If it cannot be set, the client sees FIN: an end in the
        // middle of the body all the same.
        let _ = self.set_zero_linger();
    }
}

impl Wire for DuplexStream {
    /// A pipe knows no reset: its [client's end](super::memory::Pipe) asks the switch.
    fn reset(&self) {}
}

/// The server's end of a connection.
#[derive(Debug)]
pub(crate) struct Connection<S: Wire> {
    stream: S,
    abort: Arc<Abort>,
    /// Cancelled when all connections are reset: of what happens from then on, nothing is written.
    end: CancellationToken,
}

impl<S: Wire> Connection<S> {
    pub(crate) fn new(stream: S, abort: Arc<Abort>, end: CancellationToken) -> Self {
        Self { stream, abort, end }
    }

    fn is_reset(&self) -> bool {
        self.abort.is_reset() || self.end.is_cancelled()
    }

    fn check(&self) -> io::Result<()> {
        if self.is_reset() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl<S: Wire> Drop for Connection<S> {
    fn drop(&mut self) {
        if self.is_reset() {
            self.stream.reset();
        }
    }
}

impl<S: Wire> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: Wire> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
