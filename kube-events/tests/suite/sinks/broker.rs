//! Brokers of Kafka on the loopback, with one topic. What they are sent is decoded by `kafka-protocol`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes, decode_request_header_from_buffer};
use kafka_protocol::records::{Compression, RecordBatchDecoder};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

pub(crate) const TOPIC: &str = "events";
pub(crate) const USER: (&str, &str) = ("me", "hush");

/// How a broker answers one request to produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Say {
    /// This error, for all partitions; 0 takes them.
    Code(i16),
    /// They are taken, and the broker wants so many milliseconds of quiet.
    Throttle(i32),
    /// They are taken, and the answer gets lost with the connection.
    Lose,
    /// Nothing at all.
    Hang,
    /// No answer that anyone could read.
    Nonsense,
}

/// A record as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) key: String,
    pub(crate) value: Bytes,
    pub(crate) time: i64,
    pub(crate) compression: Compression,
}

pub(crate) struct State {
    /// Leaders of the topic's partitions, by the brokers' numbers; none if there is no topic.
    pub(crate) leaders: Option<Vec<i32>>,
    /// What becomes of the topic when it is asked for and not there.
    pub(crate) makes: Option<Vec<i32>>,
    pub(crate) addresses: BTreeMap<i32, u16>,
    pub(crate) log: BTreeMap<i32, Vec<Arrived>>,
    /// Which broker got requests to produce for which partitions.
    pub(crate) requests: Vec<(i32, Vec<i32>)>,
    pub(crate) script: VecDeque<Say>,
    /// The longest batch that is taken.
    pub(crate) max_batch: usize,
    /// Values that hold this are invalid.
    pub(crate) invalid: Option<&'static str>,
    /// The versions of `Produce`.
    pub(crate) produce: (i16, i16),
    pub(crate) wants_user: bool,
    pub(crate) connections: usize,
}

impl Default for State {
    fn default() -> Self {
        Self {
            leaders: Some(vec![0]),
            makes: None,
            addresses: BTreeMap::new(),
            log: BTreeMap::new(),
            requests: Vec::new(),
            script: VecDeque::new(),
            max_batch: 1 << 20,
            invalid: None,
            produce: (0, 13),
            wants_user: false,
            connections: 0,
        }
    }
}

/// What all brokers of a cluster know.
#[derive(Clone, Default)]
pub(crate) struct Cluster(Arc<Mutex<State>>);

/// Ends when it is dropped, and its connections with it.
pub(crate) struct Broker {
    pub(crate) address: String,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

impl Cluster {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.0.lock()
    }

    pub(crate) fn say(&self, script: impl IntoIterator<Item = Say>) {
        self.state().script = script.into_iter().collect();
    }

    /// The values of a partition, in order.
    pub(crate) fn values(&self, partition: i32) -> Vec<Bytes> {
        let state = self.state();
        let arrived = state.log.get(&partition).into_iter().flatten();
        arrived.map(|record| record.value.clone()).collect()
    }

