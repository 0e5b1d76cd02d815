//! Kinesis, against a server that speaks its API: `scripts/kinesis start`, then `eval "$(scripts/kinesis env)"`, which sets `THALWEG_KINESIS`. Without it nothing is tested, and
//! that is said. The server is slow with many records at once; so there are few.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]
#![cfg(feature = "kinesis")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use serde_json::{Value, json};
use thalweg_connectors::contract::Retry;
use thalweg_connectors::files::FileSink;
use thalweg_connectors::kinesis::{KinesisClient, KinesisRecord, KinesisSink, KinesisSource, StartAt};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::RunId;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, RestartStrategy, run, start};
use thalweg_dataflow::source::IteratorSource;
use thalweg_dataflow::watermark::WatermarkStrategy;

#[path = "kinesis/fan_out.rs"]
mod fan_out;
#[path = "kinesis/fan_out_faults.rs"]
mod fan_out_faults;

/// A stream of its own, which goes with the test.
struct Stream {
    name: String,
    client: KinesisClient,
}

impl Stream {
    fn new(test: &str, shards: u32) -> Option<Self> {
        if std::env::var_os("THALWEG_KINESIS").is_none() {
            eprintln!("SKIPPED: {test} on THALWEG_KINESIS, which is not set");
            return None;
        }
        let (name, client) = (format!("{test}-{:x}", RunId::token()), KinesisClient::from_env().unwrap());
        let stream = Self { name, client };
        stream.call("CreateStream", json!({ "ShardCount": shards }));
        stream.wait_active();
        Some(stream)
    }

    fn call(&self, action: &str, mut body: Value) -> Value {
        body["StreamName"] = self.name.clone().into();
        self.client.call(action, &body).unwrap()
    }

    fn wait_active(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let summary = self.call("DescribeStreamSummary", json!({}));
            if summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return;
            }
            assert!(Instant::now() < until, "{summary}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Shards that are open.
    fn open_shards(&self) -> Vec<Value> {
        let listed = self.call("ListShards", json!({}));
        let shards = listed["Shards"].as_array().unwrap().iter();
        shards
            .filter(|shard| shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null())
            .cloned()
            .collect()
    }

    fn split(&self, shard: &Value) {
        let bound = |name: &str| shard["HashKeyRange"][name].as_str().unwrap().parse::<u128>().unwrap();
        let (from, to) = (bound("StartingHashKey"), bound("EndingHashKey"));
        let middle = from / 2 + to / 2;
        self.call(
            "SplitShard",
            json!({ "ShardToSplit": shard["ShardId"], "NewStartingHashKey": middle.to_string() }),
        );
        self.wait_active();
    }

    fn merge(&self, one: &Value, other: &Value) {
        self.call(
            "MergeShards",
            json!({ "ShardToMerge": one["ShardId"], "AdjacentShardToMerge": other["ShardId"] }),
        );
        self.wait_active();
    }

    /// Writes numbers, as a job does.
    fn write(&self, numbers: std::ops::Range<u64>) {
        let graph = StreamGraph::new();
        let numbers =
            graph.source("numbers", IteratorSource::new(numbers), WatermarkStrategy::no_watermarks());
        let sink =
            KinesisSink::new(&self.name, |n: &u64| (format!("key {}", n % 17), n.to_string().into_bytes()));
        let _ = numbers.apply("kinesis", sink.client(self.client.clone()));
        run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("write") }).unwrap();
    }

    /// Writes records as they are: their keys and their data.
    fn put(&self, records: Vec<(&str, Vec<u8>)>) {
        let records: Vec<(String, Vec<u8>)> =
            records.into_iter().map(|(key, data)| (key.to_owned(), data)).collect();
        let graph = StreamGraph::new();
        let source = IteratorSource::new(records);
        let records = graph.source("records", source, WatermarkStrategy::no_watermarks());
        let sink = KinesisSink::new(&self.name, |record: &(String, Vec<u8>)| record.clone());
        let _ = records.apply("kinesis", sink.client(self.client.clone()));
        run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("put") }).unwrap();
    }

    fn source(&self) -> KinesisSource {
        let every = Duration::from_millis(50);
        KinesisSource::new(&self.name).client(self.client.clone()).poll_every(every).discover_every(every)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.client.call("DeleteStream", &json!({ "StreamName": self.name }));
    }
}

