//! The brokers of a topic, and what they take.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::BytesMut;
use futures::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{MetadataRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record as KafkaRecord,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::time::{Instant, timeout};

use super::answer::{self, Broker, Metadata, Partition, Produced};
use super::connection::{Connection, Dialer, Error};
use super::partition_of;
use crate::sink::excerpt::excerpt;
use crate::sink::{Cause, Record, Refused};

/// What asking one broker for the others may take.
const DISCOVERY: Duration = Duration::from_secs(5);
/// What one broker may take for its part of a batch. One that hangs must not spoil what the others have taken.
const PART: Duration = Duration::from_secs(20);
/// How long a broker waits for its replicas.
const REPLICAS_MS: i32 = 15_000;
/// All replicas that are in step.
const ALL: i16 = -1;
/// How long it is believed which broker has what: there may be more partitions by then.
const FRESH: Duration = Duration::from_mins(5);
/// How long connections may idle. Brokers close them after 10 minutes, what is between them earlier.
const IDLE: Duration = Duration::from_mins(1);

/// What is known of a topic, with connections to its brokers. After a failure all of it is asked for anew.
pub(super) struct Cluster {
    brokers: Vec<Broker>,
    partitions: Vec<Partition>,
    connections: HashMap<i32, Connection>,
    since: Instant,
    used: Instant,
}

/// What became of a batch.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) again: Vec<usize>,
    pub(super) refused: Vec<Refused>,
    /// The first reason why some come again.
    pub(super) cause: Option<Cause>,
}

/// Places in the batch of records for a partition, in order.
struct Share {
    partition: i32,
    places: Vec<usize>,
}

fn at(host: &str, port: u16, error: &dyn std::fmt::Display) -> String {
    format!("{host}:{port}: {error}")
}

impl Cluster {
    /// Asks one of these brokers after the other.
    pub(super) async fn discover(dialer: &Dialer, seeds: &[(String, u16)], topic: &StrBytes) -> Result<Self, Cause> {
        let mut problems = Vec::new();
        for (host, port) in seeds {
            match timeout(DISCOVERY, ask(dialer, host, *port, topic)).await {
                Ok(Ok((connection, metadata))) => {
                    return Self::of(connection, (host, *port), metadata, topic);
                }
                Ok(Err(error)) => problems.push(at(host, *port, &error)),
                Err(_) => problems.push(at(host, *port, &format!("it does not answer within {DISCOVERY:?}"))),
            }
        }
        Err(problems.join("; ").into())
    }

    fn of(
        connection: Connection,
        (host, port): (&str, u16),
        metadata: Metadata,
        topic: &StrBytes,
    ) -> Result<Self, Cause> {
        match ResponseError::try_from_code(metadata.code) {
            None => {}
            Some(ResponseError::UnknownTopicOrPartition) => {
                let problem = "is not there, or may not be seen: create it, or grant the sink's user to describe it";
                return Err(format!("the topic `{topic}` {problem}").into());
            }
            Some(error) => return Err(format!("the topic `{topic}`: {error}").into()),
        }
        if metadata.partitions.is_empty() {
            return Err(format!("the topic `{topic}` has no partitions yet").into());
        }
        let (brokers, partitions) = (metadata.brokers, metadata.partitions);
        let same = brokers.iter().find(|broker| (broker.host.as_str(), broker.port) == (host, port));
        let connections = same.map(|broker| (broker.id, connection)).into_iter().collect();
        let now = Instant::now();
        Ok(Self { brokers, partitions, connections, since: now, used: now })
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.since.elapsed() < FRESH && self.used.elapsed() < IDLE
    }

