//! Any payload of each request → an answer of its own stream, from a plugin that handles all of them.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use nri_plugin::api::{ConfigureRequest, PLUGIN_SERVICE};
use nri_plugin::ttrpc::{Request, Response};
use nri_plugin_fuzz::{frame, message};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const METHODS: [&str; 19] = [
    "Synchronize",
    "RunPodSandbox",
    "UpdatePodSandbox",
    "PostUpdatePodSandbox",
    "StopPodSandbox",
    "RemovePodSandbox",
    "CreateContainer",
    "PostCreateContainer",
    "StartContainer",
    "PostStartContainer",
    "UpdateContainer",
    "PostUpdateContainer",
    "StopContainer",
    "RemoveContainer",
    "StateChange",
    "ValidateContainerAdjustment",
    "Configure",
    "Shutdown",
    "",
];

#[derive(Debug, arbitrary::Arbitrary)]
struct Asked<'a> {
    method: u8,
    timeout_nano: i64,
    payload: &'a [u8],
}

/// The next message on connection 1: its stream and its data. None once the connection has ended.
async fn answer(far: &mut DuplexStream) -> Option<(u32, Vec<u8>)> {
    let mut came = Vec::new();
    loop {
        let (connection, length) = (far.read_u32().await.ok()?, far.read_u32().await.ok()?);
        let mut payload = vec![0; length as usize];
        far.read_exact(&mut payload).await.ok()?;
        if connection != 1 {
            continue;
        }
        came.extend(payload);
        let number = |at: usize| came.get(at..at + 4).map(|b| u32::from_be_bytes(b.try_into().expect("four bytes")));
        if let (Some(length), Some(stream)) = (number(0), number(4))
            && came.len() >= 10 + length as usize
        {
            return Some((stream, came.split_off(10)));
        }
    }
}

fuzz_target!(|asked: Vec<Asked<'_>>| {
    nri_plugin_fuzz::run(async {
        let (near, mut far) = duplex(1 << 20);
        let _session = nri_plugin_fuzz::session().spawn(near).expect("a session");
        let runtime = ConfigureRequest { runtime_name: "containerd".to_owned(), ..ConfigureRequest::default() };
        let configure = ("Configure", 0, runtime.encode_to_vec());
        let asked = asked.iter().map(|asked| {
            (METHODS[usize::from(asked.method) % METHODS.len()], asked.timeout_nano, asked.payload.to_vec())
        });
        for (stream, (method, timeout_nano, payload)) in (1..).step_by(2).zip(std::iter::once(configure).chain(asked)) {
            let request = Request {
                service: PLUGIN_SERVICE.to_owned(),
                method: method.to_owned(),
                payload: payload.into(),
                timeout_nano,
                metadata: Vec::new(),
            };
            let sent = far.write_all(&frame(1, &message(stream, 1, &request.encode_to_vec()))).await;
            // A plugin that was configured anew with nonsense, or was asked to end, has ended.
            let Some((answered, data)) = (if sent.is_ok() { answer(&mut far).await } else { None }) else { return };
            assert_eq!(answered, stream);
            Response::decode(&data[..]).expect("an answer that can be read");
        }
    });
});