type Records = Arc<Mutex<Vec<KinesisRecord>>>;

fn collect(source: KinesisSource, parallelism: usize, checkpoints: Option<&Path>) -> (JobHandle, Records) {
    let (graph, records) = (StreamGraph::new(), Records::default());
    let seen = records.clone();
    let stream = graph.source("kinesis", source, WatermarkStrategy::no_watermarks());
    let _ = stream.map("collect", move |record| seen.lock().unwrap().push(record));
    let checkpoint = checkpoints.map(|folder| {
        CheckpointConfig::new(Duration::from_millis(30), CheckpointStorage::local(folder).unwrap())
    });
    let restart = Some(RestartStrategy::None);
    let config = JobConfig { parallelism, checkpoint, restart, ..JobConfig::new("kinesis") };
    (start(&graph, config).unwrap(), records)
}

fn number(record: &KinesisRecord) -> u64 {
    String::from_utf8_lossy(&record.data).parse().unwrap()
}

/// Waits until exactly these numbers are there, and no other comes.
fn exactly(records: &Records, expected: std::ops::Range<u64>) {
    let until = Instant::now() + Duration::from_secs(60);
    let mut settled = false;
    loop {
        let mut numbers: Vec<u64> = records.lock().unwrap().iter().map(number).collect();
        numbers.sort_unstable();
        let is_whole = numbers.iter().copied().eq(expected.clone());
        if is_whole && settled {
            return;
        }
        settled = is_whole;
        assert!(Instant::now() < until, "{} of {expected:?}", numbers.len());
        std::thread::sleep(Duration::from_millis(150));
    }
}

/// Records of a key are in the order in which they were written, as long as one subtask reads.
fn in_order(records: &Records) {
    let mut last = BTreeMap::<String, u64>::new();
    for record in records.lock().unwrap().iter() {
        let n = number(record);
        let before = last.insert(record.partition_key.clone(), n);
        assert!(before.is_none_or(|before| before < n), "{}: {n} after {before:?}", record.partition_key);
    }
}

fn stop(job: JobHandle) {
    job.stop();
    job.wait().unwrap();
}

#[test]
fn what_is_written_is_read_and_gone_on_from_at_any_parallelism() {
    let Some(stream) = Stream::new("goes-on", 3) else { return };
    let checkpoints = tempfile::tempdir().unwrap();
    let mut written = 0;
    for parallelism in [2, 1, 4] {
        stream.write(written..written + 300);
        let (job, records) = collect(stream.source(), parallelism, Some(checkpoints.path()));
        exactly(&records, written..written + 300);
        written += 300;
        job.suspend();
        job.wait().unwrap();
    }
    let first = stream.call("ListShards", json!({}))["Shards"].as_array().unwrap().len();
    assert_eq!(first, 3);
}

#[test]
fn shards_are_split_and_merged_while_they_are_read() {
    let Some(stream) = Stream::new("reshard", 2) else { return };
    over_a_resharding(&stream, || stream.source());
}

/// Shards are split and merged while a job reads, before one, and while one is down that goes on by polling.
fn over_a_resharding(stream: &Stream, source: impl Fn() -> KinesisSource) {
    let checkpoints = tempfile::tempdir().unwrap();
    let (job, records) = collect(source(), 1, Some(checkpoints.path()));
    stream.write(0..150);
    stream.split(&stream.open_shards()[0]);
    stream.write(150..300);
    let mut open = stream.open_shards();
    assert_eq!(open.len(), 3);
    open.sort_by_key(|shard| {
        shard["HashKeyRange"]["StartingHashKey"].as_str().unwrap().parse::<u128>().unwrap()
    });
    stream.merge(&open[1], &open[2]);
    stream.write(300..450);
    exactly(&records, 0..450);
    in_order(&records);
    stop(job);
    // A job that was not there meanwhile, too: parents before children.
    let (job, all) = collect(source(), 1, None);
    exactly(&all, 0..450);
    in_order(&all);
    stop(job);
    let (job, all) = collect(source(), 3, None);
    exactly(&all, 0..450);
    stop(job);
    // And one that goes on over a split that it has not seen.
    stream.write(450..500);
    stream.split(&stream.open_shards()[0]);
    stream.write(500..550);
    let (job, rest) = collect(stream.source(), 2, Some(checkpoints.path()));
    exactly(&rest, 450..550);
    stop(job);
}

