//! Complete files → objects.
#![cfg(feature = "object-store")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter, UploadError, Uploader};
use common::{Node, columns};
use futures::executor::block_on;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parquet::file::reader::{FileReader, SerializedFileReader};

/// A store that takes so many puts and parts, and then no more.
#[derive(Debug)]
struct Limited(InMemory, Arc<AtomicI64>);

impl std::fmt::Display for Limited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a store that fails")
    }
}

fn take(left: &AtomicI64) -> Result<()> {
    let full = || Error::Generic { store: "limited", source: "no more".into() };
    if left.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(full()) }
}

#[derive(Debug)]
struct Parts(Box<dyn MultipartUpload>, Arc<AtomicI64>);

#[async_trait::async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match take(&self.1) {
            Ok(()) => self.0.put_part(data),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        take(&self.1)?;
        self.0.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.0.abort().await
    }
}

#[async_trait::async_trait]
impl ObjectStore for Limited {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        take(&self.1)?;
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let parts = self.0.put_multipart_opts(location, opts).await?;
        Ok(Box::new(Parts(parts, self.1.clone())))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

fn store(puts: i64) -> (Arc<Limited>, Arc<AtomicI64>) {
    let left = Arc::new(AtomicI64::new(puts));
    (Arc::new(Limited(InMemory::new(), left.clone())), left)
}

/// Some files of a writer, and one that is not complete.
fn filled(directory: &FilePath) -> (i64, ParquetWriter) {
    let mut config = ParquetConfig::new(directory);
    (config.batch_rows, config.row_group_rows, config.file_bytes) = (500, 500, 40_000);
    let mut writer = ParquetWriter::open(config, columns()).unwrap();
    let mut node = Node::new(100);
    while writer.stats().files < 3 {
        for sample in node.slot() {
            writer.push(&sample, None).unwrap();
        }
    }
    let mut pushed = 0;
    while pushed < 1_000 {
        for sample in node.slot() {
            writer.push(&sample, None).unwrap();
            pushed += 1;
        }
    }
    let complete = complete(directory);
    let rows = complete.iter().map(|name| rows(fs::read(directory.join(name)).unwrap().into())).sum();
    (rows, writer)
}

fn complete(directory: &FilePath) -> Vec<String> {
    let names = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".parquet")).collect();
    names.sort();
    names
}

fn rows(file: Bytes) -> i64 {
    SerializedFileReader::new(file).unwrap().metadata().file_metadata().num_rows()
}

fn stored(store: &Limited, name: &str) -> Option<Bytes> {
    let location = Path::from(format!("nodes/node-1/{name}"));
    block_on(async { Some(store.get(&location).await.ok()?.bytes().await.unwrap()) })
}

#[test]
fn complete_files_go_to_the_store_and_the_open_one_stays() {
    // In one piece, and in parts.
    for part in [1 << 20, 10_000] {
        let directory = tempfile::tempdir().unwrap();
        let (expected, writer) = filled(directory.path());
        fs::write(directory.path().join("other-1.parquet"), "not ours").unwrap();
        let names: Vec<_> = complete(directory.path()).into_iter().filter(|name| name != "other-1.parquet").collect();
        let (store, _) = store(i64::MAX);
        let uploader = Uploader::new(store.clone(), directory.path(), "cgroup-perf", Path::from("nodes/node-1"));
        let sent = block_on(uploader.with_part(part).run_once()).unwrap();
        assert_eq!(sent.len(), names.len());
        let objects: Vec<_> = names.iter().map(|name| stored(&store, name).unwrap()).collect();
        assert!(sent.iter().zip(&objects).all(|(sent, object)| sent.bytes == object.len() as u64));
        assert_eq!(objects.into_iter().map(rows).sum::<i64>(), expected);
        assert_eq!(complete(directory.path()), ["other-1.parquet"]);
        // The writer goes on as if nothing had been.
        assert_eq!(writer.finish().unwrap().failures, 0);
        assert_eq!(complete(directory.path()).len(), 2);
    }
}

#[test]
fn what_a_store_does_not_take_is_kept_and_sent_later() {
    let directory = tempfile::tempdir().unwrap();
    let (_, writer) = filled(directory.path());
    drop(writer);
    let names = complete(directory.path());
    // All parts of the first file and their end, and one part of the second.
    let first = fs::metadata(directory.path().join(&names[0])).unwrap().len().div_ceil(10_000) + 1;
    let (store, left) = store(first.cast_signed() + 1);
    let uploader = Uploader::new(store.clone(), directory.path(), "cgroup-perf", Path::from("nodes/node-1"));
    let uploader = uploader.with_part(10_000);
    let error = block_on(uploader.run_once()).unwrap_err();
    assert!(matches!(&error, UploadError::Store { location, .. } if location.filename() == Some(&names[1])), "{error}");
    assert!(stored(&store, &names[0]).is_some() && stored(&store, &names[1]).is_none());
    assert_eq!(complete(directory.path()), names[1..]);
    left.store(i64::MAX, Ordering::Relaxed);
    assert_eq!(block_on(uploader.run_once()).unwrap().len(), names.len() - 1);
    assert!(names.iter().all(|name| stored(&store, name).is_some()));
    assert_eq!(complete(directory.path()), [""; 0]);
    assert_eq!(block_on(uploader.run_once()).unwrap(), []);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let uploader = Uploader::new(store(0).0, "/nowhere", "cgroup-perf", Path::default());
    let error = block_on(uploader.run_once()).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere can't be read"), "{error}");
}
