//! The examples that need no Kafka, run as a user runs them: against a server on a socket, or nothing at all.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// …/target/<profile>/deps/this-test -> …/target/<profile>/examples/
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    Command::new(program)
}

/// An example that reads from this server, as `nc -lk` is one, and has connected to it.
fn with_server(name: &str) -> (Running, TcpStream) {
    let server = TcpListener::bind("localhost:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let mut child = example(name);
    let child =
        child.args(["localhost", &port]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    (Running(child), server.accept().unwrap().0)
}

/// Ends with the test, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Reads what it prints until all of these lines have come.
    fn prints(&mut self, lines: &[&str]) {
        let mut missing: Vec<&str> = lines.to_vec();
        let mut printed = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        while !missing.is_empty() {
            let line = printed.next().unwrap_or_else(|| panic!("it ended without {missing:?}")).unwrap();
            missing.retain(|wanted| !line.contains(wanted));
        }
    }
}

#[test]
fn words_that_are_typed_are_counted() {
    let (mut example, mut nc) = with_server("network_word_count");
    nc.write_all(b"deep and fast and deep\n").unwrap();
    example.prints(&["deep", "and", "fast", "Time: "]);
}

#[test]
fn words_are_counted_on_from_what_was_before() {
    let (mut example, mut nc) = with_server("stateful_network_word_count");
    nc.write_all(b"hello deep world hello\n").unwrap();
    example.prints(&["3"]);
}

#[test]
fn windows_fire_when_the_connection_ends() {
    let (mut example, mut nc) = with_server("socket_window_word_count");
    nc.write_all(b"deep and fast\nand deep").unwrap();
    drop(nc);
    example.prints(&["(\"deep\", 2)", "(\"and\", 2)", "(\"fast\", 1)"]);
    assert!(example.0.wait().unwrap().success());
}

#[test]
fn top_speeds_are_those_of_the_last_ten_seconds() {
    let output = example("top_speed_windowing").output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.lines().count() > 10, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("Car { id: ")), "{lines}");
}
