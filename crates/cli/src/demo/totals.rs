//! What is in the topic of counts: the committed truth, read back as any other reader would.

use std::collections::HashMap;

use thalweg::prelude::*;

/// The sum of all counts of each word.
pub(crate) fn of_topic(bootstrap: &str, topic: &str) -> anyhow::Result<HashMap<String, u64>> {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(1);
    let source = KafkaSource::builder(bootstrap)
        .set_topics([topic])
        .set_bounded(OffsetsInitializer::latest())
        .set_commit_offsets_on_checkpoint(false)
        .set_deserializer(key_values::<String, u64>())
        .build()?;
    let counts = env.from_source(source, WatermarkStrategy::no_watermarks(), "counts");
    let mut totals: HashMap<String, u64> = HashMap::new();
    for (word, n) in counts.execute_and_collect("thalweg-demo-totals")? {
        *totals.entry(word).or_insert(0) += n;
    }
    Ok(totals)
}

/// The most frequent words, the most frequent first, equal ones in the order of the alphabet.
pub(crate) fn most_frequent(totals: &HashMap<String, u64>, n: usize) -> Vec<(&str, u64)> {
    let mut words: Vec<(&str, u64)> = totals.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    words.truncate(n);
    words
}
