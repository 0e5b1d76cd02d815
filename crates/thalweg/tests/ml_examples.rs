//! The example programs that learn, run as a user runs them, against the embedded broker.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use thalweg::kafka::admin::KafkaAdmin;
use thalweg::kafka::config::KafkaProperties;
use thalweg::ml::rng::Rng;
use thalweg::prelude::*;
use thalweg_broker::{Broker, BrokerConfig};

struct Cluster {
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn new(topics: &[&str]) -> Self {
        let cluster = Self {
            broker: Broker::start(BrokerConfig::default()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        let admin = KafkaAdmin::new(&KafkaProperties::new(cluster.broker.bootstrap())).unwrap();
        topics.iter().for_each(|topic| admin.create_topic(topic, 1).unwrap());
        cluster
    }

    fn write(&self, topic: &str, lines: Vec<String>) {
        let env = StreamExecutionEnvironment::new();
        env.set_parallelism(1);
        let sink = KafkaSink::builder(self.broker.bootstrap()).set_topic(topic);
        let sink = sink.set_serializer(values::<String>()).build().unwrap();
        let _ = env.from_collection(lines).sink_to(sink);
        env.execute("write").unwrap();
    }

    fn read(&self, topic: &str) -> Vec<(String, String)> {
        let env = StreamExecutionEnvironment::new();
        env.set_parallelism(1);
        let source = KafkaSource::builder(self.broker.bootstrap())
            .set_topics([topic])
            .set_bounded(OffsetsInitializer::latest())
            .set_deserializer(key_values::<String, String>())
            .set_property("isolation.level", "read_committed")
            .build()
            .unwrap();
        let records = env.from_source(source, WatermarkStrategy::no_watermarks(), "read");
        records.execute_and_collect("read").unwrap()
    }

    fn run(&self, example: &str, topic: &str, output: &str, more: &[&str]) {
        let test = std::env::current_exe().unwrap();
        let program: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(example);
        let bootstrap = self.broker.bootstrap();
        let args = ["--bootstrap", &bootstrap, "--topic", topic, "--output", output, "--until-end"];
        let run =
            Command::new(program).args(args).args(more).current_dir(self.folder.path()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}

/// Transactions, of which one in ten is a fraud: a large sum, far away.
fn transactions(ids: std::ops::Range<u32>, rng: &mut Rng) -> Vec<(String, bool)> {
    ids.map(|id| {
        let fraud = rng.below(10) == 0;
        let (amount, distance) = if fraud { (2000.0, 800.0) } else { (40.0, 5.0) };
        let near = |center: f64, rng: &mut Rng| center * (0.5 * rng.gaussian()).exp();
        let line =
            format!("t{id},{:.2},{:.1},{:.0}", near(amount, rng), near(distance, rng), near(3600.0, rng));
        (line, fraud)
    })
    .collect()
}

#[test]
fn fraud_is_told_once_it_was_learnt_and_each_alert_once() {
    let cluster = Cluster::new(&["transactions", "labels", "alerts", "scores"]);
    let mut rng = Rng::new(1);
    let history = transactions(0..3000, &mut rng);
    cluster.write("transactions", history.iter().map(|(line, _)| line.clone()).collect());
    let labels = (0..).zip(&history).map(|(id, (_, fraud))| format!("t{id},{}", u8::from(*fraud)));
    cluster.write("labels", labels.collect());
    let more = ["--labels", "labels", "--scores", "scores"];
    cluster.run("fraud", "transactions", "alerts", &more);
    let before = cluster.read("alerts").len();
    assert!(cluster.read("scores").iter().any(|(key, value)| key == "scores" && value.contains("auc=")));

    // Started again, it goes on with the model that it had: new transactions are judged before their labels are there.
    let new = transactions(3000..4000, &mut rng);
    cluster.write("transactions", new.iter().map(|(line, _)| line.clone()).collect());
    cluster.run("fraud", "transactions", "alerts", &more);
    let alerts: BTreeMap<String, String> = cluster.read("alerts").split_off(before).into_iter().collect();
    let frauds: Vec<String> =
        (3000..).zip(&new).filter(|(_, (_, fraud))| *fraud).map(|(id, _)| format!("t{id}")).collect();
    let told = frauds.iter().filter(|id| alerts.contains_key(*id)).count();
    assert!(told * 10 > frauds.len() * 9, "{told} of {}", frauds.len());
    assert!(alerts.len() < told + 30, "{} alerts, {told} of them right", alerts.len());
    assert!(
        alerts.values().all(|value| value.ends_with(",3000")),
        "judged by the model of the 3000 learnt before"
    );
    let again = cluster.read("alerts").len();
    cluster.run("fraud", "transactions", "alerts", &more);
    assert_eq!(cluster.read("alerts").len(), again, "nothing is told twice");
}

#[test]
fn who_likes_camping_is_recommended_a_tent() {
    let cluster = Cluster::new(&["clicks", "recommendations"]);
    let (mut rng, camping, music) =
        (Rng::new(2), ["tent", "lamp", "stove", "mat"], ["guitar", "strings", "tuner", "capo"]);
    let click = |user: usize, rng: &mut Rng| {
        let items = if user.is_multiple_of(2) { camping } else { music };
        format!("u{user},{}", items[rng.below(4)])
    };
    let mut clicks: Vec<String> = (0..2000).map(|n| click(n % 40, &mut rng)).collect();
    clicks.push("new,lamp".to_owned());
    cluster.write("clicks", clicks);
    cluster.run("recommendations", "clicks", "recommendations", &["--top", "3"]);
    let all = cluster.read("recommendations");
    assert_eq!(all.len(), 2001);
    let (user, items) = all.last().unwrap();
    let mut items: Vec<&str> = items.split(' ').collect();
    items.sort_unstable();
    assert_eq!((user.as_str(), items), ("new", vec!["mat", "stove", "tent"]));
}

#[test]
fn a_sensor_that_leaves_its_season_is_told() {
    let cluster = Cluster::new(&["readings", "findings"]);
    let (mut rng, mut lines) = (Rng::new(3), Vec::new());
    for hour in 0..24 * 30 {
        for (sensor, base) in [("roof", 20.0), ("cellar", 12.0)] {
            let season = 8.0 * (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin();
            let value = match (sensor, hour) {
                ("roof", 600) => "55.0".to_owned(),
                ("cellar", 500) => "broken".to_owned(),
                _ => format!("{:.3}", base + season + 0.3 * rng.gaussian()),
            };
            lines.push(format!("{sensor},{value}"));
        }
    }
    cluster.write("readings", lines);
    cluster.run("sensors", "readings", "findings", &[]);
    let findings = cluster.read("findings");
    let anomalies: Vec<_> = findings.iter().filter(|(_, value)| value.starts_with("anomaly")).collect();
    assert!(anomalies.iter().any(|(sensor, value)| sensor == "roof" && value.starts_with("anomaly 55.0 ")));
    assert!(anomalies.len() < 12, "{anomalies:?}");
    let of = |sensor: &str| {
        findings.iter().filter(|(of, value)| of == sensor && value.starts_with("forecast")).count()
    };
    assert_eq!(
        (of("roof"), of("cellar")),
        (30, 29),
        "a forecast each season; the broken reading is none of the cellar's"
    );
    let (_, last) =
        findings.iter().rev().find(|(of, value)| of == "roof" && value.starts_with("forecast")).unwrap();
    let ahead: Vec<f64> = last.split(' ').skip(1).map(|value| value.parse().unwrap()).collect();
    assert!(
        ahead.len() == 24 && (ahead[6] - 28.0).abs() < 2.5 && (ahead[18] - 12.0).abs() < 2.5,
        "{ahead:?}"
    );
}
