//! Records of a topic.

use std::time::Duration;

use kafka_protocol::records::Compression as Codec;
use kube_events::sink::kafka::{Compression, KafkaOptions, Mechanism, Sasl};
use kube_events::sink::{Ack, BatchOptions, Body, Delivery, Kafka, Outlet, OutletOptions, Record, RetryOptions, Sink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::broker::{Broker, Cluster, Say, State, TOPIC, USER};
use super::server::outcome;
use super::support::{event, reasons, records};

fn options(broker: &Broker) -> KafkaOptions {
    KafkaOptions::new([broker.address.as_str()], TOPIC)
}

fn sink(broker: &Broker) -> Kafka {
    Kafka::new(options(broker)).unwrap()
}

/// A record with this key, whose value tells its number.
fn record(number: usize, key: &str) -> Record {
    let body = format!(r#"{{"reason":"{number:03}"}}"#).into();
    Record { body, time_ms: 1_700_000_000_000, target: "".into(), key: key.into() }
}

/// Records of one partition.
fn numbered(count: usize) -> Vec<Record> {
    (0..count).map(|number| record(number, "k")).collect()
}

fn numbers(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("{number:03}")).collect()
}

#[tokio::test]
async fn an_event_is_a_record_in_each_codec() {
    let cluster = Cluster::default();
    let broker = cluster.broker(0, 0).await;
    let codecs = [
        (Compression::None, Codec::None),
        (Compression::Gzip, Codec::Gzip),
        (Compression::Snappy, Codec::Snappy),
        (Compression::Lz4, Codec::Lz4),
        (Compression::Zstd, Codec::Zstd),
    ];
    for (compression, _) in codecs {
        let body = Body::json().de_dot(true);
        let sink = Kafka::new(KafkaOptions { compression, body, ..options(&broker) }).unwrap();
        assert_eq!(sink.deliver(&records(&sink, &["A", "B"])).await.unwrap(), Delivery::default());
    }
    let state = cluster.state();
    assert_eq!((state.requests.len(), state.connections), (5, 5), "one connection and one request for each batch");
    for ((_, codec), pair) in codecs.into_iter().zip(state.log[&0].chunks(2)) {
        for (arrived, reason) in pair.iter().zip(["A", "B"]) {
            assert_eq!((arrived.key.clone(), arrived.compression), (format!("uid-{reason}"), codec));
            assert_eq!(arrived.value, event(reason).de_dot().to_json());
            assert_eq!(arrived.time, 1_714_557_600_000, "when it happened");
        }
    }
}

#[tokio::test]
async fn a_time_to_come_is_now() {
    let cluster = Cluster::default();
    let broker = cluster.broker(0, 0).await;
    let sink = sink(&broker);
    let (mut ahead, mut none) = (event("A"), event("B"));
    for (event, time) in [(&mut ahead, Some(jiff::Timestamp::MAX)), (&mut none, None)] {
        let event = std::sync::Arc::make_mut(&mut event.event);
        (event.last_timestamp, event.first_timestamp, event.metadata.creation_timestamp) = (time, time, time);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    for event in [&ahead, &none] {
        let time = sink.encode(event).unwrap().time_ms;
        assert!((now..now + 60_000).contains(&time), "{time}");
    }
}

#[tokio::test]
async fn keys_say_the_partition_and_each_broker_has_one_request() {
    let cluster = Cluster::new(State { leaders: Some(vec![0, 1, 0, 1]), ..State::default() });
    let (one, _other) = (cluster.broker(0, 0).await, cluster.broker(1, 0).await);
    let sink = sink(&one);
    // Of four partitions, FNV-1a gives: a 0, b 3, c 2, d 1, and so on, some of them twice.
    let batch: Vec<Record> =
        ["a", "b", "c", "d", "a", "d"].iter().enumerate().map(|(at, key)| record(at, key)).collect();
    sink.deliver(&batch).await.unwrap();
    sink.deliver(&batch[4..]).await.unwrap();
    let state = cluster.state();
    let mut by_key: std::collections::BTreeMap<&str, Vec<(i32, String)>> = std::collections::BTreeMap::new();
    for (partition, arrived) in &state.log {
        for record in arrived {
            by_key.entry(&record.key).or_default().push((*partition, reasons(&record.value).remove(0)));
        }
    }
    let at = |partition: i32, list: &[&str]| list.iter().map(|it| (partition, (*it).to_owned())).collect::<Vec<_>>();
    // Computed apart from this crate.
    assert_eq!(by_key["a"], at(0, &["000", "004", "004"]));
    assert_eq!(by_key["b"], at(3, &["001"]));
    assert_eq!(by_key["c"], at(2, &["002"]));
    assert_eq!(by_key["d"], at(1, &["003", "005", "005"]));
    let mut requests = state.requests.clone();
    requests.sort();
    assert_eq!(requests, [(0, vec![0]), (0, vec![0, 2]), (1, vec![1]), (1, vec![1, 3])]);
    assert_eq!(state.connections, 2, "they are kept");
}

#[tokio::test]
async fn the_error_says_what_becomes_of_a_record() {
    let table = [
        (0, "taken"),
        (-1, "again"),   // unknown server error
        (2, "again"),    // corrupt message
        (3, "again"),    // unknown topic or partition
        (5, "again"),    // leader not available
        (6, "again"),    // not leader
        (7, "again"),    // request timed out
        (10, "refused"), // message too large
        (17, "again"),   // invalid topic
        (18, "refused"), // record list too large
        (19, "again"),   // not enough replicas
        (20, "again"),   // not enough replicas after append
        (29, "again"),   // topic authorization failed
        (31, "again"),   // cluster authorization failed
        (32, "refused"), // invalid timestamp
        (44, "refused"), // policy violation
        (56, "again"),   // storage error
        (76, "again"),   // unsupported compression type
        (87, "refused"), // invalid record
        (999, "again"),
    ];
    let cluster = Cluster::default();
    let broker = cluster.broker(0, 0).await;
    let sink = sink(&broker);
    cluster.say(table.map(|(code, _)| Say::Code(code)));
    for (code, want) in table {
        let delivered = sink.deliver(&numbered(1)).await;
        assert_eq!(outcome(&delivered).0, want, "{code}: {delivered:?}");
    }
    let delivered = sink.deliver(&numbered(1)).await;
    assert_eq!(outcome(&delivered).0, "taken", "{delivered:?}");
}

#[tokio::test]
async fn of_a_batch_that_is_too_large_all_but_the_one_go_through_in_order() {
    let cluster = Cluster::new(State { max_batch: 2000, ..State::default() });
    let broker = cluster.broker(0, 0).await;
    let mut batch = numbered(80);
    batch[37].body = format!(r#"{{"reason":"{}"}}"#, "x".repeat(3000)).into();
    let delivery = sink(&broker).deliver(&batch).await.unwrap();
    assert!(delivery.again.is_empty());
    assert_eq!(delivery.refused.iter().map(|refused| refused.index).collect::<Vec<_>>(), [37]);
    let arrived: Vec<_> = cluster.values(0).iter().flat_map(|value| reasons(value)).collect();
    assert_eq!(arrived, numbers((0..80).filter(|number| *number != 37)));
    assert!(cluster.state().requests.len() < 16, "{:?}", cluster.state().requests);
}

#[tokio::test]
async fn invalid_records_are_refused_alone() {
    // From version 8 on, the broker tells which; before, halves are tried.
    for (produce, requests) in [((0, 13), 2), ((3, 7), 7)] {
        let cluster = Cluster::new(State { invalid: Some("002"), produce, ..State::default() });
        let broker = cluster.broker(0, 0).await;
        let delivery = sink(&broker).deliver(&numbered(8)).await.unwrap();
        assert_eq!((delivery.again.len(), delivery.refused.len(), delivery.refused[0].index), (0, 1, 2));
        assert_eq!(cluster.reasons(), numbers([0, 1, 3, 4, 5, 6, 7]));
        assert_eq!(cluster.state().requests.len(), requests, "{produce:?}");
        let told = &delivery.refused[0].reason;
        assert_eq!(told.contains("records have been rejected"), produce.1 > 7, "{told}");
    }
}

#[tokio::test]
async fn what_one_broker_does_not_take_keeps_no_other_up() {
    let cluster = Cluster::new(State { leaders: Some(vec![0, 1]), ..State::default() });
    let one = cluster.broker(0, 0).await;
    let other = cluster.broker(1, 0).await;
    let port = cluster.state().addresses[&1];
    let sink = sink(&one);
    drop(other);
    sleep(Duration::from_millis(50)).await;
    let batch: Vec<Record> = ["a", "b", "c", "d"].iter().enumerate().map(|(at, key)| record(at, key)).collect();
    // `a` and `c` are of partition 0.
    let delivery = sink.deliver(&batch).await.unwrap();
    assert_eq!(delivery, Delivery { again: vec![1, 3], refused: Vec::new() });
    let rest = [batch[1].clone(), batch[3].clone()];
    let delivered = sink.deliver(&rest).await;
    assert_eq!(outcome(&delivered).0, "again");
    assert!(format!("{delivered:?}").contains(&format!("127.0.0.1:{port}")), "{delivered:?}");
    // It comes back, at its port.
    let _other = cluster.broker(1, port).await;
    assert_eq!(outcome(&sink.deliver(&rest).await).0, "taken");
    assert_eq!(cluster.reasons(), numbers(0..4), "each once");
}

#[tokio::test]
async fn leaders_change_and_brokers_go_for_good() {
    let cluster = Cluster::default();
    let one = cluster.broker(0, 0).await;
    let other = cluster.broker(1, 0).await;
    let seeds = [one.address.clone(), other.address.clone()];
    let sink = Kafka::new(KafkaOptions::new(seeds, TOPIC)).unwrap();
    sink.deliver(&[record(0, "k")]).await.unwrap();
    cluster.state().leaders = Some(vec![1]);
    assert_eq!(outcome(&sink.deliver(&[record(1, "k")]).await).0, "again");
    sink.deliver(&[record(1, "k")]).await.unwrap();
    // Nobody leads: there is an election.
    cluster.state().leaders = Some(vec![-1]);
    cluster.say([Say::Code(6)]);
    assert_eq!(outcome(&sink.deliver(&[record(2, "k")]).await).0, "again");
    let delivered = sink.deliver(&[record(2, "k")]).await;
    assert!(format!("{delivered:?}").contains("has no leader"), "{delivered:?}");
    cluster.state().leaders = Some(vec![1]);
    drop(one);
    cluster.state().addresses.remove(&0);
    sleep(Duration::from_millis(50)).await;
    // One of the seeds is gone: the other is asked.
    for number in 2..5 {
        let delivered = sink.deliver(&[record(number, "k")]).await;
        assert_eq!(outcome(&delivered).0, "taken", "{delivered:?}");
    }
    assert_eq!(cluster.reasons(), numbers(0..5));
}

#[tokio::test]
async fn a_topic_that_is_not_there_comes_again() {
    let cluster = Cluster::new(State { leaders: None, ..State::default() });
    let broker = cluster.broker(0, 0).await;
    let sink = sink(&broker);
    let delivered = sink.deliver(&numbered(2)).await;
    assert_eq!(outcome(&delivered).0, "again");
    assert!(format!("{delivered:?}").contains("the topic `events` is not there"), "{delivered:?}");
    // A broker that makes topics does so when it is asked, and needs a moment.
    cluster.state().makes = Some(vec![0, 0]);
    assert_eq!(outcome(&sink.deliver(&numbered(2)).await).0, "again");
    assert_eq!(outcome(&sink.deliver(&numbered(2)).await).0, "taken");
}

#[tokio::test]
async fn an_outlet_delivers_in_the_end() {
    let cluster = Cluster::default();
    let broker = cluster.broker(0, 0).await;
    cluster.say([Say::Hang, Say::Nonsense, Say::Lose, Say::Code(19)]);
    let options = OutletOptions {
        batch: BatchOptions { events: 2, ..BatchOptions::default() },
        retry: RetryOptions {
            first: Duration::from_millis(10),
            timeout: Duration::from_millis(500),
            ..RetryOptions::default()
        },
        ..OutletOptions::default()
    };
    let outlet = Outlet::spawn("log", sink(&broker), options).await.unwrap();
    for reason in ["A", "B", "C", "D"] {
        outlet.offer(event(reason), Ack::none()).await;
    }
    outlet.shutdown(Duration::from_secs(20)).await;
    let status = outlet.status();
    assert_eq!((status.delivered, status.failures, status.refused), (4, 4, 0), "{status:?}");
    let arrived: Vec<_> = cluster.values(0).iter().flat_map(|value| reasons(value)).collect();
    assert_eq!(arrived, ["A", "B", "A", "B", "C", "D"], "one answer was lost: what it was about is there twice");
}

#[tokio::test]
async fn a_broker_that_wants_quiet_is_sent_nothing_twice() {
    let cluster = Cluster::default();
    let broker = cluster.broker(0, 0).await;
    cluster.say([Say::Throttle(200)]);
    let sink = sink(&broker);
    assert_eq!(outcome(&sink.deliver(&numbered(1)).await).0, "taken");
    let began = std::time::Instant::now();
    assert_eq!(outcome(&sink.deliver(&[record(1, "k")]).await).0, "taken");
    assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
    assert_eq!(cluster.reasons(), numbers(0..2));
}

#[tokio::test]
async fn whoever_wants_a_password_gets_it() {
    let cluster = Cluster::new(State { wants_user: true, ..State::default() });
    let broker = cluster.broker(0, 0).await;
    let sasl = |mechanism, password: &str| {
        let sasl = Some(Sasl { mechanism, username: USER.0.to_owned(), password: password.into() });
        Kafka::new(KafkaOptions { sasl, ..options(&broker) }).unwrap()
    };
    let known = sasl(Mechanism::Plain, USER.1);
    assert_eq!(outcome(&known.deliver(&numbered(1)).await).0, "taken");
    let cases = [
        (sasl(Mechanism::Plain, "wrong"), "no such user: check `sasl`"),
        (sasl(Mechanism::ScramSha256, USER.1), "it knows the mechanisms GSSAPI, PLAIN"),
        (sink(&broker), "it closed the connection"),
    ];
    for (sink, want) in cases {
        let delivered = sink.deliver(&numbered(1)).await;
        assert_eq!(outcome(&delivered).0, "again", "they are mended");
        let told = format!("{delivered:?} {sink:?}");
        assert!(told.contains(want) && !told.contains("wrong") && !told.contains("hush"), "{told}");
    }
}

#[tokio::test]
async fn what_is_no_broker_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let answers: [&[u8]; 4] =
            [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", &[0, 0, 0, 2, 0, 0], &[0, 0, 0, 4, 9, 9, 9, 9]];
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 100]).await;
            let _ = socket.write_all(answer).await;
        }
    });
    let sink = Kafka::new(KafkaOptions::new([address.as_str()], TOPIC)).unwrap();
    for want in ["no answer of a Kafka broker", "it closed the connection", "no answer", "no answer"] {
        let delivered = sink.deliver(&numbered(1)).await;
        assert_eq!(outcome(&delivered).0, "again");
        let told = format!("{delivered:?}");
        assert!(told.contains(want) && told.contains(&address), "{told}");
    }
    // Brokers that are too old, or too new.
    for produce in [(0, 2), (9, 20)] {
        let cluster = Cluster::new(State { produce, ..State::default() });
        let broker = cluster.broker(0, 0).await;
        let delivered = self::sink(&broker).deliver(&numbered(1)).await;
        assert!(format!("{delivered:?}").contains("this version of Kafka is not spoken"), "{delivered:?}");
    }
    let cluster = Cluster::new(State { produce: (0, 6), ..State::default() });
    let broker = cluster.broker(0, 0).await;
    let zstd = Kafka::new(KafkaOptions { compression: Compression::Zstd, ..options(&broker) }).unwrap();
    assert_eq!(outcome(&zstd.deliver(&numbered(1)).await).0, "again");
}

