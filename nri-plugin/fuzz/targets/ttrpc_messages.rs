//! Any bytes on both connections of a session, cut anywhere → an end, and calls that are over.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::{arbitrary, fuzz_target};
use nri_plugin::api::{Empty, RUNTIME_SERVICE};
use nri_plugin::mux::{self, Mux};
use nri_plugin::ttrpc::{self, CallOptions, Client};
use tokio::io::{AsyncWriteExt, duplex};

/// What the peer sends: pieces of messages, whole ones, and answers to the plugin's call.
#[derive(Debug, arbitrary::Arbitrary)]
enum Piece<'a> {
    Raw { connection: u8, bytes: &'a [u8] },
    Message { connection: bool, stream: u32, kind: u8, data: &'a [u8] },
    Answer(&'a [u8]),
}

fuzz_target!(|pieces: Vec<Piece<'_>>| {
    let bytes: Vec<u8> = pieces
        .into_iter()
        .flat_map(|piece| match piece {
            Piece::Raw { connection, bytes } => nri_plugin_fuzz::frame(u32::from(connection % 4), bytes),
            Piece::Message { connection, stream, kind, data } => {
                nri_plugin_fuzz::frame(1 + u32::from(connection), &nri_plugin_fuzz::message(stream, kind, data))
            }
            Piece::Answer(data) => nri_plugin_fuzz::frame(2, &nri_plugin_fuzz::message(1, 2, data)),
        })
        .collect();
    nri_plugin_fuzz::run(async {
        // The client alone, whose first stream is 1.
        let (near, mut far) = duplex(1 << 20);
        let (_mux, [connection]) = Mux::start(near, mux::Config::default(), [2]).expect("a connection");
        let client = Client::new(connection, ttrpc::Config::default());
        let options = CallOptions { timeout: Some(Duration::from_secs(10)), ..CallOptions::default() };
        let _ = far.write_all(&bytes).await;
        let _: Result<Empty, _> = client.call(RUNTIME_SERVICE, "RegisterPlugin", &Empty {}, options).await;
        drop(far);

        // The whole of a session.
        let (near, mut far) = duplex(1 << 20);
        let session = nri_plugin_fuzz::session().spawn(near).expect("a session");
        let _ = far.write_all(&bytes).await;
        let _ = far.shutdown().await;
        let _ = session.ended().await;
    });
});
