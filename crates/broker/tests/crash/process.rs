//! A broker in a process of its own: this test binary, run again with other arguments.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use thalweg_broker::{Broker, BrokerConfig, Storage};

const DATA: &str = "THALWEG_CRASH_DATA";
const LISTEN: &str = "THALWEG_CRASH_LISTEN";
const CLEANER: &str = "THALWEG_CRASH_CLEANER";
const READY: &str = "broker at ";

pub(crate) struct BrokerProcess {
    child: Child,
    /// The broker stops when this is closed, also if the test dies.
    stdin: Option<ChildStdin>,
    /// The test harness in there wants to say how it went.
    _stdout: BufReader<ChildStdout>,
    address: String,
}

impl BrokerProcess {
    /// `cleaner` is how many bytes compaction may read and write in a second.
    pub(crate) fn start(data: &Path, address: Option<&str>, cleaner: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "broker_process", "--ignored", "--nocapture"])
            .env(DATA, data)
            .env(CLEANER, cleaner)
            .env(LISTEN, address.unwrap_or("127.0.0.1:0"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let ready = stdout.by_ref().lines().map_while(Result::ok).find_map(|line| {
            // The test harness has begun the line already.
            line.split_once(READY).map(|(_, address)| address.to_owned())
        });
        Self { child, stdin, _stdout: stdout, address: ready.expect("the broker says where it listens") }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success(), "a clean stop");
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child process does.
pub(crate) fn be_the_broker() {
    let Some(data) = std::env::var_os(DATA) else { return };
    let config = BrokerConfig {
        listen: std::env::var(LISTEN).unwrap(),
        storage: Storage::Directory(data.into()),
        // As soon as a segment is closed, so that it is compacting most of the time.
        properties: [
            ("log.cleaner.backoff.ms".to_owned(), "0".to_owned()),
            ("log.cleaner.io.max.bytes.per.second".to_owned(), std::env::var(CLEANER).unwrap()),
        ]
        .into(),
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).unwrap();
    println!("{READY}{}", broker.bootstrap());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(broker);
}
