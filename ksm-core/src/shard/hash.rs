//! The two hashes of kube-state-metrics' sharding.

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, 64 bits: the hash of kube-state-metrics' sharding, and of the API server's `shardRange`.
///
/// ```
/// assert_eq!(ksm_core::shard::fnv1a_64("test_uid"), 0x0ec2_4244_3e03_8614);
/// ```
pub fn fnv1a_64(text: &str) -> u64 {
    fnv1a_64_of([text])
}

/// The same of several texts, as if they stood one behind the other.
pub(super) fn fnv1a_64_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = parts.into_iter().flat_map(str::bytes);
    bytes.fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

/// The bucket, of `buckets`, that a hash falls into by jump consistent hashing (Lamping and Veach): when a bucket is
/// added, keys move to that one only.
///
/// ```
/// use ksm_core::shard::{fnv1a_64, jump_hash};
///
/// assert_eq!(jump_hash(fnv1a_64("abc-3"), 2), 1);
/// ```
pub fn jump_hash(hash: u64, buckets: u32) -> u32 {
    let mut key = hash;
    let mut bucket = 0_u32;
    loop {
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let step = f64::from(1_u32 << 31) / ((key >> 33) + 1) as f64;
        let next = (f64::from(bucket) + 1.0) * step;
        if next >= f64::from(buckets) {
            return bucket;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the algorithm truncates; the value is positive and below `buckets`"
        )]
        let next = next as u32;
        bucket = next;
    }
}
