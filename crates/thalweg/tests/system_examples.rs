//! The examples that need systems of others, run as a user runs them: against what the environment names, and what was built in.
//!
//! | variable | set by |
//! |---|---|
//! | `THALWEG_KINESIS` | `eval "$(scripts/kinesis env)"`, after `scripts/kinesis start` |
//! | `THALWEG_S3`: a bucket, `s3://…` | `eval "$(scripts/s3 env)"`, after `scripts/s3 start` |
//! | `THALWEG_AZURE`: a container, `az://…` | `eval "$(scripts/azure env)"`, after `scripts/azure start` |
//! | `THALWEG_HDFS`: a NameNode, `hdfs://…` | `scripts/hdfs start` prints it |
//! | `THALWEG_FLUME`: anything | whoever has Java, after `scripts/flume jars` |
//!
//! The examples must have been built with the same features, by `cargo build --examples` or a test of all targets. What is not tested is said.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]
#![allow(dead_code, reason = "where less is built in, less of it is needed")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The value of a variable; if it is not set, or what is needed for it is not built in, that is said.
fn system(test: &str, variable: &str, built_in: bool) -> Option<String> {
    let system = std::env::var(variable).ok().filter(|_| built_in);
    if system.is_none() {
        eprintln!("SKIPPED: {test} on {variable}, which is not set, or not built in");
    }
    system
}

/// A name that nothing else has.
fn unique(name: &str) -> String {
    format!("{name}-{:x}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos())
}

/// An example that runs, and ends with the test, whatever happens.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(name: &str, arguments: &[&str]) -> Self {
        // …/target/<profile>/deps/this-test -> …/target/<profile>/examples/
        let test = std::env::current_exe().unwrap();
        let program: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(name);
        let mut child = Command::new(program);
        child.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            printed.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// Reads what it prints until a line with this in it has come, and returns that.
    fn line(&self, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("it has not printed {wanted:?}"));
            if line.contains(wanted) {
                return line;
            }
        }
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name))
}

#[cfg(feature = "kinesis")]
mod kinesis {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use thalweg::connectors::kinesis::{KinesisClient, KinesisSink};
    use thalweg::kafka::admin::KafkaAdmin;
    use thalweg::kafka::config::KafkaProperties;
    use thalweg::prelude::*;
    use thalweg_broker::{Broker, BrokerConfig};

    use super::{Running, system, unique, wait_until};

    /// A stream of Kinesis and a topic of Kafka, both of which go with the test.
    struct Systems {
        client: KinesisClient,
        stream: String,
        broker: Broker,
        topic: String,
    }

