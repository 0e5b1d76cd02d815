//! `thalweg groups`, run as a user runs it.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{BufRead as _, BufReader};

use common::{Cluster, wait_with_timeout};
use serde_json::Value;

/// A topic of two partitions with five records in each, of which group `readers` has read all.
fn with_group() -> Cluster {
    let cluster = Cluster::start();
    cluster.broker.create_topic("lines", 2).unwrap();
    for partition in ["0", "1"] {
        cluster.run(&["produce", "lines", "-p", partition], "1\n2\n3\n4\n5\n");
    }
    let read = cluster.run(&["consume", "lines", "-g", "readers", "-e"], "");
    assert_eq!(read.lines().count(), 10);
    cluster
}

fn describe(cluster: &Cluster, group: &str) -> Value {
    let json = cluster.run(&["groups", "describe", group, "--json"], "");
    serde_json::from_str::<Value>(&json).unwrap()[0].take()
}

fn committed(cluster: &Cluster) -> Vec<(i64, i64)> {
    let partitions = describe(cluster, "readers")["partitions"].take();
    let number = |value: &Value| value.as_i64().unwrap();
    partitions
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (number(&row["committed"]), number(&row["lag"])))
        .collect()
}

#[test]
fn a_group_is_listed_with_its_members_and_its_lag() {
    let cluster = with_group();
    let listed = cluster.run(&["groups", "list"], "");
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["readers", "classic", "Empty", "0"]);
    cluster.run(&["produce", "lines", "-p", "1"], "6\n7\n");
    assert_eq!(committed(&cluster), [(5, 0), (5, 2)]);

    let mut member = cluster.command(&["consume", "lines", "-g", "readers"]).spawn().unwrap();
    let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "6");
    let group = describe(&cluster, "readers");
    assert_eq!((&group["state"], group["members"].as_array().unwrap().len()), (&"Stable".into(), 1));
    assert_eq!(group["partitions"][0]["member"], group["members"][0]["member"]);
    assert_eq!(cluster.run(&["groups", "list", "-q"], ""), "readers\n");
    let (code, error) = cluster.fail(&["groups", "reset", "readers", "--to", "beginning"], "");
    assert!(code == 1 && error.contains("has 1 members"), "{error}");
    let (code, error) = cluster.fail(&["groups", "delete", "readers"], "");
    assert!(code == 1 && error.contains("has members"), "{error}");
    common::interrupt(&member);
    assert!(wait_with_timeout(member).success());
    assert_eq!(committed(&cluster), [(5, 0), (7, 0)]);
}

#[test]
fn offsets_are_reset_to_any_position() {
    let cluster = with_group();
    let reset = |args: &[&str]| {
        cluster.run(&[&["groups", "reset", "readers"], args].concat(), "");
        committed(&cluster)
    };
    assert_eq!(reset(&["--to", "beginning", "--dry-run"]), [(5, 0), (5, 0)]);
    assert_eq!(reset(&["--to", "beginning"]), [(0, 5), (0, 5)]);
    assert_eq!(reset(&["--shift", "3", "--topic", "lines:1"]), [(0, 5), (3, 2)]);
    assert_eq!(reset(&["--shift", "-10"]), [(0, 5), (0, 5)]);
    assert_eq!(reset(&["--to", "-1"]), [(4, 1), (4, 1)]);
    assert_eq!(reset(&["--to", "2", "-t", "lines:0"]), [(2, 3), (4, 1)]);
    assert_eq!(reset(&["--to", "@-1h"]), [(0, 5), (0, 5)]);
    assert_eq!(reset(&["--to", "end"]), [(5, 0), (5, 0)]);
    let read = cluster.run(&["consume", "lines", "-g", "readers", "-e"], "");
    assert_eq!(read, "");
    // A group that was never there begins where it is told to.
    cluster.run(&["groups", "reset", "fresh", "-t", "lines", "--to", "4"], "");
    assert_eq!(cluster.run(&["consume", "lines", "-g", "fresh", "-e"], ""), "5\n5\n");
}

#[test]
fn a_group_of_the_new_protocol_is_described_too() {
    let cluster = with_group();
    let mut member =
        cluster.command(&["consume", "lines", "-g", "new", "-X", "group.protocol=consumer"]).spawn().unwrap();
    let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    let group = describe(&cluster, "new");
    assert_eq!((&group["type"], &group["assignor"]), (&"consumer".into(), &"uniform".into()));
    assert_eq!(group["members"][0]["client"], "thalweg");
    assert_eq!(group["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(group["partitions"][1]["member"], group["members"][0]["member"]);
    let listed = cluster.run(&["groups", "list"], "");
    let row: Vec<_> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[1], row[3]), ("new", "consumer", "1"), "{listed}");
    let (code, error) = cluster.fail(&["groups", "reset", "new", "--to", "end", "-t", "lines"], "");
    assert!(code == 1 && error.contains("has 1 members"), "{error}");
    common::interrupt(&member);
    assert!(wait_with_timeout(member).success());
    cluster.run(&["groups", "delete", "new"], "");
}

#[test]
fn what_a_group_has_committed_in_one_topic_can_be_deleted() {
    let cluster = with_group();
    cluster.run(&["produce", "other"], "1\n");
    cluster.run(&["consume", "other", "-g", "readers", "-e"], "");
    cluster.run(&["groups", "delete", "readers", "--topic", "lines:0", "-t", "other"], "");
    let left = describe(&cluster, "readers")["partitions"].take();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!((&left[0]["topic"], &left[0]["partition"]), (&"lines".into(), &1.into()));
    let (code, error) = cluster.fail(&["groups", "delete", "nobody", "-t", "lines"], "");
    assert!(code == 1 && error.contains("no such group"), "{error}");
}

#[test]
fn a_group_is_deleted_with_its_offsets() {
    let cluster = with_group();
    cluster.run(&["groups", "delete", "readers"], "");
    assert_eq!(cluster.run(&["groups", "list", "-q"], ""), "");
    for args in [&["describe", "readers"][..], &["delete", "readers"], &["reset", "readers", "--to", "end"]] {
        let (code, error) = cluster.fail(&[&["groups"], args].concat(), "");
        assert!(code == 1 && error.contains("readers"), "{args:?}: {error}");
    }
    let (code, _) = cluster.fail(&["groups", "reset", "readers"], "");
    assert_eq!(code, 2);
}
