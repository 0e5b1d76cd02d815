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

/// Writes rows by a sink that crashes, and reads them, over another crash, into a file of another format: they are the rows.
#[cfg(any(feature = "avro", feature = "parquet"))]
fn is_written_once_and_read_on<K, S>(
    name: &str,
    sink: impl FnOnce(&Path) -> K,
    source: impl FnOnce(&Path) -> S,
) where
    K: Operator<In = Row, Out = ()> + Clone,
    S: Source<Item = Row>,
{
    use std::time::Duration;

    use thalweg_dataflow::checkpoint::CheckpointStorage;
    use thalweg_dataflow::runtime::CheckpointConfig;
    use thalweg_testkit::CrashPoint;

    let folder = tempfile::tempdir().unwrap();
    let (files, checkpoints) = (folder.path().join("rows"), folder.path().join("checkpoints"));
    let config = |id: &str| {
        let storage = CheckpointStorage::local(&checkpoints).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(10), storage));
        let restart = Some(RestartStrategy::FixedDelay { attempts: 9, delay: Duration::ZERO });
        JobConfig { parallelism: 2, checkpoint, restart, ..JobConfig::new(id) }
    };
    let graph = StreamGraph::new();
    let written = ParallelCollectionSource::new(rows(20_000));
    let written = graph.source("rows", written, WatermarkStrategy::no_watermarks());
    let _ = CrashPoint::after(2, 3_000).on(&written).apply("files", sink(&files));
    run(&graph, config(name)).unwrap();
    let graph = StreamGraph::new();
    let again = graph.source("rows", source(&files), WatermarkStrategy::no_watermarks());
    let lines = FileSink::for_bulk_format(folder.path().join("lines"), JsonLinesFormat);
    let _ = CrashPoint::after(2, 3_000).on(&again).apply("files", lines);
    run(&graph, config("lines")).unwrap();
    let lines = read(TextFileSource::new(folder.path().join("lines")), 1).unwrap();
    let mut found: Vec<Row> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    found.sort_by_key(|row| row.n);
    assert_eq!(found, rows(20_000));
}

#[cfg(feature = "avro")]
mod avro {
    use std::collections::BTreeMap;

    use thalweg_connectors::files::format::{AvroCodec, AvroFormat, AvroReaderFormat};

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
        let sink = |files: &Path| FileSink::for_bulk_format(files, format(AvroCodec::Deflate));
        let source =
            |files: &Path| FileSource::for_record_stream_format(AvroReaderFormat::<Row>::new(), files);
        is_written_once_and_read_on("avro", sink, source);
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

#[cfg(feature = "parquet")]
mod parquet {
    use std::collections::BTreeMap;

    use thalweg_connectors::files::format::{
        ColumnType, Field, ParquetFormat, ParquetReaderFormat, ParquetWriter,
    };

    use super::*;

    pub(super) fn format() -> ParquetFormat {
        ParquetFormat::of::<Row>().unwrap()
    }

    fn source<T: serde::de::DeserializeOwned + Clone + Send + 'static>(
        path: impl Into<PathBuf>,
    ) -> FileSource<ParquetReaderFormat<T>> {
        FileSource::for_record_stream_format(ParquetReaderFormat::new(), path)
    }

