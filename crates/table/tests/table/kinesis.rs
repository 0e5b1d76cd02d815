//! Tables in Kinesis streams, against a server that speaks its API: `scripts/kinesis start`, then `eval "$(scripts/kinesis env)"`, which sets `THALWEG_KINESIS`. Without it
//! nothing is tested but what is wrong with options, and that is said.

#![allow(clippy::print_stderr, reason = "what is skipped is said")]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use thalweg_connectors::kinesis::KinesisClient;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig};
use thalweg_table::environment::TableEnvironment;
use thalweg_table::result::Next;

use crate::files::insert;

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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let stream = Self { name: format!("{test}-{now}"), client: KinesisClient::from_env().unwrap() };
        stream.call("CreateStream", json!({ "ShardCount": shards }));
        let until = Instant::now() + Duration::from_secs(20);
        while stream.summary()["StreamStatus"] != "ACTIVE" {
            assert!(Instant::now() < until, "the stream does not become active");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(stream)
    }

    fn call(&self, action: &str, mut body: Value) -> Value {
        body["StreamName"] = self.name.clone().into();
        self.client.call(action, &body).unwrap()
    }

    fn summary(&self) -> Value {
        self.call("DescribeStreamSummary", json!({}))["StreamDescriptionSummary"].clone()
    }

    /// The partition keys of all that was written.
    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for shard in self.call("ListShards", json!({}))["Shards"].as_array().unwrap() {
            let request = json!({ "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON" });
            let mut iterator = self.call("GetShardIterator", request)["ShardIterator"].clone();
            // A read may give less than there is.
            for _ in 0..3 {
                let answer = self.client.call("GetRecords", &json!({ "ShardIterator": iterator })).unwrap();
                let records = answer["Records"].as_array().unwrap().iter();
                keys.extend(records.map(|record| record["PartitionKey"].as_str().unwrap().to_owned()));
                iterator = answer["NextShardIterator"].clone();
            }
        }
        keys.sort();
        keys
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.client.call("DeleteStream", &json!({ "StreamName": self.name }));
    }
}

fn environment(tables: &str) -> TableEnvironment {
    let mut environment = TableEnvironment::new();
    environment
        .execute_script(tables, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(tables)));
    environment
}

/// The first rows of a query, then the job is stopped.
fn first(environment: &TableEnvironment, query: &str, (rows, config): (usize, JobConfig)) -> Vec<String> {
    let result = environment.execute_query(query, config);
    let mut result = result.unwrap_or_else(|error| panic!("{}", error.render(query)));
    let (mut seen, until) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while seen.len() < rows {
        assert!(Instant::now() < until, "only {seen:?}");
        if let Next::Row(row) = result.next_within(Duration::from_millis(100)).unwrap() {
            seen.push(row.values().join(", "));
        }
    }
    result.job().unwrap().stop();
    while let Next::Row(_) | Next::Nothing = result.next_within(Duration::from_millis(100)).unwrap() {}
    seen.sort();
    seen
}

const COLUMNS: &str = "word STRING, n INT, at TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
    arrived TIMESTAMP(3) METADATA FROM 'approximate-arrival-timestamp' VIRTUAL,
    shard STRING NOT NULL METADATA FROM 'shard-id' VIRTUAL, number STRING NOT NULL METADATA FROM 'sequence-number' VIRTUAL";

