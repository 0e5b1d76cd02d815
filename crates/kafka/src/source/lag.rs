//! How far a source is behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::Statistics;
use rdkafka::statistics::Partition;

use crate::subscription::TopicPartition;

/// How many records a source is behind the end of its partitions; see [`KafkaSource::lag`](super::KafkaSource::lag).
/// Clones show the same source.
#[derive(Clone, Debug, Default)]
pub struct Lag(Arc<Mutex<BTreeMap<TopicPartition, u64>>>);

impl Lag {
    /// The records that were there and had not been read, over all partitions, as of about a second ago. With
    /// `read_committed`, those of open transactions do not count.
    pub fn records(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// A partition is not read any more.
    pub(super) fn forget(&self, partition: &TopicPartition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }

    /// Takes note of what a consumer says. Returns how many records it is behind.
    pub(super) fn update(&self, statistics: &Statistics) -> u64 {
        let mut behind = 0;
        let mut lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, statistics) in &statistics.topics {
            for partition in statistics.partitions.values() {
                if let Some(lag) = lag(partition) {
                    behind += lag;
                    lags.insert(TopicPartition::new(topic, partition.partition), lag);
                }
            }
        }
        behind
    }
}

/// Unknown offsets are negative.
fn lag(partition: &Partition) -> Option<u64> {
    let read = if partition.app_offset >= 0 { partition.app_offset } else { partition.next_offset };
    let known = partition.ls_offset >= 0 && read >= 0;
    known.then(|| u64::try_from(partition.ls_offset - read).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_what_is_there_and_not_read() {
        let at = |app_offset, next_offset, ls_offset| {
            lag(&Partition { app_offset, next_offset, ls_offset, ..Partition::default() })
        };
        assert_eq!(at(70, 90, 100), Some(30));
        assert_eq!(at(-1001, 90, 100), Some(10), "nothing handed out yet");
        assert_eq!(at(70, 90, -1001), None);
        assert_eq!(at(100, 100, 99), Some(0), "figures of different moments");
    }
}
