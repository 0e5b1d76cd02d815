//! Flume's agents. What is on the wire was written down by hand, after the protocols; with `THALWEG_FLUME` set to anything, real agents are
//! started by `scripts/flume`, which needs Java.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_connectors::contract::Retry;
use thalweg_connectors::flume::{FlumeEvent, FlumePollingReceiver, FlumeReceiver, FlumeSink};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, RestartStrategy, run, start};
use thalweg_dataflow::source::{IteratorSource, Receiver, ReceiverSource};
use thalweg_dataflow::watermark::WatermarkStrategy;

type Events = Arc<Mutex<Vec<FlumeEvent>>>;

/// A port that nobody listens at.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn collect(receiver: FlumeReceiver, checkpoints: Option<(&Path, u64)>) -> (JobHandle, Events) {
    collect_from(receiver.into_source(), checkpoints)
}

fn collect_from<R>(source: ReceiverSource<R>, checkpoints: Option<(&Path, u64)>) -> (JobHandle, Events)
where
    R: Receiver<Item = FlumeEvent> + Clone + Sync,
{
    let (graph, events) = (StreamGraph::new(), Events::default());
    let source = source.restart_delay(Duration::from_millis(50));
    let seen = events.clone();
    let stream = graph.source("flume", source, WatermarkStrategy::no_watermarks());
    let _ = stream.map("collect", move |event| seen.lock().unwrap().push(event));
    let checkpoint = checkpoints.map(|(folder, every)| {
        CheckpointConfig::new(Duration::from_millis(every), CheckpointStorage::local(folder).unwrap())
    });
    (start(&graph, JobConfig { parallelism: 2, checkpoint, ..JobConfig::new("flume") }).unwrap(), events)
}

