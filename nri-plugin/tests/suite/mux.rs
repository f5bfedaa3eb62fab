//! Bytes on a trunk → frames of connections, and back. Time is paused: what waits, waits for exactly as long as is said.

use std::time::Duration;

use bytes::Bytes;
use nri_plugin::mux::{Config, Connection, Mux, MuxError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};

/// A trunk with connections 1 and 2, and its other end.
fn trunk(config: Config) -> (Mux, [Connection; 2], DuplexStream) {
    let (near, far) = duplex(1 << 16);
    let (mux, connections) = Mux::start(near, config, [1, 2]).unwrap();
    (mux, connections, far)
}

async fn write(far: &mut DuplexStream, connection: u32, payload: &[u8]) {
    far.write_u32(connection).await.unwrap();
    far.write_u32(u32::try_from(payload.len()).unwrap()).await.unwrap();
    far.write_all(payload).await.unwrap();
}

async fn read(far: &mut DuplexStream) -> (u32, Vec<u8>) {
    let (connection, length) = (far.read_u32().await.unwrap(), far.read_u32().await.unwrap());
    let mut payload = vec![0; length as usize];
    far.read_exact(&mut payload).await.unwrap();
    (connection, payload)
}

#[tokio::test]
async fn a_long_message_is_a_frame_for_the_buffer_of_go_and_one_for_the_rest() {
    let (_mux, [_, two], mut far) = trunk(Config::default());
    let message: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    two.sender.send(message.clone().into()).await.unwrap();
    let (first, rest) = (read(&mut far).await, read(&mut far).await);
    assert_eq!((first.0, first.1.len(), rest.0), (2, 4096, 2));
    assert_eq!([first.1, rest.1].concat(), message);
}

#[tokio::test]
async fn frames_go_to_their_connections_and_what_is_for_none_is_skipped() {
    let (_mux, [mut one, mut two], mut far) = trunk(Config::default());
    for (connection, payload) in [(0, "reserved"), (7, "nobody's"), (2, "b"), (1, ""), (1, "a")] {
        write(&mut far, connection, payload.as_bytes()).await;
    }
    assert_eq!(one.receiver.frame().await.unwrap(), "");
    assert_eq!(one.receiver.frame().await.unwrap(), "a");
    assert_eq!(two.receiver.frame().await.unwrap(), "b");
}

