//! How much a source may hold that has been fetched and not yet been read.
//!
//! librdkafka bounds each partition's queue by itself when it is read by itself, as ours are. So the source's bound is divided:
//! by its subtasks, and by the partitions of each, rounded up to a power of two. When more partitions come than there are shares,
//! the consumer is made anew with smaller ones.
//!
//! What a bound cannot see: a compressed batch is unpacked when it comes, and one batch always comes whole.

use rdkafka::ClientConfig;

use crate::config::KafkaProperties;
use crate::error::KafkaError;

/// Of all partitions of all subtasks of a source: the property's default in librdkafka.
const KBYTES: u64 = 65_536;
/// Messages, lest a backlog of tiny ones takes more in bookkeeping than in bytes: librdkafka keeps about 400 bytes for each.
const MESSAGES: u64 = 65_536;
/// Of one partition: more makes nothing faster.
const MOST_KBYTES: u64 = 16_384;
const MOST_MESSAGES: u64 = 20_000;
const LEAST_MESSAGES: u64 = 100;
/// A partition is fetched in such pieces, if its share is not smaller: librdkafka's default.
const FETCH_BYTES: u64 = 1_048_576;
/// As many partitions are expected before they are known.
const EXPECTED: usize = 4;

/// How many shares a subtask with so many partitions needs.
pub(super) fn shares(partitions: usize) -> usize {
    partitions.max(EXPECTED).next_power_of_two()
}

/// Sets the bounds of a consumer for one of `subtasks`, with as many partitions as `shares`. `memory`: what the job's memory leaves
/// to each of them, in bytes.
pub(super) fn bound(
    config: &mut ClientConfig,
    properties: &KafkaProperties,
    subtasks: usize,
    shares: usize,
    memory: Option<u64>,
) -> Result<(), KafkaError> {
    let divisor = (subtasks.max(1) * shares.max(1)) as u64;
    let given = |property: &str, default: u64| match properties.get(property) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| KafkaError::Property {
            property: property.to_owned(),
            reason: format!("'{value}' is not a number"),
        }),
    };
    let usual = memory.map_or(KBYTES, |bytes| (bytes / 1024 * subtasks.max(1) as u64).min(KBYTES));
    let kbytes = given("queued.max.messages.kbytes", usual)? / divisor;
    let messages = given("queued.min.messages", MESSAGES)? / divisor;
    let kbytes = kbytes.clamp(1, MOST_KBYTES);
    config.set("queued.max.messages.kbytes", kbytes.to_string());
    config.set("queued.min.messages", messages.clamp(LEAST_MESSAGES, MOST_MESSAGES).to_string());
    let named = ["fetch.message.max.bytes", "max.partition.fetch.bytes"];
    if named.iter().all(|property| properties.get(property).is_none()) {
        config.set(named[0], (kbytes * 1024).min(FETCH_BYTES).to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(properties: &KafkaProperties, subtasks: usize, partitions: usize) -> (u64, u64, u64) {
        let mut config = properties.consumer("g").unwrap();
        bound(&mut config, properties, subtasks, shares(partitions), None).unwrap();
        let number = |property| config.get(property).unwrap().parse::<u64>().unwrap();
        (
            number("queued.max.messages.kbytes"),
            number("queued.min.messages"),
            number("fetch.message.max.bytes"),
        )
    }

    #[test]
    fn all_partitions_together_stay_within_the_bound() {
        let properties = KafkaProperties::new("localhost:1");
        for subtasks in [1, 2, 8] {
            for partitions in [1, 2, 5, 32, 100, 1000] {
                let (kbytes, messages, fetch) = bounds(&properties, subtasks, partitions);
                let all = (subtasks * partitions) as u64;
                assert!(kbytes * all <= KBYTES, "{subtasks} × {partitions}: {kbytes} KB");
                assert!(messages * all <= MESSAGES || messages == LEAST_MESSAGES);
                assert!(fetch <= kbytes * 1024 && fetch <= FETCH_BYTES);
            }
        }
        assert_eq!(bounds(&properties, 1, 1).0, MOST_KBYTES);
    }

    #[test]
    fn the_property_is_the_bound_of_the_whole_source() {
        let mut properties = KafkaProperties::new("localhost:1");
        properties.set("queued.max.messages.kbytes", "8192").set("fetch.message.max.bytes", "5000");
        assert_eq!(bounds(&properties, 2, 8), (512, 4096, 5000));
        properties.set("queued.max.messages.kbytes", "much");
        let mut config = KafkaProperties::new("localhost:1").consumer("g").unwrap();
        let error = bound(&mut config, &properties, 1, 1, None).unwrap_err().to_string();
        assert!(error.contains("'queued.max.messages.kbytes'") && error.contains("'much'"), "{error}");
    }

    #[test]
    fn a_job_with_little_memory_reads_less_ahead() {
        let kbytes = |properties: &KafkaProperties, memory| {
            let mut config = properties.consumer("g").unwrap();
            bound(&mut config, properties, 2, shares(4), memory).unwrap();
            config.get("queued.max.messages.kbytes").unwrap().parse::<u64>().unwrap()
        };
        let mut properties = KafkaProperties::new("localhost:9092");
        assert_eq!(kbytes(&properties, None), KBYTES / 8);
        assert_eq!(kbytes(&properties, Some(4 << 20)), 1024, "4 MiB for four partitions");
        assert_eq!(kbytes(&properties, Some(1 << 40)), KBYTES / 8, "no more than without a limit");
        properties.set("queued.max.messages.kbytes", "32768");
        assert_eq!(kbytes(&properties, Some(4 << 20)), 4096, "what the user says counts");
    }
}
