//! The first sync, on a terminal.

use std::sync::Arc;
use std::time::Duration;

use example_host::units::count;
use indicatif::{ProgressBar, ProgressStyle};
use ksm_core::Ksm;

const REDRAW: Duration = Duration::from_millis(100);

/// Shows how far the first lists are, until all are complete. Nothing is drawn where standard error is no terminal.
pub(crate) async fn until_synced(ksm: Arc<Ksm>) -> anyhow::Result<()> {
    let bar = ProgressBar::new(ksm.status().len() as u64);
    bar.set_style(ProgressStyle::with_template("listing {bar:30} {pos}/{len} resources, {msg}")?);
    let mut synced = std::pin::pin!(ksm.synced());
    while tokio::time::timeout(REDRAW, synced.as_mut()).await.is_err() {
        let statuses = ksm.status();
        let complete = statuses.iter().filter(|status| status.synced_for.is_some()).count();
        let objects: u64 = statuses
            .iter()
            .map(|status| match (status.synced_for, &status.store) {
                (Some(_), Some(store)) => store.objects as u64,
                _ => status.listing,
            })
            .sum();
        bar.set_position(complete as u64);
        bar.set_message(match statuses.iter().find(|status| status.failing) {
            None => format!("{} objects", count(objects)),
            Some(failing) => format!("{} objects; {} is failing", count(objects), failing.resource),
        });
    }
    bar.finish_and_clear();
    Ok(())
}
