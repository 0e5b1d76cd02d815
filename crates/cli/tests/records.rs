//! `thalweg produce` and `thalweg consume`, run as a user runs them.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use common::{Cluster, interrupt, text, thalweg, wait_with_timeout};

#[test]
fn lines_are_records_and_come_out_as_they_went_in() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("lines", 1).unwrap();
    let lines: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(cluster.run(&["produce", "lines"], &lines), "");
    assert_eq!(cluster.run(&["consume", "lines", "-e"], ""), lines);
    // The last line needs no end; an empty one is a record too.
    cluster.run(&["produce", "lines"], "\nlast");
    assert_eq!(
        cluster.run(&["consume", "lines", "-e", "-o", "50000", "-f", "%o %S %s;"], ""),
        "50000 0 ;50001 4 last;"
    );
}

#[test]
fn keys_choose_the_partition_as_javas_producer_does() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("keyed", 3).unwrap();
    cluster.run(&["produce", "keyed", "-K", ":"], "a:1\nb:2\nc:3\nf:4\nnone\n");
    let keyed = cluster.run(&["consume", "keyed", "-e", "-f", "%k %K %s\\n"], "");
    let mut keyed: Vec<_> = keyed.lines().collect();
    keyed.sort_unstable();
    assert_eq!(keyed, [" -1 none", "a 1 1", "b 1 2", "c 1 3", "f 1 4"]);
    // As Kafka's own producer has it: murmur2 of the key, without its sign, modulo 3.
    for (partition, keys) in [("0", "f"), ("1", "ac"), ("2", "b")] {
        assert_eq!(cluster.run(&["consume", "keyed", "-e", "-p", partition, "-f", "%k"], ""), keys);
    }
    cluster.run(&["produce", "keyed", "-p", "2", "-k", "here"], "two\n");
    assert_eq!(cluster.run(&["consume", "keyed", "-e", "-p", "2", "-K", "=", "-o", "-1"], ""), "here=two\n");
}

#[test]
fn a_tombstone_is_no_empty_value() {
    let cluster = Cluster::start();
    cluster.run(&["produce", "users", "-K", ":", "-Z"], "a:1\na:\n");
    cluster.run(&["produce", "users", "-K", ":"], "b:\n");
    let format = ["consume", "users", "-e", "-f", "%k=%s %S\\n"];
    assert_eq!(cluster.run(&format, ""), "a=1 1\na= -1\nb= 0\n");
    assert_eq!(cluster.run(&[&format[..], &["-Z"]].concat(), ""), "a=1 1\na=NULL -1\nb= 0\n");
}

#[test]
fn a_format_writes_what_the_same_format_has_read() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("formatted", 2).unwrap();
    let format = "%p %T %h|%k|%s--\\n";
    let input = "1 1500 a=1,b=2|k|v\nw--\n1 1501 |l|--\n";
    cluster.run(&["produce", "formatted", "-f", format], input);
    assert_eq!(cluster.run(&["consume", "formatted", "-e", "-f", format], ""), input);
    assert_eq!(cluster.run(&["consume", "formatted", "-e", "-O", "-o", "1"], ""), "formatted\t1\t1\t\n");
}

