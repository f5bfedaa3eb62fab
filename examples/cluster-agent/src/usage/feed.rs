//! Documents of kubelets → events of a watch: what is new, and what is no more.

use std::collections::HashMap;
use std::sync::Arc;

use futures::channel::mpsc::Sender;
use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use kube::runtime::watcher::Event;
use kubelet_summary::inventory::PodUid;
use kubelet_summary::{Document, KubeletSummary, Summary, SummaryChange};

use super::object::Usage;
use crate::scope::Namespaces;

/// What is shown of a node: its document, and the uids of its objects.
struct Shown {
    document: Arc<Summary>,
    uids: Vec<Arc<str>>,
}

/// Whoever listened has gone: everything is ending.
struct Closed;

struct Feed {
    summary: KubeletSummary,
    namespaces: Namespaces,
    out: Sender<Event<Usage>>,
    /// By node, as many as there are.
    shown: HashMap<Arc<str>, Shown>,
}

/// Tells what documents have, as they come in, until everything ends. A node that gives none for twice the interval has
/// no series any more.
pub(super) async fn feed(summary: KubeletSummary, namespaces: Namespaces, out: Sender<Event<Usage>>) {
    let mut changes = summary.subscribe();
    let mut feed = Feed { summary, namespaces, out, shown: HashMap::new() };
    // What is known is empty, and complete: figures come as they come, and nobody waits for the slowest kubelet.
    let begun = async {
        feed.tell(Event::Init).await?;
        feed.tell(Event::InitDone).await?;
        feed.catch_up().await
    };
    if begun.await.is_err() {
        return;
    }
    while let Some(change) = changes.next().await {
        let told = match change {
            SummaryChange::Attempted(answer) => feed.put(answer.node, answer.outcome.document().cloned()).await,
            SummaryChange::Removed { node } => feed.put(node, None).await,
            // Some were missed: any node's may be among them.
            _ => feed.catch_up().await,
        };
        if told.is_err() {
            return;
        }
    }
}

impl Feed {
    async fn tell(&mut self, event: Event<Usage>) -> Result<(), Closed> {
        self.out.send(event).await.map_err(|_| Closed)
    }

    async fn catch_up(&mut self) -> Result<(), Closed> {
        let known = self.summary.cache().known();
        let is_known = |node: &Arc<str>| known.iter().any(|answer| answer.node == *node);
        let left: Vec<Arc<str>> = self.shown.keys().filter(|node| !is_known(node)).cloned().collect();
        for node in left {
            self.put(node, None).await?;
        }
        for answer in known {
            self.put(answer.node, answer.outcome.document().cloned()).await?;
        }
        Ok(())
    }

    /// Takes a node's newest document; none: it has none that may be shown.
    async fn put(&mut self, node: Arc<str>, told: Option<Document>) -> Result<(), Closed> {
        let (document, requested) = match told {
            Some(Document { summary, requested_at, .. }) => (Some(summary), requested_at),
            None => (None, Timestamp::UNIX_EPOCH),
        };
        let before = self.shown.remove(&node);
        if let (Some(before), Some(document)) = (&before, &document)
            && Arc::ptr_eq(&before.document, document)
        {
            // An attempt that failed: what was known stays for a while.
            self.shown.extend(Some((node, Shown { document: document.clone(), uids: before.uids.clone() })));
            return Ok(());
        }
        let mut uids = Vec::new();
        if let Some(document) = &document {
            let usage = Usage::of_node(document.clone(), requested);
            uids.push(usage.uid().into());
            self.tell(Event::Apply(usage)).await?;
            for index in 0..document.pods.len() {
                if let Some(usage) = self.pod(document, index) {
                    uids.push(usage.uid().into());
                    self.tell(Event::Apply(usage)).await?;
                }
            }
        }
        let mut left: Vec<Arc<str>> = before.map(|shown| shown.uids).unwrap_or_default();
        if !left.is_empty() {
            let stay: std::collections::HashSet<&Arc<str>> = uids.iter().collect();
            left.retain(|uid| !stay.contains(uid));
        }
        for uid in left {
            self.tell(Event::Delete(Usage::gone(&uid))).await?;
        }
        if let Some(document) = document {
            self.shown.insert(node, Shown { document, uids });
        }
        Ok(())
    }

    fn pod(&self, document: &Arc<Summary>, index: usize) -> Option<Usage> {
        let pod = &document.pods.get(index)?.pod_ref;
        if !self.namespaces.admit(pod.namespace()) {
            return None;
        }
        // Static pods have another uid at their kubelet than at the API server.
        let known = self.summary.inventory().pod(&PodUid::new(pod.uid()));
        let resources = known.as_ref().map(|known| known.resources().amounts());
        match &known {
            Some(known) => Usage::of_pod(document.clone(), index, &known.uid().to_string(), resources),
            None => Usage::of_pod(document.clone(), index, pod.uid(), resources),
        }
    }
}
