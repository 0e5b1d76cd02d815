//! Running word count from Kafka to Kafka, exactly-once, with epochs of 1 s: words a CPU-second of this process.
//!
//! `THALWEG_KAFKA=host:port cargo bench -p thalweg --bench kafka_word_count [-- WORDS]`: 20 million words
//! unless it says otherwise. Without the variable an embedded broker is started, in a process of its own: what
//! it costs is not counted.
//!
//! Lines of ten words are first written to a topic of two partitions. Then the job is timed from its start to
//! its end: it reads the topic, counts each batch, adds it to the running count of each word, and writes every
//! count that has changed, in one transaction a second.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/broker.rs"]
mod broker;
mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use compact_str::CompactString;
use thalweg::kafka::admin::KafkaAdmin;
use thalweg::kafka::config::KafkaProperties;
use thalweg::prelude::*;

fn main() {
    let words: u64 = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(20_000_000);
    let broker = std::env::var("THALWEG_KAFKA").is_err().then(broker::BrokerProcess::start);
    let bootstrap = match &broker {
        Some(broker) => broker.bootstrap.clone(),
        None => std::env::var("THALWEG_KAFKA").unwrap(),
    };
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let (lines, counts) = (format!("bench-lines-{run}"), format!("bench-counts-{run}"));
    let admin = KafkaAdmin::new(&KafkaProperties::new(&bootstrap)).unwrap();
    admin.create_topic(&lines, 2).unwrap();
    admin.create_topic(&counts, 2).unwrap();
    feed(&bootstrap, &lines, words);

    let (cpu, wall) = (support::cpu_time(), Instant::now());
    count(&bootstrap, &lines, &counts, run);
    let (cpu, wall) = (support::cpu_time() - cpu, wall.elapsed());
    println!(
        "thalweg  {words} words: {:5.2} M words/CPU-s, {:5.2} M words/s, peak memory {} MB",
        words as f64 / cpu.as_secs_f64() / 1e6,
        words as f64 / wall.as_secs_f64() / 1e6,
        support::peak_memory() / 1_000_000,
    );
    let (total, distinct, records) = read_back(&bootstrap, &counts);
    assert_eq!(total, words, "the last count of each word adds up to all of them");
    println!("         {distinct} distinct words, {records} counts written");
}

fn feed(bootstrap: &str, topic: &str, words: u64) {
    eprintln!("writing {words} words to topic {topic}");
    let env = StreamExecutionEnvironment::new();
    let sink = KafkaSink::builder(bootstrap)
        .set_topic(topic)
        .set_property("compression.type", "lz4")
        .set_serializer(values::<String>())
        .build()
        .unwrap();
    let _ = env.read_text_file(support::words_file(words)).sink_to(sink);
    env.execute("bench-feed").unwrap();
}

fn count(bootstrap: &str, lines: &str, counts: &str, run: u128) {
    let checkpoints = tempfile::tempdir().unwrap();
    let ssc = StreamingContext::new(&format!("bench-{run}"), Duration::from_secs(1));
    ssc.checkpoint(checkpoints.path()).unwrap();
    ssc.configure(|config| config.parallelism = 2);
    let source = KafkaSource::builder(bootstrap)
        .set_topics([lines])
        .set_bounded(OffsetsInitializer::latest())
        .set_deserializer(values::<String>())
        .build()
        .unwrap();
    let lines = KafkaUtils::create_direct_stream(&ssc, source);
    let words = lines.flat_map_each(|line: &String, emit| {
        line.split(' ').for_each(|word| emit((CompactString::from(word), 1_i64)));
    });
    // Each batch has one count for each of its words; on the other side of the bridge they are added to the
    // running count.
    let batches = words.reduce_by_key(|a, b| a + b);
    let running = batches.to_data_stream().key_by(|(word, _)| word.clone()).sum(|(_, n)| *n);
    let sink = KafkaSink::builder(bootstrap)
        .set_topic(counts)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(|(word, n): &(CompactString, i64), record: &mut ProducerRecordBuf| {
            record.key().extend_from_slice(word.as_bytes());
            record.value().extend_from_slice(&n.to_be_bytes());
        })
        .build()
        .unwrap();
    let _ = running.sink_to(sink);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
}

/// The sum of the last count of each word, the number of words, and the number of counts that were written.
fn read_back(bootstrap: &str, topic: &str) -> (u64, usize, usize) {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(1);
    let source = KafkaSource::builder(bootstrap)
        .set_topics([topic])
        .set_bounded(OffsetsInitializer::latest())
        .set_deserializer(key_values::<String, i64>())
        .build()
        .unwrap();
    let counts = env.from_source(source, WatermarkStrategy::no_watermarks(), "counts");
    let records = counts.execute_and_collect("bench-read-back").unwrap();
    let written = records.len();
    // Counts only grow, and those of one word are in order, in one partition.
    let last: HashMap<String, i64> = records.into_iter().collect();
    (last.values().sum::<i64>() as u64, last.len(), written)
}
