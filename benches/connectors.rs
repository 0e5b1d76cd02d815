//! What a connector costs for each record, in a whole job at parallelism 1: reading files, writing them in each format, lines of a socket.
//!
//! `cargo bench -p thalweg-connectors --features avro --bench connectors [-- RECORDS]`: two million records unless it says otherwise.
//! With `--features kinesis`, and the server that `THALWEG_KINESIS` names (`scripts/kinesis`), a hundredth as many of Kinesis, as it is slow.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thalweg_connectors::files::format::{
    CompressedFormat, CsvFormat, CsvReaderFormat, CsvRow, JsonLinesFormat,
};
use thalweg_connectors::files::{Compression, FileSink, FileSource, TextFileSource};
use thalweg_connectors::socket::SocketTextReceiver;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::runtime::{JobConfig, run, start};
use thalweg_dataflow::source::{IteratorSource, ReceiverSource, Source};
use thalweg_dataflow::watermark::WatermarkStrategy;

/// A record of 40 bytes or so as text.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Reading {
    sensor: u64,
    value: f64,
    place: String,
}

fn readings(count: u64) -> impl Iterator<Item = Reading> + Clone + Send + Sync + 'static {
    (0..count).map(|n| Reading {
        sensor: n % 1_000,
        value: n as f64 / 7.0,
        place: format!("place {}", n % 64),
    })
}

fn line(reading: &Reading, line: &mut Vec<u8>) {
    let _ = write!(line, "{} {} {}", reading.sensor, reading.value, reading.place);
}

/// Runs something, and says what it took for each record, beyond what `without` took.
fn measure(name: &str, records: u64, without: Duration, work: impl FnOnce()) -> Duration {
    let (cpu, wall) = (support::cpu_time(), Instant::now());
    work();
    let (cpu, wall) = (support::cpu_time() - cpu, wall.elapsed());
    let each = |time: Duration| time.as_secs_f64() * 1e9 / records as f64;
    let own = each(cpu.saturating_sub(without));
    println!(
        "{name:34} {own:6.0} ns of CPU a record ({:.2} M records/s)",
        records as f64 / wall.as_secs_f64() / 1e6
    );
    cpu
}

/// Reads a source until it ends, or until so many records are there.
fn drain<S: Source<Item: Clone>>(source: S, records: u64) {
    let (graph, seen) = (StreamGraph::new(), Arc::new(AtomicU64::new(0)));
    let stream = graph.source("source", source, WatermarkStrategy::no_watermarks());
    let count = seen.clone();
    let _ = stream.map("count", move |_| count.fetch_add(1, Ordering::Relaxed));
    let job = start(&graph, JobConfig { parallelism: 1, ..JobConfig::new("read") }).unwrap();
    while seen.load(Ordering::Relaxed) < records {
        std::thread::sleep(Duration::from_millis(1));
    }
    job.stop();
    job.wait().unwrap();
}

fn write<O: Operator<In = Reading, Out = ()> + Clone>(records: u64, sink: O) {
    let graph = StreamGraph::new();
    let source =
        graph.source("readings", IteratorSource::new(readings(records)), WatermarkStrategy::no_watermarks());
    let _ = source.apply("files", sink);
    run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("write") }).unwrap();
}

