//! Which pods a question is about.

use std::sync::Arc;

use super::PodSelector;

/// What controls a pod in the end: kind and name; neither where nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload<'a> {
    /// `Deployment`, `StatefulSet`, …; `Pod` where nothing controls it.
    pub kind: &'a str,
    /// Its name; none where nothing controls the pod, which is its own then.
    pub name: Option<&'a str>,
}

impl<'a> Workload<'a> {
    /// From a pod's owner and its label `pod-template-hash`: a Deployment calls its ReplicaSets by its own name, `-`, and
    /// the hash that it puts on their pods, so that its name is known without a look at the ReplicaSet.
    pub(crate) fn of(owner: Option<(&'a str, &'a str)>, hash: Option<&str>) -> Self {
        let Some((kind, name)) = owner else { return Self { kind: "Pod", name: None } };
        match deployment(kind, name, hash) {
            Some(deployment) => Self { kind: "Deployment", name: Some(deployment) },
            None => Self { kind, name: Some(name) },
        }
    }
}

/// The name of the Deployment that has made a ReplicaSet, if one has.
fn deployment<'a>(kind: &str, name: &'a str, hash: Option<&str>) -> Option<&'a str> {
    let deployment = name.strip_suffix(hash.filter(|hash| kind == "ReplicaSet" && !hash.is_empty())?)?;
    deployment.strip_suffix('-').filter(|name| !name.is_empty())
}

/// Who owns the owner of a pod: namespace, kind and name → kind and name.
pub(crate) type OwnerOf = dyn Fn(&str, &str, &str) -> Option<(String, String)> + Send + Sync;

/// How many owners a pod's owner can have above it.
const CHAIN: usize = 4;

#[derive(Clone)]
struct Wanted {
    kind: String,
    name: String,
    owner_of: Option<Arc<OwnerOf>>,
}

/// Which pods a question is about; all of them unless it is made narrower.
///
/// ```
/// use kubelet_summary::Scope;
///
/// let scope = Scope::all().namespace("shop").selector("app in (web,api)".parse()?).owner("Deployment", "web");
/// assert_eq!(scope.to_string(), "Deployment web, namespace shop, app in (api,web)");
/// # Ok::<(), kubelet_summary::selector::SelectorError>(())
/// ```
#[derive(Clone, Default)]
pub struct Scope {
    namespaces: Vec<String>,
    selector: PodSelector,
    owner: Option<Wanted>,
    nodes: Vec<String>,
    finished: bool,
}

impl Scope {
    /// All pods.
    pub fn all() -> Self {
        Self::default()
    }

    /// Pods in this namespace; called again, in one of them.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespaces.push(namespace.into());
        self
    }

    /// Pods with these labels; called again, those of the last one.
    pub fn selector(mut self, selector: PodSelector) -> Self {
        self.selector = selector;
        self
    }

    /// Pods that this controls, directly or as a Deployment by its ReplicaSets.
    pub fn owner(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        let owner_of = self.owner.and_then(|wanted| wanted.owner_of);
        self.owner = Some(Wanted { kind: kind.into(), name: name.into(), owner_of });
        self
    }

    /// The same with the owners above a pod's owner, where the host knows them (a CronJob of a Job, a Rollout of a
    /// ReplicaSet): `owner_of` gives kind and name of what controls an object of a namespace, a kind and a name. At most
    /// four are asked for one after another. It may ask the inventory itself: no lock is held meanwhile.
    pub fn owner_chain(
        mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        owner_of: impl Fn(&str, &str, &str) -> Option<(String, String)> + Send + Sync + 'static,
    ) -> Self {
        self.owner = Some(Wanted { kind: kind.into(), name: name.into(), owner_of: Some(Arc::new(owner_of)) });
        self
    }

    /// Pods on this node; called again, on one of them.
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.nodes.push(node.into());
        self
    }

    /// Pods that are over, too: they run nothing, but their logs and volumes may be there still.
    pub fn with_finished(mut self) -> Self {
        self.finished = true;
        self
    }

    /// Whether pods that are over are in it.
    pub fn admits_finished(&self) -> bool {
        self.finished
    }

    /// The namespaces that it is about; none are all.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// The nodes that it is about; none are all.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Its label selector.
    pub fn label_selector(&self) -> &PodSelector {
        &self.selector
    }

    /// Whether where a pod is says whether it is in the scope: neither labels nor an owner are asked for.
    pub fn is_by_place(&self) -> bool {
        self.selector.is_empty() && self.owner.is_none()
    }

    /// Whether a pod of that namespace can be in it.
    pub fn admits_namespace(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|wanted| wanted == namespace)
    }

    /// Whether a pod on that node can be in it.
    pub fn admits_node(&self, node: Option<&str>) -> bool {
        self.nodes.is_empty() || node.is_some_and(|node| self.nodes.iter().any(|wanted| wanted == node))
    }

    /// Whether a pod of that namespace and labels is in it, if its node and its owner are.
    pub(crate) fn admits_labels<'a>(&self, namespace: &str, labels: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.admits_namespace(namespace) && self.selector.matches(&labels)
    }

    /// Whether a pod of that namespace, labels and owner is in it, by its owner. It may ask the host, so that no lock may
    /// be held.
    pub(crate) fn admits_owner<'a>(
        &self,
        namespace: &str,
        labels: impl Fn(&str) -> Option<&'a str>,
        owner: Option<(&str, &str)>,
    ) -> bool {
        self.owner.as_ref().is_none_or(|wanted| wanted.admits(namespace, &labels, owner))
    }

    /// Whether owners are a matter of the host.
    pub(crate) fn asks_for_owners(&self) -> bool {
        self.owner.as_ref().is_some_and(|wanted| wanted.owner_of.is_some())
    }
}

