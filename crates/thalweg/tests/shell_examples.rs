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

/// What an example prints that ends by itself, line by line, in their order or sorted.
fn printed(name: &str, sorted: bool) -> Vec<String> {
    let output = example(name).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    if sorted {
        lines.sort();
    }
    lines
}

#[test]
fn answers_come_in_the_order_of_the_questions_and_twenty_at_a_time() {
    let started = std::time::Instant::now();
    let answers: Vec<String> =
        (0..400).map(|key| format!("{:?}", format!("key{}: {key}", key % 10))).collect();
    assert_eq!(printed("async_io", false), answers);
    // One after another it would be eight seconds.
    assert!(started.elapsed() < std::time::Duration::from_secs(6), "{:?}", started.elapsed());
}

#[test]
fn the_exercises_of_flinks_training_give_what_their_tests_want() {
    assert_eq!(printed("ride_cleansing", false), ["1"]);
    let joined: Vec<String> = (1..=3)
        .map(|id| {
            format!("(TaxiRide {{ id: {id}, passengers: {id} }}, TaxiFare {{ ride: {id}, total: {id}0.0 }})")
        })
        .collect();
    assert_eq!(printed("rides_and_fares", true), joined);
    assert_eq!(printed("hourly_tips", true), ["(3600000, 1, 6.0)", "(7200000, 2, 7.5)"]);
    assert_eq!(printed("long_rides", true), ["2", "3"]);
}

#[test]
fn stolen_cards_are_found_each_time_that_they_are_emptied() {
    let alerts = printed("card_fraud", true);
    let stolen = (0..20_000).filter(|second| second * 37 % 100 % 10 == 0 && second % 7 == 0).count();
    assert_eq!(alerts.len(), stolen);
    assert!(
        alerts.iter().all(|alert| alert.starts_with("alert> (") && alert.contains("0, 3, 90000, ")),
        "{}",
        alerts[0]
    );
}
