//! A runtime, by the rules that containerd/nri's adaptation keeps: frames, streams, subscriptions, parts, fallback and
//! limits of time. It shares only the messages with the library.

pub(crate) mod trunk;

use std::time::Duration;

use nri_plugin::api::{
    ConfigureRequest, ConfigureResponse, Container, Empty, Event, EventMask, PodSandbox, RegisterPluginRequest,
    StartContainerRequest, StateChangeEvent, SynchronizeRequest, SynchronizeResponse, UpdateContainersRequest,
    UpdateContainersResponse,
};
use nri_plugin::ttrpc::{Code, KeyValue, Request, Response, Status};
use prost::Message as _;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use self::trunk::{Reader, Writer, open};

const REGISTRATION: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(2);
const SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";

/// A runtime of some version of NRI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) nri: (u32, u32),
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// How long it waits for an answer.
    pub(crate) request: Duration,
}

pub(crate) const NRI_0_2: Kind = Kind { nri: (0, 2), name: "cri-o", version: "1.26.0", request: REQUEST };
pub(crate) const NRI_0_6: Kind = Kind { nri: (0, 6), name: "containerd", version: "1.7.24~ds1", request: REQUEST };
pub(crate) const NRI_0_8: Kind = Kind { nri: (0, 8), name: "containerd", version: "2.1.9+unknown", request: REQUEST };
pub(crate) const NRI_0_10: Kind = Kind { nri: (0, 10), name: "containerd", version: "v2.2.0", request: REQUEST };
pub(crate) const NRI_0_12: Kind = Kind { nri: (0, 12), name: "containerd", version: "v2.3.0", request: REQUEST };
pub(crate) const ALL: [Kind; 5] = [NRI_0_2, NRI_0_6, NRI_0_8, NRI_0_10, NRI_0_12];

impl Kind {
    /// The events that are known: those before `LAST`.
    pub(crate) fn known(self) -> i32 {
        if self.nri >= (0, 10) { 0x3fff } else { 0x7ff }
    }
}

/// Why the runtime dropped a plugin, or failed a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    NotRegistered,
    /// The connection is dead, by the end of the plugin or by a rule that it broke.
    Closed,
    /// The limit of time.
    Timeout,
    InvalidEvents(i32),
    NoSplitSync,
    /// What the pod fails by.
    Status(Status),
}

/// A plugin, as the runtime has it.
pub(crate) struct Plugin {
    kind: Kind,
    pub(crate) writer: Writer,
    answers: Reader,
    stream: u32,
    pub(crate) events: i32,
    pub(crate) registered: RegisterPluginRequest,
    /// Calls don't say how long the runtime waits.
    pub(crate) silent: bool,
    /// Own calls are not answered: all goes by `StateChange`.
    pub(crate) fallen_back: bool,
    /// What the plugin asked for of its own accord.
    pub(crate) updates: mpsc::UnboundedReceiver<UpdateContainersRequest>,
}

/// What exists when a plugin comes, in the parts in which it is sent.
pub(crate) type Parts = Vec<(Vec<PodSandbox>, Vec<Container>)>;

/// Registers and configures a plugin.
pub(crate) async fn configure(kind: Kind, trunk: DuplexStream, config: &str) -> Result<Plugin, Trouble> {
    let longest = if kind.nri >= (0, 7) { (4 << 20) + 10 } else { 1 << 24 };
    let (writer, answers, mut requests) = open(trunk, longest);
    let came = timeout(REGISTRATION, requests.message()).await.map_err(|_| Trouble::NotRegistered)?;
    let came = came.ok_or(Trouble::Closed)?;
    assert_eq!((came.kind, came.stream), (1, 1));
    let request = Request::decode(&came.data[..]).unwrap();
    assert_eq!((request.service.as_str(), request.method.as_str()), ("nri.pkg.api.v1alpha1.Runtime", "RegisterPlugin"));
    let registered = RegisterPluginRequest::decode(request.payload).unwrap();
    let (asked, updates) = mpsc::unbounded_channel();
    let mut plugin = Plugin {
        kind,
        writer: writer.clone(),
        answers,
        stream: 1,
        events: 0,
        registered,
        silent: false,
        fallen_back: false,
        updates,
    };
    let millis = |limit: Duration| if kind.nri >= (0, 7) { i64::try_from(limit.as_millis()).unwrap() } else { 0 };
    let request = ConfigureRequest {
        config: config.to_owned(),
        runtime_name: kind.name.to_owned(),
        runtime_version: kind.version.to_owned(),
        registration_timeout: millis(REGISTRATION),
        request_timeout: millis(kind.request),
        nri_version: if kind.nri >= (0, 12) { "0.12.0".to_owned() } else { String::new() },
    };
    // The answer to the registration comes after it, as it may.
    let configured = plugin.call("Configure", &request, Instant::now() + kind.request).await;
    writer.message(2, came.stream, 2, &Response::default().encode_to_vec()).await;
    tokio::spawn(serve(requests, writer, came.stream, asked));
    plugin.events = configured.map(|answer: ConfigureResponse| answer.events)?;
    if plugin.events & !kind.known() != 0 {
        plugin.writer.close().await;
        return Err(Trouble::InvalidEvents(plugin.events));
    }
    if plugin.events == 0 {
        plugin.events = kind.known();
    }
    Ok(plugin)
}