impl Wanted {
    fn is(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name == name
    }

    fn admits<'a>(
        &self,
        namespace: &str,
        labels: impl Fn(&str) -> Option<&'a str>,
        owner: Option<(&str, &str)>,
    ) -> bool {
        let Some((kind, name)) = owner else { return false };
        if self.is(kind, name) {
            return true;
        }
        let by_name =
            || Some(("Deployment".to_owned(), deployment(kind, name, labels("pod-template-hash"))?.to_owned()));
        let Some(owner_of) = &self.owner_of else {
            return self.kind == "Deployment" && by_name().is_some_and(|(kind, name)| self.is(&kind, &name));
        };
        let mut at = owner_of(namespace, kind, name).or_else(by_name);
        for _ in 0..CHAIN {
            match at {
                Some((kind, name)) if self.is(&kind, &name) => return true,
                Some((kind, name)) => at = owner_of(namespace, &kind, &name),
                None => break,
            }
        }
        false
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let owner = self.owner.as_ref().map(|owner| format!("{} {}", owner.kind, owner.name));
        let places = [("namespace", &self.namespaces), ("node", &self.nodes)];
        let places = places.into_iter().filter(|(_, names)| !names.is_empty());
        let places = places.map(|(what, names)| format!("{what} {}", names.join(" or ")));
        let labels = (!self.selector.is_empty()).then(|| self.selector.to_string());
        let finished = self.finished.then(|| "finished ones too".to_owned());
        let parts: Vec<String> = owner.into_iter().chain(places).chain(labels).chain(finished).collect();
        f.write_str(if parts.is_empty() { "all pods" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scope({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(scope: &Scope, owner: (&str, &str), hash: Option<&'static str>) -> bool {
        scope.admits_owner("shop", |key| hash.filter(|_| key == "pod-template-hash"), Some(owner))
    }

    #[test]
    fn a_deployment_owns_the_pods_of_its_replica_sets() {
        let web = Scope::all().owner("Deployment", "web");
        assert!(admits(&web, ("ReplicaSet", "web-7d4b9"), Some("7d4b9")));
        // Without the hash the name alone says nothing: the ReplicaSet may be anybody's.
        assert!(!admits(&web, ("ReplicaSet", "web-7d4b9"), None));
        assert!(!admits(&web, ("ReplicaSet", "web-api-7d4b9"), Some("7d4b9")));
        assert!(!admits(&web, ("ReplicaSet", "7d4b9"), Some("7d4b9")));
        assert!(!admits(&web, ("StatefulSet", "web-7d4b9"), Some("7d4b9")));
        let direct = Scope::all().owner("ReplicaSet", "web-7d4b9");
        assert!(admits(&direct, ("ReplicaSet", "web-7d4b9"), Some("7d4b9")));
        assert!(!direct.admits_owner("shop", |_| None, None));
    }

    #[test]
    fn a_chain_of_owners_is_followed_so_far() {
        let up = |namespace: &str, kind: &str, name: &str| match (namespace, kind, name) {
            ("shop", "Job", "backup-1") => Some(("CronJob".to_owned(), "backup".to_owned())),
            (_, "Ring", _) => Some(("Ring".to_owned(), "again".to_owned())),
            _ => None,
        };
        let backup = Scope::all().owner_chain("CronJob", "backup", up);
        assert!(admits(&backup, ("Job", "backup-1"), None));
        assert!(!admits(&backup, ("Job", "backup-2"), None));
        assert!(!admits(&backup, ("Ring", "first"), None));
    }

    #[test]
    fn the_workload_is_what_the_pod_says() {
        let of = |owner, hash| {
            let workload = Workload::of(owner, hash);
            (workload.kind, workload.name)
        };
        assert_eq!(of(Some(("ReplicaSet", "web-7d4b9")), Some("7d4b9")), ("Deployment", Some("web")));
        assert_eq!(of(Some(("ReplicaSet", "web-7d4b9")), None), ("ReplicaSet", Some("web-7d4b9")));
        assert_eq!(of(Some(("DaemonSet", "agent")), Some("x")), ("DaemonSet", Some("agent")));
        assert_eq!(of(None, None), ("Pod", None));
    }

    #[test]
    fn places_are_told_apart() {
        let scope = Scope::all().namespace("a").namespace("b").node("n");
        assert!(scope.admits_namespace("b") && !scope.admits_namespace("c"));
        assert!(scope.admits_node(Some("n")) && !scope.admits_node(Some("m")) && !scope.admits_node(None));
        assert!(scope.is_by_place() && !scope.clone().owner("Job", "x").is_by_place());
        assert_eq!(scope.to_string(), "namespace a or b, node n");
        assert_eq!(Scope::all().to_string(), "all pods");
    }
}
