//! Sockets, against servers that do as servers do.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_connectors::contract::Retry;
use thalweg_connectors::socket::{RawSocketReceiver, SocketSink, SocketTextReceiver};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{JobConfig, JobHandle, start};
use thalweg_dataflow::source::{IteratorSource, Receiver, ReceiverSource};
use thalweg_dataflow::watermark::WatermarkStrategy;

fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A job that collects what a receiver gets.
fn collect<R: Receiver + Clone + Sync>(receiver: R) -> (JobHandle, Arc<Mutex<Vec<R::Item>>>) {
    let graph = StreamGraph::new();
    let source = ReceiverSource::of(receiver).restart_delay(Duration::from_millis(10));
    let stream = graph.source("socket", source, WatermarkStrategy::no_watermarks());
    let all = Arc::<Mutex<Vec<R::Item>>>::default();
    let seen = all.clone();
    let _ = stream.map("collect", move |item| seen.lock().unwrap().push(item));
    let job = start(&graph, JobConfig { parallelism: 2, ..JobConfig::new("socket") }).unwrap();
    (job, all)
}

fn eventually<T: Clone + PartialEq + std::fmt::Debug>(all: &Mutex<Vec<T>>, expected: &[T]) {
    let until = Instant::now() + Duration::from_secs(20);
    while *all.lock().unwrap() != expected {
        assert!(Instant::now() < until, "{:?}", all.lock().unwrap());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn lines_come_at_once_and_it_connects_again() {
    let (listener, port) = server();
    let receiver = SocketTextReceiver::new("localhost", port).retry_every(Duration::from_millis(20));
    let (job, all) = collect(receiver);
    let (mut client, _) = listener.accept().unwrap();
    client.write_all("ein\r\nzwei\n\ndr".as_bytes()).unwrap();
    eventually(&all, &["ein", "zwei", ""].map(str::to_owned));
    client.write_all(b"ei\n\xff!\nvier").unwrap();
    // What the connection ends with is a line, too.
    client.shutdown(Shutdown::Both).unwrap();
    drop(client);
    let (mut client, _) = listener.accept().unwrap();
    client.write_all("fünf\n".as_bytes()).unwrap();
    eventually(&all, &["ein", "zwei", "", "drei", "\u{fffd}!", "vier", "fünf"].map(str::to_owned));
    job.stop();
    job.wait().unwrap();
}

#[test]
fn the_stream_may_end_with_the_connection() {
    let (listener, port) = server();
    let receiver = SocketTextReceiver::new("localhost", port).delimiter("--").ends_with_the_connection();
    let (job, all) = collect(receiver);
    let (mut client, _) = listener.accept().unwrap();
    client.write_all(b"one--two-\nstill two--three").unwrap();
    drop(client);
    job.wait().unwrap();
    assert_eq!(*all.lock().unwrap(), ["one", "two-\nstill two", "three"]);
}

#[test]
fn blocks_of_bytes() {
    let (listener, port) = server();
    let (job, all) = collect(RawSocketReceiver::new("localhost", port));
    let (mut client, _) = listener.accept().unwrap();
    client.write_all(&[0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap();
    eventually(&all, &[vec![1, 2, 3], vec![]]);
    client.write_all(&[9]).unwrap();
    eventually(&all, &[vec![1, 2, 3], vec![], vec![9]]);
    job.cancel();
    job.wait().unwrap_err();
}

/// A job that writes numbers, slowly, so that there is a middle to break the connection in.
fn write_numbers(port: u16, retry: Retry) -> JobHandle {
    let graph = StreamGraph::new();
    let (sender, numbers) = thalweg_dataflow::source::channel(10);
    std::thread::spawn(move || {
        (0..)
            .take_while(|n: &u64| {
                std::thread::sleep(Duration::from_millis(1));
                sender.send(n.to_string()).is_ok()
            })
            .count()
    });
    let numbers = graph.source("numbers", numbers, WatermarkStrategy::no_watermarks());
    numbers.apply("socket", SocketSink::new("localhost", port).retry(retry));
    start(&graph, JobConfig { parallelism: 1, ..JobConfig::new("writes") }).unwrap()
}

#[test]
fn a_sink_connects_again_and_begins_with_a_whole_line() {
    let (listener, port) = server();
    let job = write_numbers(port, Retry::new().for_ever().first_pause(Duration::from_millis(5)));
    let mut last = None;
    for _ in 0..3 {
        let (client, _) = listener.accept().unwrap();
        let lines = BufReader::new(client).lines().take(50).map(|line| line.unwrap().parse::<u64>().unwrap());
        for number in lines {
            // Lines may be lost with a connection, but none is torn, nor comes out of order.
            assert!(last.is_none_or(|last| number > last), "{number} after {last:?}");
            last = Some(number);
        }
    }
    // A server that is down for a while.
    drop(listener);
    std::thread::sleep(Duration::from_millis(50));
    let listener = TcpListener::bind(("localhost", port)).unwrap();
    let (client, _) = listener.accept().unwrap();
    let line = BufReader::new(client).lines().next().unwrap().unwrap();
    assert!(line.parse::<u64>().unwrap() > last.unwrap());
    job.stop();
    job.wait().unwrap();
}

#[test]
fn a_sink_whose_server_stays_away_says_so_and_one_that_does_not_read_can_be_stopped() {
    let (listener, port) = server();
    drop(listener);
    let job = write_numbers(port, Retry::new().attempts(3).first_pause(Duration::from_millis(1)));
    let error = job.wait().unwrap_err().to_string();
    let expected = format!("the socket localhost:{port}: cannot write: ");
    assert!(error.contains(&expected) && error.contains("3 attempts"), "{error}");

    let (_listener, port) = server();
    let graph = StreamGraph::new();
    let big = IteratorSource::new(std::iter::repeat_with(|| "x".repeat(100_000)));
    let big = graph.source("big", big, WatermarkStrategy::no_watermarks());
    big.apply("socket", SocketSink::new("localhost", port));
    let job = start(&graph, JobConfig { parallelism: 1, ..JobConfig::new("stuck") }).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    job.cancel();
    let began = Instant::now();
    let _ = job.wait();
    assert!(began.elapsed() < Duration::from_secs(10));
}
