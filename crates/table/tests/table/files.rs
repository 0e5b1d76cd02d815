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
