//! Asks all nodes by itself, each at its own time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::pace::Pace;
use super::table::Due;
use super::{Shared, flight};

/// Asks for ever. A node is in the heap once; it leaves it when its time comes and it is gone.
pub(super) async fn run(shared: Arc<Shared>, mut pace: Pace) {
    let mut heap: BinaryHeap<Reverse<(Instant, Arc<str>, u64)>> = BinaryHeap::new();
    loop {
        let now = Instant::now();
        let news = shared.table.lock().news();
        let welcome = pace.welcome(news.len(), now);
        for (name, generation) in news {
            heap.push(Reverse((pace.first(&name, now, welcome), name, generation)));
        }
        while let Some(Reverse((at, ..))) = heap.peek()
            && *at <= now
            && let Some(Reverse((_, name, generation))) = heap.pop()
        {
            let due = shared.table.lock().due(&name, generation, now, &pace);
            let next = match due {
                Due::Gone => continue,
                Due::Later(at) => at.max(now + std::time::Duration::from_millis(1)),
                Due::Launch(job) => {
                    shared.tasks.spawn(flight::fly(shared.clone(), job));
                    now + pace.recheck()
                }
            };
            heap.push(Reverse((next, name, generation)));
        }
        let next = heap.peek().map(|Reverse((at, ..))| *at);
        tokio::select! {
            () = shared.news.notified() => {}
            () = async { sleep_until(next.unwrap_or(now)).await }, if next.is_some() => {}
        }
    }
}