fn connect(port: u16) -> TcpStream {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                return stream;
            }
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn answer(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn event(headers: &[(&str, &str)], body: &str) -> FlumeEvent {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    FlumeEvent { headers, body: body.as_bytes().to_vec() }
}

/// What is acknowledged at once is on its way.
fn eventually(events: &Events, expected: &[FlumeEvent]) {
    let until = Instant::now() + Duration::from_secs(20);
    while *events.lock().unwrap() != expected {
        assert!(Instant::now() < until, "{:?}", events.lock().unwrap());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

#[test]
fn thrift_calls_are_answered_and_what_is_none_ends_its_connection_alone() {
    let port = free_port();
    let (job, events) = collect(FlumeReceiver::thrift("127.0.0.1", port).acknowledging_at_once(), None);
    let mut agent = connect(port);
    // append, number 7: field 1, a structure: headers {a: b}, body "one".
    let append = b"\x82\x21\x07\x06append\x1c\x1b\x01\x88\x01a\x01b\x18\x03one\x00\x00";
    agent.write_all(&framed(append)).unwrap();
    assert_eq!(answer(&mut agent, 18), framed(b"\x82\x41\x07\x06append\x05\x00\x00\x00"));
    // appendBatch, number 300, of two; the first with a field that nobody knows, the second without headers.
    let batch = b"\x82\x21\xac\x02\x0bappendBatch\x19\x2c\x1b\x00\x18\x03two\x19\x35\x02\x04\x06\x00\x1b\x00\x18\x05three\x00\x00";
    agent.write_all(&framed(batch)).unwrap();
    assert_eq!(answer(&mut agent, 24), framed(b"\x82\x41\xac\x02\x0bappendBatch\x05\x00\x00\x00"));
    let expected = [event(&[("a", "b")], "one"), event(&[], "two"), event(&[], "three")];
    eventually(&events, &expected);
    // A call of what there is not is an exception.
    agent.write_all(&framed(b"\x82\x21\x01\x04ping\x00")).unwrap();
    let length = u32::from_be_bytes(answer(&mut agent, 4).try_into().unwrap());
    let exception = answer(&mut agent, length as usize);
    assert!(exception.starts_with(b"\x82\x61\x01\x04ping\x18") && exception.ends_with(b"\x15\x02\x00"));
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &framed(b"\x80\x01\x00\x01"),
        &framed(&append[..20]),
        &framed(b"\x82\x21\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ] {
        let mut stranger = connect(port);
        stranger.write_all(nonsense).unwrap();
        let end = stranger.read(&mut [0; 1]);
        assert!(matches!(end, Ok(0)) || end.is_err(), "{end:?}");
    }
    agent.write_all(&framed(append)).unwrap();
    assert_eq!(answer(&mut agent, 18)[4..8], *b"\x82\x41\x07\x06");
    eventually(&events, &[&expected[..], &expected[..1]].concat());
    job.stop();
    job.wait().unwrap();
}

#[test]
fn avro_calls_are_answered_with_a_handshake_the_first_time() {
    let port = free_port();
    let (job, events) = collect(FlumeReceiver::avro("127.0.0.1", port).acknowledging_at_once(), None);
    let mut agent = connect(port);
    let frame = |serial: u32, parts: &[&[u8]]| {
        let mut frame = [serial.to_be_bytes(), (parts.len() as u32).to_be_bytes()].concat();
        parts.iter().for_each(|part| frame.extend(framed(part)));
        frame
    };
    // Hashes, no protocol, metadata {}; then no metadata, and the call: headers {a: b} in a block with its length, body "one".
    let hashes = [&[1; 16][..], &[0], &[1; 16], &[2, 0]].concat();
    agent.write_all(&frame(5, &[&hashes, b"\x00\x0cappend", b"\x01\x08\x02a\x02b\x00\x06one"])).unwrap();
    assert_eq!(answer(&mut agent, 19), frame(5, &[&[0; 7]]));
    agent.write_all(&frame(6, &[b"\x00\x16appendBatch\x04\x00\x06two\x00\x0athree\x00"])).unwrap();
    assert_eq!(answer(&mut agent, 15), frame(6, &[&[0; 3]]));
    let expected = [event(&[("a", "b")], "one"), event(&[], "two"), event(&[], "three")];
    eventually(&events, &expected);
    for nonsense in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &frame(1, &[b"\x00\x06one"]), &frame(1, &[&hashes, b"\x00\x08call"])]
    {
        let mut stranger = connect(port);
        stranger.write_all(nonsense).unwrap();
        let end = stranger.read(&mut [0; 1]);
        assert!(matches!(end, Ok(0)) || end.is_err(), "{end:?}");
    }
    job.stop();
    job.wait().unwrap();
}

#[test]
fn nothing_is_acknowledged_before_its_checkpoint() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let (job, events) = collect(FlumeReceiver::thrift("127.0.0.1", port), Some((folder.path(), 1_000)));
    let mut agent = connect(port);
    let began = Instant::now();
    for _ in 0..2 {
        agent.write_all(&framed(b"\x82\x21\x01\x06append\x1c\x1b\x00\x18\x03one\x00\x00")).unwrap();
        answer(&mut agent, 18);
    }
    // Two answers are two checkpoints.
    assert!(began.elapsed() > Duration::from_millis(1_000), "{:?}", began.elapsed());
    assert_eq!(events.lock().unwrap().len(), 2);
    job.stop();
    job.wait().unwrap();
}

/// An agent that is stopped when the test is over.
struct Agent(PathBuf);

impl Agent {
    fn script(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/flume");
        let (command, options) = arguments.split_first().unwrap();
        let done =
            Command::new(script).arg(command).arg("--data").arg(&self.0).args(options).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn start(&self, port: u16, sink: &str) -> PathBuf {
        let to = format!("127.0.0.1:{port}");
        // What Spark's sink has given out, and nobody has acknowledged, it gives out again after so many seconds.
        let settings = if sink == "spark" { &["--set", "a.sinks.k.timeout = 5"][..] } else { &[] };
        let arguments = ["start", "--to", &to, "--sink", sink, "--channel", "file"];
        self.script(&[&arguments[..], settings].concat()).into()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.script(&["stop"]);
    }
}

fn drop_file(spool: &Path, name: &str, lines: std::ops::Range<u64>) {
    let text: String = lines.map(|n| format!("{n}\n")).collect();
    // Flume takes files that are complete.
    let hidden = spool.parent().unwrap().join(name);
    std::fs::write(&hidden, text).unwrap();
    std::fs::rename(hidden, spool.join(name)).unwrap();
}

/// Waits until all numbers below `count` have come.
fn all_there(events: &Events, count: u64) {
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let mut numbers: Vec<u64> =
            events.lock().unwrap().iter().map(|event| event.text().parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.iter().copied().eq(0..count) {
            return;
        }
        assert!(Instant::now() < until, "{} of {count}", numbers.len());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A job that sends numbers to a port.
fn send(port: u16, count: u64, retry: Retry) -> Result<(), String> {
    let graph = StreamGraph::new();
    let numbers = graph.source("numbers", IteratorSource::new(0..count), WatermarkStrategy::no_watermarks());
    let event = |n: &u64| {
        let headers = if n.is_multiple_of(2) {
            [("even".to_owned(), "yes".to_owned())].into()
        } else {
            Default::default()
        };
        FlumeEvent { headers, body: n.to_string().into_bytes() }
    };
    let _ = numbers.apply("flume", FlumeSink::new("127.0.0.1", port, event).retry(retry));
    let restart = Some(RestartStrategy::None);
    run(&graph, JobConfig { parallelism: 1, restart, ..JobConfig::new("send") })
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn what_we_send_we_understand_and_an_agent_that_is_away_is_told() {
    let port = free_port();
    let error = send(port, 3, Retry::new().attempts(2).first_pause(Duration::from_millis(1))).unwrap_err();
    let expected = format!("Flume's agent at 127.0.0.1:{port}: cannot send 3 events: ");
    assert!(error.contains(&expected) && error.contains("2 attempts"), "{error}");
    let (job, events) = collect(FlumeReceiver::thrift("127.0.0.1", port).acknowledging_at_once(), None);
    drop(connect(port));
    for count in [14, 15, 5_000] {
        events.lock().unwrap().clear();
        send(port, count, Retry::new()).unwrap();
        all_there(&events, count);
        let events = events.lock().unwrap();
        assert_eq!(events.len() as u64, count);
        assert!(events.iter().all(|event| event.headers.contains_key("even")
            == event.text().parse::<u64>().unwrap().is_multiple_of(2)));
    }
    job.stop();
    job.wait().unwrap();
    // Somebody who answers, but nothing of the protocol.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let strange = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"\0\0\0\x04HTTP").unwrap());
    let error = send(strange, 3, Retry::new()).unwrap_err();
    assert!(error.contains("protocol = compact") && error.contains("trying again cannot help"), "{error}");
}

#[test]
fn a_real_agent_takes_what_we_send_and_sends_it_back() {
    if std::env::var_os("THALWEG_FLUME").is_none() {
        eprintln!("SKIPPED: sending to a real agent of Flume; set THALWEG_FLUME=1 where there is a Java");
        return;
    }
    let (folder, back, there) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let (job, events) =
        collect(FlumeReceiver::avro("127.0.0.1", back), Some((&folder.path().join("checkpoints"), 100)));
    let agent = Agent(folder.path().join("agent"));
    let to = format!("127.0.0.1:{back}");
    let source = format!("a.sources.t.port = {there}");
    let settings = [
        "a.sources = s t",
        "a.sources.t.type = thrift",
        "a.sources.t.bind = 127.0.0.1",
        &source,
        "a.sources.t.channels = c",
    ];
    let mut arguments = vec!["start", "--to", &to, "--channel", "file"];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    agent.script(&arguments);
    drop(connect(there));
    send(there, 10_000, Retry::new()).unwrap();
    all_there(&events, 10_000);
    assert_eq!(
        events.lock().unwrap().iter().filter(|event| event.headers.contains_key("even")).count(),
        5_000
    );
    job.stop();
    job.wait().unwrap();
}

#[test]
fn real_agents_lose_nothing_when_they_or_we_are_killed() {
    if std::env::var_os("THALWEG_FLUME").is_none() {
        eprintln!("SKIPPED: real agents of Flume; set THALWEG_FLUME=1 where there is a Java");
        return;
    }
    for sink in ["thrift", "avro", "spark"] {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let checkpoints = folder.path().join("checkpoints");
        let collect = || {
            let checkpoints = Some((&*checkpoints, 100));
            match sink {
                "avro" => collect(FlumeReceiver::avro("127.0.0.1", port), checkpoints),
                "thrift" => collect(FlumeReceiver::thrift("127.0.0.1", port), checkpoints),
                _ => {
                    let agent = FlumePollingReceiver::new([("127.0.0.1", port)]).max_batch_size(500);
                    collect_from(agent.into_source(), checkpoints)
                }
            }
        };
        let agent = Agent(folder.path().join("agent"));
        let (job, first) = collect();
        let spool = agent.start(port, sink);
        drop_file(&spool, "a", 0..5_000);
        all_there(&first, 5_000);
        assert_eq!(first.lock().unwrap()[0].headers["basename"], "a");
        // The job dies in the middle of what follows; what it has not committed comes again.
        drop_file(&spool, "b", 5_000..25_000);
        let until = Instant::now() + Duration::from_secs(60);
        while first.lock().unwrap().len() < 7_000 {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(1));
        }
        job.cancel();
        let _ = job.wait();
        let (job, second) = collect();
        // The agent dies, too, and comes back with what is in its channel.
        std::thread::sleep(Duration::from_millis(500));
        agent.script(&["kill"]);
        let spool = agent.start(port, sink);
        drop_file(&spool, "c", 25_000..30_000);
        let both = Events::default();
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let mut all = first.lock().unwrap().clone();
            all.extend(second.lock().unwrap().iter().cloned());
            let mut numbers: Vec<u64> = all.iter().map(|event| event.text().parse().unwrap()).collect();
            numbers.sort_unstable();
            numbers.dedup();
            if numbers.iter().copied().eq(0..30_000) {
                *both.lock().unwrap() = all;
                break;
            }
            assert!(Instant::now() < until, "{sink}: {} of 30000", numbers.len());
            std::thread::sleep(Duration::from_millis(100));
        }
        all_there(&both, 30_000);
        job.stop();
        job.wait().unwrap();
    }
}

#[test]
fn an_agent_that_is_asked_speaks_the_protocol_or_is_told_of() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let agent = FlumePollingReceiver::new([("127.0.0.1", port)]).parallelism(1).max_batch_size(70);
    let folder = tempfile::tempdir().unwrap();
    let (job, events) = collect_from(agent.into_source(), Some((folder.path(), 20)));
    let call = |agent: &mut TcpStream, serial: u32| {
        let head = answer(agent, 12);
        assert_eq!(head[..8], [serial.to_be_bytes(), 1_u32.to_be_bytes()].concat());
        answer(agent, u32::from_be_bytes(head[8..].try_into().unwrap()) as usize)
    };
    let say = |agent: &mut TcpStream, serial: u32, body: &[u8]| {
        let head = [serial.to_be_bytes(), 1_u32.to_be_bytes()].concat();
        agent.write_all(&[&head[..], &framed(body)].concat()).unwrap();
    };
    // Who speaks something else is left, and asked again.
    let (mut stranger, _) = listener.accept().unwrap();
    call(&mut stranger, 1);
    stranger.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let (mut agent, _) = listener.accept().unwrap();
    agent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let first = call(&mut agent, 1);
    // A protocol comes with the handshake; 70 is 140 folded, in two bytes.
    assert!(
        first.starts_with(b"thalweg, polling\x02") && first.ends_with(b"\x00\x1agetEventBatch\x8c\x01"),
        "{first:?}"
    );
    // It knows ours, and has another text of its own, with a hash, and no metadata; no error; a batch `s1` of two.
    let mut batch = b"\x02\x02\x04{}\x020123456789abcdef\x00\x00\x00".to_vec();
    batch.extend(b"\x00\x04s1\x04\x02\x02a\x02b\x00\x06one\x00\x06two\x00");
    say(&mut agent, 1, &batch);
    // It is acknowledged when it is part of a checkpoint.
    assert_eq!(call(&mut agent, 2), b"\x00\x06ack\x04s1");
    assert!(job.progress().committed_epoch > 0);
    say(&mut agent, 2, b"\x00\x00");
    // It has none.
    assert_eq!(call(&mut agent, 3), b"\x00\x1agetEventBatch\x8c\x01");
    say(&mut agent, 3, b"\x00\x00\x08none\x00\x00");
    assert_eq!(call(&mut agent, 4), b"\x00\x1agetEventBatch\x8c\x01");
    eventually(&events, &[event(&[("a", "b")], "one"), event(&[], "two")]);
    job.stop();
    job.wait().unwrap();
}