#[test]
fn rows_are_written_and_read_and_known_by_shard_and_number() {
    let Some(stream) = Stream::new("sql-words", 2) else { return };
    // By its ARN, whose account and region are the server's.
    let arn = stream.summary()["StreamARN"].as_str().unwrap().to_owned();
    let reads = "'format' = 'json', 'source.init.position' = 'TRIM_HORIZON',
        'source.reader.empty-records-fetch-interval' = '20 ms', 'source.shard.discovery.interval' = '50 ms'";
    let mut environment = environment(&format!(
        "CREATE TABLE words ({COLUMNS}) PARTITIONED BY (word, n) WITH ('connector' = 'kinesis', 'stream.arn' = '{arn}', {reads});
         CREATE TABLE fixed ({COLUMNS}) WITH ('connector' = 'kinesis', 'stream' = '{}', 'sink.partitioner' = 'fixed', {reads})",
        stream.name
    ));
    insert(
        &mut environment,
        "INSERT INTO words VALUES ('deep', 1), ('fast', 2), ('wide', CAST(NULL AS INT))",
    );
    assert_eq!(stream.keys(), ["deep|1", "fast|2", "wide|null"]);
    let query = "SELECT word, n, shard LIKE 'shardId-%', CHAR_LENGTH(number) > 20,
        TIMESTAMPDIFF(MINUTE, at, CURRENT_TIMESTAMP) < 5, arrived > TIMESTAMP '2020-01-01 00:00:00' FROM ";
    let expected = ["deep, 1", "fast, 2", "wide, null"].map(|row| format!("{row}, true, true, true, true"));
    assert_eq!(first(&environment, &format!("{query} words"), (3, JobConfig::new("read"))), expected);
    // What nobody reads of the data is left out.
    let shards = first(&environment, "SELECT shard FROM words", (3, JobConfig::new("shards")));
    assert!(shards.iter().all(|shard| shard.starts_with("shardId-0000")), "{shards:?}");

    insert(&mut environment, "INSERT INTO fixed SELECT 'more', n FROM (VALUES (1), (2), (3), (4)) AS v (n)");
    let keys = stream.keys();
    let fixed: Vec<&String> = keys.iter().filter(|key| !key.contains('|')).collect();
    assert!(fixed.len() == 4 && fixed.iter().all(|key| ["0", "1"].contains(&key.as_str())), "{keys:?}");
}

#[test]
fn what_was_read_is_not_read_again_after_a_restore_at_another_parallelism() {
    let Some(stream) = Stream::new("sql-restore", 3) else { return };
    let mut environment = environment(&format!(
        "CREATE TABLE numbers (n INT) WITH ('connector' = 'kinesis', 'stream' = '{}', 'format' = 'csv',
           'source.init.position' = 'AT_TIMESTAMP', 'source.init.timestamp' = '2020-01-01T00:00:00.000+01:00',
           'source.reader.empty-records-fetch-interval' = '20 ms')",
        stream.name
    ));
    let folder = tempfile::tempdir().unwrap();
    let config = |folder: &Path, parallelism: usize| {
        let storage = CheckpointStorage::local(folder.join("checkpoints")).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(20), storage));
        (3, JobConfig { checkpoint, parallelism, ..JobConfig::new("numbers") })
    };
    insert(&mut environment, "INSERT INTO numbers VALUES (1), (2), (3)");
    assert_eq!(first(&environment, "SELECT n FROM numbers", config(folder.path(), 1)), ["1", "2", "3"]);
    insert(&mut environment, "INSERT INTO numbers VALUES (4), (5), (6)");
    assert_eq!(first(&environment, "SELECT n FROM numbers", config(folder.path(), 2)), ["4", "5", "6"]);
    // Written at random: each record has a key of its own.
    let mut keys = stream.keys();
    keys.dedup();
    assert_eq!(keys.len(), 6);
}

#[test]
fn a_table_is_read_by_enhanced_fan_out_and_then_by_polling() {
    let Some(stream) = Stream::new("sql-fan-out", 2) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = || {
        let storage = CheckpointStorage::local(folder.path().join("checkpoints")).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(20), storage));
        (3, JobConfig { checkpoint, ..JobConfig::new("numbers") })
    };
    for (first_number, reader) in [(1, "EFO"), (4, "POLLING"), (7, "EFO")] {
        let mut environment = environment(&format!(
            "CREATE TABLE numbers (n INT) WITH ('connector' = 'kinesis', 'stream' = '{}', 'format' = 'csv', 'source.init.position' = 'TRIM_HORIZON',
               'source.reader.type' = '{reader}', 'source.efo.consumer.name' = 'numbers')",
            stream.name
        ));
        let numbers = [first_number, first_number + 1, first_number + 2];
        let [a, b, c] = numbers;
        insert(&mut environment, &format!("INSERT INTO numbers VALUES ({a}), ({b}), ({c})"));
        let expected = numbers.map(|n| n.to_string());
        assert_eq!(first(&environment, "SELECT n FROM numbers", config()), expected);
    }
}

