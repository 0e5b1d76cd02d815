//! Formats of files: what other implementations have written is read, and what is written here, they read. The latter with `THALWEG_PYTHON`, a Python that has `pyarrow` and
//! `fastavro`; without it that is not tested, which is said.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]
#![cfg(feature = "compression")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use thalweg_connectors::files::format::{
    CompressedFormat, CsvFormat, CsvReaderFormat, CsvRow, FileFormat, JsonLinesFormat,
};
use thalweg_connectors::files::{Compression, FileSink, FileSource, TextFileSource};
use thalweg_connectors::store::{Store, StoreSink};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::runtime::{JobConfig, RestartStrategy, run};
use thalweg_dataflow::source::{ParallelCollectionSource, Source};
use thalweg_dataflow::watermark::WatermarkStrategy;

#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
struct Row {
    word: String,
    n: i64,
    share: f64,
    seen: bool,
    note: Option<String>,
}

const WORDS: [&str; 5] = ["deep", "a \"quoted\" one", "with, a comma", "Zürich\nand a line", ""];

/// Those of the fixtures are the first 60.
fn rows(count: i64) -> Vec<Row> {
    let row = |n: i64| Row {
        word: WORDS[n as usize % 5].to_owned(),
        n: n * 1_000_003 - 20_000_000,
        share: n as f64 / 8.0,
        seen: n % 3 == 0,
        note: (n % 4 != 0).then(|| format!("note {n}")),
    };
    (0..count).map(row).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
}

fn read<S>(source: S, parallelism: usize) -> Result<Vec<S::Item>, String>
where
    S: Source,
    S::Item: Clone + Send + 'static,
{
    let graph = StreamGraph::new();
    let found = Arc::new(Mutex::new(Vec::new()));
    let sink = found.clone();
    let source = graph.source("files", source, WatermarkStrategy::no_watermarks());
    let _ = source.map("collect", move |record| sink.lock().unwrap().push(record));
    let restart = Some(RestartStrategy::None);
    run(&graph, JobConfig { parallelism, restart, ..JobConfig::new("read") })
        .map_err(|error| error.to_string())?;
    Ok(std::mem::take(&mut *found.lock().unwrap()))
}

#[test]
fn what_others_have_written_is_read() {
    for end in ["", ".gz", ".zst"] {
        let lines = read(TextFileSource::new(fixture(&format!("lines.txt{end}"))), 1).unwrap();
        assert!(lines.into_iter().eq((0..60).map(|n| format!("line {n} of Zürich"))), "{end}");
        let lines = read(TextFileSource::new(fixture(&format!("rows.json{end}"))), 1).unwrap();
        let found: Vec<Row> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found, rows(60), "{end}");
        let path = fixture(&format!("rows.csv{end}"));
        let found = read(FileSource::for_record_stream_format(CsvReaderFormat::<Row>::new(), path), 1);
        assert_eq!(found.unwrap(), rows(60), "{end}");
    }
}

#[cfg(feature = "avro")]
mod avro {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use thalweg_connectors::files::format::{AvroCodec, AvroFormat, AvroReaderFormat};
    use thalweg_dataflow::checkpoint::CheckpointStorage;
    use thalweg_dataflow::runtime::CheckpointConfig;
    use thalweg_testkit::CrashPoint;

    use super::*;