#[test]
fn a_job_begins_where_it_is_told_to() {
    if std::env::var("THALWEG_KINESIS").is_ok_and(|server| server == "ferrokinesis") {
        eprintln!("SKIPPED: starts on ferrokinesis, which begins up to two seconds early");
        return;
    }
    let Some(stream) = Stream::new("starts", 2) else { return };
    stream.write(0..100);
    // Its clock says seconds.
    std::thread::sleep(Duration::from_millis(1_500));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let (latest, of_latest) = collect(stream.source().start_at(StartAt::Latest), 2, None);
    // So that it has started.
    std::thread::sleep(Duration::from_millis(1_200));
    stream.write(100..200);
    exactly(&of_latest, 100..200);
    stop(latest);
    let (at, of_time) = collect(stream.source().start_at(StartAt::Timestamp(now)), 2, None);
    exactly(&of_time, 100..200);
    let arrivals = of_time.lock().unwrap().iter().map(|record| record.arrival).min().unwrap();
    assert!(arrivals >= now - 1_000 && arrivals < now + 60_000);
    stop(at);
}

#[test]
fn what_is_not_there_or_not_reached_is_said() {
    let Some(stream) = Stream::new("errors", 1) else { return };
    let missing = KinesisSource::new("no-such-stream").client(stream.client.clone());
    let error = collect(missing, 1, None).0.wait().unwrap_err().to_string();
    assert!(error.contains("/no-such-stream: cannot list its shards: ResourceNotFoundException"), "{error}");
    assert!(error.contains("trying again cannot help"), "{error}");
    let graph = StreamGraph::new();
    let source = graph.source("one", IteratorSource::new([1_u64]), WatermarkStrategy::no_watermarks());
    let sink = KinesisSink::new("no-such-stream", |_: &u64| ("key".to_owned(), Vec::new()));
    let _ = source.apply("kinesis", sink.client(stream.client.clone()).retry(Retry::new().attempts(2)));
    let error = run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("write") }).unwrap_err().to_string();
    assert!(error.contains("/no-such-stream: cannot put 1 records: ResourceNotFoundException"), "{error}");
}

/// Numbers, put together as the Kinesis Producer Library does: each with the key of its number, or with an explicit hash key.
fn aggregated(numbers: std::ops::Range<u64>, hash_key: Option<u128>) -> Vec<u8> {
    fn length(mut length: usize, out: &mut Vec<u8>) {
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
    }
    fn field(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
        out.push(tag);
        length(bytes.len(), out);
        out.extend_from_slice(bytes);
    }
    let mut message = Vec::new();
    (0..17).for_each(|key| field(0x0a, format!("key {key}").as_bytes(), &mut message));
    if let Some(hash_key) = hash_key {
        field(0x12, hash_key.to_string().as_bytes(), &mut message);
    }
    for n in numbers {
        let mut record = vec![0x08, (n % 17) as u8];
        if hash_key.is_some() {
            record.extend([0x10, 0]);
        }
        field(0x1a, n.to_string().as_bytes(), &mut record);
        field(0x1a, &record, &mut message);
    }
    let digest = Md5::digest(&message);
    [&[0xf3, 0x89, 0x9a, 0xc2], &message[..], digest.as_slice()].concat()
}

#[test]
fn records_that_were_put_together_come_apart_among_others() {
    let Some(stream) = Stream::new("aggregated", 1) else { return };
    stream.write(0..20);
    stream.put(vec![("any", aggregated(20..120, None)), ("any", aggregated(120..150, Some(7)))]);
    stream.write(150..170);
    let (job, records) = collect(stream.source(), 1, None);
    exactly(&records, 0..170);
    stop(job);
    in_order(&records);
    let records = records.lock().unwrap();
    for record in records.iter() {
        let n = number(record);
        let sub = match n {
            20..120 => Some(n - 20),
            120..150 => Some(n - 120),
            _ => None,
        };
        assert_eq!((record.sub_sequence_number, &record.partition_key), (sub, &format!("key {}", n % 17)));
        assert_eq!(record.explicit_hash_key.as_deref(), (120..150).contains(&n).then_some("7"));
    }
    let of = |n: u64| &records.iter().find(|record| number(record) == n).unwrap().sequence_number;
    assert!(of(20) == of(119) && of(119) != of(120));
}

