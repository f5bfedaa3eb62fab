//! A cluster that lives while it is watched and scraped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use benches::process::Usage;
use ksm_core::{GzipCache, Ksm};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{Agent, SimSize, scraped, serve, start_sim};

/// All default resources of a cluster in which something happens all the time.
#[derive(Debug, clap::Args)]
pub(crate) struct Live {
    /// Nodes in the cluster.
    #[arg(long, default_value_t = 5_000)]
    nodes: u32,
    /// Pods in the cluster.
    #[arg(long, default_value_t = 50_000)]
    pods: u32,
    /// Events per second.
    #[arg(long, default_value_t = 500.0)]
    events: f64,
    /// How long to watch once all lists are complete.
    #[arg(long, default_value_t = 90)]
    seconds: u64,
    /// Seconds between two scrapes.
    #[arg(long, default_value_t = 15)]
    scrape_every: u64,
    /// Give up when the lists are not complete after that many seconds.
    #[arg(long, default_value_t = 300)]
    give_up: u64,
}

/// What is measured. CPU is user and system time of the agent's process.
#[derive(Debug, Default, Serialize)]
pub(crate) struct LiveReport {
    nodes: u32,
    pods: u32,
    resources: usize,
    objects: usize,
    samples: u64,
    wall_until_complete_s: f64,
    cpu_until_complete_s: f64,
    peak_until_complete_mb: f64,
    /// As the agent saw them, once complete.
    events_per_s: f64,
    scrapes: u32,
    scrape_bytes: u64,
    scrape_wall_max_s: f64,
    /// Cores, on average, once complete: events and scrapes together.
    cpu_cores: f64,
    resident_max_mb: f64,
    peak_mb: f64,
    store_mb: f64,
    relists: u64,
    errors: u64,
}

impl Live {
    pub(crate) async fn measure(&self) -> Result<LiveReport> {
        let size = SimSize { pods: self.pods, nodes: Some(self.nodes), mixed: true, events: self.events };
        let (_sim, client) = start_sim(&size).await?;
        let before = Usage::now()?;
        let began = Instant::now();
        let ksm = Arc::new(Ksm::builder().client(client).default_resources()?.spawn()?);
        let agent = Arc::new(Agent { ksm: ksm.clone(), parts: GzipCache::new() });
        let (address, server) = serve(agent).await?;
        let complete = tokio::time::timeout(Duration::from_secs(self.give_up), ksm.synced()).await;
        ensure!(complete.is_ok(), "the lists are not complete after {} s", self.give_up);
        let synced = Usage::now()?;
        let lists = |ksm: &Ksm| ksm.status().iter().map(|status| status.lists).sum::<u64>();
        let events = |ksm: &Ksm| ksm.status().iter().map(|status| status.events).sum::<u64>();
        let mut report = LiveReport {
            nodes: self.nodes,
            pods: self.pods,
            resources: ksm.status().len(),
            wall_until_complete_s: began.elapsed().as_secs_f64(),
            cpu_until_complete_s: synced.cpu - before.cpu,
            peak_until_complete_mb: synced.peak_mb,
            ..LiveReport::default()
        };
        let (first_lists, first_events, live) = (lists(&ksm), events(&ksm), Instant::now());
        let mut ticks = interval(Duration::from_secs(self.scrape_every.max(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while live.elapsed() < Duration::from_secs(self.seconds) {
            ticks.tick().await;
            let at = Instant::now();
            (report.scrape_bytes, _) = scraped(&address, 1).await?;
            report.scrapes += 1;
            report.scrape_wall_max_s = report.scrape_wall_max_s.max(at.elapsed().as_secs_f64());
            // Between two scrapes memory is what a host sees.
            sleep(Duration::from_secs(1)).await;
            report.resident_max_mb = report.resident_max_mb.max(Usage::now()?.resident_mb);
        }
        let (end, lasted) = (Usage::now()?, live.elapsed().as_secs_f64());
        let status = ksm.status();
        let stores = || status.iter().filter_map(|status| status.store.as_ref());
        report.objects = stores().map(|store| store.objects).sum();
        report.samples = stores().map(|store| store.samples).sum();
        report.store_mb = stores().map(|store| store.bytes).sum::<usize>() as f64 / 1e6;
        report.events_per_s = (events(&ksm) - first_events) as f64 / lasted;
        report.cpu_cores = (end.cpu - synced.cpu) / lasted;
        report.peak_mb = end.peak_mb;
        report.relists = lists(&ksm) - first_lists;
        report.errors = status.iter().map(|status| status.errors).sum();
        server.abort();
        ksm.shutdown().await;
        Ok(report)
    }
}