fn main() {
    let records = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2_000_000);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let made = measure("readings made, into nothing", records, Duration::ZERO, || {
        drain(IteratorSource::new(readings(records)), records);
    });
    measure("files: lines written", records, made, || write(records, FileSink::new(at("lines"), line)));
    let row = |reading: &Reading, row: &mut CsvRow<'_>| {
        row.field(reading.sensor).field(reading.value).field(&reading.place);
    };
    let csv = CsvFormat::new(row).with_header(["sensor", "value", "place"]);
    measure("files: CSV written", records, made, || {
        write(records, FileSink::for_bulk_format(at("csv"), csv))
    });
    measure("files: JSON written", records, made, || {
        write(records, FileSink::for_bulk_format(at("json"), JsonLinesFormat));
    });
    measure("files: JSON written, with zstd", records, made, || {
        let format = CompressedFormat::new(JsonLinesFormat, Compression::Zstd);
        write(records, FileSink::for_bulk_format(at("zst"), format));
    });
    measure("files: lines read", records, Duration::ZERO, || {
        drain(TextFileSource::new(at("lines")), records)
    });
    measure("files: CSV read", records, Duration::ZERO, || {
        drain(FileSource::for_record_stream_format(CsvReaderFormat::<Reading>::new(), at("csv")), records);
    });
    #[cfg(feature = "avro")]
    avro(records, made, &at("avro"));
    socket(records);
    #[cfg(feature = "kinesis")]
    kinesis(records / 100);
}

/// What the server does is not counted: it is a process of its own.
#[cfg(feature = "kinesis")]
fn kinesis(records: u64) {
    use serde_json::json;
    use thalweg_connectors::kinesis::{ConsumerLifecycle, KinesisClient, KinesisSink, KinesisSource};

    if std::env::var_os("THALWEG_KINESIS").is_none() {
        println!("kinesis: left out, as THALWEG_KINESIS is not set");
        return;
    }
    let (client, name) = (KinesisClient::from_env().unwrap(), format!("bench-{}", std::process::id()));
    client.call("CreateStream", &json!({ "StreamName": name, "ShardCount": 4 })).unwrap();
    let status = || {
        let summary = client.call("DescribeStreamSummary", &json!({ "StreamName": name })).unwrap();
        summary["StreamDescriptionSummary"]["StreamStatus"].clone()
    };
    while status() != "ACTIVE" {
        std::thread::sleep(Duration::from_millis(50));
    }
    let format = |reading: &Reading| {
        let mut data = Vec::new();
        line(reading, &mut data);
        (reading.place.clone(), data)
    };
    measure("kinesis: records written", records, Duration::ZERO, || {
        write(records, KinesisSink::new(&name, format));
    });
    measure("kinesis: records read, by polling", records, Duration::ZERO, || {
        drain(KinesisSource::new(&name), records);
    });
    measure("kinesis: records read, by fan-out", records, Duration::ZERO, || {
        drain(KinesisSource::new(&name).fan_out("bench", ConsumerLifecycle::JobManaged), records);
    });
    client.call("DeleteStream", &json!({ "StreamName": name, "EnforceConsumerDeletion": true })).unwrap();
}

#[cfg(feature = "avro")]
fn avro(records: u64, made: Duration, at: &std::path::Path) {
    use thalweg_connectors::files::format::{AvroCodec, AvroFormat, AvroReaderFormat};

    let schema = r#"{"type": "record", "name": "Reading", "fields": [
        {"name": "sensor", "type": "long"}, {"name": "value", "type": "double"}, {"name": "place", "type": "string"}]}"#;
    let format = AvroFormat::new(schema).unwrap().with_codec(AvroCodec::Null);
    measure("files: Avro written", records, made, || write(records, FileSink::for_bulk_format(at, format)));
    measure("files: Avro read", records, Duration::ZERO, || {
        drain(FileSource::for_record_stream_format(AvroReaderFormat::<Reading>::new(), at), records);
    });
}

/// The CPU time is that of the server, too, which writes what was made before.
fn socket(records: u64) {
    let mut text = Vec::new();
    for reading in readings(1_000) {
        line(&reading, &mut text);
        text.push(b'\n');
    }
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut client = BufWriter::new(listener.accept().unwrap().0);
        (0..records / 1_000).for_each(|_| client.write_all(&text).unwrap());
    });
    measure("socket: lines read", records / 1_000 * 1_000, Duration::ZERO, || {
        drain(ReceiverSource::of(SocketTextReceiver::new("localhost", port)), records / 1_000 * 1_000);
    });
    server.join().unwrap();
}
