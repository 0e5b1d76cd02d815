use std::sync::Arc;
use std::time::Duration;

use super::{Deserializer, KafkaSource, Settings};
use crate::config::KafkaProperties;
use crate::error::{BoxError, KafkaError};
use crate::offsets::{OffsetResetStrategy, OffsetsInitializer};
use crate::record::{BadRecordPolicy, ConsumerRecord, KafkaDeserializer};
use crate::subscription::{Subscription, TopicPartition};

/// How often an unbounded source looks for new partitions, unless it is told otherwise.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(300);

/// Builds a [`KafkaSource`]. What must be set is what to read ([`set_topics`](Self::set_topics) or one of its
/// kin) and how ([`set_deserializer`](Self::set_deserializer)).
#[must_use = "a builder does nothing by itself"]
pub struct KafkaSourceBuilder<D> {
    properties: KafkaProperties,
    subscription: Option<Result<Subscription, KafkaError>>,
    group: Option<String>,
    starting: OffsetsInitializer,
    stopping: Option<OffsetsInitializer>,
    reset: OffsetResetStrategy,
    bad_records: BadRecordPolicy,
    discovery: Option<Duration>,
    max_rate: Option<u64>,
    commits: bool,
    deserializer: D,
}

impl KafkaSource<()> {
    /// Begins a source that reads from the cluster at `bootstrap`: one address `host:port`, or several with
    /// commas between.
    pub fn builder(bootstrap: impl Into<String>) -> KafkaSourceBuilder<()> {
        KafkaSourceBuilder {
            properties: KafkaProperties::new(bootstrap),
            subscription: None,
            group: None,
            starting: OffsetsInitializer::Earliest,
            stopping: None,
            reset: OffsetResetStrategy::None,
            bad_records: BadRecordPolicy::default(),
            discovery: None,
            max_rate: None,
            commits: true,
            deserializer: (),
        }
    }
}

