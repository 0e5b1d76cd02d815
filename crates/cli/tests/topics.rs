//! `thalweg topics`, run as a user runs it.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::Cluster;

#[test]
fn a_topic_is_created_listed_described_altered_and_deleted() {
    let cluster = Cluster::start();
    cluster.run(&["topics", "create", "lines", "counts", "-p", "3", "-c", "retention.ms=86400000"], "");
    assert_eq!(cluster.run(&["topics", "list", "-q"], ""), "counts\nlines\n");
    cluster.run(&["produce", "lines", "-p", "1"], "1\n2\n");
    let described = cluster.run(&["topics", "describe", "lines"], "");
    assert!(
        described.starts_with("lines: 3 partitions, 2 offsets\n  retention.ms=86400000\n"),
        "{described}"
    );
    let row: Vec<_> = described.lines().nth(4).unwrap().split_whitespace().collect();
    assert_eq!((row[0], &row[4..]), ("1", &["0", "2", "2"][..]), "{described}");

    let change = ["-p", "4", "-c", "cleanup.policy=compact", "--unset", "retention.ms"];
    cluster.run(&[&["topics", "alter", "lines"], &change[..]].concat(), "");
    let json = cluster.run(&["topics", "describe", "lines", "--json"], "");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["partitions"].as_array().unwrap().len(), 4);
    assert_eq!(json[0]["config"], serde_json::json!({"cleanup.policy": "compact"}));

    cluster.run(&["topics", "delete", "lines", "counts"], "");
    assert_eq!(cluster.run(&["topics", "list", "-q"], ""), "");
    assert_eq!(cluster.run(&["topics", "list", "--json"], ""), "[]\n");
}

#[test]
fn old_records_are_deleted_up_to_an_offset_or_a_time() {
    let cluster = Cluster::start();
    cluster.run(&["topics", "create", "lines", "-p", "2"], "");
    cluster.run(&["produce", "lines", "-p", "0", "-f", "%T %s\\n"], "1000 a\n2000 b\n3000 c\n");
    let start = |output: String| {
        output.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(start(cluster.run(&["topics", "delete-records", "lines:0", "--before", "1"], "")), ["1"]);
    assert_eq!(
        start(cluster.run(&["topics", "delete-records", "lines", "--before", "@2500"], "")),
        ["2", "0"]
    );
    assert_eq!(cluster.run(&["consume", "lines", "-e"], ""), "c\n");
}

#[test]
fn what_is_refused_is_said_and_the_exit_code_tells_whose_fault_it_is() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("lines", 2).unwrap();
    for (args, code, reason) in [
        (&["create", "lines"][..], 1, "exists already"),
        (&["create", "a b"], 1, "a topic's name has"),
        (&["create", "new", "-c", "no.such.setting=1"], 1, "cannot create topic 'new'"),
        (&["alter", "lines", "-p", "1"], 1, "can only grow"),
        (&["alter", "lines", "-c", "no.such.setting=1"], 1, "has not accepted no.such.setting=1"),
        (&["alter", "nope", "-p", "3"], 1, "no topic 'nope'"),
        (&["describe", "nope"], 1, "no topic 'nope'"),
        (&["delete", "nope"], 1, "no such topic"),
        (&["delete", "li*"], 2, "is no name"),
        (&["alter", "lines"], 2, "required"),
        (&["create", "new", "-p", "0"], 2, "0"),
        (&["delete-records", "lines"], 2, "--before"),
    ] {
        let (exit, error) = cluster.fail(&[&["topics"], args].concat(), "");
        assert!(exit == code && error.contains(reason), "{args:?}: {exit} {error}");
    }
    cluster.run(&["topics", "create", "lines", "--if-not-exists"], "");
    assert_eq!(cluster.run(&["topics", "list", "-q"], ""), "lines\n");
}
