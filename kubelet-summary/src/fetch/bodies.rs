//! Room for the bodies of responses, used again and again.

use std::io;
use std::ops::Deref;

use memmap2::MmapMut;
use parking_lot::Mutex;

/// How much of it is kept, in bytes: that of 16 usual documents. More may be on their way, but few are read at once.
const KEPT: usize = 4 << 20;
/// Room grows by as much at least.
const LEAST: usize = 64 << 10;

/// Room that bodies have had, for those to come.
///
/// A body is a large piece of memory that lives for a moment, beside documents that stay. On the heap, documents would
/// settle in the hole that it leaves, the next body would find none that is large enough, and a process of many nodes would
/// grow by holes. So bodies have pages of their own.
#[derive(Debug, Default)]
pub(super) struct Bodies(Mutex<Vec<Pages>>);

impl Bodies {
    /// An empty body, which may have to grow.
    pub(super) fn take(&self) -> Body<'_> {
        Body { pages: self.0.lock().pop().unwrap_or_default(), bodies: self }
    }

    /// Keeps room, unless there is enough of it.
    fn give(&self, mut pages: Pages) {
        pages.length = 0;
        let mut kept = self.0.lock();
        let bytes: usize = kept.iter().map(Pages::room).sum();
        if pages.room() > 0 && pages.room() <= KEPT - bytes.min(KEPT) {
            kept.push(pages);
        }
    }
}

/// A body that is being read: bytes that can be added to. Its room goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pages: Pages,
    bodies: &'a Bodies,
}

impl Body<'_> {
    /// Makes room for so many bytes more.
    pub(super) fn reserve(&mut self, more: usize) -> io::Result<()> {
        self.pages.reserve(more)
    }

    /// Adds bytes.
    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pages.reserve(bytes.len())?;
        let Pages { map, length } = &mut self.pages;
        if let Some(into) = map.as_mut().and_then(|map| map.get_mut(*length..*length + bytes.len())) {
            into.copy_from_slice(bytes);
            *length += bytes.len();
        }
        Ok(())
    }
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pages.bytes()
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        self.bodies.give(std::mem::take(&mut self.pages));
    }
}

/// Bytes at the begin of pages.
#[derive(Debug, Default)]
struct Pages {
    map: Option<MmapMut>,
    length: usize,
}

impl Pages {
    fn room(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    fn bytes(&self) -> &[u8] {
        self.map.as_ref().and_then(|map| map.get(..self.length)).unwrap_or_default()
    }

    fn reserve(&mut self, more: usize) -> io::Result<()> {
        let needed = self.length.saturating_add(more);
        if needed <= self.room() {
            return Ok(());
        }
        let mut larger = MmapMut::map_anon(needed.max(self.room().saturating_mul(2)).max(LEAST))?;
        if let Some(begin) = larger.get_mut(..self.length) {
            begin.copy_from_slice(self.bytes());
        }
        self.map = Some(larger);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_grows_and_keeps_what_it_has() {
        let bodies = Bodies::default();
        let mut body = bodies.take();
        let all: Vec<u8> = (0..=250).cycle().take(5 * LEAST + 1).collect();
        for part in all.chunks(1000) {
            body.extend_from_slice(part).unwrap();
        }
        assert_eq!(&*body, &*all);
    }

    #[test]
    fn memory_that_there_is_not_is_an_error_and_costs_nothing() {
        let bodies = Bodies::default();
        let mut body = bodies.take();
        body.extend_from_slice(b"a document").unwrap();
        assert!(body.reserve(usize::MAX / 4).is_err());
        assert_eq!(&*body, b"a document");
    }

    #[test]
    fn room_is_used_again_and_bounded() {
        let bodies = Bodies::default();
        let mut body = bodies.take();
        body.extend_from_slice(b"a document").unwrap();
        let place = body.as_ptr();
        drop(body);
        let again = bodies.take();
        assert_eq!((again.len(), again.pages.map.as_ref().map(|map| map.as_ptr())), (0, Some(place)));
        drop(again);

        let large = |_| {
            let mut body = bodies.take();
            body.reserve(KEPT / 10).unwrap();
            body
        };
        let many: Vec<_> = (0..100).map(large).collect();
        drop(many);
        assert_eq!(bodies.0.lock().len(), 10);
    }
}
