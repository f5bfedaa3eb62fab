//! Lists that a document holds in one piece, and the parts of them that its objects have.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A list, or what there may be one of: some items of one long list that the objects of a document share.
///
/// It is read like a slice. A document of hundreds of pods is a handful of allocations so, each as long as it has to
/// be; thousands of documents that come and go leave no holes between small ones. A clone costs no copy of the items,
/// and keeps the document's whole list alive.
///
/// ```
/// use kubelet_summary::schema::Run;
///
/// let run = Run::from(vec![1, 2, 3]);
/// assert_eq!((run.len(), run.first(), &run[1..]), (3, Some(&1), &[2, 3][..]));
/// assert!(Run::<u8>::default().is_empty());
/// assert_eq!(size_of::<Run<u64>>(), 16);
/// ```
pub struct Run<T> {
    // None as long as the document is being read, and for what is empty.
    all: Option<Whole<T>>,
    pub(super) start: u32,
    pub(super) count: u32,
}

/// The long list.
pub(super) type Whole<T> = Arc<Box<[T]>>;

impl<T> Run<T> {
    /// So many items from there on, of a list that is still growing.
    pub(super) fn at(start: usize, count: usize) -> Self {
        // Lists of documents have limits that are far below.
        let narrow = |number: usize| u32::try_from(number).unwrap_or_default();
        Self { all: None, start: narrow(start), count: narrow(count) }
    }

    /// Says which list it is of, now that it is complete.
    pub(super) fn settle(&mut self, all: Option<&Whole<T>>) {
        self.all = all.filter(|_| self.count > 0).cloned();
    }

    /// The list it is of, which it is not any more.
    pub(super) fn loosen(&mut self) -> Option<Whole<T>> {
        self.all.take()
    }

    /// The list it is of, unless it is empty.
    pub(super) fn whole(&self) -> Option<&Whole<T>> {
        self.all.as_ref()
    }
}

impl<T> Deref for Run<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let rest = self.all.as_ref().and_then(|all| all.get(self.start as usize..)).unwrap_or_default();
        rest.get(..self.count as usize).unwrap_or_default()
    }
}

/// Of more than four thousand million, the first of them.
impl<T> From<Vec<T>> for Run<T> {
    fn from(items: Vec<T>) -> Self {
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let all = (count > 0).then(|| Arc::new(items.into_boxed_slice()));
        Self { all, start: 0, count }
    }
}

impl<T> FromIterator<T> for Run<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Vec::from_iter(items).into()
    }
}

impl<'a, T> IntoIterator for &'a Run<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Default for Run<T> {
    fn default() -> Self {
        Self { all: None, start: 0, count: 0 }
    }
}

impl<T> Clone for Run<T> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), start: self.start, count: self.count }
    }
}

impl<T: PartialEq> PartialEq for Run<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Run<T> {}

impl<T: fmt::Debug> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
