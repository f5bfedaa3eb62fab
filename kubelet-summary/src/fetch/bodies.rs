//! Room for the bodies of responses, used again and again.

use parking_lot::Mutex;

/// How much of it is kept, in bytes: that of 64 usual documents, which come in at once.
const KEPT: usize = 16 << 20;

/// Room that bodies have had, for those to come.
///
/// A body is a large piece of memory that lives for a moment, beside documents that stay. Were it allocated anew each
/// time, documents would settle in the hole that it leaves, the next one would find none that is large enough, and a
/// process of many nodes would grow by holes.
#[derive(Debug, Default)]
pub(super) struct Bodies(Mutex<Vec<Vec<u8>>>);

impl Bodies {
    /// Empty room, which may have to grow.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    /// Keeps the room of a body, unless there is enough of it.
    pub(super) fn give(&self, mut body: Vec<u8>) {
        body.clear();
        let mut kept = self.0.lock();
        let bytes: usize = kept.iter().map(Vec::capacity).sum();
        if body.capacity() > 0 && body.capacity() <= KEPT - bytes.min(KEPT) {
            kept.push(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_and_bounded() {
        let bodies = Bodies::default();
        let mut body = bodies.take();
        body.extend_from_slice(b"a document");
        let room = body.capacity();
        bodies.give(body);
        let again = bodies.take();
        assert_eq!((again.len(), again.capacity()), (0, room));
        for _ in 0..100 {
            bodies.give(Vec::with_capacity(KEPT / 10));
        }
        assert_eq!(bodies.0.lock().len(), 10);
    }
}