    impl Systems {
        fn new(test: &str) -> Option<Self> {
            system(test, "THALWEG_KINESIS", true)?;
            let broker = Broker::start(BrokerConfig::default()).unwrap();
            let topic = "counts".to_owned();
            KafkaAdmin::new(&KafkaProperties::new(broker.bootstrap()))
                .unwrap()
                .create_topic(&topic, 2)
                .unwrap();
            let systems =
                Self { client: KinesisClient::from_env().unwrap(), stream: unique(test), broker, topic };
            systems.call("CreateStream", r#"{"ShardCount": 2}"#);
            wait_until("the stream is active", || {
                systems.call("DescribeStreamSummary", "{}").contains(r#""ACTIVE""#)
            });
            Some(systems)
        }

        fn call(&self, action: &str, body: &str) -> String {
            let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
            body["StreamName"] = self.stream.clone().into();
            self.client.call(action, &body).unwrap().to_string()
        }

        /// Writes lines into Kinesis.
        fn write(&self, lines: &[&str]) {
            let env = StreamExecutionEnvironment::new();
            let lines = env.from_collection(lines.iter().map(|line| (*line).to_owned()).collect());
            let sink =
                KinesisSink::new(&self.stream, |line: &String| (line.clone(), line.clone().into_bytes()));
            lines.sink_to(sink);
            env.execute("write").unwrap();
        }

        /// Runs an example until what is in the topic says what it should, and kills it.
        fn runs(&self, example: &str, checkpoints: &str, is_so: impl Fn(&[(String, u64)]) -> bool) {
            let _running =
                Running::start(example, &[&self.stream, &self.broker.bootstrap(), &self.topic, checkpoints]);
            wait_until("what is in Kafka is what it should be", || is_so(&self.counts()));
        }

        /// What is committed in the topic, in the order of each key.
        fn counts(&self) -> Vec<(String, u64)> {
            let env = StreamExecutionEnvironment::new();
            let source = KafkaSource::builder(self.broker.bootstrap())
                .set_topics([&self.topic])
                .set_bounded(OffsetsInitializer::latest())
                .set_deserializer(key_values::<String, String>())
                .build()
                .unwrap();
            let found = Arc::new(Mutex::new(Vec::new()));
            let all = found.clone();
            env.from_source(source, WatermarkStrategy::no_watermarks(), "read").for_each(
                move |(word, count): (String, String)| {
                    all.lock().unwrap().push((word, count.parse().unwrap()))
                },
            );
            env.execute("read").unwrap();
            found.lock().unwrap().clone()
        }
    }

    impl Drop for Systems {
        fn drop(&mut self) {
            let body = serde_json::json!({ "StreamName": self.stream });
            let _ = self.client.call("DeleteStream", &body);
        }
    }

    const FIRST: [&str; 3] = ["deep and fast", "and deep", "deep"];
    const SECOND: [&str; 2] = ["fast", "deep sea"];

    fn totals(of: &[(&str, u64)]) -> HashMap<String, u64> {
        of.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
    }

    #[test]
    fn words_of_kinesis_are_counted_batch_by_batch_into_kafka_each_once_also_when_it_is_killed() {
        let Some(systems) = Systems::new("kinesis-word-count") else { return };
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().to_str().unwrap();
        let sum = |counts: &[(String, u64)]| {
            let mut sums = HashMap::new();
            counts.iter().for_each(|(word, count)| *sums.entry(word.clone()).or_insert(0) += count);
            sums
        };
        systems.write(&FIRST);
        let expected = totals(&[("deep", 3), ("and", 2), ("fast", 1)]);
        systems.runs("kinesis_word_count", checkpoints, |counts| sum(counts) == expected);
        systems.write(&SECOND);
        let expected = totals(&[("deep", 4), ("and", 2), ("fast", 2), ("sea", 1)]);
        systems.runs("kinesis_word_count", checkpoints, |counts| sum(counts) == expected);
    }

    #[test]
    fn words_of_kinesis_are_counted_on_into_kafka_each_once_also_when_it_is_killed() {
        let Some(systems) = Systems::new("kinesis-to-kafka") else { return };
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().to_str().unwrap();
        let last = |counts: &[(String, u64)]| counts.iter().cloned().collect::<HashMap<_, _>>();
        systems.write(&FIRST);
        let expected = totals(&[("deep", 3), ("and", 2), ("fast", 1)]);
        systems.runs("kinesis_to_kafka", checkpoints, |counts| last(counts) == expected && counts.len() == 6);
        systems.write(&SECOND);
        let expected = totals(&[("deep", 4), ("and", 2), ("fast", 2), ("sea", 1)]);
        systems.runs("kinesis_to_kafka", checkpoints, |counts| last(counts) == expected && counts.len() == 9);
    }
}

/// The stores that there are: a folder of its own in each.
#[cfg(any(feature = "s3", feature = "azure", feature = "hdfs"))]
fn folders(test: &str) -> Vec<String> {
    let stores = [
        ("THALWEG_S3", cfg!(feature = "s3")),
        ("THALWEG_AZURE", cfg!(feature = "azure")),
        ("THALWEG_HDFS", cfg!(feature = "hdfs")),
    ];
    let found = stores.into_iter().filter_map(|(variable, built_in)| system(test, variable, built_in));
    found.map(|base| format!("{base}/{}", unique(test))).collect()
}

#[cfg(any(feature = "s3", feature = "azure", feature = "hdfs"))]
mod stores {
    use std::io::Read;

