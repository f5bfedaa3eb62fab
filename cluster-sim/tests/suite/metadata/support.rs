//! A client that sees answers as they are: one connection per request, read to its end.

use std::io;
use std::time::Duration;

use cluster_sim::metadata::MetadataServer;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, and the text of a success.
    pub(crate) fn told(&self) -> (u16, &str) {
        (self.code, if self.code == 200 { self.text() } else { "" })
    }
}

/// Ask a service by its URL. No answer at all is an error.
pub(crate) async fn ask(url: &str, method: &Method, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await?;
    let headers: String = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await?;
    parse(&received).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn parse(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(received.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let code = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    Some(Answer { code, headers: headers.collect::<Option<_>>()?, body: received.get(end + 4..)?.to_vec() })
}

/// Get from a service.
pub(crate) async fn get(service: &MetadataServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(&service.url(), &Method::GET, path, headers).await.unwrap()
}

pub(crate) const TOKEN_PATH: &str = "/latest/api/token";
pub(crate) const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
pub(crate) const TOKEN: &str = "X-aws-ec2-metadata-token";

/// Ask EC2 for a token that holds so many seconds.
pub(crate) async fn put_token(service: &MetadataServer, ttl: &str) -> Answer {
    ask(&service.url(), &Method::PUT, TOKEN_PATH, &[(TTL, ttl)]).await.unwrap()
}

/// Get from EC2 with a token of six hours.
pub(crate) async fn get_by_token(service: &MetadataServer, path: &str) -> Answer {
    let token = put_token(service, "21600").await;
    get(service, path, &[(TOKEN, token.text())]).await
}

/// Wait until something is so. Not for tests that pause the clock.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it is so in time");
}
