//! Any bytes on a trunk → the frames that a simple reading of them gives, and an end that says why.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nri_plugin::mux::{Config, Mux, MuxError, Receiver};
use tokio::io::{AsyncWriteExt, duplex};

const LONGEST: usize = 1000;

/// The same by the shortest way: the payloads of connections 1 and 2, and how it ends.
fn expected(mut bytes: &[u8]) -> ([Vec<Vec<u8>>; 2], &'static str) {
    let mut frames = [Vec::new(), Vec::new()];
    loop {
        if bytes.is_empty() {
            return (frames, "closed");
        }
        let Some((header, rest)) = bytes.split_first_chunk::<8>() else { return (frames, "truncated") };
        let number = |range: std::ops::Range<usize>| u32::from_be_bytes(header[range].try_into().expect("four bytes"));
        let (connection, length) = (number(0..4), number(4..8) as usize);
        if length > LONGEST {
            return (frames, "too large");
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else { return (frames, "truncated") };
        if let Some(queue) = frames.get_mut((connection as usize).wrapping_sub(1)) {
            queue.push(payload.to_vec());
        }
        bytes = rest;
    }
}

async fn drain(receiver: &mut Receiver) -> (Vec<Vec<u8>>, MuxError) {
    let mut frames = Vec::new();
    loop {
        match receiver.frame().await {
            Ok(frame) => frames.push(frame.to_vec()),
            Err(end) => return (frames, end),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (frames, end) = nri_plugin_fuzz::run(async {
        let (near, mut far) = duplex(64);
        let config = Config { max_frame: LONGEST, ..Config::default() };
        let (mux, [mut one, mut two]) = Mux::start(near, config, [1, 2]).expect("two connections");
        let write = async {
            // It may be closed before all was read.
            let _ = far.write_all(bytes).await;
            let _ = far.shutdown().await;
        };
        let (first, second, ()) = tokio::join!(drain(&mut one.receiver), drain(&mut two.receiver), write);
        assert_eq!(format!("{:?}", first.1), format!("{:?}", mux.ended().await));
        ([first.0, second.0], first.1)
    });
    let end = match end {
        MuxError::PeerClosed => "closed",
        MuxError::Truncated { .. } => "truncated",
        MuxError::FrameTooLarge { .. } => "too large",
        other => panic!("{other:?}"),
    };
    assert_eq!((frames, end), expected(bytes));
});