/// Answers a registration with an error.
pub(crate) async fn refuse(trunk: DuplexStream, status: Status) {
    let (writer, _answers, mut requests) = open(trunk, 1 << 24);
    let came = requests.message().await.unwrap();
    let response = Response { status: Some(status), ..Response::default() };
    writer.message(2, came.stream, 2, &response.encode_to_vec()).await;
}

/// Registers, configures and synchronizes a plugin.
pub(crate) async fn accept(kind: Kind, trunk: DuplexStream, parts: Parts) -> Result<Plugin, Trouble> {
    let mut plugin = configure(kind, trunk, "").await?;
    plugin.synchronize(parts).await?;
    Ok(plugin)
}

/// Go's server on connection 2: streams are odd, and greater than those before.
async fn serve(
    mut requests: Reader,
    writer: Writer,
    mut last: u32,
    asked: mpsc::UnboundedSender<UpdateContainersRequest>,
) {
    while let Some(came) = requests.message().await {
        let request = Request::decode(&came.data[..]).unwrap();
        let answer = if came.stream % 2 == 0 || came.stream <= last {
            Err(Status::new(Code::InvalidArgument, "StreamID cannot be re-used and must increment"))
        } else if request.method == "UpdateContainers" {
            let request = UpdateContainersRequest::decode(request.payload).unwrap();
            let failed = request.update.iter().filter(|update| update.container_id == "gone").cloned().collect();
            let _ = asked.send(request);
            Ok(UpdateContainersResponse { failed }.encode_to_vec().into())
        } else {
            Err(Status::new(Code::Unimplemented, request.method))
        };
        last = came.stream;
        let response = match answer {
            Ok(payload) => Response { status: None, payload },
            Err(status) => Response { status: Some(status), ..Response::default() },
        };
        writer.message(2, came.stream, 2, &response.encode_to_vec()).await;
    }
}

impl Plugin {
    /// A call, as the adaptation makes it: what is fatal closes the connection.
    pub(crate) async fn call<A: prost::Message + Default>(
        &mut self,
        method: &str,
        request: &impl prost::Message,
        deadline: Instant,
    ) -> Result<A, Trouble> {
        let stream = self.stream;
        self.stream += 2;
        let request = Request {
            service: SERVICE.to_owned(),
            method: method.to_owned(),
            payload: request.encode_to_vec().into(),
            timeout_nano: if self.silent { 0 } else { i64::try_from((deadline - Instant::now()).as_nanos()).unwrap() },
            metadata: vec![KeyValue { key: "containerd-namespace-ttrpc".to_owned(), value: "k8s.io".to_owned() }],
        };
        let exchange = async {
            self.writer.message(1, stream, 1, &request.encode_to_vec()).await;
            self.answers.message().await
        };
        let answer = match timeout_at(deadline, exchange).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(Trouble::Closed),
            Err(_) => {
                self.writer.close().await;
                return Err(Trouble::Timeout);
            }
        };
        assert_eq!((answer.kind, answer.stream), (2, stream));
        let Response { status, payload } = Response::decode(&answer.data[..]).unwrap();
        match status {
            Some(status) if status.code != 0 => Err(Trouble::Status(status)),
            _ => Ok(A::decode(payload).unwrap()),
        }
    }

    /// A call with the time that runtimes give an event.
    pub(crate) async fn ask<A: prost::Message + Default>(
        &mut self,
        method: &str,
        request: &impl prost::Message,
    ) -> Result<A, Trouble> {
        self.call(method, request, Instant::now() + self.kind.request).await
    }

    /// What exists, part by part, all within the time of one request.
    pub(crate) async fn synchronize(&mut self, parts: Parts) -> Result<SynchronizeResponse, Trouble> {
        let deadline = Instant::now() + self.kind.request;
        let mut parts = parts.into_iter().peekable();
        loop {
            let (pods, containers) = parts.next().unwrap_or_default();
            let more = parts.peek().is_some();
            assert!(!more || self.kind.nri >= (0, 7), "runtimes before NRI 0.7 send one part");
            let request = SynchronizeRequest { pods, containers, more };
            let answer: SynchronizeResponse = self.call("Synchronize", &request, deadline).await?;
            if answer.more != more || (more && !answer.update.is_empty()) {
                self.writer.close().await;
                return Err(Trouble::NoSplitSync);
            }
            if !more {
                return Ok(answer);
            }
        }
    }

    /// An event that wants no answer: by its own call from NRI 0.12 on, until the plugin says that it has none.
    pub(crate) async fn event(&mut self, event: Event, pod: PodSandbox, container: Container) -> Result<(), Trouble> {
        if !EventMask::from_bits(self.events).contains(event) {
            return Ok(());
        }
        let (pod, container) = (Some(pod), Some(container));
        if self.kind.nri >= (0, 12) && !self.fallen_back {
            let request = StartContainerRequest { pod: pod.clone(), container: container.clone() };
            match self.ask::<Empty>(event.name(), &request).await {
                Err(Trouble::Status(status)) if status.is(Code::Unimplemented) => self.fallen_back = true,
                other => return other.map(|_| ()),
            }
        }
        let request = StateChangeEvent { event: event as i32, pod, container };
        self.ask::<Empty>("StateChange", &request).await.map(|_| ())
    }
}
