//! What others have written is shown, and not obeyed; what is secret is not shown.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::Cluster;
use thalweg_broker::{Broker, BrokerConfig, GroupOffset, Storage};

/// Clears the screen, sets the title, and is text that runs backwards.
const EVIL: &str = "a\x1b[2J\x1b]0;title\x07\u{9b}1m\u{202e}z";

/// What the binary prints to a terminal.
#[cfg(target_os = "linux")]
fn on_terminal(cluster: &Cluster, args: &[&str]) -> String {
    use std::io::Read as _;
    use std::process::Stdio;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end = std::fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut child = cluster.command(args).stdout(Stdio::from(end)).spawn().unwrap();
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    let mut terminal = std::fs::File::from(terminal);
    // It fails when the last who writes to it has gone.
    while let Ok(count) = terminal.read(&mut buffer) {
        if count == 0 {
            break;
        }
        shown.extend_from_slice(&buffer[..count]);
    }
    assert!(child.wait().unwrap().success(), "{args:?}");
    String::from_utf8(shown).unwrap()
}

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\n' | '\r' | '\t') || !(c.is_control() || c == '\u{202e}'))
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_obeys_nothing_that_is_in_a_record_or_a_name() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("t", 1).unwrap();
    let json = serde_json::json!({"key": EVIL, "payload": EVIL, "headers": [EVIL, EVIL]});
    cluster.run(&["produce", "t", "-J"], &format!("{json}\n"));
    let group = format!("{EVIL}{}", "g".repeat(200));
    let offset = GroupOffset { topic: "t".to_owned(), partition: 0, offset: 1, metadata: String::new() };
    cluster.broker.client().commit(&group, &[offset]).unwrap();

    let format = ["consume", "t", "-e", "-f", "%t %k %s %h\\n"];
    for args in [
        &["consume", "t", "-e", "-K", ":"][..],
        &format,
        &["consume", "t", "-e", "-J"],
        &["groups", "list"],
        &["groups", "list", "-q"],
        &["groups", "list", "--json"],
        &["groups", "describe", &group],
        &["groups", "describe", &group, "--json"],
        &["topics", "describe", "t"],
    ] {
        let shown = on_terminal(&cluster, args);
        assert!(!shown.is_empty() && is_harmless(&shown), "{args:?}: {shown:?}");
    }
    assert!(on_terminal(&cluster, &format).contains("a\\x1b[2J\\x1b]0;title\\x07\\u{9b}1m\\u{202e}z"));
    let json: serde_json::Value =
        serde_json::from_str(&on_terminal(&cluster, &["consume", "t", "-e", "-J"])).unwrap();
    assert_eq!(json["payload"], EVIL);
    let listed = on_terminal(&cluster, &["groups", "list"]);
    assert!(listed.lines().all(|line| line.chars().count() < 100) && listed.contains('…'), "{listed}");

    // Elsewhere, bytes stay bytes, and names are whole.
    assert_eq!(cluster.run(&["consume", "t", "-e", "-D", ""], ""), EVIL);
    assert_eq!(cluster.run(&["groups", "list", "-q"], ""), format!("{group}\n"));
    let listed = cluster.run(&["groups", "list"], "");
    assert!(is_harmless(&listed) && listed.contains(&"g".repeat(200)), "{listed:?}");
}

#[test]
fn the_value_of_a_property_is_not_shown_whatever_is_wrong_with_it() {
    let cluster = Cluster::start();
    cluster.broker.create_topic("t", 1).unwrap();
    for wrong in ["sasl.pasword=hunter2", "security.protocol=hunter2", "hunter2", "=hunter2"] {
        for command in
            [&["consume", "t", "-e"][..], &["produce", "t"], &["topics", "list"], &["groups", "list"]]
        {
            let (code, error) = cluster.fail(&[command, &["-X", wrong]].concat(), "");
            assert!(code == 2 && !error.contains("hunter2"), "{command:?} {wrong}: {code} {error}");
            let name = wrong.split_once('=').map_or("--property", |(name, _)| name);
            assert!(error.contains(name), "{error}");
        }
    }
    let (code, error) = cluster.fail(&["topics", "create", "new", "-c", "hunter2"], "");
    assert!(code == 2 && !error.contains("hunter2") && error.contains("KEY=VALUE"), "{error}");
}

/// Batches that were stored before anybody looked into them: between good ones, one under junk, and one that claims to be
/// four gigabytes.
#[test]
fn a_batch_that_cannot_be_read_is_passed_over_when_that_is_wanted() {
    let data = tempfile::tempdir().unwrap();
    let config =
        || BrokerConfig { storage: Storage::Directory(data.path().to_owned()), ..BrokerConfig::default() };
    let cluster = Cluster { broker: Broker::start(config()).unwrap() };
    cluster.broker.create_topic("t", 1).unwrap();
    cluster.run(&["produce", "t"], "one\n");
    drop(cluster);
    let path = data.path().join("topics/t-0/00000000000000000000.log");
    let good = std::fs::read(&path).unwrap();
    let batch = |offset: i64, codec: u8, records: Option<&[u8]>| {
        let mut batch = good[..61].to_vec();
        batch.extend_from_slice(records.unwrap_or(&good[61..]));
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        let len = (batch.len() - 12) as u32;
        batch[8..12].copy_from_slice(&len.to_be_bytes());
        batch[22] = codec;
        // Nobody in particular has written it.
        batch[43..57].fill(0xff);
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    };
    let claim = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 40]].concat();
    let log = [
        batch(0, 0, None),
        batch(1, 1, Some(b"junk")),
        batch(2, 2, Some(&claim)),
        batch(3, 0, None),
        batch(4, 4, Some(b"junk")),
    ];
    for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    std::fs::write(&path, log.concat()).unwrap();
    let cluster = Cluster { broker: Broker::start(config()).unwrap() };
    let read = ["consume", "t", "-e", "-f", "%o\\n"];
    let (code, error) = cluster.fail(&read, "");
    assert!(code == 1 && error.contains("--bad-records skip"), "{error}");
    let output = cluster.feed(&[&read[..], &["--bad-records", "skip"]].concat(), b"");
    let said = common::text(&output.stderr);
    assert_eq!(common::text(&output.stdout), "0\n3\n", "{said}");
    assert!(output.status.success(), "{said}");
    for offset in ["offsets 1 to 1", "offsets 2 to 2", "offsets 4 to 4"] {
        assert!(said.contains(offset), "{said}");
    }
}
