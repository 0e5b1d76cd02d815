//! What a table in a folder is written with is there once, however often the job was killed, and at whatever parallelism it was restored.

use std::time::Duration;

use crate::made;
use thalweg_connectors::store::checkpoint_storage;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy};
use thalweg_table::environment::{Outcome, TableEnvironment};
use thalweg_testkit::CrashPoint;

fn environment(at: &str, crash: &CrashPoint, rows: i64) -> TableEnvironment {
    let mut environment = made::environment(crash, rows);
    let setup = format!(
        "CREATE TABLE plain (k STRING, v BIGINT, ts TIMESTAMP(3)) WITH (
           'connector' = 'filesystem', 'path' = '{at}/plain', 'format' = 'json', 'sink.rolling-policy.file-size' = '2 kb',
           'sink.rolling-policy.rollover-interval' = '20 ms', 'sink.rolling-policy.check-interval' = '5 ms');
         CREATE TABLE parts (v BIGINT, ts TIMESTAMP(3), k STRING) PARTITIONED BY (k) WITH (
           'connector' = 'filesystem', 'path' = '{at}/parts', 'format' = 'csv',
           'sink.partition-commit.policy.kind' = 'success-file');
         CREATE TABLE columns (v BIGINT, ts TIMESTAMP(3), k STRING) PARTITIONED BY (k) WITH (
           'connector' = 'filesystem', 'path' = '{at}/columns', 'format' = 'parquet', 'sink.rolling-policy.file-size' = '2 kb');"
    );
    environment
        .execute_script(&setup, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(&setup)));
    environment
}

/// Runs an INSERT; whether it came to its end, and did not crash.
fn insert(at: &str, (crash, rows): (CrashPoint, i64), parallelism: usize, script: &str) -> bool {
    let mut environment = environment(at, &crash, rows);
    let storage = checkpoint_storage(format!("{at}/checkpoints")).unwrap();
    let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(5), storage));
    let restart = Some(RestartStrategy::None);
    let config = JobConfig { parallelism, checkpoint, restart, ..JobConfig::new("insert") };
    let (mut config, mut ended) = (Some(config), true);
    environment
        .execute_script(script, |_, _, outcome| {
            let Outcome::Job(job) = outcome else { panic!("no job") };
            if let Err(error) = job.build(config.take().unwrap())?.run() {
                assert!(error.to_string().contains("a crash, as asked for"), "{error}");
                ended = false;
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{}", error.render(script)));
    ended
}

/// The rows of a query that are there in the end, in order.
fn rows(environment: &TableEnvironment, query: &str) -> Vec<Vec<String>> {
    let result = environment.execute_query(query, JobConfig::new("query"));
    let result = result.unwrap_or_else(|error| panic!("{}", error.render(query)));
    let mut rows: Vec<Vec<String>> = result.collect().unwrap().iter().map(|row| row.values()).collect();
    rows.sort();
    rows
}

/// How many rows there are, and where all runs but the last one crash: how many rows behind which checkpoint.
pub(crate) type Crashes = (i64, u64, u64);

/// Writes a table, at these parallelisms one after the other.
pub(crate) fn check_at(
    at: &str,
    (count, commits, behind): Crashes,
    parallelisms: &[usize],
    table: &str,
    script: &str,
) {
    for (index, parallelism) in parallelisms.iter().copied().enumerate() {
        let last = index + 1 == parallelisms.len();
        let crash = if last { CrashPoint::never() } else { CrashPoint::after(commits, behind) };
        let ended = insert(at, (crash, count), parallelism, script);
        assert_eq!(ended, last, "{table}: run {index} of {parallelisms:?}");
    }
    let environment = environment(at, &CrashPoint::never(), count);
    let written = rows(&environment, &format!("SELECT k, v, ts FROM {table}"));
    let expected = rows(&environment, "SELECT k, v, ts FROM a");
    assert_eq!(written.len(), expected.len(), "{table}: {parallelisms:?}");
    assert!(written == expected, "{table}: {parallelisms:?}");
}

fn check(table: &str, script: &str) {
    for parallelisms in [[1, 2, 4], [4, 2, 1]] {
        let folder = tempfile::tempdir().unwrap();
        check_at(&folder.path().display().to_string(), (made::ROWS, 2, 3000), &parallelisms, table, script);
    }
}

pub(crate) const PLAIN: &str = "INSERT INTO plain SELECT k, v, ts FROM a";
pub(crate) const PARTS: &str = "INSERT INTO parts SELECT v, ts, k FROM a";

#[cfg(feature = "parquet")]
pub(crate) const COLUMNS: &str = "INSERT INTO columns SELECT v, ts, k FROM a";

#[cfg(feature = "parquet")]
#[test]
fn rows_of_columns_are_written_once() {
    check("columns", COLUMNS);
}

#[test]
fn rows_are_written_once() {
    check("plain", PLAIN);
}

#[test]
fn rows_of_partitions_are_written_once() {
    check("parts", PARTS);
}
