//! Sinks of the machine itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use kube_events::event::{Deletion, ObjectMetadata, Occurrence, OccurrenceKind};
use kube_events::sink::file::FileOptions;
use kube_events::sink::{Body, Channel, Delivery, DeliveryError, File, Memory, Record, Sink, Stdout};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

use super::support::{event, reasons, records};

#[tokio::test]
async fn a_line_each_goes_out() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let sink = Stdout::to(ours, Body::json().de_dot(true));
    assert_eq!(sink.deliver(&records(&sink, &["A", "B"])).await.unwrap(), Delivery::default());
    drop(sink);
    let mut out = Vec::new();
    theirs.read_to_end(&mut out).await.unwrap();
    assert_eq!(reasons(&out), ["A", "B"]);
    let expected = [event("A").de_dot().to_json(), event("B").de_dot().to_json(), Vec::new()].join(&b'\n');
    assert_eq!(out, expected);
    assert!(String::from_utf8_lossy(&out).contains("app_kind/x"));
}

#[tokio::test]
async fn a_line_that_was_torn_does_not_spoil_the_next() {
    let (ours, mut theirs) = tokio::io::duplex(10);
    let sink = Stdout::to(ours, Body::json());
    let batch = records(&sink, &["A"]);
    assert!(timeout(Duration::from_millis(50), sink.deliver(&batch)).await.is_err(), "the pipe holds 10 bytes");
    let reader = tokio::spawn(async move {
        let mut out = Vec::new();
        theirs.read_to_end(&mut out).await.unwrap();
        out
    });
    sink.deliver(&batch).await.unwrap();
    drop(sink);
    let out = reader.await.unwrap();
    let (torn, rest) = out.split_at(10);
    assert_eq!(torn, &batch[0].body[..10]);
    assert_eq!(rest[0], b'\n');
    assert_eq!(reasons(&rest[1..]), ["A"]);
}

struct Full;

impl AsyncWrite for Full {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::StorageFull.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_can_not_be_written_comes_again() {
    let sink = Stdout::to(Full, Body::json());
    let error = sink.deliver(&records(&sink, &["A"])).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Again { .. }), "{error}");
}

#[tokio::test]
async fn the_program_gets_records_as_fast_as_it_takes_them() {
    let (sink, mut out) = Memory::channel(2, Body::rich());
    let batch = records(&sink, &["A", "B", "C"]);
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery { again: vec![2], refused: Vec::new() });
    assert!(timeout(Duration::from_millis(20), sink.deliver(&batch[2..])).await.is_err(), "it is full");
    assert_eq!(out.recv().await.as_ref(), Some(&batch[0]));
    sink.deliver(&batch[2..]).await.unwrap();
    drop(sink);
    assert_eq!(out.collect::<Vec<_>>().await, batch[1..]);
}

#[tokio::test]
async fn the_program_gets_events_whole() {
    let mut whole = event("A");
    whole.object = std::sync::Arc::new(ObjectMetadata {
        annotations: [("a.b".to_owned(), "c".to_owned())].into(),
        deletion: Deletion::Terminating,
        ..(*whole.object).clone()
    });
    whole.occurrence = Some(Occurrence { delta: 2, count: 5, kind: OccurrenceKind::Again });
    whole.namespace_labels = Some(std::sync::Arc::default());
    let (sink, mut out) = Channel::new(2);
    let mut batch: Vec<_> = [&whole, &event("B"), &event("C")].map(|event| sink.encode(event).unwrap()).into();
    batch.insert(1, Record { body: "no event".into(), ..batch[0].clone() });
    let delivery = sink.deliver(&batch).await.unwrap();
    assert_eq!((delivery.again, delivery.refused.len(), delivery.refused[0].index), (vec![3], 1, 1));
    assert_eq!(out.recv().await.as_ref(), Some(&whole));
    sink.deliver(&batch[3..]).await.unwrap();
    drop(sink);
    assert_eq!(out.collect::<Vec<_>>().await, [event("B"), event("C")]);
    let (sink, out) = Channel::new(2);
    drop(out);
    let error = sink.deliver(&batch[..1]).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn records_that_nobody_takes_any_more_are_refused() {
    let (sink, out) = Memory::channel(2, Body::json());
    drop(out);
    let error = sink.deliver(&records(&sink, &["A"])).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused { .. }), "{error}");
}

fn file(directory: &Path) -> FileOptions {
    FileOptions::new(directory.join("deep/events.log"))
}

