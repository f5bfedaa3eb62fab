//! Randomness that is named, not drawn in order: what an object looks like depends on the seed and on
//! the object, never on which objects were rendered before it.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Builder;

/// The alphabet Kubernetes draws name suffixes from: no vowels and no digits that look like letters.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// What names an object within a population: handed out once and never reused.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) u64);

/// One reproducible stream of choices.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of `seed` for one `facet` (at most eight bytes count) of the object `id`.
    pub(crate) fn new(seed: u64, id: Id, facet: &str, nth: u32) -> Self {
        let mut key = [0; 32];
        let (head, tail) = key.split_at_mut(20);
        for (slot, byte) in head.iter_mut().zip(seed.to_le_bytes().into_iter().chain(id.0.to_le_bytes())) {
            *slot = byte;
        }
        for (slot, byte) in tail.iter_mut().zip(nth.to_le_bytes().into_iter().chain(facet.bytes())) {
            *slot = byte;
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The stream itself, for what draws from it in other ways.
    pub(crate) fn rng(&mut self) -> &mut impl Rng {
        &mut self.0
    }

    /// A number below `bound`; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// An index into something with `len` elements; 0 where there are none.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        if len == 0 { 0 } else { self.0.random_range(0..len) }
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of the options, all equally likely.
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, options: &[T; N]) -> T {
        const { assert!(N > 0) };
        options[self.0.random_range(0..N)]
    }

    /// A name suffix as the API server's `generateName` and the deployment controller make them.
    pub(crate) fn suffix(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(self.pick(SAFE))).collect()
    }

    /// Lower-case hexadecimal digits, as in digests and container ids.
    pub(crate) fn hex(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(self.pick(b"0123456789abcdef"))).collect()
    }

    /// A version 4 UUID in its usual spelling.
    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_each_part_of_its_name() {
        let uuid = |seed, id, facet, nth| Dice::new(seed, Id(id), facet, nth).uuid();
        let base = uuid(1, 2, "uid", 3);
        assert_eq!(base, uuid(1, 2, "uid", 3));
        for other in [uuid(2, 2, "uid", 3), uuid(1, 3, "uid", 3), uuid(1, 2, "name", 3), uuid(1, 2, "uid", 4)] {
            assert_ne!(base, other);
        }
        assert_eq!(uuid::Uuid::parse_str(&base).unwrap().get_version_num(), 4);
    }

    #[test]
    fn suffixes_hold_no_vowel() {
        let suffix = Dice::new(7, Id(1), "name", 0).suffix(200);
        assert_eq!(suffix.len(), 200);
        assert!(suffix.bytes().all(|b| SAFE.contains(&b)));
    }

    #[test]
    fn bounds_are_kept() {
        let mut dice = Dice::new(7, Id(1), "bounds", 0);
        assert!((0..1000).map(|_| dice.between(3, 5)).all(|n| (3..=5).contains(&n)));
        assert_eq!(dice.below(0), 0);
    }
}
