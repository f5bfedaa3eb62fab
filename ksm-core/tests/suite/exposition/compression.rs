//! Compressed → what was compressed.

use std::io::Read;

use bytes::Bytes;
use ksm_core::{Exposition, Format, GzipCache, Query};

use super::support::catalog;

fn joined(blocks: impl IntoIterator<Item = Bytes>) -> Vec<u8> {
    blocks.into_iter().flatten().collect()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

#[test]
fn every_format_comes_out_of_gzip_as_it_went_in() {
    let snapshots = catalog().snapshots();
    let cache = GzipCache::new();
    let some = Query { namespaces: vec!["default".into(), "kube-system".into()], ..Query::default() };
    // Formats and selections in turn, so that none gets the parts of another.
    for round in 0..2 {
        for format in FORMATS {
            for query in [&Query::default(), &some] {
                let exposition = || Exposition::select(snapshots.iter().cloned(), format, query);
                let plain = exposition().to_bytes();
                assert!(plain.len() > 10_000, "{format:?}, {query:?}: {}", plain.len());
                assert!(gunzip(&joined(exposition().gzip_blocks())) == plain, "{format:?}, {query:?}");
                let cached = joined(cache.compress(exposition()));
                assert!(gunzip(&cached) == plain, "{format:?}, {query:?}, round {round}");
            }
        }
    }
}

#[test]
fn a_cache_forgets_what_nobody_asks_for_any_more() {
    let snapshots = catalog().snapshots();
    let cache = GzipCache::new();
    let compress = |format| joined(cache.compress(Exposition::new(snapshots.iter().cloned(), format)));
    compress(Format::Text);
    let text_only = cache.memory();
    compress(Format::Protobuf);
    assert!(cache.memory() > text_only * 3 / 2);
    for _ in 0..10 {
        compress(Format::Text);
    }
    assert_eq!(cache.memory(), text_only);
}

#[test]
fn a_cache_keeps_to_its_limit_and_what_has_no_room_is_there_all_the_same() {
    let snapshots = catalog().snapshots();
    let exposition = || Exposition::new(snapshots.iter().cloned(), Format::Text);
    let plain = exposition().to_bytes();
    let (whole, none) = (GzipCache::new(), GzipCache::with_limit(0));
    joined(whole.compress(exposition()));
    let half = GzipCache::with_limit(whole.memory() / 2);
    for cache in [&none, &half] {
        for _ in 0..2 {
            assert!(gunzip(&joined(cache.compress(exposition()))) == plain);
        }
    }
    assert_eq!(none.memory(), 0);
    assert!(
        (whole.memory() / 4..=whole.memory() / 2).contains(&half.memory()),
        "{} of {}",
        half.memory(),
        whole.memory()
    );
}

#[cfg(feature = "zstd")]
#[test]
fn every_format_comes_out_of_zstd_as_it_went_in() {
    let snapshots = catalog().snapshots();
    for format in FORMATS {
        let exposition = || Exposition::new(snapshots.iter().cloned(), format);
        let plain = exposition().to_bytes();
        let compressed = joined(exposition().zstd_blocks().unwrap());
        assert!(compressed.len() < plain.len() / 5, "{format:?}: {} of {}", compressed.len(), plain.len());
        assert!(zstd::decode_all(compressed.as_slice()).unwrap() == plain, "{format:?}");
        let torn = &compressed[..compressed.len() - 1];
        assert!(zstd::decode_all(torn).is_err(), "{format:?}: a torn transfer shows");
    }
}