#[tokio::test]
async fn a_broker_that_is_gone_is_an_error_soon() {
    let cluster = Cluster::default();
    let broker = cluster.broker(0, 0).await;
    let sink = sink(&broker);
    drop(broker);
    sleep(Duration::from_millis(50)).await;
    let delivered = timeout(Duration::from_secs(5), sink.deliver(&numbered(1))).await.unwrap();
    assert_eq!(outcome(&delivered).0, "again");
}

#[cfg(feature = "http-sinks")]
#[tokio::test]
async fn it_speaks_tls() {
    use kube_events::sink::TlsOptions;
    use tokio_rustls::TlsAcceptor;
    let directory = tempfile::tempdir().unwrap();
    let authority = super::tls::Authority::new();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(authority.server("127.0.0.1", false)));
    let cluster = Cluster::default();
    let accept = move |socket| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(socket).await.ok() }
    };
    let broker = cluster.serve(0, 0, accept).await;
    let ca_file = Some(authority.write(directory.path()));
    let cases = [
        (Some(TlsOptions { ca_file, ..TlsOptions::default() }), "taken"),
        (Some(TlsOptions::default()), "again"),
        (None, "again"),
    ];
    for (tls, want) in cases {
        let sink = Kafka::new(KafkaOptions { tls, ..options(&broker) }).unwrap();
        let delivered = timeout(Duration::from_secs(8), sink.deliver(&numbered(1))).await.unwrap();
        assert_eq!(outcome(&delivered).0, want, "{delivered:?}");
    }
}