    #[test]
    fn what_others_have_written_is_read() {
        for name in ["none", "snappy", "gzip", "zstd", "lz4", "v2"] {
            let found = read(source::<Row>(fixture(&format!("rows-{name}.parquet"))), 1);
            assert_eq!(found.unwrap(), rows(60), "{name}");
        }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    enum Suit {
        Hearts,
        Spades,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        x: i32,
    }

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Kinds {
        int: Option<i32>,
        small: u8,
        float: f32,
        suit: Suit,
        list: Vec<i32>,
        map: BTreeMap<String, i64>,
        inner: Option<Inner>,
        day: i32,
        at: i64,
        price: String,
    }

    #[test]
    fn every_type_is_read_and_what_nobody_wants_is_passed_over() {
        let first = Kinds {
            int: Some(-7),
            small: 200,
            float: 0.5,
            suit: Suit::Spades,
            list: vec![1, -2, 3],
            map: BTreeMap::from([("one".to_owned(), 1)]),
            inner: Some(Inner { x: 5 }),
            day: 18_518,
            at: 1_600_000_000_123_000,
            price: "1.50".to_owned(),
        };
        let found = read(source::<Kinds>(fixture("kinds.parquet")), 1).unwrap();
        assert_eq!(found[0], first);
        let second = &found[1];
        assert!(second.float.is_infinite() && second.int.is_none() && second.inner.is_none());
        assert!(second.list.is_empty() && second.map.is_empty() && second.price == "-2.25");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn structures_become_text_and_come_back_and_numbers_that_are_none_do_too() {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        struct Deep {
            list: Vec<Option<Inner>>,
            pair: (i64, String),
            suit: Suit,
            any: serde_json::Value,
            share: f64,
            id: u64,
            inner: Option<Inner>,
        }
        let deep = |share, id| Deep {
            list: vec![Some(Inner { x: 1 }), None],
            pair: (7, "seven".to_owned()),
            suit: Suit::Hearts,
            any: serde_json::json!("text"),
            share,
            id,
            inner: (id == 1).then_some(Inner { x: -3 }),
        };
        let folder = tempfile::tempdir().unwrap();
        let written = |records: Vec<Deep>| {
            let graph = StreamGraph::new();
            let source = ParallelCollectionSource::new(records);
            let source = graph.source("rows", source, WatermarkStrategy::no_watermarks());
            let format = ParquetFormat::of::<Deep>().unwrap();
            let _ = source.apply("files", FileSink::for_bulk_format(folder.path(), format));
            let restart = Some(RestartStrategy::None);
            run(&graph, JobConfig { parallelism: 1, restart, ..JobConfig::new("deep") })
        };
        written(vec![deep(f64::NEG_INFINITY, 1), deep(f64::NAN, 2)]).unwrap();
        let mut found = read(source::<Deep>(folder.path()), 1).unwrap();
        found.sort_by_key(|deep| deep.id);
        assert_eq!(found[0], deep(f64::NEG_INFINITY, 1));
        assert!(found[1].share.is_nan() && found[1].inner.is_none() && found.len() == 2);
        let error = written(vec![deep(0.0, u64::MAX)]).unwrap_err().to_string();
        assert!(error.contains("`id`: 18446744073709551615 does not fit 64 signed bits"), "{error}");
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused_and_leaves_nothing_behind() {
        let field = |name: &str, column_type| Field { name: name.to_owned(), column_type };
        let fields = [field("n", ColumnType::Long), field("seen", ColumnType::Boolean)];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut file = ParquetWriter::new(&fields, std::fs::File::create(&path).unwrap()).unwrap();
        file.write(&(1, true)).unwrap();
        let cases = [
            (file.write(&(2, "yes")), "`seen` is a column of BOOLEAN, and yes is none"),
            (file.write(&(2, true, 3)), "more than 2 fields"),
            (file.write(&BTreeMap::from([("n", 1), ("m", 1)])), "there is no column `m`"),
            (file.write(&[1, 2][..]), "a list has no columns"),
        ];
        for (result, expected) in cases {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        file.write(&BTreeMap::from([("n", 2)])).unwrap();
        file.finish().unwrap();
        let found = read(source::<(i64, Option<bool>)>(&path), 1).unwrap();
        assert_eq!(found, [(1, Some(true)), (2, None)]);
    }

    #[test]
    fn a_file_of_parquet_is_written_once_over_crashes_and_read_on_from_where_it_was() {
        let sink = |files: &Path| FileSink::for_bulk_format(files, format()).roll_at(100_000);
        let source = |files: &Path| source::<Row>(files);
        is_written_once_and_read_on("parquet", sink, source);
    }

    #[test]
    fn large_files_have_several_row_groups_and_are_read_block_by_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.parquet");
        let text = |n: i64| format!("{n} {}", "x".repeat((n.wrapping_mul(7_919) % 50) as usize));
        let fields = [Field { name: "text".to_owned(), column_type: ColumnType::String }];
        let mut file = ParquetWriter::new(&fields, std::fs::File::create(&path).unwrap()).unwrap();
        let groups = (0..400_000_i64).filter(|n| file.write(&text(*n)).unwrap()).count();
        file.finish().unwrap();
        assert!(groups >= 2 && std::fs::metadata(&path).unwrap().len() > 2 << 20, "{groups} groups");
        let found = read(source::<String>(&path), 1).unwrap();
        assert!(found.into_iter().eq((0..400_000).map(text)));
    }

    #[test]
    fn a_file_that_is_none_and_one_that_is_cut_short_or_compressed_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let whole = std::fs::read(fixture("rows-snappy.parquet")).unwrap();
        for bytes in [b"no parquet at all".to_vec(), whole[..whole.len() - 30].to_vec(), b"PAR1".to_vec()] {
            std::fs::write(&path, bytes).unwrap();
            let error = read(source::<Row>(folder.path()), 1).unwrap_err();
            assert!(error.contains("rows.parquet: record 0 cannot be read as parquet: "), "{error}");
        }
        std::fs::rename(&path, folder.path().join("rows.parquet.gz")).unwrap();
        let error = read(source::<Row>(folder.path()), 1).unwrap_err();
        assert!(error.contains("has to be decompressed first"), "{error}");
    }
}

/// A folder of its own, in each store that there is: `THALWEG_S3`, `THALWEG_AZURE`, `THALWEG_HDFS`.
#[cfg(any(feature = "s3", feature = "azure", feature = "hdfs"))]
fn folders(test: &str) -> Vec<String> {
    thalweg_testkit::stores::folders(
        test,
        &[
            ("THALWEG_S3", cfg!(feature = "s3")),
            ("THALWEG_AZURE", cfg!(feature = "azure")),
            ("THALWEG_HDFS", cfg!(feature = "hdfs")),
        ],
    )
}

/// What a source of files of a store reads, at two parallelisms.
#[cfg(any(feature = "s3", feature = "azure", feature = "hdfs"))]
fn is_all<S: Source<Item = Row>>(what: &str, source: impl Fn() -> S) {
    for parallelism in [1, 3] {
        let mut found = read(source(), parallelism).unwrap_or_else(|error| panic!("{what}: {error}"));
        found.sort_by_key(|row| row.n);
        assert_eq!(found, rows(500), "{what}");
    }
}

#[cfg(any(feature = "s3", feature = "azure", feature = "hdfs"))]
#[test]
fn each_format_is_written_to_and_read_from_each_store() {
    for at in folders("formats") {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Bzip2] {
            let folder = format!("{at}/csv-{compression:?}");
            let format = CompressedFormat::new(csv(), compression);
            write(StoreSink::for_bulk_format(&folder, format));
            is_all(&folder, || FileSource::for_record_stream_format(CsvReaderFormat::<Row>::new(), &folder));
            let folder = format!("{at}/json-{compression:?}");
            let format = CompressedFormat::new(JsonLinesFormat, compression);
            write(StoreSink::for_bulk_format(&folder, format));
            let lines = read(TextFileSource::new(&folder), 2).unwrap();
            let mut found: Vec<Row> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            found.sort_by_key(|row| row.n);
            assert_eq!(found, rows(500), "{folder}");
        }
        #[cfg(feature = "avro")]
        for codec in avro::CODECS {
            use thalweg_connectors::files::format::AvroReaderFormat;
            let folder = format!("{at}/avro-{codec:?}");
            write(StoreSink::for_bulk_format(&folder, avro::format(codec)));
            is_all(&folder, || FileSource::for_record_stream_format(AvroReaderFormat::<Row>::new(), &folder));
        }
        #[cfg(feature = "parquet")]
        {
            use thalweg_connectors::files::format::ParquetReaderFormat;
            let folder = format!("{at}/parquet");
            write(StoreSink::for_bulk_format(&folder, parquet::format()));
            is_all(&folder, || {
                FileSource::for_record_stream_format(ParquetReaderFormat::<Row>::new(), &folder)
            });
        }
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
    #[cfg(feature = "parquet")]
    written.extend(written_by_both(folder.path(), "parquet", parquet::format()));
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
