//! The example programs, run as a user runs them, against the embedded broker (or the cluster that
//! `THALWEG_KAFKA` names).

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::Command;

use thalweg::kafka::admin::KafkaAdmin;
use thalweg::kafka::config::KafkaProperties;
use thalweg::prelude::*;
use thalweg_broker::{Broker, BrokerConfig};

/// A cluster, and names in it that no other test has.
struct Cluster {
    bootstrap: String,
    _broker: Option<Broker>,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn new() -> Self {
        let broker = std::env::var("THALWEG_KAFKA").is_err();
        let broker = broker.then(|| Broker::start(BrokerConfig::default()).unwrap());
        let bootstrap = match &broker {
            Some(broker) => broker.bootstrap(),
            None => std::env::var("THALWEG_KAFKA").unwrap(),
        };
        Self { bootstrap, _broker: broker, folder: tempfile::tempdir().unwrap() }
    }

    fn topic(&self, name: &str) -> String {
        let unique = self.folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.');
        let topic = format!("{name}-{unique}");
        KafkaAdmin::new(&KafkaProperties::new(&self.bootstrap)).unwrap().create_topic(&topic, 3).unwrap();
        topic
    }

    fn write(&self, topic: &str, values_of: impl Iterator<Item = String>) {
        let env = StreamExecutionEnvironment::new();
        let sink = KafkaSink::builder(&self.bootstrap)
            .set_topic(topic)
            .set_serializer(values::<String>())
            .build()
            .unwrap();
        let _ = env.from_collection(values_of.collect()).sink_to(sink);
        env.execute("write").unwrap();
    }

    fn read(&self, topic: &str) -> Vec<(String, String)> {
        let env = StreamExecutionEnvironment::new();
        env.set_parallelism(1);
        let source = KafkaSource::builder(&self.bootstrap)
            .set_topics([topic])
            .set_bounded(OffsetsInitializer::latest())
            .set_deserializer(key_values::<String, String>())
            .build()
            .unwrap();
        env.from_source(source, WatermarkStrategy::no_watermarks(), "read")
            .execute_and_collect("read")
            .unwrap()
    }

    /// Runs an example to its end, in a folder of its own.
    fn run(&self, example: &str, topic: &str, output: &str, more: &[&str]) {
        // …/target/<profile>/deps/this-test -> …/target/<profile>/examples/
        let test = std::env::current_exe().unwrap();
        let program: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(example);
        let args = ["--bootstrap", &self.bootstrap, "--topic", topic, "--output", output, "--until-end"];
        let run =
            Command::new(program).args(args).args(more).current_dir(self.folder.path()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}

fn words() -> impl Iterator<Item = String> {
    (0..5000).map(|i| format!("w{} w{} all", i % 7, i % 11))
}

#[test]
fn spark_kafka_saves_each_word_of_the_topic_once_also_when_it_is_started_again() {
    let cluster = Cluster::new();
    let topic = cluster.topic("lines");
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for round in 1..=2 {
        cluster.write(&topic, words());
        cluster.run("spark_kafka", &topic, "counts", &["--format", "csv"]);
        for word in words().flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()) {
            *expected.entry(word).or_insert(0) += 1;
        }
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        for file in std::fs::read_dir(cluster.folder.path().join("counts")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "csv") {
                for line in std::fs::read_to_string(path).unwrap().lines() {
                    let (word, n) = line.split_once(',').unwrap();
                    *found.entry(word.to_owned()).or_insert(0) += n.parse::<i64>().unwrap();
                }
            }
        }
        assert_eq!(found, expected, "round {round}");
    }
}

#[test]
fn spark_flink_counts_each_value_of_the_topic_once() {
    let cluster = Cluster::new();
    let (topic, output) = (cluster.topic("values"), cluster.topic("value-counts"));
    for round in 1..=2 {
        cluster.write(&topic, (0..3000).map(|i| format!("v{}", i % 9)));
        cluster.run("spark_flink", &topic, &output, &[]);
        // Counts of one value are in order, in one partition: the last one is the count.
        let last: HashMap<String, String> = cluster.read(&output).into_iter().collect();
        let mut counts: HashMap<String, usize> = HashMap::new();
        (0..round * 3000).for_each(|i| *counts.entry(format!("v{}", i % 3000 % 9)).or_insert(0) += 1);
        let expected = counts.into_iter().map(|(value, n)| (value, n.to_string())).collect();
        assert_eq!(last, expected, "round {round}");
    }
}

#[test]
fn direct_kafka_word_count_prints_the_words_of_its_topics() {
    let cluster = Cluster::new();
    let topics = [cluster.topic("some"), cluster.topic("others")];
    topics.iter().for_each(|topic| cluster.write(topic, ["deep and fast".to_owned()].into_iter()));
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/direct_kafka_word_count");
    let mut child = Command::new(program)
        .args([&cluster.bootstrap, &format!("group-{}", topics[0]), &topics.join(",")])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    // Of both topics, in one batch or in two.
    let mut deep = 0;
    for line in lines.map(Result::unwrap).filter(|line| line.starts_with("(deep, ")) {
        deep += line.trim_start_matches("(deep, ").trim_end_matches(')').parse::<u32>().unwrap();
        if deep == 2 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(deep, 2);
}

#[test]
fn flink_kafka_averages_each_key_of_the_topic() {
    let cluster = Cluster::new();
    let (topic, output) = (cluster.topic("readings"), cluster.topic("means"));
    cluster.write(&topic, (0..4000).map(|i| format!("k{},{}", i % 4, i)));
    cluster.run("flink_kafka", &topic, &output, &[]);
    let means = cluster.read(&output);
    assert_eq!(means.len(), 4000, "one average for each reading, none twice");
    let last: HashMap<String, String> = means.into_iter().collect();
    let mean = |key: i64| (0..1000).map(|i| (i * 4 + key) as f64).sum::<f64>() / 1000.0;
    let expected = (0..4).map(|key| (format!("k{key}"), format!("{:.3}", mean(key)))).collect();
    assert_eq!(last, expected);
}

#[cfg(feature = "sql")]
#[test]
fn table_kafka_counts_each_line_of_the_topic_also_when_it_is_started_again() {
    let cluster = Cluster::new();
    let (topic, output) = (cluster.topic("lines"), cluster.topic("line-counts"));
    for round in 1..=2_usize {
        cluster.write(&topic, (0..3000).map(|i| format!("v{}", i % 9)));
        cluster.run("table_kafka", &topic, &output, &[]);
        // Counts of one value are in order, in one partition: the last one is the count.
        let last: HashMap<String, String> = cluster.read(&output).into_iter().collect();
        let mut counts: HashMap<String, usize> = HashMap::new();
        (0..round * 3000).for_each(|i| *counts.entry(format!("v{}", i % 3000 % 9)).or_insert(0) += 1);
        let row =
            |(value, n): (String, usize)| (value.clone(), format!("{{\"value\":\"{value}\",\"count\":{n}}}"));
        assert_eq!(last, counts.into_iter().map(row).collect(), "round {round}");
    }
}