    /// The reasons of all that arrived, sorted.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<_> =
            self.state().log.values().flatten().flat_map(|record| super::support::reasons(&record.value)).collect();
        reasons.sort();
        reasons
    }

    /// A broker with this number, at a port of its own or at this one.
    pub(crate) async fn broker(&self, id: i32, port: u16) -> Broker {
        self.serve(id, port, |socket| async { Some(socket) }).await
    }

    pub(crate) async fn serve<S, F>(
        &self,
        id: i32,
        port: u16,
        accept: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Broker
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        self.state().addresses.insert(id, address.port());
        let tasks: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let (cluster, kept) = (self.clone(), Arc::clone(&tasks));
        let serve = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                cluster.state().connections += 1;
                let (cluster, accepted) = (cluster.clone(), accept(socket));
                let task = tokio::spawn(async move {
                    if let Some(socket) = accepted.await {
                        let _ = cluster.exchange(id, socket).await;
                    }
                });
                kept.lock().push(task.abort_handle());
            }
        });
        tasks.lock().push(serve.abort_handle());
        Broker { address: address.to_string(), tasks }
    }

    async fn exchange(&self, id: i32, mut socket: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut is_known = !self.state().wants_user;
        loop {
            let length = socket.read_u32().await?;
            let mut frame = vec![0; length as usize];
            socket.read_exact(&mut frame).await?;
            let mut frame = Bytes::from(frame);
            let header = decode_request_header_from_buffer(&mut frame).unwrap();
            let version = header.request_api_version;
            assert_eq!(header.client_id.as_deref(), Some("kube-events"));
            let mut answer = BytesMut::new();
            ResponseHeader::default().with_correlation_id(header.correlation_id).encode(&mut answer, 0).unwrap();
            match ApiKey::try_from(header.request_api_key).unwrap() {
                ApiKey::ApiVersions => self.versions().encode(&mut answer, version).unwrap(),
                ApiKey::SaslHandshake => handshake(&mut frame).encode(&mut answer, version).unwrap(),
                ApiKey::SaslAuthenticate => {
                    let request = SaslAuthenticateRequest::decode(&mut frame, version).unwrap();
                    is_known = request.auth_bytes == format!("\0{}\0{}", USER.0, USER.1);
                    let response = SaslAuthenticateResponse::default().with_error_code(if is_known { 0 } else { 58 });
                    let why = (!is_known).then(|| StrBytes::from("no such user"));
                    response.with_error_message(why).encode(&mut answer, version).unwrap();
                }
                // As a broker does it, that knows not whom it speaks with.
                _ if !is_known => return Ok(()),
                ApiKey::Metadata => {
                    let request = MetadataRequest::decode(&mut frame, version).unwrap();
                    self.metadata(&request).encode(&mut answer, version).unwrap();
                }
                ApiKey::Produce => {
                    let request = ProduceRequest::decode(&mut frame, version).unwrap();
                    let say = self.state().script.pop_front().unwrap_or(Say::Code(0));
                    let response = self.produce(id, request, &say);
                    match say {
                        Say::Hang => std::future::pending().await,
                        Say::Lose => return Ok(()),
                        Say::Nonsense => answer.extend_from_slice(&[0x7f; 40]),
                        Say::Code(_) | Say::Throttle(_) => response.encode(&mut answer, version).unwrap(),
                    }
                }
                other => panic!("{other:?} is not asked for"),
            }
            assert!(!frame.has_remaining(), "all of a request is read");
            socket.write_u32(u32::try_from(answer.len()).unwrap()).await?;
            socket.write_all(&answer).await?;
            socket.flush().await?;
        }
    }

    fn versions(&self) -> ApiVersionsResponse {
        let (least, most) = self.state().produce;
        let versions = [(ApiKey::Produce, least, most), (ApiKey::Metadata, 0, 13), (ApiKey::ApiVersions, 0, 4)];
        let version = |(key, least, most)| {
            ApiVersion::default().with_api_key(key as i16).with_min_version(least).with_max_version(most)
        };
        ApiVersionsResponse::default().with_api_keys(versions.map(version).to_vec())
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let mut state = self.state();
        let brokers = state.addresses.iter().map(|(id, port)| {
            let broker = MetadataResponseBroker::default().with_node_id(BrokerId(*id)).with_port(i32::from(*port));
            broker.with_host("127.0.0.1".into())
        });
        let mut response = MetadataResponse::default().with_brokers(brokers.collect());
        let name = request.topics.as_ref().unwrap()[0].name.clone().unwrap();
        let mut topic = MetadataResponseTopic::default().with_name(Some(name.clone()));
        match &state.leaders {
            Some(leaders) if name.as_str() == TOPIC => {
                let partition = |(index, leader): (usize, &i32)| {
                    let partition = MetadataResponsePartition::default().with_leader_id(BrokerId(*leader));
                    let nodes = vec![BrokerId(*leader); 3];
                    let index = i32::try_from(index).unwrap();
                    partition.with_partition_index(index).with_replica_nodes(nodes.clone()).with_isr_nodes(nodes)
                };
                // In no order, as brokers do it.
                topic.partitions = leaders.iter().enumerate().map(partition).rev().collect();
            }
            _ if state.makes.is_some() && request.allow_auto_topic_creation => {
                state.leaders = state.makes.take();
                topic.error_code = 5;
            }
            _ => topic.error_code = 3,
        }
        response.topics = vec![topic];
        response
    }

    fn produce(&self, id: i32, request: ProduceRequest, say: &Say) -> ProduceResponse {
        assert_eq!((request.acks, request.timeout_ms, request.topic_data.len()), (-1, 15_000, 1));
        let mut state = self.state();
        let topic = request.topic_data.into_iter().next().unwrap();
        assert_eq!(topic.name.as_str(), TOPIC);
        state.requests.push((id, topic.partition_data.iter().map(|data| data.index).collect()));
        let mut answers = Vec::new();
        for data in topic.partition_data {
            let mut answer = PartitionProduceResponse::default().with_index(data.index);
            let mut records = data.records.unwrap();
            let length = records.len();
            let batch = RecordBatchDecoder::decode(&mut records).unwrap();
            assert!(!records.has_remaining(), "one batch for a partition");
            let place = |(at, record): (usize, &kafka_protocol::records::Record)| {
                let text = String::from_utf8_lossy(record.value.as_ref().unwrap()).into_owned();
                let is_wrong = state.invalid.is_some_and(|invalid| text.contains(invalid));
                let place = BatchIndexAndErrorMessage::default().with_batch_index(i32::try_from(at).unwrap());
                is_wrong.then(|| place.with_batch_index_error_message(Some("it is".into())))
            };
            let wrong: Vec<_> = batch.records.iter().enumerate().filter_map(place).collect();
            let leader = state.leaders.as_ref().and_then(|leaders| leaders.get(usize::try_from(data.index).ok()?));
            answer.error_code = match say {
                Say::Code(code) if *code != 0 => *code,
                Say::Hang | Say::Nonsense => 1,
                _ if leader.is_none() => 3,
                _ if leader != Some(&id) => 6,
                _ if length > state.max_batch => 10,
                _ if !wrong.is_empty() => 87,
                _ => 0,
            };
            if answer.error_code == 87 {
                answer.record_errors = wrong;
                answer.error_message = Some("One or more records\nhave been rejected".into());
            }
            if answer.error_code == 0 {
                let arrived = batch.records.into_iter().map(|record| Arrived {
                    key: String::from_utf8(record.key.unwrap().to_vec()).unwrap(),
                    value: record.value.unwrap(),
                    time: record.timestamp,
                    compression: batch.compression,
                });
                state.log.entry(data.index).or_default().extend(arrived);
            }
            answers.push(answer);
        }
        let topic =
            TopicProduceResponse::default().with_name(TopicName(TOPIC.into())).with_partition_responses(answers);
        let throttle = if let Say::Throttle(throttle) = say { *throttle } else { 0 };
        ProduceResponse::default().with_responses(vec![topic]).with_throttle_time_ms(throttle)
    }
}

fn handshake(frame: &mut Bytes) -> SaslHandshakeResponse {
    let request = SaslHandshakeRequest::decode(frame, 1).unwrap();
    let response = SaslHandshakeResponse::default().with_mechanisms(vec!["GSSAPI".into(), "PLAIN".into()]);
    response.with_error_code(if request.mechanism.as_str() == "PLAIN" { 0 } else { 33 })
}
