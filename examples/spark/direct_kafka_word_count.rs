//! Counts the words of topics, batch by batch (Spark's `DirectKafkaWordCount`).
//!
//! `cargo run --release -p thalweg --example direct_kafka_word_count -- localhost:9092 my-group lines,more-lines`

use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, group, topics]: [String; 3] =
        arguments.try_into().map_err(|_| "usage: direct_kafka_word_count BROKERS GROUP TOPICS")?;
    let ssc = StreamingContext::new("DirectKafkaWordCount", Duration::from_secs(2));
    let source = KafkaSource::builder(brokers)
        .set_topics(topics.split(','))
        .set_group_id(group)
        .set_deserializer(values::<String>())
        .build()?;
    let lines = KafkaUtils::create_direct_stream(&ssc, source);
    let words = lines.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b).print();
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