#[test]
fn what_belongs_into_another_shard_is_dropped_and_what_only_looks_put_together_is_not() {
    let Some(stream) = Stream::new("foreign", 2) else { return };
    let own = u128::from_be_bytes(Md5::digest(b"any").into());
    stream.put(vec![
        ("any", aggregated(0..10, Some(own))),
        // Of the other half.
        ("any", aggregated(10..20, Some(own ^ (1 << 127)))),
        ("any", b"10".to_vec()),
        ("any", b"\xf3\x89\x9a\xc2 is how it begins".to_vec()),
    ]);
    let (job, records) = collect(stream.source(), 2, None);
    let until = Instant::now() + Duration::from_secs(30);
    while records.lock().unwrap().len() < 12 {
        assert!(Instant::now() < until, "{:?}", records.lock().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    stop(job);
    let mut records = std::mem::take(&mut *records.lock().unwrap());
    let last = records.pop().unwrap();
    assert_eq!(last.data, b"\xf3\x89\x9a\xc2 is how it begins");
    assert!(records.iter().map(number).eq(0..=10), "{records:?}");
}

#[test]
fn a_job_goes_on_within_a_record_that_has_many_in_it() {
    let Some(stream) = Stream::new("within", 1) else { return };
    within_a_record(&stream, |_| stream.source());
}

/// Jobs are cancelled within a record that has many in it, and go on there, each by the source of its round.
fn within_a_record(stream: &Stream, source: impl Fn(usize) -> KinesisSource) {
    const COUNT: u64 = 20_000;
    stream.put(vec![("any", aggregated(0..COUNT, None))]);
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..4 {
        let (job, files) = to_files(&source(round), folder.path(), 1, 50);
        wait_for(&files, if round < 3 { before + 1 } else { COUNT as usize });
        // No last checkpoint.
        job.cancel();
        let _ = job.wait();
        before = published(&files).len();
        assert!(round == 3 || before < COUNT as usize, "it has come to its end too soon");
    }
    assert!(published(&folder.path().join("out")).into_iter().eq(0..COUNT));
}

/// A job that writes what it reads into files, so many microseconds a record. Returns where they are, too.
fn to_files(
    source: &KinesisSource,
    folder: &Path,
    parallelism: usize,
    micros: u64,
) -> (JobHandle, std::path::PathBuf) {
    let files = folder.join("out");
    let graph = StreamGraph::new();
    let records = graph.source("kinesis", source.clone(), WatermarkStrategy::no_watermarks());
    let slow = records.map("slow", move |record: KinesisRecord| {
        if micros > 0 && number(&record).is_multiple_of(20) {
            std::thread::sleep(Duration::from_micros(20 * micros));
        }
        record
    });
    let line = |record: &KinesisRecord, line: &mut Vec<u8>| line.extend_from_slice(&record.data);
    let _ = slow.apply("files", FileSink::new(&files, line)).uid("files");
    let storage = CheckpointStorage::local(folder.join("checkpoints")).unwrap();
    let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(25), storage));
    let restart = Some(RestartStrategy::None);
    let config = JobConfig { parallelism, checkpoint, restart, ..JobConfig::new("files") };
    (start(&graph, config).unwrap(), files)
}