    pub(super) const SCHEMA: &str = r#"{"type": "record", "name": "Row", "fields": [
        {"name": "word", "type": "string"}, {"name": "n", "type": "long"}, {"name": "share", "type": "double"}, {"name": "seen", "type": "boolean"},
        {"name": "note", "type": ["null", "string"]}
    ]}"#;

    pub(super) fn format(codec: AvroCodec) -> AvroFormat {
        AvroFormat::new(SCHEMA).unwrap().with_codec(codec)
    }

    pub(super) const CODECS: [AvroCodec; 4] =
        [AvroCodec::Null, AvroCodec::Deflate, AvroCodec::Snappy, AvroCodec::Zstandard];

    #[test]
    fn what_others_have_written_is_read() {
        for name in ["rows-null", "rows-deflate", "rows-snappy", "rows-zstandard", "rows-bzip2"] {
            let path = fixture(&format!("{name}.avro"));
            let found = read(FileSource::for_record_stream_format(AvroReaderFormat::<Row>::new(), path), 1);
            assert_eq!(found.unwrap(), rows(60), "{name}");
        }
        let path = fixture("rows.avro.gz");
        let found = read(FileSource::for_record_stream_format(AvroReaderFormat::<Row>::new(), path), 1);
        assert_eq!(found.unwrap(), rows(60));
    }

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    enum Suit {
        #[serde(rename = "HEARTS")]
        Hearts,
        #[serde(rename = "SPADES")]
        Spades,
    }

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Inner {
        x: i32,
    }

    fn bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Kinds {
        none: (),
        int: i32,
        float: f32,
        #[serde(deserialize_with = "bytes")]
        bytes: Vec<u8>,
        #[serde(deserialize_with = "bytes")]
        fixed: Vec<u8>,
        suit: Suit,
        list: Vec<i32>,
        map: BTreeMap<String, i64>,
        inner: Inner,
        again: Option<Inner>,
        at: i64,
        last: String,
    }

    #[test]
    fn every_type_is_read_and_what_nobody_wants_is_passed_over() {
        let source =
            FileSource::for_record_stream_format(AvroReaderFormat::<Kinds>::new(), fixture("kinds.avro"));
        let expected = Kinds {
            none: (),
            int: -7,
            float: 0.5,
            bytes: vec![0, 255],
            fixed: b"abcd".to_vec(),
            suit: Suit::Spades,
            list: vec![1, -2, 3],
            map: BTreeMap::from([("one".to_owned(), 1)]),
            inner: Inner { x: 5 },
            again: Some(Inner { x: 6 }),
            at: 1_600_000_000_123,
            last: "end".to_owned(),
        };
        assert_eq!(read(source, 1).unwrap(), [expected]);
    }

    #[test]
    fn a_file_of_avro_is_written_once_over_crashes_and_read_on_from_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (files, checkpoints) = (folder.path().join("rows"), folder.path().join("checkpoints"));
        let config = |parallelism| {
            let storage = CheckpointStorage::local(&checkpoints).unwrap();
            let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(10), storage));
            let restart = Some(RestartStrategy::FixedDelay { attempts: 9, delay: Duration::ZERO });
            JobConfig { parallelism, checkpoint, restart, ..JobConfig::new("avro") }
        };
        let graph = StreamGraph::new();
        let source = ParallelCollectionSource::new(rows(20_000));
        let source = graph.source("rows", source, WatermarkStrategy::no_watermarks());
        let crash = CrashPoint::after(2, 3_000);
        let _ =
            crash.on(&source).apply("files", FileSink::for_bulk_format(&files, format(AvroCodec::Deflate)));
        run(&graph, config(2)).unwrap();
        // Into another format, over another crash.
        let graph = StreamGraph::new();
        let source = FileSource::for_record_stream_format(AvroReaderFormat::<Row>::new(), &files);
        let source = graph.source("rows", source, WatermarkStrategy::no_watermarks());
        let sink = FileSink::for_bulk_format(folder.path().join("lines"), JsonLinesFormat);
        let _ = CrashPoint::after(2, 3_000).on(&source).apply("files", sink);
        run(&graph, JobConfig { id: "lines".into(), ..config(2) }).unwrap();
        let lines = read(TextFileSource::new(folder.path().join("lines")), 1).unwrap();
        let mut found: Vec<Row> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        found.sort_by_key(|row| row.n);
        assert_eq!(found, rows(20_000));
    }

    #[test]
    fn a_file_that_is_none_and_one_that_is_cut_short_are_told_with_the_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.avro");
        let source = || FileSource::for_record_stream_format(AvroReaderFormat::<Row>::new(), folder.path());
        std::fs::write(&path, "no avro").unwrap();
        let error = read(source(), 1).unwrap_err();
        assert!(error.contains("rows.avro: record 0 cannot be read as avro: "), "{error}");
        let whole = std::fs::read(fixture("rows-null.avro")).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
        let error = read(source(), 1).unwrap_err();
        assert!(error.contains("cannot be read as avro: ") && !error.contains("record 0"), "{error}");
    }
}

