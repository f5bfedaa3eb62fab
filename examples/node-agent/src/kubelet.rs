//! What the node's kubelet says.

use std::sync::Arc;
use std::time::Duration;

use example_host::page::Health;
use kubelet_summary::exposition::{Family, collect, collect_requested};
use kubelet_summary::fetch::{AddressType, Direct, DirectError, NodeTarget, Token, Trust};
use kubelet_summary::storage::Attribution;
use kubelet_summary::{Document, NodeOutcome, Summary, SummaryCache};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::flags::Flags;
use crate::parts::{Backoff, State, chain};
use crate::settings::Settings;
use crate::text::Text;

/// How often the cache is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where the kubelet is, and who is believed to be it.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) node: NodeTarget,
    pub(crate) trust: Option<Trust>,
    pub(crate) token: Option<Token>,
}

impl Way {
    pub(crate) fn of(flags: &Flags, node: &str) -> Self {
        let address = flags.kubelet_address.as_deref().unwrap_or("127.0.0.1");
        let node = NodeTarget::new(node).address(AddressType::InternalIp, address).port(flags.kubelet_port);
        let trust = flags.kubelet_ca.clone().map(Trust::PemFile);
        let trust = if flags.kubelet_insecure { Some(Trust::Insecure) } else { trust };
        Self { node, trust, token: flags.kubelet_token_file.clone().map(Token::File) }
    }

    fn fetcher(&self) -> Result<Direct, DirectError> {
        let mut direct = Direct::builder();
        if let Some(trust) = &self.trust {
            direct = direct.trust(trust.clone());
        }
        if let Some(token) = &self.token {
            direct = direct.token(token.clone());
        }
        direct.build()
    }
}

/// The kubelet's documents.
#[derive(Debug, Default)]
pub(crate) struct Kubelet {
    last: Mutex<Option<Document>>,
}

impl Kubelet {
    /// Asks until `stop`, by another way when the settings say another; `simulated` is the way whatever they say.
    pub(crate) async fn run(
        &self,
        mut settings: Settings,
        simulated: Option<Way>,
        node: &str,
        state: &State,
        stop: CancellationToken,
    ) {
        let mut backoff = Backoff::new();
        while !stop.is_cancelled() {
            let flags = settings.current();
            let way = simulated.clone().unwrap_or_else(|| Way::of(&flags, node));
            let built = way.fetcher().map_err(|error| chain(&error));
            let spawned = built.and_then(|direct| {
                SummaryCache::builder(direct).ttl(flags.kubelet_interval).spawn().map_err(|error| chain(&error))
            });
            let differs = settings.until(|other| other.asks() != flags.asks());
            match spawned {
                Ok(cache) => {
                    cache.put(&way.node);
                    let asking = async {
                        // At once: a cache waits for each node's place in a round, and here there is one node.
                        let _ = cache.get(&way.node).await;
                        let mut turns = tokio::time::interval(LOOK);
                        loop {
                            turns.tick().await;
                            self.look(cache.peek(&way.node.name), state);
                        }
                    };
                    tokio::select! { () = asking => {}, () = differs => {}, () = stop.cancelled() => {} }
                    cache.shutdown().await;
                    backoff = Backoff::new();
                }
                Err(error) => {
                    state.failed(error);
                    let pause = tokio::time::sleep(backoff.next());
                    tokio::select! { () = pause => {}, () = differs => {}, () = stop.cancelled() => {} }
                }
            }
        }
    }

    fn look(&self, outcome: Option<NodeOutcome>, state: &State) {
        let Some(outcome) = outcome else { return };
        // A new way has not been heard of yet: what came by the old one holds until then.
        let unheard = matches!(&outcome, NodeOutcome::Missing { reason, last: None } if reason.error().is_none());
        if unheard && self.last.lock().is_some() {
            return;
        }
        *self.last.lock() = outcome.document().cloned();
        if let Some(document) = outcome.document() {
            let (pods, age) = (document.summary.pods.len(), document.age.as_secs());
            state.detail(format!("{pods} pods, {}", example_host::units::ago(age)));
        }
        let reason = outcome.reason().map(|reason| match reason.error() {
            Some(error) => chain(&**error),
            None => reason.to_string(),
        });
        match (&outcome, reason) {
            (NodeOutcome::Fresh(_), _) => state.ok(),
            // The next attempt is under way.
            (NodeOutcome::Stale { reason, .. }, _) if reason.error().is_none() => state.ok(),
            (NodeOutcome::Stale { .. }, reason) => state.set(Health::Degraded, reason),
            (NodeOutcome::Missing { reason, last: None }, _) if reason.error().is_none() => {
                state.set(Health::Starting, None);
            }
            (NodeOutcome::Missing { .. }, reason) => state.failed(reason.unwrap_or_default()),
        }
    }

    /// The last document that may be used.
    pub(crate) fn summary(&self) -> Option<Arc<Summary>> {
        self.last.lock().as_ref().map(|document| document.summary.clone())
    }

    /// Its families. The samples' own times are left out: Prometheus gives them a scrape's.
    pub(crate) fn metrics(&self, text: &mut Text) {
        let Some(Document { summary, requested_at, .. }) = self.last.lock().clone() else { return };
        let mut emit = |family: &'static Family, labels: &[(&str, &str)], value: f64, _: Option<i64>| {
            text.sample((family.name, family.kind.name(), family.help), labels, value);
        };
        collect_requested(&summary.node.node_name, requested_at, &mut emit);
        collect(&summary, Attribution::Measured, |_| None, &mut emit);
    }
}
