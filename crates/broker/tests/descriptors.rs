//! A process that may have few files open. The limit is the process's, so there is one test in this binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::TcpStream;

use common::wire::{NO_PRODUCER, Wire, api_versions, batch};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thalweg_broker::{Broker, BrokerConfig, Storage};

const HARD: u64 = 512;

#[test]
fn logs_are_written_and_clients_are_served_whoever_takes_the_descriptors() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(HARD) }).unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = || BrokerConfig {
        storage: Storage::Directory(data.path().to_owned()),
        properties: [("log.segment.bytes".to_owned(), "1048576".to_owned())].into(),
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config()).unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current, Some(HARD), "it is raised as far as it may be");

    broker.create_topic("t", 100).unwrap();
    let mut producer = Wire::connect(&broker);
    assert_eq!(producer.produce("t", batch(&["a"], NO_PRODUCER, false), None).error_code, 0);
    // Each of these takes two in this process: the client's end as well. They never ask anything.
    let idle: Vec<TcpStream> = (0..175).map_while(|_| TcpStream::connect(broker.address()).ok()).collect();
    // Whoever has something to ask is served, though there is no room for so many.
    for _ in 0..3 {
        assert_eq!(Wire::connect(&broker).call(3, &api_versions()).error_code, 0);
    }
    // The log begins one segment after another.
    let value = "x".repeat(900_000);
    for _ in 0..20 {
        assert_eq!(producer.produce("t", batch(&[&value], NO_PRODUCER, false), None).error_code, 0);
    }
    // Topics do not take what connections need, and it is said why.
    let refused = broker.create_topic("many", 400).unwrap_err().to_string();
    assert!(refused.contains("512 files open") && refused.contains("ulimit -Hn"), "{refused}");
    assert_eq!(std::fs::read_dir(data.path().join("topics")).unwrap().count(), 100);
    assert_eq!(Wire::connect(&broker).call(3, &api_versions()).error_code, 0);
    drop(idle);
    broker.stop();
}
