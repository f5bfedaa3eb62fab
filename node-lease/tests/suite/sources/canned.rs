//! What answers every request the same way: no cloud, or one that the simulator does not play.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// A listener on loopback. Each connection is for one request.
pub(crate) struct Canned {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Canned {
    /// `answer` makes the answer to a request's first line (`GET /path HTTP/1.1`). After an empty one the connection
    /// stays open, and its client waits.
    pub(crate) async fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, asked) = (format!("http://{}", listener.local_addr().unwrap()), Arc::<Mutex<Vec<String>>>::default());
        let log = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            let mut waiting = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let line = first_line(&mut stream).await;
                let answer = answer(&line);
                log.lock().push(line);
                // Whoever is gone needs no answer.
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    waiting.push(stream);
                }
            }
        });
        Self { url, asked, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// The first lines of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    pub(crate) fn count(&self, begin: &str) -> usize {
        self.asked.lock().iter().filter(|line| line.starts_with(begin)).count()
    }
}

async fn first_line(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
    String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned()
}

/// An answer: a status as `200 OK`, headers of which each ends its line, and a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}