#[tokio::test]
async fn a_frame_that_is_too_long_is_refused_before_it_comes() {
    let (mux, [mut one, _], mut far) = trunk(Config { max_frame: 100, ..Config::default() });
    write(&mut far, 1, &[1; 100]).await;
    far.write_all(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
    assert_eq!(one.receiver.frame().await.unwrap().len(), 100);
    let error = one.receiver.frame().await.unwrap_err();
    assert!(matches!(error, MuxError::FrameTooLarge { connection: 1, length: 0xffff_ffff, limit: 100 }), "{error}");
    assert!(matches!(mux.ended().await, MuxError::FrameTooLarge { .. }));
}

#[tokio::test]
async fn an_end_between_frames_is_no_error_of_the_peer_and_one_within_is() {
    let (mux, _connections, far) = trunk(Config::default());
    drop(far);
    assert!(matches!(mux.ended().await, MuxError::PeerClosed));

    for (bytes, missing) in
        [(&[0, 0, 0][..], 5), (&[0, 0, 0, 1, 0, 0, 0, 9, 1, 2][..], 7), (&[0, 0, 0, 7, 0, 0, 0, 9, 1][..], 8)]
    {
        let (mux, _connections, mut far) = trunk(Config::default());
        far.write_all(bytes).await.unwrap();
        drop(far);
        let end = mux.ended().await;
        assert!(matches!(end, MuxError::Truncated { missing: n } if n == missing), "{bytes:?}: {end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_read_holds_up_the_others_for_the_limit_and_is_closed() {
    let (_mux, [mut one, mut two], mut far) = trunk(Config { receive_queue: 1000, ..Config::default() });
    let began = Instant::now();
    write(&mut far, 1, &[1; 900]).await;
    write(&mut far, 1, &[2; 900]).await;
    write(&mut far, 2, b"late").await;
    assert_eq!(two.receiver.frame().await.unwrap(), "late");
    assert_eq!(began.elapsed(), Config::default().stall_limit);

    // It is closed: its frames hold up nobody any more.
    write(&mut far, 1, &[3; 900]).await;
    write(&mut far, 2, b"at once").await;
    assert_eq!(two.receiver.frame().await.unwrap(), "at once");
    assert_eq!(began.elapsed(), Config::default().stall_limit);
    assert_eq!(one.receiver.frame().await.unwrap(), vec![1; 900]);
    assert!(matches!(one.receiver.frame().await, Err(MuxError::Stalled { connection: 1, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_always_full_holds_up_the_others_no_longer_in_all() {
    let (_mux, [mut one, mut two], mut far) = trunk(Config { receive_queue: 1000, ..Config::default() });
    let began = Instant::now();
    let reader = tokio::spawn(async move {
        // Each frame waits for a fifth of the limit.
        for _ in 0.. {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Err(error) = one.receiver.frame().await {
                return error;
            }
        }
        unreachable!()
    });
    for _ in 0..20 {
        write(&mut far, 1, &[1; 900]).await;
    }
    write(&mut far, 2, b"late").await;
    assert_eq!(two.receiver.frame().await.unwrap(), "late");
    assert_eq!(began.elapsed(), Config::default().stall_limit);
    assert!(matches!(reader.await.unwrap(), MuxError::Stalled { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_loses_nothing() {
    let (_mux, [mut one, _two], mut far) = trunk(Config { receive_queue: 1000, ..Config::default() });
    let writer = tokio::spawn(async move {
        for i in 0..10 {
            write(&mut far, 1, &[i; 2000]).await;
        }
        far
    });
    for i in 0..10 {
        if i == 5 {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        assert_eq!(one.receiver.frame().await.unwrap(), vec![i; 2000]);
    }
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn empty_frames_take_room_too() {
    let (_mux, [one, mut two], mut far) = trunk(Config { receive_queue: 1000, ..Config::default() });
    let began = Instant::now();
    for _ in 0..100 {
        write(&mut far, 1, b"").await;
    }
    write(&mut far, 2, b"late").await;
    assert_eq!(two.receiver.frame().await.unwrap(), "late");
    assert_eq!(began.elapsed(), Config::default().stall_limit);
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_waits_for_room_and_a_caller_that_goes_leaves_nothing() {
    let (near, mut far) = duplex(64);
    let (_mux, [one]) = Mux::start(near, Config { send_queue: 1000, ..Config::default() }, [1]).unwrap();
    one.sender.send(Bytes::from(vec![1; 900])).await.unwrap();
    assert!(timeout(Duration::from_secs(9), one.sender.send(vec![2; 900].into())).await.is_err());
    assert_eq!(read(&mut far).await.1, vec![1; 900]);
    one.sender.send(vec![3; 900].into()).await.unwrap();
    assert_eq!(read(&mut far).await.1, vec![3; 900]);
}

#[tokio::test(start_paused = true)]
async fn closing_writes_what_waits_and_a_peer_that_does_not_read_is_not_waited_for() {
    let (near, mut far) = duplex(64);
    let (mux, [mut one]) = Mux::start(near, Config::default(), [1]).unwrap();
    one.sender.send(vec![1; 9000].into()).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        all.len()
    });
    mux.close().await;
    mux.close().await;
    assert_eq!(reader.await.unwrap(), 9000 + 2 * 8);
    assert!(matches!(one.receiver.frame().await, Err(MuxError::Closed)));
    assert!(matches!(one.sender.send(Bytes::new()).await, Err(MuxError::Closed)));

    let (near, _far) = duplex(64);
    let (mux, [one]) = Mux::start(near, Config::default(), [1]).unwrap();
    one.sender.send(vec![1; 9000].into()).await.unwrap();
    let began = Instant::now();
    mux.close().await;
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn dropping_a_trunk_closes_it_and_its_connections() {
    let (mux, [mut one, _two], mut far) = trunk(Config::default());
    drop(mux);
    assert!(matches!(one.receiver.frame().await, Err(MuxError::Closed)));
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_number_is_open_once_and_again_when_it_is_dropped() {
    let (mux, [one, _two], mut far) = trunk(Config::default());
    assert!(matches!(mux.open(0), Err(MuxError::ReservedId)));
    assert!(matches!(mux.open(1), Err(MuxError::AlreadyOpen(1))));
    drop(one);
    let mut again = mux.open(1).unwrap();
    write(&mut far, 1, b"new").await;
    assert_eq!(again.receiver.frame().await.unwrap(), "new");
}

#[tokio::test]
async fn a_peer_that_is_gone_may_be_noticed_by_writing() {
    let ((from, _from), (to, _)) = (duplex(64), duplex(64));
    let (mux, [one]) = Mux::start(tokio::io::join(from, to), Config::default(), [1]).unwrap();
    one.sender.send(Bytes::from_static(b"lost")).await.unwrap();
    assert!(matches!(mux.ended().await, MuxError::PeerClosed));
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_held_up_before_is_forgotten_once_a_frame_finds_room() {
    let (_mux, [mut one, _two], mut far) = trunk(Config { receive_queue: 1000, ..Config::default() });
    for _ in 0..3 {
        write(&mut far, 1, &[1; 900]).await;
        write(&mut far, 1, &[2; 900]).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(one.receiver.frame().await.unwrap(), vec![1; 900]);
        assert_eq!(one.receiver.frame().await.unwrap(), vec![2; 900]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dropped_while_it_holds_up_the_others_does_so_no_more() {
    let (_mux, [one, mut two], mut far) = trunk(Config { receive_queue: 1000, ..Config::default() });
    let began = Instant::now();
    write(&mut far, 1, &[1; 900]).await;
    write(&mut far, 1, &[2; 900]).await;
    write(&mut far, 2, b"late").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(one);
    assert_eq!(two.receiver.frame().await.unwrap(), "late");
    assert_eq!(began.elapsed(), Duration::from_millis(100));
}
