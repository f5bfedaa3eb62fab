//! What plugins ask for of their own accord, where no node answers it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures::FutureExt;
use parking_lot::Mutex;

use super::api::UpdateContainersRequest;
use super::server::Update;

/// How many requests are kept.
const KEPT: usize = 65_536;

/// The requests for updates of a plugin that is driven call by call. They are done at once, but for those of containers
/// that are said not to be there.
#[derive(Debug, Clone, Default)]
pub struct Updates {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    asked: VecDeque<UpdateContainersRequest>,
    missing: HashSet<String>,
}

impl Updates {
    /// Has the updates of this container fail from now on.
    pub fn fail(&self, container: impl Into<String>) {
        self.inner.lock().missing.insert(container.into());
    }

    /// The requests that came, which are forgotten; the newest 65,536 at most.
    pub fn take(&self) -> Vec<UpdateContainersRequest> {
        self.inner.lock().asked.drain(..).collect()
    }

    pub(super) fn update(&self) -> Update {
        let updates = self.clone();
        Arc::new(move |request| {
            let mut inner = updates.inner.lock();
            let missing = |id: &String| inner.missing.contains(id);
            let failed = request.update.iter().filter(|update| missing(&update.container_id)).cloned().collect();
            if inner.asked.len() == KEPT {
                inner.asked.pop_front();
            }
            inner.asked.push_back(request);
            std::future::ready(Ok(failed)).boxed()
        })
    }
}
