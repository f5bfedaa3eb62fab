//! What one connection is at, and for how long: the deadlines of a slow or silent client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::server::Timeouts;

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// A request's head has begun to come in.
    Reading,
    /// A request is being answered.
    Answering,
}

/// The phase of a connection and since when; shared by all that see it change.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<watch::Sender<(Phase, Instant)>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new((Phase::Idle, Instant::now()))))
    }

    fn enter(&self, phase: Phase) {
        self.0.send_replace((phase, Instant::now()));
    }

    pub(crate) fn answering(&self) {
        self.enter(Phase::Answering);
    }

    /// The first bytes after a pause.
    fn received(&self) {
        self.0.send_if_modified(|(phase, since)| {
            let begins = *phase == Phase::Idle;
            if begins {
                (*phase, *since) = (Phase::Reading, Instant::now());
            }
            begins
        });
    }

    /// Ends when a phase lasts too long.
    pub(crate) async fn overdue(&self, timeouts: Timeouts) {
        let mut changes = self.0.subscribe();
        loop {
            let (phase, since) = *changes.borrow_and_update();
            let deadline = since + timeouts.of(phase);
            tokio::select! {
                // On a machine that stalled, both are ready: what was done in time counts.
                biased;
                // The sender lives as long as `self`.
                _ = changes.changed() => {}
                () = sleep_until(deadline) => return,
            }
        }
    }
}

impl Timeouts {
    fn of(self, phase: Phase) -> Duration {
        match phase {
            Phase::Idle => self.idle,
            Phase::Reading => self.read_header,
            Phase::Answering => self.write,
        }
    }
}

/// A stream that tells when a request begins to come in.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    pub(crate) stream: S,
    pub(crate) progress: Progress,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.progress.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A body that tells when it was taken.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    progress: Progress,
}

impl Answer {
    pub(crate) fn new(body: Body, progress: Progress) -> Self {
        Self { body, progress }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.progress.enter(Phase::Idle);
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
