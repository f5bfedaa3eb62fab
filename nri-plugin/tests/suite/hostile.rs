//! Any bytes → an end that says why, and no panic.

use std::sync::Arc;

use nri_plugin::api::{Container, PLUGIN_SERVICE, PodSandbox};
use nri_plugin::mux::MuxError;
use nri_plugin::ttrpc::Request;
use nri_plugin::{Answer, End, Identity, Plugin, Session, SessionError};
use proptest::prelude::*;
use prost::Message;
use tokio::io::{AsyncWriteExt, duplex};

struct Starts;

impl Plugin for Starts {
    async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
        Ok(())
    }
}

/// Gives a session these bytes, and then the end of the connection.
fn end_of(bytes: &[u8]) -> Result<End, SessionError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = duplex(1 << 16);
        let session = Session::builder(Identity::new("10", "a").unwrap(), Arc::new(Starts)).spawn(near).unwrap();
        // It may close the connection before it has read all.
        let _ = far.write_all(bytes).await;
        let _ = far.shutdown().await;
        session.ended().await
    })
}

/// A frame whose message is anything, though its lengths may be right.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let methods = ["Configure", "Synchronize", "CreateContainer", "StartContainer", "StateChange", "Other", ""];
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        (prop::sample::select(methods.to_vec()), prop::collection::vec(any::<u8>(), 0..60), any::<i64>()).prop_map(
            |(method, payload, timeout_nano)| {
                let (service, method) = (PLUGIN_SERVICE.to_owned(), method.to_owned());
                Request { service, method, payload: payload.into(), timeout_nano, metadata: Vec::new() }.encode_to_vec()
            }
        ),
    ];
    (0..4_u32, any::<u32>(), 0..5_u8, data, prop_oneof![9 => Just(0_u32), 1 => any::<u32>()]).prop_map(
        |(connection, stream, kind, data, lie)| {
            let length = u32::try_from(data.len()).unwrap();
            let header = [connection, length + 10, length.wrapping_add(lie), stream].map(u32::to_be_bytes).concat();
            [&header[..], &[kind, 0], &data].concat()
        },
    )
}

/// A task that panicked would leave an end that nobody wanted, or the time that runs out.
fn is_told(end: &Result<End, SessionError>) -> bool {
    match end {
        Ok(end) => *end == End::RuntimeClosed,
        Err(error) => {
            !matches!(error, SessionError::RegistrationTimeout(_) | SessionError::Connection(MuxError::Closed))
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let end = end_of(&bytes);
        prop_assert!(is_told(&end), "{:?}", end);
    }

    #[test]
    fn any_messages_are_an_end(frames in prop::collection::vec(frame(), 0..20)) {
        let end = end_of(&frames.concat());
        prop_assert!(is_told(&end), "{:?}", end);
    }
}
