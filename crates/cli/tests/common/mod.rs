//! The binary, run as a user runs it, against a broker in this process.

#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use thalweg_broker::{Broker, BrokerConfig};

pub fn thalweg(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Waits for a line of the child's output that contains `what`.
pub fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, what: &str) -> String {
    lines
        .map(Result::unwrap)
        .find(|line| line.contains(what))
        .unwrap_or_else(|| panic!("no line with '{what}'"))
}

pub fn interrupt(child: &Child) {
    // What Ctrl-C sends.
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

pub fn wait_with_timeout(mut child: Child) -> std::process::ExitStatus {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it did not stop");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A broker, and the binary with its address.
pub struct Cluster {
    pub broker: Broker,
}

impl Cluster {
    pub fn start() -> Self {
        Self { broker: Broker::start(BrokerConfig::default()).unwrap() }
    }

    /// The binary with these arguments, to be started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = thalweg(args);
        command.env("THALWEG_KAFKA", self.broker.bootstrap());
        command
    }

    /// Runs the binary, with this on its standard input, to its end.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// What the binary prints; it must succeed.
    pub fn bytes(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.feed(args, input);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        output.stdout
    }

    /// The same, as text.
    pub fn run(&self, args: &[&str], input: &str) -> String {
        text(&self.bytes(args, input.as_bytes()))
    }

    /// What the binary says about a failure, and its exit code.
    pub fn fail(&self, args: &[&str], input: &str) -> (i32, String) {
        let output = self.feed(args, input.as_bytes());
        (output.status.code().unwrap(), text(&output.stderr))
    }
}