    /// Sends a batch, to all brokers at once.
    pub(super) async fn send(
        &mut self,
        dialer: &Dialer,
        topic: &StrBytes,
        compression: Compression,
        batch: &[Record],
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut leaders: BTreeMap<i32, BTreeMap<i32, Vec<usize>>> = BTreeMap::new();
        for (place, record) in batch.iter().enumerate() {
            let partition = self.partitions.get(partition_of(&record.key, self.partitions.len()));
            let Some(Partition { index, leader }) = partition else { continue };
            match leader {
                Some(leader) => leaders.entry(*leader).or_default().entry(*index).or_default().push(place),
                None => {
                    outcome.again.push(place);
                    let problem = || format!("partition {index} of the topic `{topic}` has no leader").into();
                    outcome.cause.get_or_insert_with(problem);
                }
            }
        }
        let mut parts = Vec::new();
        for (leader, partitions) in leaders {
            let shares: Vec<_> =
                partitions.into_iter().map(|(partition, places)| Share { partition, places }).collect();
            let broker = self.brokers.iter().find(|broker| broker.id == leader).cloned();
            let connection = self.connections.remove(&leader);
            parts.push(part(dialer, topic, compression, batch, broker, connection, shares));
        }
        for (part, connection) in join_all(parts).await {
            outcome.again.extend(part.again);
            outcome.refused.extend(part.refused);
            outcome.cause = outcome.cause.or(part.cause);
            self.connections.extend(connection);
        }
        outcome.again.sort_unstable();
        self.used = Instant::now();
        outcome
    }
}

async fn ask(dialer: &Dialer, host: &str, port: u16, topic: &StrBytes) -> Result<(Connection, Metadata), Error> {
    let mut connection = dialer.connect(host, port).await?;
    let name = Some(TopicName(topic.clone()));
    // As the origin's client does it: brokers make topics that are asked for, where they are set to.
    let request = MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(name)]))
        .with_allow_auto_topic_creation(true);
    let metadata = answer::metadata(&connection.ask(&request, 4).await?)?;
    Ok((connection, metadata))
}

/// What one broker takes. Its connection comes back if it is still of use.
async fn part(
    dialer: &Dialer,
    topic: &StrBytes,
    compression: Compression,
    batch: &[Record],
    broker: Option<Broker>,
    connection: Option<Connection>,
    shares: Vec<Share>,
) -> (Outcome, Option<(i32, Connection)>) {
    let mut part = Part { batch, topic, compression, waiting: VecDeque::from([shares]), outcome: Outcome::default() };
    let Some(broker) = broker else {
        part.give_back("the leader of a partition is not known".into());
        return (part.outcome, None);
    };
    let sent = timeout(PART, async {
        let mut connection = match connection {
            Some(connection) => connection,
            None => dialer.connect(&broker.host, broker.port).await?,
        };
        part.send(&mut connection).await?;
        Ok::<_, Error>(connection)
    });
    let problem = match sent.await {
        Ok(Ok(connection)) => return (part.outcome, Some((broker.id, connection))),
        Ok(Err(error)) => at(&broker.host, broker.port, &error),
        Err(_) => at(&broker.host, broker.port, &format!("it does not answer within {PART:?}")),
    };
    part.give_back(problem.into());
    (part.outcome, None)
}

struct Part<'a> {
    batch: &'a [Record],
    topic: &'a StrBytes,
    compression: Compression,
    /// Requests to be sent: one at first, more when something is refused and nobody knows what.
    waiting: VecDeque<Vec<Share>>,
    outcome: Outcome,
}

