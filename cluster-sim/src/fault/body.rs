//! Spoiling bodies: reset in the middle, truncated, trickled.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};

use super::BodyFault;
use crate::http::connection::Abort;
use crate::http::reply::{BodyError, BodyStream};

/// `body` as `fault` lets it through.
pub(crate) fn spoil(body: BodyStream, fault: BodyFault, abort: &Arc<Abort>) -> BodyStream {
    let body = match (fault.reset, fault.truncate) {
        (true, _) => cut(body, Some(Arc::clone(abort))),
        (false, true) => cut(body, None),
        (false, false) => body,
    };
    match fault.trickle {
        Some((bytes, interval)) => trickle(body, bytes, interval).boxed(),
        None => body,
    }
}

/// The first half of the first piece, then the end: a proper one, or a reset connection.
fn cut(mut body: BodyStream, abort: Option<Arc<Abort>>) -> BodyStream {
    let half = async move {
        let first = body.next().await.and_then(Result::ok).unwrap_or_default();
        Ok(first.slice(..first.len() / 2))
    };
    let end = stream::once(async move {
        // The connection writes what it has when the body makes it wait; only then is there something to cut.
        tokio::task::yield_now().await;
        if let Some(abort) = &abort {
            abort.reset();
        }
        abort
    })
    .filter_map(|abort| async move { abort.map(|_| Err(BodyError)) });
    stream::once(half).chain(end).boxed()
}

fn trickle(
    body: BodyStream,
    bytes: usize,
    interval: std::time::Duration,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    let pieces = body.flat_map(move |piece| match piece {
        Ok(mut rest) => {
            let mut pieces = Vec::with_capacity(rest.len() / bytes + 1);
            while !rest.is_empty() {
                pieces.push(Ok(rest.split_to(bytes.min(rest.len()))));
            }
            stream::iter(pieces)
        }
        Err(error) => stream::iter(vec![Err(error)]),
    });
    pieces.then(move |piece| async move {
        tokio::time::sleep(interval).await;
        piece
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn body() -> BodyStream {
        stream::iter([Ok(Bytes::from_static(b"0123456789")), Ok(Bytes::from_static(b"abc"))]).boxed()
    }

    async fn read(body: BodyStream) -> Vec<Result<Bytes, BodyError>> {
        body.collect().await
    }

    #[tokio::test]
    async fn truncated_ends_within_the_first_piece() {
        let fault = BodyFault { truncate: true, ..BodyFault::default() };
        let abort = Arc::new(Abort::default());
        assert_eq!(read(spoil(body(), fault, &abort)).await, [Ok(Bytes::from_static(b"01234"))]);
        assert!(!abort.is_reset());
    }

    #[tokio::test]
    async fn reset_fails_within_the_first_piece() {
        let fault = BodyFault { reset: true, ..BodyFault::default() };
        let abort = Arc::new(Abort::default());
        assert_eq!(read(spoil(body(), fault, &abort)).await, [Ok(Bytes::from_static(b"01234")), Err(BodyError)]);
        assert!(abort.is_reset());
    }

    #[tokio::test(start_paused = true)]
    async fn trickled_takes_its_time() {
        let fault = BodyFault { trickle: Some((4, Duration::from_secs(1))), ..BodyFault::default() };
        let started = tokio::time::Instant::now();
        let pieces = read(spoil(body(), fault, &Arc::new(Abort::default()))).await;
        assert_eq!(pieces.concat_bytes(), b"0123456789abc");
        assert_eq!(started.elapsed(), Duration::from_secs(4));
    }

    trait Concat {
        fn concat_bytes(&self) -> Vec<u8>;
    }

    impl Concat for Vec<Result<Bytes, BodyError>> {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flatten().flat_map(|piece| piece.to_vec()).collect()
        }
    }
}
