//! A server that answers as it is told, and keeps what it was sent.

use std::collections::VecDeque;
use std::sync::Arc;

use kube_events::sink::{Delivery, DeliveryError};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These bytes, and the end.
    Text(String),
    /// Nothing at all.
    Hang,
    /// The connection is broken off.
    Reset,
}

/// An answer with a status line, more headers, each with its end, and a body.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Text(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &&str| line.split_once(": ").is_some_and(|(it, _)| it.eq_ignore_ascii_case(name));
        self.head.lines().find(line).map(|line| line.split_once(": ").unwrap().1)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Ends when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Gives these answers, one for each request, and then 200.
    pub(crate) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut replies: VecDeque<_> = replies.into_iter().collect();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let kept = Arc::clone(&requests);
        let serve = async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let reply = replies.pop_front().unwrap_or_else(|| self::reply("200 OK", "", ""));
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    if let Reply::Reset = reply {
                        // Nothing is kept, so that the far side gets a reset.
                        let _ = socket.read(&mut [0; 16]).await;
                        return;
                    }
                    exchange(&mut socket, reply, &kept).await;
                });
            }
        };
        Self { url, requests, task: tokio::spawn(serve).abort_handle() }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }
}

/// Reads a request and answers it.
pub(crate) async fn exchange(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    reply: Reply,
    kept: &Mutex<Vec<Request>>,
) {
    let mut text = Vec::new();
    let end = loop {
        if let Some(end) = text.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut text).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(text[..end].to_vec()).unwrap();
    let mut request = Request { head, body: text[end..].to_vec() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while request.body.len() < length {
        assert!(socket.read_buf(&mut request.body).await.unwrap() > 0);
    }
    kept.lock().push(request);
    match reply {
        Reply::Text(text) => {
            let _ = socket.write_all(text.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
        Reply::Hang | Reply::Reset => std::future::pending().await,
    }
}

/// What became of a delivery, in a word, with the pause that was asked for in seconds.
pub(crate) fn outcome(delivered: &Result<Delivery, DeliveryError>) -> (&'static str, Option<u64>) {
    match delivered {
        Ok(delivery) if *delivery == Delivery::default() => ("taken", None),
        Ok(delivery) if delivery.again.is_empty() => ("refused", None),
        Ok(_) => ("again", None),
        Err(DeliveryError::Again { after, .. }) => ("again", after.map(|after| after.as_secs())),
        Err(DeliveryError::Refused { .. }) => ("refused", None),
        Err(_) => ("other", None),
    }
}
