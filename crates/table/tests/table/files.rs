//! Tables in folders, and lines from a socket.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig};
use thalweg_table::environment::{Outcome, TableEnvironment};
use thalweg_table::result::Next;

fn environment(folder: &Path) -> TableEnvironment {
    environment_at(&folder.display().to_string())
}

pub(crate) fn environment_at(at: &str) -> TableEnvironment {
    let mut environment = TableEnvironment::new();
    let setup = format!(
        "CREATE TABLE lines (id INT, tags ARRAY<STRING>, price DECIMAL(10, 2)) WITH (
           'connector' = 'filesystem', 'path' = '{at}/lines', 'format' = 'json');
         CREATE TABLE parts (id INT, day STRING, n INT) PARTITIONED BY (day, n) WITH (
           'connector' = 'filesystem', 'path' = '{at}/parts', 'format' = 'csv', 'sink.rolling-policy.file-size' = '20 b',
           'sink.partition-commit.policy.kind' = 'success-file', 'sink.partition-commit.success-file.name' = '_DONE');
         CREATE TABLE files (line STRING, name STRING NOT NULL METADATA FROM 'file.name', size BIGINT METADATA FROM 'file.size') WITH (
           'connector' = 'filesystem', 'path' = '{at}/files', 'format' = 'raw', 'source.path.regex-pattern' = '.*[.]txt');
         CREATE TABLE watched (n INT) WITH (
           'connector' = 'filesystem', 'path' = '{at}/watched', 'format' = 'csv', 'source.monitor-interval' = '20 ms');"
    );
    environment
        .execute_script(&setup, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(&setup)));
    environment
}

pub(crate) fn insert(environment: &mut TableEnvironment, script: &str) {
    environment
        .execute_script(script, |_, _, outcome| {
            let Outcome::Job(job) = outcome else { panic!("no job") };
            job.build(JobConfig { parallelism: 2, ..JobConfig::new("insert") })?.run().unwrap();
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{}", error.render(script)));
}

pub(crate) fn rows(environment: &TableEnvironment, query: &str) -> Vec<String> {
    let result = environment.execute_query(query, JobConfig::new("query"));
    let result = result.unwrap_or_else(|error| panic!("{}", error.render(query)));
    let mut rows: Vec<String> = result.collect().unwrap().iter().map(|row| row.values().join(", ")).collect();
    rows.sort();
    rows
}

fn error(environment: &mut TableEnvironment, table: &str) -> String {
    let script = format!("CREATE TEMPORARY TABLE wrong {table}; EXPLAIN PLAN FOR SELECT * FROM wrong");
    let error = environment.execute_script(&script, |_, _, _| Ok(())).unwrap_err().to_string();
    environment.execute_script("DROP TEMPORARY TABLE IF EXISTS wrong", |_, _, _| Ok(())).unwrap();
    error
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = environment(folder.path());
    insert(
        &mut environment,
        "INSERT INTO lines VALUES (1, ARRAY['a', 'b'], 1.5), (2, CAST(NULL AS ARRAY<STRING>), 20)",
    );
    assert_eq!(rows(&environment, "SELECT * FROM lines"), ["1, [a, b], 1.50", "2, null, 20.00"]);
    // What is written later lies beside it.
    insert(&mut environment, "INSERT INTO lines (id) SELECT 3");
    assert_eq!(rows(&environment, "SELECT COUNT(*) FROM lines").last().unwrap(), "3");
}

#[test]
fn partitions_are_folders() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = environment(folder.path());
    insert(
        &mut environment,
        "INSERT INTO parts SELECT * FROM (VALUES (1, '08:00', 1), (2, '08:00', 1), (3, '08:00', 2), (4, CAST(NULL AS STRING), 1)) AS v",
    );
    insert(
        &mut environment,
        "INSERT INTO parts PARTITION (day = '09:00', n = 7) SELECT id + 10 FROM parts WHERE n = 1",
    );
    let done = |partition: &str| folder.path().join("parts").join(partition).join("_DONE").exists();
    for partition in
        ["day=08%3A00/n=1", "day=08%3A00/n=2", "day=__DEFAULT_PARTITION__/n=1", "day=09%3A00/n=7"]
    {
        assert!(done(partition), "{partition}");
    }
    let expected = [
        "1, 08:00, 1",
        "11, 09:00, 7",
        "12, 09:00, 7",
        "14, 09:00, 7",
        "2, 08:00, 1",
        "3, 08:00, 2",
        "4, null, 1",
    ];
    assert_eq!(rows(&environment, "SELECT id, day, n FROM parts"), expected);
}

#[test]
fn files_are_chosen_and_known() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files/deep");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("a.txt"), "one\ntwo\n").unwrap();
    std::fs::write(files.join("b.log"), "three\n").unwrap();
    std::fs::write(files.join(".hidden.txt"), "four\n").unwrap();
    let environment = environment(folder.path());
    assert_eq!(rows(&environment, "SELECT * FROM files"), ["one, a.txt, 8", "two, a.txt, 8"]);
}