impl<D> KafkaSourceBuilder<D> {
    /// Reads all partitions of these topics. One that is not there is an error.
    pub fn set_topics<S: Into<String>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.subscription = Some(Ok(Subscription::topics(topics)));
        self
    }

    /// Reads all topics whose whole name matches this regular expression, also those that come into being
    /// later. Kafka's own (`__consumer_offsets` …) never match.
    pub fn set_topic_pattern(mut self, pattern: &str) -> Self {
        self.subscription = Some(Subscription::pattern(pattern));
        self
    }

    /// Reads these partitions.
    pub fn set_partitions(mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Self {
        self.subscription = Some(Ok(Subscription::partitions(partitions)));
        self
    }

    /// The consumer group under which offsets are committed. Default: the job's id.
    pub fn set_group_id(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Where a job begins that has no checkpoint; one that has resumes from it. Default: at the oldest record.
    /// Partitions that are discovered while the job runs, or that were added while it did not, are read from
    /// their oldest record.
    pub fn set_starting_offsets(mut self, starting: OffsetsInitializer) -> Self {
        self.starting = starting;
        self
    }

    /// Where to go on in a partition whose position is not in the log any more, with a checkpoint and without, at the start and
    /// while the job runs: its records were deleted before they were read (`retention.ms`, `delete-records`), the log is shorter
    /// than it was, or the topic was deleted and made anew. Kafka's `auto.offset.reset`, Flink's `OffsetResetStrategy`.
    ///
    /// Default: [`OffsetResetStrategy::None`], so that the job fails and says what is lost. `Earliest` goes on at the oldest record
    /// that is there, `Latest` behind the newest; both are logged as warnings. Offsets of the group go on as
    /// [`OffsetsInitializer::committed_offsets`] says, if it says earliest or latest.
    ///
    /// A topic is known by its id. Where the cluster gives none (Kafka before 2.8), one that was made anew is noticed only when its
    /// log does not reach to the position. While the job runs, topics are looked at once a second; what was read of a new one before
    /// that is read again.
    pub fn set_offset_reset_strategy(mut self, strategy: OffsetResetStrategy) -> Self {
        self.reset = strategy;
        self
    }

    /// The same in Spark's word: `true` fails, which is the default; `false` goes on at the oldest record that is there, as
    /// [`OffsetResetStrategy::Earliest`].
    pub fn set_fail_on_data_loss(self, fails: bool) -> Self {
        self.set_offset_reset_strategy(if fails {
            OffsetResetStrategy::None
        } else {
            OffsetResetStrategy::Earliest
        })
    }

    /// Ends the source at these offsets, which are looked up when the job starts for the first time, and again
    /// when it is started after it has reached them. Default: it never ends.
    ///
    /// An offset that the log has not reached yet is waited for. Offsets by partition must name every partition that is read.
    pub fn set_bounded(mut self, stopping: OffsetsInitializer) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// What becomes of records that the deserializer refuses. Default: the job fails.
    pub fn set_bad_record_policy(mut self, policy: BadRecordPolicy) -> Self {
        self.bad_records = policy;
        self
    }

    /// How often to look for new topics and partitions. Default: every 5 minutes. A bounded source does not look.
    pub fn set_partition_discovery_interval(mut self, interval: Duration) -> Self {
        self.discovery = Some(interval);
        self
    }

    /// Reads at most so many records per second from each partition. Default: as fast as they come.
    pub fn set_max_rate_per_partition(mut self, records_per_second: u64) -> Self {
        self.max_rate = Some(records_per_second);
        self
    }

    /// Whether the offsets of each checkpoint (without checkpoints: of each batch) are committed under the
    /// group, for tools that show how far the job is. Default: yes.
    pub fn set_commit_offsets_on_checkpoint(mut self, commits: bool) -> Self {
        self.commits = commits;
        self
    }

    /// Sets a property of librdkafka; see [`config`](crate::config).
    pub fn set_property(mut self, property: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.set(property, value);
        self
    }

    /// How records are read: the same as [`set_deserializer`](Self::set_deserializer), for a closure whose types are then known, and that may use
    /// `?`.
    ///
    /// ```
    /// use thalweg_kafka::KafkaSource;
    ///
    /// let source = KafkaSource::builder("localhost:9092").set_topics(["numbers"]).set_deserializer_fn(|record| {
    ///     let text = std::str::from_utf8(record.value.unwrap_or_default())?;
    ///     Ok((text.parse::<i64>()?, record.offset))
    /// });
    /// # source.build()?;
    /// # Ok::<(), thalweg_kafka::KafkaError>(())
    /// ```
    pub fn set_deserializer_fn<T: 'static>(
        self,
        deserializer: impl Fn(&ConsumerRecord<'_>) -> Result<T, BoxError> + Send + Sync + 'static,
    ) -> KafkaSourceBuilder<Deserializer<T>> {
        self.set_deserializer(deserializer)
    }

    /// How records are read.
    pub fn set_deserializer<T>(
        self,
        deserializer: impl KafkaDeserializer<T> + 'static,
    ) -> KafkaSourceBuilder<Deserializer<T>> {
        let Self { properties, subscription, group, starting, stopping, reset, .. } = self;
        let Self { bad_records, discovery, max_rate, commits, .. } = self;
        KafkaSourceBuilder {
            properties,
            subscription,
            group,
            starting,
            stopping,
            reset,
            bad_records,
            discovery,
            max_rate,
            commits,
            deserializer: Deserializer::new(deserializer),
        }
    }
}

impl<T> KafkaSourceBuilder<Deserializer<T>> {
    /// The source. It asks the cluster nothing before the job starts.
    ///
    /// # Errors
    /// Settings and properties that are missing, wrong, or contradict each other.
    pub fn build(self) -> Result<KafkaSource<T>, KafkaError> {
        let wrong = |property: &str, reason: &str| KafkaError::Property {
            property: property.to_owned(),
            reason: reason.to_owned(),
        };
        let subscription = self.subscription.unwrap_or_else(|| {
            Err(wrong("topics", "say what to read, with set_topics, set_topic_pattern or set_partitions"))
        })?;
        if self.max_rate == Some(0) {
            return Err(wrong("max_rate_per_partition", "nothing would ever be read; set 1 or more"));
        }
        let discovery = match (self.discovery, &self.stopping, &subscription) {
            (Some(_), Some(_), _) => {
                let reason = "a bounded source reads the partitions that are there when it starts; leave one of both out";
                return Err(wrong("partition_discovery_interval", reason));
            }
            (_, Some(_), _) | (None, _, Subscription::Partitions(_)) => None,
            (Some(_), None, Subscription::Partitions(_)) => {
                let reason = "a source that was given its partitions finds no others; leave one of both out";
                return Err(wrong("partition_discovery_interval", reason));
            }
            (interval, None, _) => Some(interval.unwrap_or(DISCOVERY_INTERVAL)),
        };
        self.properties.check_consumer()?;
        let settings = Settings {
            properties: self.properties,
            subscription,
            group: self.group,
            starting: self.starting,
            stopping: self.stopping,
            reset: self.reset,
            bad_records: self.bad_records,
            discovery,
            max_rate: self.max_rate,
            commits: self.commits,
        };
        Ok(KafkaSource {
            settings: Arc::new(settings),
            deserializer: self.deserializer,
            lag: Default::default(),
            offset_ranges: Default::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::values;

    fn build(
        set: impl Fn(KafkaSourceBuilder<()>) -> KafkaSourceBuilder<()>,
    ) -> Result<KafkaSource<String>, String> {
        set(KafkaSource::builder("localhost:1"))
            .set_deserializer(values::<String>())
            .build()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_missing_or_contradictory_is_said_before_the_job_starts() {
        assert!(build(|builder| builder.set_topics(["t"])).is_ok());
        let refused = |set: &dyn Fn(KafkaSourceBuilder<()>) -> KafkaSourceBuilder<()>, part: &str| {
            let error = build(set).err().unwrap();
            assert!(error.contains(part), "{error}");
        };
        refused(&|builder| builder, "set_topics");
        refused(&|builder| builder.set_topic_pattern("("), "'('");
        refused(&|builder| builder.set_topics(["t"]).set_max_rate_per_partition(0), "set 1 or more");
        refused(
            &|builder| {
                let bounded = builder.set_topics(["t"]).set_bounded(OffsetsInitializer::latest());
                bounded.set_partition_discovery_interval(Duration::from_secs(1))
            },
            "bounded source",
        );
        refused(&|builder| builder.set_topics(["t"]).set_property("group.id", "g"), "set_group_id");
        refused(&|builder| builder.set_topics(["t"]).set_property("no.such.thing", "1"), "'no.such.thing'");
    }
}
