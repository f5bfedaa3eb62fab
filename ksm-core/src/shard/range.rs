//! Ranges of the hash space, and how the API server wants to be told of them (KEP-5866).

use std::fmt;

use super::Shard;

/// The end of the hash space.
const END: u128 = 1 << 64;

/// Hashes from `start` to before `end`; the whole space is `0..2^64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashRange {
    start: u128,
    end: u128,
}

impl HashRange {
    /// A shard's part: the space in equal parts by ordinal, the last one up to the end.
    pub(crate) fn of(shard: Shard) -> Self {
        let span = END / u128::from(shard.total());
        let start = span * u128::from(shard.ordinal());
        let last = shard.ordinal() + 1 == shard.total();
        Self { start, end: if last { END } else { start + span } }
    }

    pub(crate) fn has(self, hash: u64) -> bool {
        (self.start..self.end).contains(&u128::from(hash))
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// Which field of an object the server hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashedField {
    Uid,
    Namespace,
}

/// A `shardSelector`: one or more ranges of one field's hash.
pub(crate) struct ShardSelector<'a>(pub(crate) HashedField, pub(crate) &'a [HashRange]);

impl fmt::Display for ShardSelector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self.0 {
            HashedField::Uid => "uid",
            HashedField::Namespace => "namespace",
        };
        for (number, range) in self.1.iter().enumerate() {
            let or = if number > 0 { " || " } else { "" };
            let HashRange { start, end } = range;
            // Sixteen digits, but for 2^64, which has seventeen: the server refuses any other form.
            write!(f, "{or}shardRange(object.metadata.{field}, '0x{start:016x}', '0x{end:016x}')")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(ordinal: u32, total: u32) -> Shard {
        Shard::new(ordinal, total).unwrap()
    }

    #[test]
    fn ranges_touch_and_cover_everything() {
        for total in [1, 2, 3, 7, 100, u32::MAX] {
            let of = |ordinal| HashRange::of(shard(ordinal, total));
            assert_eq!((of(0).start, of(total - 1).end), (0, END));
            for ordinal in (0..total - 1).take(200) {
                assert_eq!(of(ordinal).end, of(ordinal + 1).start);
            }
            assert!(of(total - 1).has(u64::MAX) && of(0).has(0));
        }
    }

    #[test]
    fn a_selector_is_in_the_servers_words() {
        let ranges = [HashRange::of(shard(0, 4)), HashRange::of(shard(1, 2))];
        assert_eq!(
            ShardSelector(HashedField::Uid, &ranges).to_string(),
            "shardRange(object.metadata.uid, '0x0000000000000000', '0x4000000000000000') || \
             shardRange(object.metadata.uid, '0x8000000000000000', '0x10000000000000000')"
        );
    }
}