fn wait_for(files: &Path, count: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    while published(files).len() < count {
        assert!(Instant::now() < until, "{} of {count}", published(files).len());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Lets a process go on, whatever becomes of the test.
struct Stopped(String);

impl Drop for Stopped {
    fn drop(&mut self) {
        assert!(Command::new("kill").args(["-CONT", &self.0]).status().unwrap().success());
    }
}

/// The numbers in the files that readers see.
fn published(folder: &Path) -> Vec<u64> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("part-") {
            let text = std::fs::read_to_string(path).unwrap();
            numbers.extend(text.lines().map(|line| line.parse::<u64>().unwrap()));
        }
    }
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_job_that_is_killed_and_a_service_that_does_not_answer_lose_and_double_nothing() {
    let Some(stream) = Stream::new("kills", 3) else { return };
    let (folder, pid) = (tempfile::tempdir().unwrap(), std::env::var("THALWEG_KINESIS_PID").unwrap());
    let mut written = 0;
    for parallelism in [1, 2, 3] {
        let (running, files) = to_files(&stream.source(), folder.path(), parallelism, 0);
        let before = published(&files).len();
        // More than a read of each shard, so that it is cancelled in the middle.
        stream.write(written..written + 600);
        written += 600;
        wait_for(&files, before + 1);
        let stopped = Stopped(pid.clone());
        assert!(Command::new("kill").args(["-STOP", &stopped.0]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(600));
        drop(stopped);
        // No last checkpoint.
        running.cancel();
        let _ = running.wait();
    }
    let (running, files) = to_files(&stream.source(), folder.path(), 2, 0);
    wait_for(&files, written as usize);
    stop(running);
    assert!(published(&files).into_iter().eq(0..written));
}

/// What is asked for next: an action, and what belongs to it.
fn request(reader: &mut impl BufRead) -> std::io::Result<Option<(String, Value)>> {
    let (mut action, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim().split_once(": ") {
            Some((name, of)) if name.eq_ignore_ascii_case("content-length") => length = of.parse().unwrap(),
            Some((name, of)) if name.eq_ignore_ascii_case("x-amz-target") => {
                action = of.rsplit('.').next().unwrap().to_owned();
            }
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((action, serde_json::from_slice(&body).unwrap())))
}

/// A service that answers at once: one shard, each read of which has one record, until there were `records` of them.
fn answers_at_once(records: u64) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |action: &str, body: &Value| match action {
        "ListShards" => json!({ "Shards": [{ "ShardId": "shardId-000000000000", "HashKeyRange": {},
            "SequenceNumberRange": { "StartingSequenceNumber": "1" } }] }),
        "GetShardIterator" => json!({ "ShardIterator": "0" }),
        _ => {
            let at: u64 = body["ShardIterator"].as_str().unwrap().parse().unwrap();
            let record = json!({ "PartitionKey": "k", "Data": "aQ==", "SequenceNumber": (at + 1).to_string(),
                "ApproximateArrivalTimestamp": 1.5 });
            let next = (at + 1 < records).then(|| (at + 1).to_string());
            json!({ "Records": [record], "NextShardIterator": next, "MillisBehindLatest": 0 })
        }
    };
    let serve = move |stream: std::net::TcpStream| -> std::io::Result<()> {
        let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
        loop {
            let Some((action, body)) = request(&mut reader)? else { return Ok(()) };
            let answer = answer(&action, &body).to_string();
            writer.write_all(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).as_bytes(),
            )?;
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn a_read_that_has_come_is_never_slept_through() {
    const READS: u64 = 3_000;
    let client = KinesisClient::builder().endpoint(&answers_at_once(READS)).region("eu-central-1");
    let client =
        client.credentials("key", thalweg_connectors::contract::Secret::new("secret")).build().unwrap();
    // Whoever misses that a read has come, sleeps until it is time to look for shards.
    let source = KinesisSource::new("words")
        .client(client)
        .poll_every(Duration::ZERO)
        .discover_every(Duration::from_secs(3600));
    let until = Instant::now() + Duration::from_secs(120);
    // Without checkpoints nothing else wakes it; with them, barriers have to come through.
    let folder = tempfile::tempdir().unwrap();
    for checkpoints in [None, Some(folder.path())] {
        let (job, records) = collect(source.clone(), 1, checkpoints);
        let is_done = || {
            let seen = records.lock().unwrap().len() as u64;
            assert!(Instant::now() < until, "{seen} of {READS} records, and then nothing");
            seen == READS && (checkpoints.is_none() || job.progress().committed_epoch > 0)
        };
        while !is_done() {
            std::thread::sleep(Duration::from_millis(10));
        }
        job.stop();
        job.wait().unwrap();
    }
}