    use thalweg::connectors::files::FileSystem;
    use thalweg::connectors::store::{Store, StoreSink};
    use thalweg::prelude::*;

    use super::{Path, Running, folders, wait_until};

    /// Writes a file, as a job does.
    fn write(folder: &str, lines: &[&str]) {
        let env = StreamExecutionEnvironment::new();
        env.set_parallelism(1);
        let lines = env.from_collection(lines.iter().map(|line| (*line).to_owned()).collect());
        lines.sink_to(StoreSink::lines(folder));
        env.execute("write").unwrap();
    }

    /// The lines of all files that readers see, sorted.
    fn lines(folder: &str) -> Vec<String> {
        let store = Store::at(folder).unwrap();
        let mut text = String::new();
        // There may be no folder yet.
        for entry in store.list(Path::new(folder), true).unwrap_or_default() {
            store.open(&entry.path, 0).unwrap().read_to_string(&mut text).unwrap();
        }
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn store_word_count_writes_every_new_count_once() {
        for folder in folders("store-word-count") {
            let path = |name: &str| format!("{folder}/{name}");
            write(&path("in"), &["Deep and fast", "and deep"]);
            let arguments = [&path("in") as &str, &path("out"), &path("checkpoints")];
            let mut running = Running::start("store_word_count", &arguments);
            assert!(running.child.wait().unwrap().success());
            assert_eq!(lines(&path("out")), ["and\t1", "and\t2", "deep\t1", "deep\t2", "fast\t1"]);
        }
    }

    #[test]
    fn hdfs_word_count_counts_the_files_that_appear_once() {
        for folder in folders("hdfs-word-count") {
            let path = |name: &str| format!("{folder}/{name}");
            // What is there before is passed over.
            write(&path("in"), &["before"]);
            let arguments = [&path("in") as &str, &path("out"), &path("checkpoints")];
            let running = Running::start("hdfs_word_count", &arguments);
            running.line("Time: ");
            write(&path("in"), &["deep and fast", "and deep"]);
            running.line("(deep, 2)");
            wait_until("the counts are there", || lines(&path("out")) == ["and\t2", "deep\t2", "fast\t1"]);
        }
    }
}

/// An agent, which ends with the test.
struct Agent(tempfile::TempDir);

impl Drop for Agent {
    fn drop(&mut self) {
        assert!(
            script("flume")
                .arg("stop")
                .arg("--data")
                .arg(self.0.path().join("agent"))
                .status()
                .unwrap()
                .success()
        );
    }
}

#[test]
fn flume_event_count_counts_what_a_real_agent_sends() {
    if system("flume_event_count", "THALWEG_FLUME", true).is_none() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let running = Running::start("flume_event_count", &["127.0.0.1", &port.to_string()]);
    running.line("Received 0 flume events.");
    let agent = Agent(tempfile::tempdir().unwrap());
    let mut start = script("flume");
    start
        .arg("start")
        .arg("--data")
        .arg(agent.0.path().join("agent"))
        .args(["--to", &format!("127.0.0.1:{port}")]);
    let started = start.stderr(Stdio::inherit()).output().unwrap();
    assert!(started.status.success());
    let spool = PathBuf::from(String::from_utf8(started.stdout).unwrap().trim());
    let file = agent.0.path().join("lines");
    std::fs::write(&file, "deep\nand\nfast\n").unwrap();
    std::fs::rename(&file, spool.join("lines")).unwrap();
    // In one batch, or in several.
    let mut received = 0;
    while received < 3 {
        let line = running.line("Received ");
        received += line.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
    }
    assert_eq!(received, 3);
}
