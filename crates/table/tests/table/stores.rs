//! Tables in folders of stores, on each that the environment names: `THALWEG_S3`, `THALWEG_AZURE`, `THALWEG_HDFS`, as `scripts/s3 env`, `scripts/azure env` and `scripts/hdfs start` say them. Without them nothing
//! is tested, and that is said.

#![allow(clippy::print_stderr, reason = "what is skipped is said")]

use std::io::{Read as _, Write as _};
use std::path::Path;

use thalweg_connectors::files::FileSystem as _;
use thalweg_connectors::store::Store;

use crate::files::{environment_at, insert, rows};
use crate::files_recovery::{Crashes, PARTS, PLAIN, check_at};

/// A folder of its own, in each store that there is.
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

/// The paths of the files in a folder, below it.
fn paths(folder: &str) -> Vec<String> {
    let entries = Store::at(folder).unwrap().list(Path::new(folder), true).unwrap();
    let path = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
    entries.iter().map(|entry| path(&entry.path)).collect()
}

/// A file of a store takes longer than one of a folder, and each checkpoint has one for each partition.
const FEW: Crashes = (4_000, 1, 500);

#[test]
fn rows_are_written_once_into_stores_over_crashes_with_checkpoints_there() {
    for at in folders("sql-plain") {
        check_at(&at, FEW, &[1, 2], "plain", PLAIN);
        assert!(paths(&format!("{at}/plain")).len() > 3, "files are rolled");
    }
}

#[test]
fn rows_of_partitions_are_written_once_into_stores() {
    for at in folders("sql-parts") {
        check_at(&at, FEW, &[3, 1], "parts", PARTS);
        assert!(paths(&format!("{at}/parts")).iter().all(|path| path.starts_with("k=k")));
    }
}

#[cfg(feature = "parquet")]
#[test]
fn columns_are_written_once_into_stores() {
    for at in folders("sql-columns") {
        check_at(&at, FEW, &[2, 1], "columns", crate::files_recovery::COLUMNS);
    }
}

#[test]
fn what_is_written_into_a_store_is_read() {
    for at in folders("sql-files") {
        let mut environment = environment_at(&at);
        insert(
            &mut environment,
            "INSERT INTO lines VALUES (1, ARRAY['a', 'b'], 1.5), (2, CAST(NULL AS ARRAY<STRING>), 20)",
        );
        assert_eq!(rows(&environment, "SELECT * FROM lines"), ["1, [a, b], 1.50", "2, null, 20.00"]);
        insert(
            &mut environment,
            "INSERT INTO parts SELECT * FROM (VALUES (1, '08:00', 1), (2, '08:00', 2), (4, CAST(NULL AS STRING), 1)) AS v",
        );
        let expected = ["1, 08:00, 1", "2, 08:00, 2", "4, null, 1"];
        assert_eq!(rows(&environment, "SELECT id, day, n FROM parts"), expected, "{at}");
        // What begins with `_` is not listed for readers.
        let store = Store::at(&at).unwrap();
        for partition in ["day=08%3A00/n=1", "day=08%3A00/n=2", "day=__DEFAULT_PARTITION__/n=1"] {
            let done = format!("{at}/parts/{partition}/_DONE");
            store.open(Path::new(&done), 0).unwrap_or_else(|error| panic!("{done}: {error}"));
        }
        // What was there before, is known by its name, and looked up.
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"three\n").unwrap();
        store.put(Path::new(&format!("{at}/files/deep/a.txt")), b"one\ntwo\n").unwrap();
        store.put(Path::new(&format!("{at}/files/b.log.gz")), &gzip.finish().unwrap()).unwrap();
        assert_eq!(rows(&environment, "SELECT * FROM files"), ["one, a.txt, 8", "two, a.txt, 8"]);
        let logs = format!(
            "CREATE TABLE logs (line STRING, t TIMESTAMP_LTZ(3) METADATA FROM 'file.modification-time') WITH (
               'connector' = 'filesystem', 'path' = '{at}/files', 'format' = 'raw', 'source.path.regex-pattern' = '.*[.]gz')"
        );
        environment.execute_script(&logs, |_, _, _| Ok(())).unwrap();
        assert_eq!(
            rows(&environment, "SELECT line, t > TIMESTAMP '2020-01-01 00:00:00' FROM logs"),
            ["three, true"]
        );
        let joined =
            "SELECT o.line, l.name FROM (SELECT line, 'two' AS word, PROCTIME() AS pt FROM logs) AS o
            JOIN files FOR SYSTEM_TIME AS OF o.pt AS l ON l.line = o.word";
        assert_eq!(rows(&environment, joined), ["three, a.txt"]);
        let mut text = String::new();
        store
            .open(Path::new(&format!("{at}/files/deep/a.txt")), 4)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "two\n");
    }
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_that_is_not_there_is_told() {
    if std::env::var_os("THALWEG_S3").is_none() {
        eprintln!("SKIPPED: a_bucket_that_is_not_there_is_told on THALWEG_S3, which is not set");
        return;
    }
    let environment = environment_at("s3://no-such-bucket-of-thalweg");
    let config = thalweg_dataflow::runtime::JobConfig::new("query");
    let result = environment.execute_query("SELECT * FROM lines", config).unwrap().collect();
    let error = result.unwrap_err().to_string();
    assert!(error.contains("NoSuchBucket") && error.contains("no-such-bucket-of-thalweg"), "{error}");
}
