//! What is still there after a stop, and after a crash.

use std::os::unix::fs::PermissionsExt;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::common::wire::{NO_PRODUCER, Wire, batch};
use crate::common::{PATIENCE, config, consumer, poll_values, producer, send, transactional};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use thalweg_broker::{Broker, BrokerConfig, BrokerError, Storage};

fn open(data: &Path) -> Broker {
    Broker::start(BrokerConfig { storage: Storage::Directory(data.to_owned()), ..BrokerConfig::default() })
        .unwrap()
}

fn log(data: &Path, topic: &str) -> std::path::PathBuf {
    data.join(format!("topics/{topic}-0/00000000000000000000.log"))
}

#[test]
fn records_and_offsets_survive() {
    let data = tempfile::tempdir().unwrap();
    let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    {
        let broker = open(data.path());
        broker.create_topic("t", 1).unwrap();
        send(&producer(&broker, |_| {}), "t", &values);
        let reader = consumer(&broker, "g", &["t"], |_| {});
        assert_eq!(poll_values(&reader, 100), values);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(42)).unwrap();
        reader.commit(&list, CommitMode::Sync).unwrap();
    }
    let broker = open(data.path());
    assert_eq!(poll_values(&consumer(&broker, "g", &["t"], |_| {}), 58), values[42..]);
    send(&producer(&broker, |_| {}), "t", &["more".to_owned()]);
    let reader = consumer(&broker, "h", &["t"], |_| {});
    assert_eq!(poll_values(&reader, 101)[100], "more");
}

#[test]
fn a_torn_end_is_cut_and_written_over() {
    let data = tempfile::tempdir().unwrap();
    {
        let broker = open(data.path());
        broker.create_topic("t", 1).unwrap();
        send(&producer(&broker, |_| {}), "t", &["whole".to_owned()]);
    }
    let path = log(data.path(), "t");
    let whole = fs::read(&path).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[..whole.len() - 3]).unwrap();
    let broker = open(data.path());
    send(&producer(&broker, |_| {}), "t", &["next".to_owned()]);
    assert_eq!(poll_values(&consumer(&broker, "g", &["t"], |_| {}), 2), ["whole", "next"]);
}

#[test]
fn an_open_transaction_survives_and_is_aborted_by_its_next_owner() {
    let data = tempfile::tempdir().unwrap();
    {
        let broker = open(data.path());
        broker.create_topic("t", 1).unwrap();
        let producer = transactional(&broker, "x");
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<(), str>::to("t").payload("open")).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
    let broker = open(data.path());
    let reader = config(&broker).create::<rdkafka::consumer::BaseConsumer>();
    drop(reader);
    let reader = consumer(&broker, "g", &["t"], |config| {
        config.set("isolation.level", "read_committed");
    });
    assert!(reader.poll(Duration::from_millis(1_000)).is_none());
    let producer = transactional(&broker, "x");
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), str>::to("t").payload("kept")).map_err(|(error, _)| error).unwrap();
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(poll_values(&reader, 1), ["kept"]);
}

/// A crash between the decision and the markers: the journal's last line is the decision.
#[test]
fn a_decided_transaction_is_finished_at_start() {
    let data = tempfile::tempdir().unwrap();
    {
        let broker = open(data.path());
        broker.create_topic("t", 1).unwrap();
        let producer = transactional(&broker, "x");
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<(), str>::to("t").payload("decided")).map_err(|(error, _)| error).unwrap();
        producer.commit_transaction(PATIENCE).unwrap();
    }
    let journal = data.path().join("transactions.journal");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[lines.len() - 2].contains("PrepareCommit"), "{text}");
    fs::write(&journal, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let path = log(data.path(), "t");
    let marker = 61 + 17;
    let len = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(len - marker).unwrap();
    let broker = open(data.path());
    assert_eq!(fs::metadata(&path).unwrap().len(), len, "the marker is there again");
    let reader = consumer(&broker, "g", &["t"], |config| {
        config.set("isolation.level", "read_committed");
    });
    assert_eq!(poll_values(&reader, 1), ["decided"]);
}

#[test]
fn a_folder_of_a_later_version_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("broker.json"), r#"{"format": 99, "cluster_id": "c"}"#).unwrap();
    let config =
        BrokerConfig { storage: Storage::Directory(data.path().to_owned()), ..BrokerConfig::default() };
    let error = Broker::start(config).unwrap_err().to_string();
    assert!(error.contains("broker.json") && error.contains("format 99"), "{error}");
}

#[test]
fn a_folder_belongs_to_one_broker() {
    let data = tempfile::tempdir().unwrap();
    let _first = open(data.path());
    let config =
        BrokerConfig { storage: Storage::Directory(data.path().to_owned()), ..BrokerConfig::default() };
    assert!(matches!(Broker::start(config), Err(BrokerError::InUse(_))));
}

/// What users have written is nobody else's to read, also where an earlier version has made the files.
#[test]
fn the_files_are_their_owners_only() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("data");
    let open = || {
        let storage = Storage::Directory(data.clone());
        Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap()
    };
    let mut files = 0;
    for round in 0..2 {
        let broker = open();
        let topic = format!("t{round}");
        broker.create_topic(&topic, 1).unwrap();
        let mut wire = Wire::connect(&broker);
        assert_eq!(wire.produce(&topic, batch(&["a"], NO_PRODUCER, false), None).error_code, 0);
        broker.stop();
        files = 0;
        let mut folders = vec![data.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{} has {mode:o}", path.display());
                files += 1;
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        for name in ["topics", "topics.journal", "offsets.journal"] {
            let path = data.join(name);
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    assert!(files > 8, "{files}");
}

#[test]
fn what_a_failed_creation_has_left_is_cleared_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let open = || {
        let storage = Storage::Directory(data.path().to_owned());
        Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap()
    };
    let broker = open();
    broker.create_topic("t", 1).unwrap();
    broker.stop();
    let left = data.path().join("topics/u-143");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("00000000000000000000.log"), "").unwrap();
    let broker = open();
    assert!(!left.exists() && data.path().join("topics/t-0").exists());
    broker.stop();
}
