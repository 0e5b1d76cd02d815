//! Places that are counted in records: an offset is not one where transactions have ended, or records were removed.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::Cluster;
use serde_json::Value;

/// A topic with records 1 to 6, in six transactions, so that every other offset is the end of one.
fn exactly_once() -> Cluster {
    let cluster = Cluster::start();
    cluster.broker.create_topic("t", 1).unwrap();
    for n in 1..=6 {
        cluster.run(&["produce", "t", "--transactional", "x"], &format!("{n}\n"));
    }
    cluster
}

#[test]
fn the_last_records_are_records() {
    let cluster = exactly_once();
    let last = |n: &str| cluster.run(&["consume", "t", "-e", "-D", "", "-o", n], "");
    assert_eq!(last("-1"), "6");
    assert_eq!(last("-3"), "456");
    assert_eq!(last("-6"), "123456");
    assert_eq!(last("-100"), "123456");
    assert_eq!(last("-0"), "");
    let until = cluster.run(&["consume", "t", "-e", "-D", "", "--until", "-2"], "");
    assert_eq!(until, "1234");
    // Two of them are left after records were removed.
    cluster.run(&["topics", "delete-records", "t", "--before", "-2"], "");
    assert_eq!(cluster.run(&["consume", "t", "-e", "-D", ""], ""), "56");
    assert_eq!(last("-5"), "56");
}

#[test]
fn several_partitions_are_counted_each_by_itself() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("t", 3).unwrap();
    for n in 1..=3 {
        for partition in ["0", "2"] {
            let args = ["produce", "t", "--transactional", "x", "-p", partition];
            cluster.run(&args, &format!("{n}@{partition}\n"));
        }
    }
    let last = cluster.run(&["consume", "t", "-e", "-o", "-2"], "");
    let mut last: Vec<_> = last.lines().collect();
    last.sort_unstable();
    assert_eq!(last, ["2@0", "2@2", "3@0", "3@2"]);
}

#[test]
fn a_group_is_set_back_and_forth_by_records() {
    let cluster = exactly_once();
    cluster.run(&["consume", "t", "-g", "g", "-e"], "");
    let next = || cluster.run(&["consume", "t", "-g", "g", "-e", "-D", ""], "");
    assert_eq!(next(), "");
    cluster.run(&["groups", "reset", "g", "--to", "-1"], "");
    assert_eq!(next(), "6");
    cluster.run(&["groups", "reset", "g", "--shift", "-4"], "");
    cluster.run(&["groups", "reset", "g", "--shift", "2"], "");
    assert_eq!(next(), "56");
    cluster.run(&["groups", "reset", "g", "--shift", "-100"], "");
    cluster.run(&["groups", "reset", "g", "--shift", "100"], "");
    assert_eq!(next(), "");
    let described = cluster.run(&["groups", "describe", "g", "--json"], "");
    let described: Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described[0]["partitions"][0]["lag"], 0);
}

#[test]
fn a_time_is_kept_or_refused() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("t", 1).unwrap();
    let line = |ts: i64| format!("{{\"payload\":\"{ts}\",\"ts\":{ts}}}\n");
    let now = 1_700_000_000_000;
    cluster.run(&["produce", "t", "-J"], &[line(1_500), line(-1), line(1)].concat());
    let times = cluster.run(&["consume", "t", "-e", "-f", "%T\\n"], "");
    let times: Vec<i64> = times.lines().map(|line| line.parse().unwrap()).collect();
    assert!(times[0] == 1_500 && times[1] > now && times[2] == 1, "{times:?}");
    for wrong in [-2, -1_000, i64::MIN, 0] {
        let (code, error) = cluster.fail(&["produce", "t", "-J"], &line(wrong));
        assert!(code == 1 && error.contains("line 1: not written"), "{wrong}: {error}");
        let (code, error) = cluster.fail(&["produce", "t", "-f", "%T %s\\n"], &format!("{wrong} x\n"));
        assert!(code == 1 && error.contains("not written"), "{wrong}: {error}");
    }
    assert_eq!(cluster.run(&["consume", "t", "-e"], "").lines().count(), 3);
}
