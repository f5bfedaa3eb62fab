//! A client that scrapes, as a Prometheus does.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use memchr::memmem;

/// One answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scrape {
    /// As they came over the wire.
    pub bytes: u64,
    /// Samples of `kube_pod_info`; of a compressed answer they are not counted.
    pub pods: u64,
    /// Until all of it had come.
    pub wall: Duration,
}

/// The longest answer that is kept.
const LONGEST: usize = 64 << 20;

fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Reads what a short answer says.
pub async fn get(url: &str) -> Result<Bytes> {
    let answer = client().request(http::Request::get(url).body(Empty::new())?).await?;
    ensure!(answer.status().is_success(), "{url} answers {}", answer.status());
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|error| anyhow!("{url}: {error}"))?.to_bytes())
}

/// Scrapes `url` once: reads all, and keeps nothing.
pub async fn scrape(url: &str, gzip: bool) -> Result<Scrape> {
    let mut request = http::Request::get(url);
    if gzip {
        request = request.header("accept-encoding", "gzip");
    }
    let began = Instant::now();
    let answer = client().request(request.body(Empty::new())?).await?;
    ensure!(answer.status().is_success(), "{url} answers {}", answer.status());
    let encoded = answer.headers().get("content-encoding").is_some_and(|value| value == "gzip");
    ensure!(encoded == gzip, "{url} was asked {} gzip and answers otherwise", if gzip { "for" } else { "without" });
    let mut body = answer.into_body();
    let mut scrape = Scrape::default();
    let (sample, mut rest) = (b"\nkube_pod_info{", Vec::new());
    let finder = memmem::Finder::new(sample);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        scrape.bytes += data.len() as u64;
        if !gzip {
            // A sample's beginning may lie across two frames.
            rest.extend_from_slice(&data);
            scrape.pods += finder.find_iter(&rest).count() as u64;
            let keep = rest.len().min(sample.len() - 1);
            rest.drain(..rest.len() - keep);
        }
    }
    scrape.wall = began.elapsed();
    Ok(scrape)
}