#[test]
fn new_files_are_noticed_and_none_is_read_twice_after_a_restore() {
    let folder = tempfile::tempdir().unwrap();
    let watched = folder.path().join("watched");
    std::fs::create_dir_all(&watched).unwrap();
    let put = |name: &str, text: &str| {
        std::fs::write(watched.join(".new"), text).unwrap();
        std::fs::rename(watched.join(".new"), watched.join(name)).unwrap();
    };
    let environment = environment(folder.path());
    let read = |parallelism: usize, wanted: usize| {
        let storage = CheckpointStorage::local(folder.path().join("checkpoints")).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(20), storage));
        let config = JobConfig { checkpoint, parallelism, ..JobConfig::new("watch") };
        let mut result = environment.execute_query("SELECT n FROM watched", config).unwrap();
        let mut seen = Vec::new();
        while seen.len() < wanted {
            if let Next::Row(row) = result.next_within(Duration::from_millis(100)).unwrap() {
                seen.push(row.values()[0].clone());
            }
        }
        result.job().unwrap().stop();
        while let Next::Row(_) | Next::Nothing = result.next_within(Duration::from_millis(100)).unwrap() {}
        seen.sort();
        seen
    };
    put("a.csv", "1\n2\n");
    assert_eq!(read(1, 2), ["1", "2"]);
    put("b.csv", "3\n4\n5\n");
    assert_eq!(read(2, 3), ["3", "4", "5"]);
}