async fn put(sink: &File, reasons: &[&str]) {
    assert_eq!(sink.deliver(&records(sink, reasons)).await.unwrap(), Delivery::default());
}

/// The files beside the current one, the oldest first.
fn backups(options: &FileOptions) -> Vec<PathBuf> {
    let entries = fs::read_dir(options.path.parent().unwrap()).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| *path != options.path).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn a_file_is_rotated_by_size_and_so_many_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let one = records(&File::new(file(directory.path()), Body::json()), &["A"])[0].len() as u64;
    let options = FileOptions { max_bytes: one * 2 + 10, max_backups: Some(2), ..file(directory.path()) };
    let sink = File::new(options.clone(), Body::json());
    for reason in ["A", "B", "C", "D", "E", "F", "G"] {
        put(&sink, &[reason]).await;
    }
    assert_eq!(reasons(&fs::read(&options.path).unwrap()), ["G"]);
    let backups = backups(&options);
    assert_eq!(backups.len(), 2);
    assert_eq!(reasons(&fs::read(&backups[0]).unwrap()), ["C", "D"]);
    assert_eq!(reasons(&fs::read(&backups[1]).unwrap()), ["E", "F"]);
    let name = backups[0].file_name().unwrap().to_str().unwrap();
    assert!(name.strip_suffix(".log").is_some_and(|stem| stem.starts_with("events-20")), "{name}");
}

#[tokio::test]
async fn old_backups_go_and_what_is_none_stays() {
    let directory = tempfile::tempdir().unwrap();
    let options = FileOptions { max_age: Some(Duration::from_secs(3600)), sync: true, ..file(directory.path()) };
    fs::create_dir_all(options.path.parent().unwrap()).unwrap();
    let beside = |name: &str| options.path.with_file_name(name);
    let recent = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S.%3f").to_string();
    let kept = [
        format!("events-{recent}.log"),
        "events-of-mine.log".to_owned(),
        "other-2020-01-01T00-00-00.000.log".to_owned(),
    ];
    for name in kept.iter().map(String::as_str).chain(["events-2020-01-01T00-00-00.000.log"]) {
        fs::write(beside(name), "x").unwrap();
    }
    put(&File::new(options.clone(), Body::json()), &["A"]).await;
    let mut expected: Vec<_> = kept.iter().map(|name| beside(name)).collect();
    expected.sort();
    assert_eq!(backups(&options), expected);
}

#[tokio::test]
async fn a_file_that_others_rotate_is_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let options = file(directory.path());
    let sink = File::new(options.clone(), Body::json());
    put(&sink, &["A"]).await;
    let moved = options.path.with_extension("1");
    fs::rename(&options.path, &moved).unwrap();
    put(&sink, &["B"]).await;
    fs::remove_file(&options.path).unwrap();
    put(&sink, &["C"]).await;
    assert_eq!(reasons(&fs::read(moved).unwrap()), ["A"]);
    assert_eq!(reasons(&fs::read(&options.path).unwrap()), ["C"]);
}

#[tokio::test]
async fn a_file_that_others_cut_goes_on_with_the_length_that_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let one = records(&File::new(file(directory.path()), Body::json()), &["A"])[0].len() as u64;
    let options = FileOptions { max_bytes: one * 2 + 10, ..file(directory.path()) };
    let sink = File::new(options.clone(), Body::json());
    put(&sink, &["A", "B"]).await;
    fs::OpenOptions::new().write(true).open(&options.path).unwrap().set_len(0).unwrap();
    put(&sink, &["C"]).await;
    assert_eq!(reasons(&fs::read(&options.path).unwrap()), ["C"]);
    assert!(backups(&options).is_empty(), "there was room");
}

#[tokio::test]
async fn a_half_line_of_an_earlier_process_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let options = file(directory.path());
    fs::create_dir_all(options.path.parent().unwrap()).unwrap();
    fs::write(&options.path, "{\"reason\": \"ha").unwrap();
    put(&File::new(options.clone(), Body::json()), &["A"]).await;
    let text = fs::read_to_string(&options.path).unwrap();
    let (half, rest) = text.split_once('\n').unwrap();
    assert_eq!(half, "{\"reason\": \"ha");
    assert_eq!(reasons(rest.as_bytes()), ["A"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_without_room_is_tried_again() {
    let sink = File::new(FileOptions::new("/dev/full"), Body::json());
    let error = sink.deliver(&records(&sink, &["A"])).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Again { .. }), "{error}");
    assert!(error.to_string().starts_with("/dev/full: "), "{error}");
}
