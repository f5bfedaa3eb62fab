//! Documents are read while objects change.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use cluster_sim::ObjectRef;

use super::support::sim;

/// Far longer than it takes: only threads that wait for each other get there.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn readers_and_writers_do_not_wait_for_each_other_for_ever() {
    const READERS: usize = 6;
    let sim = sim().await;
    let pod = ObjectRef::of(&sim.list("v1", "pods").unwrap()[0]).unwrap();
    let (done, told) = channel();
    for _ in 0..READERS {
        let (sim, done) = (sim.clone(), done.clone());
        thread::spawn(move || {
            // The one without pods: most of the time is spent on locks.
            for _ in 0..3_000 {
                sim.kubelets().summary("b").unwrap();
            }
            done.send(()).unwrap();
        });
    }
    thread::spawn(move || {
        loop {
            let pod = sim.get(&pod).unwrap().unwrap();
            sim.upsert(pod).unwrap();
        }
    });
    for _ in 0..READERS {
        told.recv_timeout(PATIENCE).expect("every reader ends");
    }
}
