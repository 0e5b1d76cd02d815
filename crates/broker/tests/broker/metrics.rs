//! What Prometheus is told, and that whoever speaks to its port cannot do harm.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::wire::{NO_PRODUCER, Wire, batch, name, patient_fetch};
use crate::common::{PATIENCE, memory};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest};
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig, LocalRecord, ProducerOptions};

fn observed() -> Broker {
    let metrics_listen = Some("127.0.0.1:0".to_owned());
    Broker::start(BrokerConfig { metrics_listen, ..BrokerConfig::default() }).unwrap()
}

/// Sends bytes and reads until the end; returns the status line and the body.
fn ask(broker: &Broker, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(broker.metrics_address().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Reads the page as Prometheus does: every sample belongs to a family that was described.
fn scrape(broker: &Broker) -> BTreeMap<String, f64> {
    let (status, body) = ask(broker, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let mut family = String::new();
    let mut samples = BTreeMap::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap().to_owned();
        } else if !line.starts_with("# HELP ") {
            let (key, value) = line.rsplit_once(' ').unwrap();
            assert!(key.starts_with(&family) && family.starts_with("thalweg_broker_"), "{line}");
            assert!(samples.insert(key.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
    }
    samples
}

#[test]
fn compaction_is_counted() {
    let broker = observed();
    let mut wire = Wire::connect(&broker);
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0.5")];
    wire.create("t", &settings);
    let mut producer = broker.client().producer(ProducerOptions::default()).unwrap();
    for n in 0..4 {
        let record = LocalRecord::to("t").partition(0).key(b"k").value(b"v").timestamp(n * 1_000);
        producer.send(record).unwrap();
        producer.flush().unwrap();
    }
    broker.faults().advance_clock(Duration::from_secs(60));
    let clean = scrape(&broker);
    let of = |name: &str| clean[&format!("thalweg_broker_cleaner_{name}")];
    assert!(of("runs_total") >= 1.0 && of("read_bytes_total") > of("written_bytes_total"));
    assert!(of("written_bytes_total") > 0.0);
    assert_eq!((of("max_dirty_ratio"), of("uncleanable_partitions")), (0.0, 0.0));
}

#[test]
fn requests_bytes_partitions_and_lag_are_counted() {
    let broker = observed();
    broker.create_topic("t", 2).unwrap();
    let mut wire = Wire::connect(&broker);
    let records = batch(&["a", "b", "c"], NO_PRODUCER, false);
    for _ in 0..2 {
        assert_eq!(wire.produce("t", records.clone(), None).error_code, 0);
    }
    assert_ne!(wire.produce("missing", records.clone(), None).error_code, 0);
    wire.call(11, &patient_fetch("t", 0, false));
    let (transactional, _) = wire.init("x");
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(4);
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    assert_eq!(wire.call(7, &commit).topics[0].partitions[0].error_code, 0);
    assert!(transactional > 0);
    let samples = scrape(&broker);
    let get =
        |key: &str| *samples.get(&format!("thalweg_broker_{key}")).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(get("request_duration_seconds_count{api=\"Produce\"}"), 3.0);
    assert_eq!(get("request_duration_seconds_bucket{api=\"Produce\",le=\"+Inf\"}"), 3.0);
    assert_eq!(get("request_duration_seconds_count{api=\"Fetch\"}"), 1.0);
    assert_eq!(get("errors_total{api=\"Produce\",error=\"UnknownTopicOrPartition\"}"), 1.0);
    assert_eq!(get("topics"), 1.0);
    assert_eq!(get("topic_partitions{topic=\"t\"}"), 2.0);
    let bytes = 2.0 * records.len() as f64;
    assert_eq!(get("topic_produced_bytes_total{topic=\"t\"}"), bytes);
    assert_eq!(get("topic_produced_records_total{topic=\"t\"}"), 6.0);
    assert_eq!(get("topic_fetched_bytes_total{topic=\"t\"}"), bytes);
    assert_eq!(get("partition_size_bytes{topic=\"t\",partition=\"0\"}"), bytes);
    assert_eq!(get("partition_end_offset{topic=\"t\",partition=\"0\"}"), 6.0);
    assert_eq!(get("partition_end_offset{topic=\"t\",partition=\"1\"}"), 0.0);
    assert_eq!(get("group_committed_offset{group=\"g\",topic=\"t\",partition=\"0\"}"), 4.0);
    assert_eq!(get("group_lag{group=\"g\",topic=\"t\",partition=\"0\"}"), 2.0);
    assert_eq!(get("transactional_ids{state=\"Empty\"}"), 1.0);
    assert_eq!(get("connections"), 1.0);
    assert!(get("bytes_received_total") > bytes && get("bytes_sent_total") > bytes);
    // Buckets are cumulative.
    let buckets = samples.iter().filter(|(key, _)| key.contains("bucket{api=\"Produce\""));
    let mut buckets: Vec<f64> = buckets.map(|(_, count)| *count).collect();
    buckets.sort_by(f64::total_cmp);
    assert_eq!((buckets.len(), buckets.last()), (15, Some(&3.0)));
}

#[test]
fn a_waiting_fetch_is_in_flight_and_closed_connections_are_not_counted() {
    let broker = observed();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    wire.send(11, &patient_fetch("t", 0, false));
    let count = |key: &str| scrape(&broker)[&format!("thalweg_broker_{key}")];
    let until = |key: &str, wanted: f64| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while count(key) != wanted {
            assert!(std::time::Instant::now() < deadline, "{key} is {}", count(key));
        }
    };
    until("requests_in_flight", 1.0);
    assert_eq!(count("connections"), 1.0);
    // The broker sees the end of the connection only when it has answered.
    Wire::connect(&broker).produce("t", batch(&["v"], NO_PRODUCER, false), None);
    drop(wire);
    until("requests_in_flight", 0.0);
    until("connections", 0.0);
}

#[test]
fn other_requests_are_told_so_and_endless_ones_are_cut_off() {
    let broker = observed();
    let status = |request: &str| ask(&broker, request).0;
    assert_eq!(
        ask(&broker, "GET /healthz HTTP/1.0\r\n\r\n"),
        ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned())
    );
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status("GET /metrics?name=x HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status("hello\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(status(&"x".repeat(8 * 1024)), "HTTP/1.1 400 Bad Request");
    assert!(memory().metrics_address().is_none());
}

/// Nobody needs ten seconds to say what he wants, and who says nothing is in nobody's way.
#[test]
fn half_said_requests_hold_nobody_up() {
    let broker = observed();
    let address = broker.metrics_address().unwrap();
    let half = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost").unwrap();
        stream
    };
    let halves: Vec<TcpStream> = (0..60).map(half).collect();
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(ask(&broker, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").0, "HTTP/1.1 200 OK");
    }
    // They are given ten seconds; whoever waits behind them waits for nearly as long.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(halves);
}
