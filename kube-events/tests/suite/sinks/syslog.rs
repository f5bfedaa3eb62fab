//! Messages of RFC 5424.

use std::time::Duration;

use kube_events::event::{EnhancedEvent, Event};
use kube_events::sink::syslog::{SyslogOptions, Transport};
use kube_events::sink::{Delivery, DeliveryError, Sink, Syslog};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{sleep, timeout};

use super::support::{event, records};

fn options(transport: Transport, address: &impl ToString) -> SyslogOptions {
    SyslogOptions {
        tag: "k8s event".to_owned(),
        hostname: "machine".to_owned(),
        ..SyslogOptions::new(transport, address.to_string())
    }
}

fn message(reason: &str) -> String {
    let json = String::from_utf8(event(reason).to_json()).unwrap();
    format!("<132>1 2024-05-01T10:00:00.000000Z machine k8sevent - {reason} - {json}")
}

#[tokio::test]
async fn messages_are_counted_on_one_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Syslog::new(options(Transport::Tcp, &listener.local_addr().unwrap()));
    assert_eq!(sink.deliver(&records(&sink, &["A", "B"])).await.unwrap(), Delivery::default());
    sink.deliver(&records(&sink, &["C"])).await.unwrap();
    sink.close().await.unwrap();
    let mut got = String::new();
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.read_to_string(&mut got).await.unwrap();
    let frame = |reason| format!("{} {}", message(reason).len(), message(reason));
    assert_eq!(got, ["A", "B", "C"].map(frame).concat());
}

#[tokio::test]
async fn a_connection_that_was_closed_is_made_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sink = Syslog::new(options(Transport::Tcp, &address));
    sink.deliver(&records(&sink, &["A"])).await.unwrap();
    drop(listener.accept().await.unwrap());
    sleep(Duration::from_millis(50)).await;
    sink.deliver(&records(&sink, &["B"])).await.unwrap();
    sink.close().await.unwrap();
    let mut got = String::new();
    let (mut socket, _) = timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
    socket.read_to_string(&mut got).await.unwrap();
    assert!(got.ends_with(&message("B")), "{got}");
    drop(listener);
    let error = sink.deliver(&records(&sink, &["C"])).await.unwrap_err();
    assert!(
        matches!(error, DeliveryError::Again { .. }) && error.to_string().contains(&address.to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_was_left_in_a_message_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sink = Syslog::new(options(Transport::Tcp, &listener.local_addr().unwrap()));
    // More than the buffers of both sides hold.
    let mut large = records(&sink, &["A"]);
    large[0].body = vec![b'x'; 64 << 20].into();
    assert!(timeout(Duration::from_millis(200), sink.deliver(&large)).await.is_err());
    sink.deliver(&records(&sink, &["B"])).await.unwrap();
    sink.close().await.unwrap();
    let _first = listener.accept().await.unwrap();
    let (mut second, _) = timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
    let mut got = String::new();
    second.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, format!("{} {}", message("B").len(), message("B")));
}

#[tokio::test]
async fn a_message_is_a_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let sink = Syslog::new(options(Transport::Udp, &socket.local_addr().unwrap()));
    let mut batch = records(&sink, &["A", "B", "C"]);
    batch[1].body = vec![b'x'; 65_508].into();
    let delivery = sink.deliver(&batch).await.unwrap();
    assert!(delivery.again.is_empty());
    assert_eq!((delivery.refused.len(), delivery.refused[0].index), (1, 1));
    let mut got = vec![0; 1 << 16];
    for reason in ["A", "C"] {
        let count = timeout(Duration::from_secs(5), socket.recv(&mut got)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&got[..count]), message(reason));
    }
}

#[test]
fn what_an_event_lacks_is_a_dash() {
    let sink = Syslog::new(options(Transport::Udp, &"log:514"));
    let bare = EnhancedEvent::new(Event { reason: "ü \n".to_owned(), ..Event::default() }, std::sync::Arc::default());
    let record = sink.encode(&bare).unwrap();
    assert!(record.body.starts_with(b"<134>1 - machine k8sevent - - - {"), "{record:?}");
}

#[cfg(unix)]
mod local {
    use tokio::net::{UnixDatagram, UnixListener};

    use super::*;

    fn local(reason: &str) -> String {
        let json = String::from_utf8(event(reason).to_json()).unwrap();
        format!("<132>May  1 10:00:00 k8sevent[{}]: {json}", std::process::id())
    }

    #[tokio::test]
    async fn a_daemon_that_takes_datagrams() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut got = vec![0; 1 << 16];
        for transport in [Transport::UnixDatagram, Transport::Local] {
            let sink = Syslog::new(options(transport, &path.display()));
            // Twice: a daemon that was started again is another one at the same place.
            for reason in ["A", "B"] {
                let _ = std::fs::remove_file(&path);
                let socket = UnixDatagram::bind(&path).unwrap();
                let mut batch = records(&sink, &[reason, "X", reason]);
                // Longer than the system's buffers are.
                batch[1].body = vec![b'x'; 16 << 20].into();
                let delivered = match sink.deliver(&batch).await {
                    Err(DeliveryError::Again { .. }) => sink.deliver(&batch).await,
                    first => first,
                };
                let delivery = delivered.unwrap();
                assert_eq!((delivery.refused.len(), delivery.refused[0].index), (1, 1));
                for _ in 0..2 {
                    let count = timeout(Duration::from_secs(5), socket.recv(&mut got)).await.unwrap().unwrap();
                    assert_eq!(String::from_utf8_lossy(&got[..count]), local(reason));
                }
            }
        }
    }

    #[tokio::test]
    async fn a_daemon_that_takes_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        for transport in [Transport::Unix, Transport::Local] {
            let sink = Syslog::new(options(transport, &path.display()));
            sink.deliver(&records(&sink, &["A", "B"])).await.unwrap();
            sink.close().await.unwrap();
            let mut got = String::new();
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read_to_string(&mut got).await.unwrap();
            assert_eq!(got, format!("{}\n{}\n", local("A"), local("B")));
        }
    }

    #[tokio::test]
    async fn nobody_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for transport in [Transport::Unix, Transport::UnixDatagram, Transport::Local] {
            let sink = Syslog::new(options(transport, &path.display()));
            let error = sink.deliver(&records(&sink, &["A"])).await.unwrap_err();
            let told = error.to_string();
            assert!(matches!(error, DeliveryError::Again { .. }) && told.contains(path.to_str().unwrap()), "{told}");
        }
    }
}