/// A broker that is none of this project's, if there is one: `KUBE_AGENT_KIT_KAFKA` names a listener that speaks plainly
/// and makes topics, `…_KAFKA_SASL` and `…_KAFKA_TLS` others that want the user `me` with the password `hush`, the second
/// over TLS with the certificate in the file `…_KAFKA_CA`.
mod real {
    use std::collections::BTreeMap;

    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    use kafka_protocol::messages::{FetchRequest, FetchResponse, RequestHeader, ResponseHeader, TopicName};
    use kafka_protocol::protocol::{Decodable, Encodable};
    use kafka_protocol::records::RecordBatchDecoder;
    use kube_events::sink::TlsOptions;
    use tokio::net::TcpStream;

    use super::*;

    fn named(name: &str) -> Option<String> {
        let value = std::env::var(name).ok();
        if value.is_none() {
            eprintln!("skipped: {name} is not set");
        }
        value
    }

    fn topic() -> String {
        format!("kube-events-{}", jiff::Timestamp::now().as_nanosecond())
    }

    /// Keys and values of a partition.
    async fn fetch(broker: &str, topic: &str, partition: i32) -> Vec<(Bytes, Bytes)> {
        let mut socket = TcpStream::connect(broker).await.unwrap();
        let partition = FetchPartition::default().with_partition(partition).with_partition_max_bytes(1 << 24);
        let topic =
            FetchTopic::default().with_topic(TopicName(topic.to_owned().into())).with_partitions(vec![partition]);
        let request = FetchRequest::default().with_max_bytes(1 << 24).with_topics(vec![topic]);
        let header = RequestHeader::default().with_request_api_key(1).with_request_api_version(11);
        let mut frame = BytesMut::new();
        header.encode(&mut frame, 1).unwrap();
        request.encode(&mut frame, 11).unwrap();
        socket.write_u32(u32::try_from(frame.len()).unwrap()).await.unwrap();
        socket.write_all(&frame).await.unwrap();
        let mut answer = vec![0; socket.read_u32().await.unwrap() as usize];
        socket.read_exact(&mut answer).await.unwrap();
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, 0).unwrap();
        let mut response = FetchResponse::decode(&mut answer, 11).unwrap();
        let data = response.responses.remove(0).partitions.remove(0);
        assert_eq!(data.error_code, 0);
        let sets = RecordBatchDecoder::decode_all(&mut data.records.unwrap_or_default()).unwrap();
        sets.into_iter().flat_map(|set| set.records).map(|it| (it.key.unwrap(), it.value.unwrap())).collect()
    }

    async fn through_an_outlet(sink: Kafka, reasons: &[&str]) {
        let retry = RetryOptions { first: Duration::from_millis(200), ..RetryOptions::default() };
        let outlet = Outlet::spawn("log", sink, OutletOptions { retry, ..OutletOptions::default() }).await.unwrap();
        for reason in reasons {
            outlet.offer(event(reason), Ack::none()).await;
        }
        outlet.shutdown(Duration::from_secs(60)).await;
        let status = outlet.status();
        assert_eq!((status.delivered, status.refused), (reasons.len() as u64, 0), "{status:?}");
    }

    #[tokio::test]
    async fn records_come_out_as_they_went_in() {
        let Some(broker) = named("KUBE_AGENT_KIT_KAFKA") else { return };
        let topic = topic();
        let all = ["A", "B", "C", "D", "E"];
        let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
        for compression in codecs {
            let options = KafkaOptions { compression, ..KafkaOptions::new([broker.as_str()], topic.as_str()) };
            through_an_outlet(Kafka::new(options).unwrap(), &all).await;
        }
        let mut got: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for partition in 0..3 {
            for (key, value) in fetch(&broker, &topic, partition).await {
                let reason = reasons(&value).remove(0);
                assert_eq!((&*key, &*value), (format!("uid-{reason}").as_bytes(), &*event(&reason).to_json()));
                got.entry(reason).or_default().push(partition);
            }
        }
        assert_eq!(got.keys().collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
        for partitions in got.values() {
            assert!(partitions.len() == 5 && partitions.iter().all(|it| *it == partitions[0]), "{partitions:?}");
        }
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_alone() {
        let Some(broker) = named("KUBE_AGENT_KIT_KAFKA") else { return };
        let topic = topic();
        let sink = Kafka::new(KafkaOptions::new([broker.as_str()], topic.as_str())).unwrap();
        let mut batch = numbered(9);
        batch[4].body = vec![b'x'; 2 << 20].into();
        let mut delivered = sink.deliver(&batch).await;
        while matches!(outcome(&delivered), ("again", _)) {
            sleep(Duration::from_millis(200)).await;
            delivered = sink.deliver(&batch).await;
        }
        let delivery = delivered.unwrap();
        assert_eq!((delivery.again.len(), delivery.refused.len(), delivery.refused[0].index), (0, 1, 4));
        let mut got = Vec::new();
        for partition in 0..3 {
            got.extend(fetch(&broker, &topic, partition).await.iter().flat_map(|(_, value)| reasons(value)));
        }
        assert_eq!(got, numbers([0, 1, 2, 3, 5, 6, 7, 8]));
    }

    #[tokio::test]
    async fn users_are_known_by_each_mechanism() {
        let plain = named("KUBE_AGENT_KIT_KAFKA_SASL");
        let tls = named("KUBE_AGENT_KIT_KAFKA_TLS").zip(named("KUBE_AGENT_KIT_KAFKA_CA"));
        let trusting = |ca: &str| TlsOptions { ca_file: Some(ca.into()), ..TlsOptions::default() };
        let listeners = plain.map(|broker| (broker, None)).into_iter();
        let listeners = listeners.chain(tls.map(|(broker, ca)| (broker, Some(trusting(&ca)))));
        for (broker, tls) in listeners {
            for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
                let sink = |password: &str| {
                    let sasl = Some(Sasl { mechanism, username: "me".to_owned(), password: password.into() });
                    let options = KafkaOptions::new([broker.as_str()], topic());
                    Kafka::new(KafkaOptions { sasl, tls: tls.clone(), ..options }).unwrap()
                };
                through_an_outlet(sink("hush"), &["A"]).await;
                let told = format!("{:?}", sink("wrong").deliver(&numbered(1)).await);
                assert!(told.contains("check `sasl`") && !told.contains("wrong"), "{mechanism:?}: {told}");
            }
        }
    }
}
