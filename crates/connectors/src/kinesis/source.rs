//! Reads the shards of a stream.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext};
use thalweg_dataflow::time::Timestamp;

use super::KinesisClient;
use super::fan_out::{ConsumerLifecycle, FanOut};
use super::reader::KinesisReader;
use crate::contract::{Guarantee, Promise, Retry};

/// A record of a stream. Its event time is when Kinesis got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KinesisRecord {
    /// The shard that it was read from.
    #[serde(with = "shard_id")]
    pub shard_id: Arc<str>,
    /// What the producer has chosen the shard by.
    pub partition_key: String,
    /// The record itself.
    pub data: Vec<u8>,
    /// Its number, which rises in its shard, with gaps.
    pub sequence_number: String,
    /// If the producer's library has put it together with others into one record: the how manieth of them it is, from 0 on. They have the same sequence number.
    pub sub_sequence_number: Option<u64>,
    /// Of such a record: what the producer has chosen the shard by, if not by the partition key. Of others Kinesis does not tell.
    pub explicit_hash_key: Option<String>,
    /// When Kinesis got it (milliseconds).
    pub arrival: Timestamp,
}

/// The name of a shard, of which all its records have the same one in memory.
mod shard_id {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        Ok(String::deserialize(from)?.into())
    }
}

/// Where a job begins that has no checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// At the oldest record that Kinesis still has.
    #[default]
    TrimHorizon,
    /// At what comes from the start of the job on, by this machine's clock.
    Latest,
    /// At the first record that came at or after this time (milliseconds).
    Timestamp(Timestamp),
}

/// Reads a stream. See the [module](super).
///
/// ```
/// use thalweg_connectors::kinesis::{KinesisSource, StartAt};
///
/// let source = KinesisSource::new("words").start_at(StartAt::Latest);
/// # let _ = source;
/// ```
#[derive(Clone, Debug)]
pub struct KinesisSource {
    pub(super) stream: String,
    pub(super) start_at: StartAt,
    pub(super) poll_every: Duration,
    pub(super) discover_every: Duration,
    pub(super) retry: Retry,
    pub(super) fan_out: Option<FanOut>,
    client: Option<KinesisClient>,
    /// The shards that have been read to their end, by whichever subtask.
    pub(super) finished: Arc<Mutex<BTreeSet<String>>>,
}

impl KinesisSource {
    /// Reads the stream of this name, or of this ARN (`arn:aws:kinesis:eu-central-1:123456789012:stream/words`), from its oldest record on.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            start_at: StartAt::default(),
            poll_every: Duration::from_millis(250),
            discover_every: Duration::from_secs(10),
            retry: Retry::new().attempts(10),
            fan_out: None,
            client: None,
            finished: Arc::default(),
        }
    }

    /// Where a job begins that has no checkpoint.
    #[must_use]
    pub fn start_at(mut self, start: StartAt) -> Self {
        self.start_at = start;
        self
    }

    /// The least time between two reads of a shard. Kinesis allows five a second, to all readers together. Default: 250 ms.
    #[must_use]
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll_every = time;
        self
    }

    /// How often to look for new shards. Default: every ten seconds, and whenever one has been read to its end.
    #[must_use]
    pub fn discover_every(mut self, time: Duration) -> Self {
        self.discover_every = time;
        self
    }

    /// How a request is tried again. Default: ten attempts.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Reads by enhanced fan-out, as the consumer of this name: the service sends records as they come, to this consumer at its full rate whoever else reads. A job may change
    /// to it, and back, at a restart.
    ///
    /// ```
    /// use thalweg_connectors::kinesis::{ConsumerLifecycle, KinesisSource};
    ///
    /// let source = KinesisSource::new("words").fan_out("counts", ConsumerLifecycle::JobManaged);
    /// # let _ = source;
    /// ```
    #[must_use]
    pub fn fan_out(mut self, consumer: &str, lifecycle: ConsumerLifecycle) -> Self {
        self.fan_out = Some(FanOut { consumer: consumer.to_owned(), lifecycle });
        self
    }

    /// With a client of one's own, instead of one of the environment's.
    #[must_use]
    pub fn client(mut self, client: KinesisClient) -> Self {
        self.client = Some(client);
        self
    }
}

impl Promise for KinesisSource {
    fn place(&self) -> String {
        format!("the Kinesis stream {}", self.stream)
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "records have sequence numbers, and stay for as long as the stream retains them".to_owned()
    }
}

impl Source for KinesisSource {
    type Item = KinesisRecord;
    type Reader = KinesisReader;

    fn identity(&self) -> String {
        self.stream.clone()
    }

    fn reader(&self, context: &SourceContext) -> Result<KinesisReader, BoxError> {
        let client = self.client.clone().map_or_else(KinesisClient::from_env, Ok)?;
        Ok(KinesisReader::new(self.clone(), client, context))
    }
}

/// Where in a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPosition {
    /// The last record that was read; empty if none was.
    pub(super) after: String,
    /// If it has several in it, and not all were read: how many were. Checkpoints of before records were taken apart do not have it.
    #[serde(default)]
    pub(super) taken: u64,
    /// If none was: the time that reading begins at; below zero: the oldest record.
    pub(super) start: Timestamp,
    /// Whether it was read to its end.
    pub(super) finished: bool,
}

#[cfg(test)]
mod tests {
    use thalweg_dataflow::state::evolution::StateEncoder;

    use super::*;

    /// A position as it was before records were taken apart.
    mod of_before {
        use serde::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize)]
        pub(super) struct ShardPosition {
            pub(super) after: String,
            pub(super) start: i64,
            pub(super) finished: bool,
        }
    }

    #[test]
    fn a_position_of_an_older_checkpoint_is_read() {
        let old = of_before::ShardPosition { after: "49590".to_owned(), start: -1, finished: true };
        let (mut encoder, mut bytes) = (StateEncoder::new(), Vec::new());
        encoder.encode(&[old], &mut bytes).unwrap();
        // As they have been written since there are such checkpoints: lengths, digits, a number, a truth.
        assert!(bytes.windows(8).any(|at| at == b"\x0549590\x01\x01"), "{bytes:?}");
        let mut read = Vec::new();
        encoder.decoder().unwrap().decode(&bytes, |position: ShardPosition| read.push(position)).unwrap();
        assert_eq!(read, [ShardPosition { after: "49590".to_owned(), taken: 0, start: -1, finished: true }]);
    }
}