#[test]
fn data_in_another_format_is_told() {
    let Some(stream) = Stream::new("sql-malformed", 1) else { return };
    stream.call("PutRecord", json!({ "PartitionKey": "k", "Data": "e29vcHM=" }));
    let environment = environment(&format!(
        "CREATE TABLE words (word STRING) WITH ('connector' = 'kinesis', 'stream' = '{}', 'format' = 'json',
           'source.init.position' = 'TRIM_HORIZON')",
        stream.name
    ));
    let result = environment.execute_query("SELECT word FROM words", JobConfig::new("malformed"));
    let error = result.unwrap().collect().unwrap_err().to_string();
    assert!(error.contains("shardId-000000000000, of the records"), "{error}");
}

#[test]
fn wrong_options_are_told() {
    let cases = [
        ("'format' = 'json'", "wants the option `stream.arn`"),
        ("'stream' = 'words', 'aws.region' = 'us-east-1'", "wants the option `format`"),
        ("'stream.arn' = 'words', 'format' = 'json'", "`stream.arn` is like `arn:aws:kinesis:"),
        ("'stream' = 'words', 'format' = 'json', 'source.init.position' = 'FIRST'", "LATEST, TRIM_HORIZON or"),
        (
            "'stream' = 'words', 'format' = 'json', 'source.init.position' = 'AT_TIMESTAMP'",
            "wants the option `source.init.timestamp`",
        ),
        (
            "'stream' = 'words', 'format' = 'json', 'source.init.position' = 'AT_TIMESTAMP', 'source.init.timestamp' = 'noon'",
            "is a time such as",
        ),
        ("'stream' = 'words', 'format' = 'json', 'source.reader.type' = 'EFFO'", "`source.reader.type` is POLLING or EFO, not `EFFO`"),
        ("'stream' = 'words', 'format' = 'json', 'source.reader.type' = 'EFO'", "wants the option `source.efo.consumer.name`"),
        (
            "'stream' = 'words', 'format' = 'json', 'source.reader.type' = 'EFO', 'source.efo.consumer.name' = 'me', 'source.efo.lifecycle' = 'MINE'",
            "is JOB_MANAGED or SELF_MANAGED, not `MINE`",
        ),
        ("'stream' = 'words', 'format' = 'json', 'source.init.positon' = 'LATEST'", "did you mean `source.init.position`?"),
        (
            "'stream' = 'words', 'format' = 'json', 'aws.region' = 'eu-central-1', 'aws.credentials.provider' = 'ASSUME_ROLE'",
            "AUTO, ENV_VAR, PROFILE or BASIC",
        ),
        (
            "'stream' = 'words', 'format' = 'json', 'aws.region' = 'eu-central-1', 'aws.credentials.provider' = 'PROFILE',
             'aws.credentials.profile.path' = '/there/is/none', 'aws.credentials.profile.name' = 'me'",
            "nor the profile `me` in /there/is/none",
        ),
    ];
    for (options, expected) in cases {
        let script = format!(
            "CREATE TEMPORARY TABLE wrong (a STRING) WITH ('connector' = 'kinesis', {options}); EXPLAIN PLAN FOR SELECT * FROM wrong"
        );
        let error = TableEnvironment::new().execute_script(&script, |_, _, _| Ok(())).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(expected), "{options}: {error}");
    }
    let script = "CREATE TEMPORARY TABLE wrong (a STRING) PARTITIONED BY (a) WITH ('connector' = 'kinesis', 'stream' = 'words',
        'format' = 'json', 'sink.partitioner' = 'fixed', 'aws.region' = 'eu-central-1');
        EXPLAIN PLAN FOR INSERT INTO wrong SELECT 'a'";
    let error = TableEnvironment::new().execute_script(script, |_, _, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("`sink.partitioner` is for a table that is not PARTITIONED BY"), "{error}");
}
