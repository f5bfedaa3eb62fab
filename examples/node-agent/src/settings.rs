//! What holds now, for parts that follow it while they run; and the file that changes it.

use std::sync::Arc;
use std::time::Duration;

use example_host::config::{Configuration, Entry, restarting};
use example_host::files::FileWatch;
use tokio::sync::watch;

use crate::flags::{Flags, Source};

/// The flags as they are, and when they become others.
#[derive(Debug, Clone)]
pub(crate) struct Settings(watch::Receiver<Arc<Flags>>);

impl Settings {
    /// The flags by now: only what comes after them is new.
    pub(crate) fn current(&mut self) -> Arc<Flags> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Waits until they are as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Flags) -> bool) {
        if self.0.wait_for(|flags| wanted(flags)).await.is_err() {
            // Nobody changes them any more.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for that long, or for a change.
    pub(crate) async fn pause(&mut self, long: Duration) {
        let changed = async {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(long, changed).await;
    }
}

/// Whoever changes the settings.
#[derive(Debug)]
pub(crate) struct Followed {
    source: Source,
    started: Vec<Entry>,
    sender: watch::Sender<Arc<Flags>>,
    pub(crate) configuration: Configuration,
}

impl Followed {
    pub(crate) fn new(source: Source, flags: Flags, started: Vec<Entry>) -> (Self, Settings) {
        let (sender, receiver) = watch::channel(Arc::new(flags));
        let configuration = Configuration::new(source.config.clone());
        (Self { source, started, sender, configuration }, Settings(receiver))
    }

    /// Takes up what the file says, again and again.
    pub(crate) async fn follow(self) {
        let Some(file) = self.source.config.clone() else { return std::future::pending().await };
        let mut watch = FileWatch::new([file]);
        loop {
            watch.changed().await;
            let outcome = self.source.all().map(|(mut flags, entries)| {
                // What was found out at the start.
                flags.node_name.clone_from(&self.sender.borrow().node_name);
                self.sender.send_replace(Arc::new(flags));
                restarting(&self.source.given, &self.started, &entries)
            });
            self.configuration.read_anew(outcome);
        }
    }
}
