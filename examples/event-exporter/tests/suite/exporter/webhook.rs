//! A webhook on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::support::PATIENCE;

/// What it takes, in order.
pub(crate) struct Webhook {
    pub(crate) url: String,
    taken: Mutex<mpsc::UnboundedReceiver<(String, Value)>>,
    refuses: Arc<AtomicBool>,
}

impl Webhook {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (out, taken) = mpsc::unbounded_channel();
        let refuses = Arc::new(AtomicBool::new(false));
        let refusing = refuses.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (out, refusing) = (out.clone(), refusing.clone());
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (out, refusing) = (out.clone(), refusing.clone());
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await?.to_bytes();
                        let mut response = Response::new(Empty::<Bytes>::new());
                        if refusing.load(Ordering::SeqCst) {
                            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                        } else {
                            let _ = out.send((path, serde_json::from_slice(&body).unwrap_or_default()));
                        }
                        Ok::<_, hyper::Error>(response)
                    }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { url, taken: Mutex::new(taken), refuses }
    }

    /// Whether it answers 503.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    /// What comes next: its path and its body.
    pub(crate) async fn next(&self) -> (String, Value) {
        timeout(PATIENCE, self.taken.lock().await.recv()).await.expect("it is called").unwrap()
    }
}
