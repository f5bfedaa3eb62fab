//! From an API server to a webhook.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use benches::process::Usage;
use kube_events::pipeline::Pipeline;
use kube_events::sink::webhook::{Requests, Webhook, WebhookOptions};
use kube_events::sink::{BatchOptions, OutletOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::Args;
use crate::parties::{Party, Seen};

/// How long what has happened may be under way at the end.
const PATIENCE: Duration = Duration::from_mins(1);

/// One GET, read to its end.
async fn read(url: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: webhook\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(body.to_owned())
}

pub(crate) async fn measure(args: &Args) -> Result<()> {
    let mut cluster = Party::start("--cluster", args).await?;
    let webhook = Party::start("--webhook", args).await?;
    let client = kube::Client::try_from(kube::Config::new(cluster.url.parse()?))?;
    let requests = if args.batch > 1 { Requests::Lines } else { Requests::One };
    let sink = Webhook::new(WebhookOptions { requests, ..WebhookOptions::new(format!("{}/", webhook.url)) })?;
    let batch = BatchOptions { events: args.batch, ..BatchOptions::default() };
    let options = OutletOptions { queue: 100_000, batch, ..OutletOptions::default() };
    let pipeline = Pipeline::builder(client).cluster_name("load").receiver("webhook", sink, options).spawn().await?;
    timeout(PATIENCE, pipeline.ready()).await.context("the pipeline is not synced")?;

    let (began, before) = (Instant::now(), Usage::now()?);
    println!("{:.0} MB resident before the first event", before.resident_mb);
    cluster.go().await?;
    let watched = async {
        loop {
            sleep(Duration::from_secs(5)).await;
            let (status, usage) = (pipeline.status(), Usage::now()?);
            println!(
                "{:>4} s: {} events read, {:.0} MB resident, {:.2} CPU-s",
                began.elapsed().as_secs(),
                status.events,
                usage.resident_mb,
                usage.cpu - before.cpu
            );
        }
    };
    let patience = Duration::from_secs(u64::from(args.seconds)) + PATIENCE;
    let happened = tokio::select! {
        happened = timeout(patience, cluster.next_line()) => happened.context("the cluster is too slow")??,
        error = watched => return error,
    };
    let happened: Value = serde_json::from_str(&happened)?;
    let number = |key: &str| happened.get(key).and_then(Value::as_f64).context("the cluster did not say what it did");
    let (events, seconds, gets) = (number("events")?, number("seconds")?, number("gets")?);
    let arrived = async {
        while read(&webhook.url, "/count").await?.parse::<f64>()? < events {
            sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, arrived).await.context("not all events arrive")??;
    let (took, usage) = (began.elapsed().as_secs_f64(), Usage::now()?);
    let seen: Seen = serde_json::from_str(&read(&webhook.url, "/seen").await?)?;
    let lag = |share: usize| seen.lags.get((seen.lags.len() * share / 1000).min(seen.lags.len().saturating_sub(1)));
    let ms = |share| lag(share).map_or(0.0, |micros| *micros as f64 / 1e3);
    let status = pipeline.status();
    println!("{events} events happened in {seconds:.1} s ({:.0}/s) and arrived in {took:.1} s", events / seconds);
    println!(
        "{:.0} events/s in {} requests of {:.0} bytes; {gets} reads of objects; {} arrived twice",
        seen.events as f64 / took,
        seen.requests,
        seen.bytes as f64 / seen.requests.max(1) as f64,
        seen.events as f64 - events
    );
    println!(
        "from the event to the webhook: half within {:.1} ms, 99 % {:.1} ms, all {:.1} ms",
        ms(500),
        ms(990),
        ms(1000)
    );
    let cpu = usage.cpu - before.cpu;
    println!("{:.1} CPU-s: {:.0} % of a core, {:.0} µs an event", cpu, cpu / took * 100.0, cpu / events * 1e6);
    println!("{:.0} MB resident, {:.0} MB at most", usage.resident_mb, usage.peak_mb);
    ensure!(status.outlets.iter().all(|(_, outlet)| outlet.dropped == 0), "events were dropped: {status:?}");
    pipeline.shutdown().await;
    Ok(())
}
