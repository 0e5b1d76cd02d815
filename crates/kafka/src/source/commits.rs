//! The positions of committed epochs on their way to Kafka, where tools look for them. The job itself resumes
//! from its checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::consumer::ConsumerGroupMetadata;
use thalweg_dataflow::barrier::Epoch;

use crate::subscription::TopicPartition;

/// What a source tells an exactly-once sink: positions that are to be committed with the epoch, if the sink
/// writes to the same cluster.
pub(crate) struct SourceOffsets {
    /// The cluster.
    pub(crate) bootstrap: Arc<str>,
    /// The source's consumer group.
    pub(crate) group: ConsumerGroupMetadata,
    /// Its id.
    pub(crate) group_id: String,
    /// The next offset of each partition of one subtask.
    pub(crate) offsets: Vec<(TopicPartition, i64)>,
    /// To be set by the sink once they are in its transaction: then the source need not commit them.
    pub(crate) carried: Arc<AtomicBool>,
}

/// The positions at the last barrier. One is enough: the next barrier comes when this one is committed, or is
/// not to be committed by itself.
pub(super) struct Cut {
    pub(super) epoch: Epoch,
    pub(super) offsets: Vec<(TopicPartition, i64)>,
    pub(super) carried: Arc<AtomicBool>,
}

impl Cut {
    /// Whether the source has to commit the positions, now that this epoch is committed.
    pub(super) fn is_due(&self, epoch: Epoch) -> bool {
        self.epoch == epoch && !self.offsets.is_empty() && !self.carried.load(Ordering::Acquire)
    }
}