#[test]
fn a_row_that_is_none_is_told_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows.csv"), "word,n\ndeep,1\nfast,x\n").unwrap();
    let source = FileSource::for_record_stream_format(CsvReaderFormat::<(String, i64)>::new(), folder.path());
    let error = read(source, 1).unwrap_err();
    assert!(error.contains("rows.csv: record 1 cannot be read as csv: "), "{error}");
}

/// Writes rows, as a job does.
fn write<O: Operator<In = Row, Out = ()> + Clone>(sink: O) {
    let graph = StreamGraph::new();
    let source = ParallelCollectionSource::new(rows(500));
    let source = graph.source("rows", source, WatermarkStrategy::no_watermarks());
    let _ = source.apply("files", sink);
    run(&graph, JobConfig { parallelism: 2, ..JobConfig::new("write") }).unwrap();
}

/// What another implementation reads of the files in a folder.
fn read_by_others(python: &str, folder: &Path) -> Vec<Row> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("part-"));
    let done = Command::new(python).arg(fixture("read.py")).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {}: {said}", folder.display(), done.status);
    let mut rows: Vec<Row> = String::from_utf8(done.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    rows.sort_by_key(|row| row.n);
    rows
}

fn row(row: &Row, out: &mut CsvRow<'_>) {
    out.field(&row.word).field(row.n).field(row.share).field(row.seen);
    match &row.note {
        Some(note) => out.field(note),
        None => out.empty(),
    };
}

fn csv() -> CsvFormat<fn(&Row, &mut CsvRow<'_>)> {
    CsvFormat::new(row as fn(&Row, &mut CsvRow<'_>)).with_header(["word", "n", "share", "seen", "note"])
}

/// By both sinks, each into a file of each subtask.
fn written_by_both<F: FileFormat<Row> + Clone>(folder: &Path, name: &str, format: F) -> [PathBuf; 2] {
    let [local, of_store] = ["local", "store"].map(|of| folder.join(format!("{name}-{of}")));
    write(FileSink::for_bulk_format(&local, format.clone()));
    let files = object_store::local::LocalFileSystem::new_with_prefix(folder).unwrap();
    let store = Store::renaming(files, "a folder", "folder://it");
    write(StoreSink::for_bulk_format(&format!("folder://it/{name}-store"), format).on(store));
    [local, of_store]
}

#[test]
fn what_is_written_here_others_read() {
    let Ok(python) = std::env::var("THALWEG_PYTHON") else {
        eprintln!("SKIPPED: other readers of what is written here, on THALWEG_PYTHON, which is not set");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut written: Vec<PathBuf> = Vec::new();
    let compressions =
        [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Deflate, Compression::Bzip2];
    for compression in compressions {
        let name = |of: &str| format!("{of}-{compression:?}");
        let format = CompressedFormat::new(JsonLinesFormat, compression);
        written.extend(written_by_both(folder.path(), &name("json"), format));
        let format = CompressedFormat::new(csv(), compression);
        written.extend(written_by_both(folder.path(), &name("csv"), format));
    }
    #[cfg(feature = "avro")]
    for codec in avro::CODECS {
        written.extend(written_by_both(folder.path(), &format!("avro-{codec:?}"), avro::format(codec)));
    }
    for folder in written {
        let files = std::fs::read_dir(&folder).unwrap().count();
        assert!(files > 1, "{}: {files} files", folder.display());
        assert_eq!(read_by_others(&python, &folder), rows(500), "{}", folder.display());
    }
}

#[test]
fn what_is_written_here_is_read_here() {
    let folder = tempfile::tempdir().unwrap();
    for path in written_by_both(folder.path(), "csv", CompressedFormat::new(csv(), Compression::Zstd)) {
        let source =
            FileSource::for_record_stream_format(CsvReaderFormat::<Row>::new(), path.join("*.csv.zst"));
        let mut found = read(source, 2).unwrap();
        found.sort_by_key(|row| row.n);
        assert_eq!(found, rows(500), "{}", path.display());
    }
}