impl Part<'_> {
    async fn send(&mut self, connection: &mut Connection) -> Result<(), Error> {
        if self.compression == Compression::Zstd && !connection.takes_zstd() {
            return Err(Error::Version);
        }
        while let Some(shares) = self.waiting.front() {
            let request = self.request(shares)?;
            let answer = connection.ask(&request, connection.produce).await?;
            let (produced, throttle) = answer::produced(&answer, connection.produce)?;
            connection.be_quiet(throttle);
            for share in self.waiting.pop_front().unwrap_or_default() {
                match produced.iter().find(|produced| produced.partition == share.partition) {
                    Some(produced) => self.settle(share, produced),
                    None => self.comes_again(share, "the broker has not answered for a partition".into()),
                }
            }
        }
        Ok(())
    }

    fn request(&self, shares: &[Share]) -> Result<ProduceRequest, Error> {
        let mut partitions = Vec::with_capacity(shares.len());
        for share in shares {
            let records = encode(self.batch, &share.places, self.compression)?;
            let data = PartitionProduceData::default().with_index(share.partition);
            partitions.push(data.with_records(Some(records.freeze())));
        }
        let topic =
            TopicProduceData::default().with_name(TopicName(self.topic.clone())).with_partition_data(partitions);
        Ok(ProduceRequest::default().with_acks(ALL).with_timeout_ms(REPLICAS_MS).with_topic_data(vec![topic]))
    }

    fn settle(&mut self, share: Share, produced: &Produced) {
        let Some(error) = ResponseError::try_from_code(produced.code) else { return };
        let told = match excerpt(&produced.message) {
            said if said.is_empty() => error.to_string(),
            said => format!("{error}: {said}"),
        };
        if !is_about_records(error) {
            let cause = format!("partition {}: {told}", share.partition);
            self.comes_again(share, cause.into());
            return;
        }
        let wrong: Vec<usize> = produced.wrong.iter().filter_map(|at| share.places.get(*at).copied()).collect();
        let Share { partition, mut places } = share;
        if places.len() == 1 || !wrong.is_empty() {
            let refused: Vec<usize> = if wrong.is_empty() { std::mem::take(&mut places) } else { wrong };
            places.retain(|place| !refused.contains(place));
            self.outcome.refused.extend(refused.into_iter().map(|index| Refused { index, reason: told.clone() }));
            if !places.is_empty() {
                self.waiting.push_front(vec![Share { partition, places }]);
            }
            return;
        }
        // One of them, or all of them together: halves are tried, in order.
        let rest = places.split_off(places.len() / 2);
        self.waiting.push_front(vec![Share { partition, places: rest }]);
        self.waiting.push_front(vec![Share { partition, places }]);
    }

    /// What is behind it for the same partition comes again with it, so that the order stays.
    fn comes_again(&mut self, share: Share, cause: Cause) {
        self.outcome.cause.get_or_insert(cause);
        self.outcome.again.extend(share.places);
        for shares in &mut self.waiting {
            for behind in shares.extract_if(.., |behind| behind.partition == share.partition) {
                self.outcome.again.extend(behind.places);
            }
        }
        self.waiting.retain(|shares| !shares.is_empty());
    }

    /// All that is not dealt with comes again.
    fn give_back(&mut self, cause: Cause) {
        self.outcome.cause.get_or_insert(cause);
        let left = std::mem::take(&mut self.waiting).into_iter().flatten();
        self.outcome.again.extend(left.flat_map(|share| share.places));
    }
}

/// Whether other records would be taken: all else is about brokers, rights and settings, which change.
fn is_about_records(error: ResponseError) -> bool {
    matches!(
        error,
        ResponseError::MessageTooLarge
            | ResponseError::RecordListTooLarge
            | ResponseError::InvalidRecord
            | ResponseError::InvalidTimestamp
            | ResponseError::PolicyViolation
    )
}

/// A batch of records, as the log keeps it.
fn encode(batch: &[Record], places: &[usize], compression: Compression) -> Result<BytesMut, Error> {
    let mut offset = 0;
    let record = |record: &Record| {
        let made = KafkaRecord {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(offset),
            // Records whose sequence goes with their offset share a batch.
            sequence: NO_SEQUENCE.wrapping_add(offset),
            timestamp: record.time_ms,
            key: Some(bytes::Bytes::copy_from_slice(record.key.as_bytes())),
            value: Some(record.body.clone()),
            headers: kafka_protocol::indexmap::IndexMap::new(),
        };
        offset += 1;
        made
    };
    let records: Vec<_> = places.iter().filter_map(|place| batch.get(*place)).map(record).collect();
    let mut encoded = BytesMut::new();
    RecordBatchEncoder::encode(&mut encoded, &records, &RecordEncodeOptions { version: 2, compression })
        .map_err(|error| Error::Encode(error.to_string()))?;
    Ok(encoded)
}