#[test]
fn wrong_options_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = environment(folder.path());
    let with = |options: &str| format!("(a STRING) WITH ('connector' = 'filesystem', {options})");
    let cases = [
        ("'path' = '/tmp/x'", "wants the option `format`"),
        ("'format' = 'json'", "wants the option `path`"),
        ("'path' = 'gopher://x/y', 'format' = 'json'", "no file system has the scheme `gopher`"),
        #[cfg(not(feature = "s3"))]
        ("'path' = 's3://x/y', 'format' = 'json'", "wants the feature `s3`"),
        #[cfg(not(feature = "azure"))]
        ("'path' = 'az://x/y', 'format' = 'json'", "wants the feature `azure`"),
        #[cfg(not(feature = "gcs"))]
        ("'path' = 'gs://x/y', 'format' = 'json'", "wants the feature `gcs`"),
        #[cfg(not(feature = "hdfs"))]
        ("'path' = 'hdfs://x/y', 'format' = 'json'", "wants the feature `hdfs`"),
        ("'path' = '/tmp/x', 'format' = 'jsn'", "there is no format `jsn`"),
        (
            "'path' = '/tmp/x', 'format' = 'json', 'source.monitor-intervall' = '1 s'",
            "did you mean `source.monitor-interval`?",
        ),
        (
            "'path' = '/tmp/x', 'format' = 'json', 'source.monitor-interval' = 'soon'",
            "is a length of time, not `soon`",
        ),
    ];
    for (options, expected) in cases {
        let error = error(&mut environment, &with(options));
        assert!(error.contains(expected), "{error}");
    }
    let cases = [
        ("'auto-compaction' = 'true'", "`auto-compaction` is not there"),
        (
            "'sink.rolling-policy.rollover-interval' = 'soon'",
            "`sink.rolling-policy.rollover-interval` is a length",
        ),
        ("'sink.rolling-policy.file-size' = 'large'", "`sink.rolling-policy.file-size` is a size"),
    ];
    for (options, expected) in cases {
        let table = with(&format!("'path' = '/tmp/x', 'format' = 'json', {options}"));
        let script =
            format!("CREATE TEMPORARY TABLE wrong {table}; EXPLAIN PLAN FOR INSERT INTO wrong SELECT 'a'");
        let error = environment.execute_script(&script, |_, _, _| Ok(())).unwrap_err().to_string();
        environment.execute_script("DROP TEMPORARY TABLE IF EXISTS wrong", |_, _, _| Ok(())).unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn lines_come_from_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection
            .write_all(b"{\"word\": \"to\", \"n\": 1}\n{\"word\": \"be\"}\n\n{\"word\": \"to\", \"n\": 2}\n")
            .unwrap();
    });
    let mut environment = TableEnvironment::new();
    let setup = format!(
        "CREATE TABLE words (word STRING, n INT) WITH ('connector' = 'socket', 'hostname' = '127.0.0.1', 'port' = '{port}',
           'format' = 'json', 'scan.ends-with-connection' = 'true')"
    );
    environment.execute_script(&setup, |_, _, _| Ok(())).unwrap();
    assert_eq!(rows(&environment, "SELECT word, n FROM words"), ["be, null", "to, 1", "to, 2"]);
    server.join().unwrap();
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;

    fn environment(tables: &str) -> TableEnvironment {
        let mut environment = TableEnvironment::new();
        environment
            .execute_script(tables, |_, _, _| Ok(()))
            .unwrap_or_else(|error| panic!("{}", error.render(tables)));
        environment
    }

    #[test]
    fn every_type_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let columns = "i INT, s SMALLINT, d DECIMAL(10, 2), x DOUBLE, f FLOAT, b BOOLEAN, t STRING, y BYTES, day DATE, at TIME(0), ts TIMESTAMP(3),
            ns TIMESTAMP(9), ltz TIMESTAMP_LTZ(3), a ARRAY<INT>, m MAP<STRING, BIGINT>, r ROW<x INT, t STRING>";
        let mut environment = environment(&format!(
            "CREATE TABLE kinds ({columns}, p STRING) PARTITIONED BY (p) WITH (
               'connector' = 'filesystem', 'path' = '{}', 'format' = 'parquet', 'sink.partition-commit.policy.kind' = 'success-file')",
            folder.path().display()
        ));
        let values = "-7, CAST(3 AS SMALLINT), 1.50, 0.1e0, CAST(0.5 AS FLOAT), TRUE, 'deep', X'00FF', DATE '2020-09-13', TIME '12:26:40',
            TIMESTAMP '2020-09-13 12:26:40.123', TIMESTAMP '2020-09-13 12:26:40.123456789', TO_TIMESTAMP_LTZ(1600000000123, 3),
            ARRAY[1, -2], MAP['one', CAST(1 AS BIGINT)], CAST(ROW(5, 'five') AS ROW<x INT, t STRING>), 'one'";
        insert(&mut environment, &format!("INSERT INTO kinds SELECT {values}"));
        insert(&mut environment, "INSERT INTO kinds (i, p) VALUES (8, 'two')");
        let query = format!("SELECT * FROM (VALUES ({values})) AS v");
        let all = rows(&environment, "SELECT * FROM kinds");
        assert_eq!(all[0], rows(&environment, &query)[0]);
        assert_eq!(all[1], format!("8, {}, two", ["null"; 15].join(", ")));
        // Of what is not asked for, nothing is read.
        assert_eq!(rows(&environment, "SELECT p, r FROM kinds WHERE i < 0"), ["one, +I[5, five]"]);
        assert_eq!(rows(&environment, "SELECT p FROM kinds"), ["one", "two"]);
        assert!(folder.path().join("p=one/_SUCCESS").exists());
        let joined = "SELECT o.n, k.t, k.p FROM (SELECT i AS n, PROCTIME() AS pt FROM kinds) AS o
            JOIN kinds FOR SYSTEM_TIME AS OF o.pt AS k ON k.i = o.n";
        assert_eq!(rows(&environment, joined), ["-7, deep, one", "8, null, two"]);
    }

    #[test]
    fn what_another_implementation_has_written_is_read_and_what_does_not_fit_is_told() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors/tests/fixtures/formats");
        let table = |name: &str, columns: &str, file: &str| {
            let path = fixtures.join(file);
            format!(
                "CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'parquet');",
                path.display()
            )
        };
        let kinds = "price DECIMAL(10, 2), `int` BIGINT, small INT, `list` ARRAY<INT>, suit STRING, day DATE, `at` TIMESTAMP(3), none STRING,
            name STRING NOT NULL METADATA FROM 'file.name'";
        let mut tables = table("kinds", kinds, "kinds.parquet");
        tables += &table("wrong", "small TINYINT", "kinds.parquet");
        for name in ["none", "snappy", "gzip", "zstd", "lz4", "v2"] {
            let columns = "word STRING, n BIGINT, share DOUBLE, seen BOOLEAN, note STRING";
            tables += &table(&format!("rows_{name}"), columns, &format!("rows-{name}.parquet"));
        }
        let environment = environment(&tables);
        let expected = [
            "-2.25, null, 7, [], HEARTS, 2020-09-13, 2020-09-13T12:26:40.123, null, kinds.parquet",
            "1.50, -7, 200, [1, -2, 3], SPADES, 2020-09-13, 2020-09-13T12:26:40.123, null, kinds.parquet",
        ];
        assert_eq!(rows(&environment, "SELECT * FROM kinds"), expected);
        for name in ["none", "snappy", "gzip", "zstd", "lz4", "v2"] {
            let query = format!("SELECT COUNT(*), SUM(n), COUNT(note), SUM(share) FROM rows_{name}");
            assert_eq!(rows(&environment, &query).last().unwrap(), "60, 570005310, 45, 221.25", "{name}");
        }
        let result =
            environment.execute_query("SELECT small FROM wrong", JobConfig::new("wrong")).unwrap().collect();
        let error = result.unwrap_err().to_string();
        assert!(error.contains("kinds.parquet: column `small`: ") && error.contains("200"), "{error}");
    }

    #[test]
    fn new_files_of_columns_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let mut environment = environment(&format!(
            "CREATE TABLE written (n INT) WITH ('connector' = 'filesystem', 'path' = '{at}', 'format' = 'parquet');
             CREATE TABLE watched (n INT) WITH ('connector' = 'filesystem', 'path' = '{at}', 'format' = 'parquet', 'source.monitor-interval' = '20 ms')"
        ));
        insert(&mut environment, "INSERT INTO written VALUES (1), (2)");
        let mut result = environment.execute_query("SELECT n FROM watched", JobConfig::new("watch")).unwrap();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            match result.next_within(Duration::from_millis(100)).unwrap() {
                Next::Row(row) => seen.push(row.values()[0].clone()),
                _ if seen.len() == 2 => insert(&mut environment, "INSERT INTO written VALUES (3)"),
                _ => {}
            }
        }
        result.job().unwrap().stop();
        seen.sort();
        assert_eq!(seen, ["1", "2", "3"]);
    }
}
