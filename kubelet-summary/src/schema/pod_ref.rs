//! Which pod a document speaks of.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// A pod's namespace, name and uid.
///
/// ```
/// use kubelet_summary::schema::PodRef;
///
/// let pod = PodRef::new("shop", "web-1", "a-uid");
/// assert_eq!((pod.namespace(), pod.name(), pod.uid()), ("shop", "web-1", "a-uid"));
/// ```
#[derive(Clone, Default)]
// One text for all names of a document, since a node has hundreds of pods and a cluster a hundred thousand.
pub struct PodRef {
    // None as long as the document is being read.
    text: Option<Text>,
    namespace_at: u32,
    name_at: u32,
    uid_at: u32,
    end: u32,
}

/// All names of a document.
pub(super) type Text = Arc<Box<str>>;

impl PodRef {
    /// A pod's names. Beyond 4 GiB in sum they are empty, which no names are.
    pub fn new(namespace: &str, name: &str, uid: &str) -> Self {
        let text = [namespace, name, uid].concat();
        Self { text: Some(Arc::new(text.into_boxed_str())), ..Self::at(0, [namespace, name, uid].map(str::len)) }
    }

    /// The names of those lengths from there on, of a text that is still growing.
    pub(super) fn at(start: usize, [namespace, name, uid]: [usize; 3]) -> Self {
        let place = |at: usize| u32::try_from(at).ok();
        let places = || {
            let (name_at, uid_at) = (start + namespace, start + namespace + name);
            Some(Self {
                text: None,
                namespace_at: place(start)?,
                name_at: place(name_at)?,
                uid_at: place(uid_at)?,
                end: place(uid_at + uid)?,
            })
        };
        places().unwrap_or_default()
    }

    /// Says which text it is of, now that it is complete.
    pub(super) fn settle(&mut self, text: Option<&Text>) {
        self.text = text.cloned();
    }

    /// The text it is of, which it is not any more.
    pub(super) fn loosen(&mut self) -> Option<Text> {
        self.text.take()
    }

    /// The text it is of.
    pub(super) fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    /// Whether none of its names is empty.
    pub(super) fn is_whole(&self) -> bool {
        self.namespace_at < self.name_at && self.name_at < self.uid_at && self.uid_at < self.end
    }

    fn part(&self, range: Range<u32>) -> &str {
        let part = self.text.as_ref().and_then(|text| text.get(range.start as usize..range.end as usize));
        part.unwrap_or_default()
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.part(self.namespace_at..self.name_at)
    }

    /// The pod's name.
    pub fn name(&self) -> &str {
        self.part(self.name_at..self.uid_at)
    }

    /// The pod's uid. For a static pod it is the one of the kubelet's file, which the API server's mirror pod has as
    /// its annotation `kubernetes.io/config.hash`.
    pub fn uid(&self) -> &str {
        self.part(self.uid_at..self.end)
    }

    fn names(&self) -> [&str; 3] {
        [self.namespace(), self.name(), self.uid()]
    }
}

impl PartialEq for PodRef {
    fn eq(&self, other: &Self) -> bool {
        self.names() == other.names()
    }
}

impl Eq for PodRef {}

impl PartialOrd for PodRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PodRef {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(&other.names())
    }
}

impl Hash for PodRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names().hash(state);
    }
}

impl fmt::Debug for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({})", self.namespace(), self.name(), self.uid())
    }
}