#[test]
fn json_is_a_copy_whatever_the_bytes_are() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("original", 2).unwrap();
    cluster.broker.create_topic("copy", 2).unwrap();
    let value: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    cluster.bytes(&["produce", "original", "-H", "a=1", "-H", "b=\"é\"", "-k", "k", "-p", "1"], &value);
    cluster.run(&["produce", "original", "-p", "0", "-Z"], "text \"quoted\"\n\n");
    let json = cluster.run(&["consume", "original", "-e", "-J"], "");
    assert!(json.contains(r#""headers":["a","1","b","\"é\""],"key":"k","payload":{"base64":""#), "{json}");
    assert!(json.contains(r#""key":null,"payload":null"#), "{json}");
    cluster.run(&["produce", "copy", "-J", "--keep-partitions"], &json);
    let sorted = |json: &str| {
        let mut lines: Vec<_> = json.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let copy = cluster.run(&["consume", "copy", "-e", "-J"], "");
    assert_eq!(sorted(&copy.replace("\"copy\"", "\"original\"")), sorted(&json));
    assert_eq!(cluster.bytes(&["consume", "copy", "-e", "-p", "1", "-D", ""], b""), value);
}

#[test]
fn reading_begins_and_ends_where_it_is_told_to() {
    let cluster = Cluster::start();
    let input: String = (0..10).map(|n| format!("{}\t{n}\n", 1_000_000 + n * 1000)).collect();
    cluster.run(&["produce", "timed", "-f", "%T\\t%s\\n"], &input);
    let read = |args: &[&str]| cluster.run(&[&["consume", "timed", "-D", ""], args].concat(), "");
    assert_eq!(read(&["-e"]), "0123456789");
    assert_eq!(read(&["-e", "-o", "-3"]), "789");
    assert_eq!(read(&["-e", "-o", "-300"]), "0123456789");
    assert_eq!(read(&["-e", "-o", "7"]), "789");
    assert_eq!(read(&["-e", "-o", "end"]), "");
    assert_eq!(read(&["-e", "-o", "@1004500"]), "56789");
    assert_eq!(read(&["-e", "-o", "@1970-01-01T00:16:45Z"]), "56789");
    assert_eq!(read(&["-e", "-o", "@-1h"]), "");
    assert_eq!(read(&["-o", "2", "-c", "3"]), "234");
    assert_eq!(read(&["-o", "2", "--until", "4"]), "23");
    assert_eq!(read(&["--until", "@1004500"]), "01234");
    assert_eq!(read(&["--until", "end"]), "0123456789");
    assert_eq!(read(&["--until", "@now"]), "0123456789");
}

#[test]
fn several_topics_are_read_to_the_end_of_each() {
    let cluster = Cluster::start();
    cluster.run(&["produce", "one"], "1\n11\n");
    cluster.run(&["produce", "two", "--transactional", "two"], "2\n");
    let both = cluster.run(&["consume", "one", "two", "-e", "-f", "%t %s\\n"], "");
    let mut both: Vec<_> = both.lines().collect();
    both.sort_unstable();
    assert_eq!(both, ["one 1", "one 11", "two 2"]);
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let cluster = Cluster::start();
    cluster.run(&["produce", "all", "--transactional", "load"], "1\n2\n");
    let args = ["produce", "all", "--transactional", "load", "-J"];
    let (code, error) = cluster.fail(&args, "{\"payload\":\"3\"}\nno json\n");
    assert_eq!(code, 1);
    assert!(error.contains("line 2: not written") && error.contains("the transaction is aborted"), "{error}");
    assert_eq!(cluster.run(&["consume", "all", "-e", "-D", ""], ""), "12");
    let everything = ["consume", "all", "-e", "-D", "", "--isolation", "read_uncommitted"];
    assert_eq!(cluster.run(&everything, ""), "123");
}

#[test]
fn every_codec_comes_out_the_same() {
    let cluster = Cluster::start();
    let input = "a line that can be made shorter, shorter, shorter\n".repeat(100);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        cluster.run(&["produce", codec, "-z", codec], &input);
        assert_eq!(cluster.run(&["consume", codec, "-e"], ""), input, "{codec}");
    }
}

#[test]
fn what_is_not_written_is_named_by_its_line() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    std::fs::write(&first, "{\"payload\":\"1\"}\n{\"payload\":\"2\"}\n").unwrap();
    std::fs::write(
        &second,
        format!("{{\"payload\":\"3\"}}\nnonsense\n{{\"payload\":\"{}\"}}\n", "x".repeat(2_000_000)),
    )
    .unwrap();
    let args = ["produce", "named", "-J", first.to_str().unwrap(), second.to_str().unwrap()];
    let (code, error) = cluster.fail(&args, "");
    assert_eq!(code, 1);
    assert!(error.contains("second: line 2: not written: expected"), "{error}");
    assert!(error.contains("second: line 3: not written: Message size too large"), "{error}");
    assert!(error.contains("3 records written to named"), "{error}");
    assert_eq!(cluster.run(&["consume", "named", "-e", "-D", ""], ""), "123");
    let path = first.to_str().unwrap();
    cluster.run(&["produce", "whole", "-D", "", path, path], "");
    assert_eq!(
        cluster.run(&["consume", "whole", "-e", "-D", "", "-o", "1"], ""),
        std::fs::read_to_string(&first).unwrap()
    );
    let (code, error) = cluster.fail(&["produce", "named", "/there/is/no/such/file"], "");
    assert!(code == 1 && error.contains("/there/is/no/such/file"), "{error}");
}

#[test]
fn a_group_goes_on_where_it_was() {
    let cluster = Cluster::start();
    cluster.run(&["produce", "shared"], "1\n2\n3\n4\n5\n");
    let next = |count| cluster.run(&["consume", "shared", "-g", "readers", "-c", count, "-D", ""], "");
    assert_eq!(next("2"), "12");
    assert_eq!(next("1"), "3");
    assert_eq!(cluster.run(&["consume", "shared", "-g", "readers", "-e", "-D", ""], ""), "45");
    assert_eq!(cluster.run(&["consume", "shared", "-g", "late", "-o", "end", "-e"], ""), "");
    let (code, error) = cluster.fail(&["consume", "shared", "-g", "readers", "-o", "3"], "");
    assert!(code == 2 && error.contains("groups reset"), "{error}");
}

#[test]
fn what_cannot_work_is_said_with_what_to_do() {
    let cluster = Cluster::start();
    let (code, error) = cluster.fail(&["consume", "nope"], "");
    assert!(
        code == 1 && error.contains("there is no topic 'nope'") && error.contains("topics create"),
        "{error}"
    );
    cluster.broker.create_topic("one", 1).unwrap();
    let (code, error) = cluster.fail(&["consume", "one", "-p", "3"], "");
    assert!(code == 1 && error.contains("no partition 3; it has 1"), "{error}");
    let (code, error) = cluster.fail(&["produce", "one", "-p", "3"], "x");
    assert!(code == 1 && error.contains("no partition 3; it has 1"), "{error}");
    for wrong in [
        &["consume", "one", "-f", "%q"][..],
        &["consume", "one", "-o", "yesterday"],
        &["consume", "one", "-X", "no.such.property=1"],
        &["consume", "one", "-J", "-f", "%s"],
        &["consume"],
        &["produce", "one", "-K", ""],
        &["produce", "one", "-f", "%k%s"],
    ] {
        let (code, error) = cluster.fail(wrong, "");
        assert!(code == 2 && !error.is_empty(), "{wrong:?}: {code} {error}");
    }
}

#[test]
fn a_cluster_that_is_not_there_is_named_with_the_reason() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    for command in ["consume", "produce"] {
        let output = thalweg(&[command, "lines", "-b", &address]).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(&address) && error.contains("is the address right"), "{error}");
        assert!(error.contains("refused"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_tail_and_what_was_typed_so_far_is_written() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("typed", 1).unwrap();
    let mut tail = cluster.command(&["consume", "typed"]).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut typing = cluster.command(&["produce", "typed"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut keyboard = typing.stdin.take().unwrap();
    for word in ["one", "two"] {
        writeln!(keyboard, "{word}").unwrap();
        // It comes at once, not when the input ends.
        assert_eq!(lines.next().unwrap().unwrap(), word);
    }
    write!(keyboard, "half a li").unwrap();
    interrupt(&typing);
    let mut said = String::new();
    typing.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(wait_with_timeout(typing).success(), "{said}");
    assert!(said.contains("2 records written to typed"), "{said}");
    interrupt(&tail);
    assert!(wait_with_timeout(tail).success());
    assert!(lines.next().is_none());
}

#[cfg(unix)]
#[test]
fn a_tail_ends_when_nobody_reads_it_any_more() {
    let cluster = Cluster::start();
    cluster.run(&["produce", "lines"], "one\n");
    let mut tail = cluster.command(&["consume", "lines"]).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    drop(lines);
    assert!(wait_with_timeout(tail).success());
}

#[test]
fn a_rate_is_held() {
    let cluster = Cluster::start();
    let began = std::time::Instant::now();
    cluster.run(&["produce", "slow", "--rate", "50"], &"x\n".repeat(20));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn numbers_are_printed_as_such() {
    let cluster = Cluster::start();
    // 7 as an i64, and no value at all; the key is an i32.
    let input = r#"{"key":{"base64":"AAAAAg=="},"payload":{"base64":"AAAAAAAAAAc="}}"#;
    let tombstone = r#"{"key":{"base64":"AAAAAw=="},"payload":null}"#;
    cluster.run(&["produce", "-J", "numbers"], &format!("{input}\n{tombstone}\n"));
    let consume = ["consume", "numbers", "-e", "-q", "-K", " ", "-Z", "-s", "value=q"];
    assert_eq!(cluster.run(&[&consume[..], &["-s", "key=>i$"]].concat(), ""), "2 7\n3 NULL\n");
    let (_, error) = cluster.fail(&["consume", "numbers", "-e", "-q", "-s", "h$"], "");
    let expected = "the value of offset 0 in numbers [0] is not what -s says: '$' wants the end, and 6 of 8 bytes are left";
    assert!(error.contains(expected), "{error}");
}
