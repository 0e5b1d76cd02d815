//! The settings of the broker.

use crate::settings::Given;
use crate::settings::definition::{Definition, Kind, boolean, int, list, long, nearest, other, unset};
use crate::settings::topic::{self, CLEANUP, COMPRESSION, FOREVER, MIN_SEGMENT, RATIO, TIMESTAMPS};
use crate::settings::values::Values;

const ANY_INT: Kind = Kind::Int(i32::MIN, i32::MAX);
/// Nothing is in a second place, so that is what replication has to say.
const ONE: Kind = Kind::Int(1, 1);

/// What is fixed when the broker starts.
#[rustfmt::skip]
const STATIC: &[Definition] = &[
    boolean("auto.create.topics.enable", "true", "Whether asking for a topic may create it."),
    other("broker.id", ONE, "1", "The number of the only node."),
    long("connections.max.idle.ms", "600000", i64::MIN, "How long a connection may be idle before it is closed."),
    other("default.replication.factor", ONE, "1", "Copies of a topic that is created without saying how many."),
    boolean("delete.topic.enable", "true", "Whether topics may be deleted."),
    int("fetch.max.bytes", "57671680", 1024, "Bytes of the longest answer to a fetch, but for one batch."),
    int("group.consumer.heartbeat.interval.ms", "5000", 1, "How often members of consumer groups report."),
    int("group.consumer.max.heartbeat.interval.ms", "15000", 1, "The most that a group may set as its heartbeat interval."),
    int("group.consumer.max.session.timeout.ms", "60000", 1, "The most that a group may set as its session timeout."),
    int("group.consumer.max.size", "2147483647", 1, "Members that a consumer group may have."),
    int("group.consumer.min.heartbeat.interval.ms", "5000", 1, "The least that a group may set as its heartbeat interval."),
    int("group.consumer.min.session.timeout.ms", "45000", 1, "The least that a group may set as its session timeout."),
    int("group.consumer.session.timeout.ms", "45000", 1, "After what silence a member of a consumer group is gone."),
    // Kafka's default is 3000, but what it comes with for trying it out says 0, as it should be on one machine.
    int("group.initial.rebalance.delay.ms", "0", 0, "How long an empty classic group waits for more members."),
    int("group.max.session.timeout.ms", "1800000", i32::MIN, "The longest session timeout of a classic group's member."),
    int("group.max.size", "2147483647", 1, "Members that a classic group may have."),
    int("group.min.session.timeout.ms", "6000", i32::MIN, "The shortest session timeout of a classic group's member."),
    unset("log.dirs", Kind::Text, "The folder that everything is kept in; none for memory."),
    boolean("log.cleaner.enable", "true", "Whether topics are compacted that say so."),
    long("log.flush.scheduler.interval.ms", FOREVER, i64::MIN, "flush.ms of a topic, where log.flush.interval.ms is not set."),
    long("log.retention.check.interval.ms", "300000", 1, "How often to look for records that are to be deleted."),
    int("log.retention.hours", "168", i32::MIN, "retention.ms of a topic in hours, where neither ms nor minutes are set."),
    unset("log.retention.minutes", ANY_INT, "retention.ms of a topic in minutes, where log.retention.ms is not set."),
    int("log.roll.hours", "168", 1, "segment.ms of a topic in hours, where log.roll.ms is not set."),
    int("log.roll.jitter.hours", "0", 0, "segment.jitter.ms of a topic in hours, where log.roll.jitter.ms is not set."),
    int("max.incremental.fetch.session.cache.slots", "1000", 0, "Fetch sessions that are remembered."),
    other("node.id", ONE, "1", "The number of the only node."),
    other("num.partitions", Kind::Int(1, topic_partitions()), "1", "Partitions of a topic that is created without saying how many."),
    int("offset.metadata.max.bytes", "4096", i32::MIN, "Bytes of the text that may be committed with an offset."),
    long("offsets.retention.check.interval.ms", "600000", 1, "How often to look for offsets that are to be forgotten."),
    int("offsets.retention.minutes", "10080", 1, "How long offsets are kept after the last member of their group has gone."),
    other("offsets.topic.replication.factor", ONE, "1", "Copies of what groups commit."),
    // Kafka's default is -1, which is no limit.
    long("queued.max.request.bytes", "268435456", i64::MIN, "Bytes of all requests that are read at a time; one of any length fits. Not above 0 is no limit."),
    int("socket.request.max.bytes", "104857600", 1, "Bytes of the longest request that is read."),
    int("transaction.max.timeout.ms", "900000", 1, "The longest timeout that a transactional producer may ask for."),
    other("transaction.state.log.min.isr", ONE, "1", "Copies that a step of a transaction must be written to."),
    other("transaction.state.log.replication.factor", ONE, "1", "Copies of the steps of transactions."),
    int("transactional.id.expiration.ms", "604800000", 1, "After how long a transactional id that nobody uses is forgotten."),
];

/// What can be altered while the broker runs.
#[rustfmt::skip]
const DYNAMIC: &[Definition] = &[
    int("compression.gzip.level", "-1", -1, "compression.gzip.level of a topic that does not say."),
    int("compression.lz4.level", "9", 1, "compression.lz4.level of a topic that does not say."),
    other("compression.type", COMPRESSION, "producer", "compression.type of a topic that does not say."),
    int("compression.zstd.level", "3", -131_072, "compression.zstd.level of a topic that does not say."),
    long("log.cleaner.backoff.ms", "15000", 0, "How often to look for logs to compact, after there were none."),
    long("log.cleaner.delete.retention.ms", "86400000", 0, "delete.retention.ms of a topic that does not say."),
    long("log.cleaner.max.compaction.lag.ms", FOREVER, 1, "max.compaction.lag.ms of a topic that does not say."),
    other("log.cleaner.min.cleanable.ratio", RATIO, "0.5", "min.cleanable.dirty.ratio of a topic that does not say."),
    long("log.cleaner.min.compaction.lag.ms", "0", 0, "min.compaction.lag.ms of a topic that does not say."),
    other("log.cleanup.policy", CLEANUP, "delete", "cleanup.policy of a topic that does not say."),
    long("log.flush.interval.messages", FOREVER, 1, "flush.messages of a topic that does not say."),
    unset("log.flush.interval.ms", Kind::Long(0, i64::MAX), "flush.ms of a topic that does not say."),
    int("log.index.interval.bytes", "4096", 0, "index.interval.bytes of a topic that does not say."),
    int("log.index.size.max.bytes", "10485760", 4, "segment.index.bytes of a topic that does not say."),
    long("log.local.retention.bytes", "-2", -2, "local.retention.bytes of a topic that does not say."),
    long("log.local.retention.ms", "-2", -2, "local.retention.ms of a topic that does not say."),
    long("log.message.timestamp.after.max.ms", "3600000", 0, "message.timestamp.after.max.ms of a topic that does not say."),
    long("log.message.timestamp.before.max.ms", FOREVER, 0, "message.timestamp.before.max.ms of a topic that does not say."),
    other("log.message.timestamp.type", TIMESTAMPS, "CreateTime", "message.timestamp.type of a topic that does not say."),
    boolean("log.preallocate", "false", "preallocate of a topic that does not say."),
    long("log.retention.bytes", "-1", i64::MIN, "retention.bytes of a topic that does not say."),
    unset("log.retention.ms", Kind::Long(i64::MIN, i64::MAX), "retention.ms of a topic that does not say."),
    unset("log.roll.jitter.ms", Kind::Long(0, i64::MAX), "segment.jitter.ms of a topic that does not say."),
    unset("log.roll.ms", Kind::Long(1, i64::MAX), "segment.ms of a topic that does not say."),
    int("log.segment.bytes", "1073741824", MIN_SEGMENT, "segment.bytes of a topic that does not say."),
    long("log.segment.delete.delay.ms", "60000", 0, "file.delete.delay.ms of a topic that does not say."),
    int("max.connections", "1000", 0, "Connections served at a time; further ones are closed at once."),
    int("max.connections.per.ip", "2147483647", 0, "Connections of one address served at a time; further ones are closed at once."),
    int("message.max.bytes", "1048588", 0, "max.message.bytes of a topic that does not say."),
    int("min.insync.replicas", "1", 1, "min.insync.replicas of a topic that does not say."),
    int("producer.id.expiration.ms", "86400000", 1, "After how long the sequence numbers of an idle producer are forgotten."),
    boolean("unclean.leader.election.enable", "false", "unclean.leader.election.enable of a topic that does not say."),
];

const fn topic_partitions() -> i32 {
    crate::topics::MAX_PARTITIONS
}

/// All settings.
pub(crate) fn definitions() -> impl Iterator<Item = &'static Definition> {
    STATIC.iter().chain(DYNAMIC)
}

/// The setting of that name.
pub(crate) fn find(name: &str) -> Option<&'static Definition> {
    definitions().find(|definition| definition.name == name)
}

/// The settings of the broker as they are now. Never changed: an alteration makes another one.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "groups, transactions and the server take them up one by one")]
pub(crate) struct BrokerSettings {
    values: Values,
    pub(crate) auto_create_topics: bool,
    pub(crate) delete_topics: bool,
    pub(crate) num_partitions: i32,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_ip: usize,
    pub(crate) connections_max_idle_ms: i64,
    pub(crate) queued_max_request_bytes: i64,
    pub(crate) max_request_bytes: usize,
    pub(crate) fetch_max_bytes: usize,
    pub(crate) fetch_sessions: usize,
    pub(crate) retention_check_interval_ms: i64,
    pub(crate) cleaner_enable: bool,
    pub(crate) cleaner_backoff_ms: i64,
    pub(crate) offset_metadata_max_bytes: usize,
    pub(crate) offsets_retention_ms: i64,
    pub(crate) offsets_retention_check_interval_ms: i64,
    pub(crate) group_min_session_timeout_ms: i32,
    pub(crate) group_max_session_timeout_ms: i32,
    pub(crate) group_initial_rebalance_delay_ms: i32,
    pub(crate) group_max_size: usize,
    pub(crate) consumer_group_max_size: usize,
    pub(crate) consumer_session_timeout_ms: i32,
    pub(crate) consumer_heartbeat_interval_ms: i32,
    pub(crate) producer_id_expiration_ms: i64,
    pub(crate) transaction_max_timeout_ms: i32,
    pub(crate) transactional_id_expiration_ms: i64,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self::read(Values::new(definitions(), |_| None))
    }
}

impl BrokerSettings {
    /// Checks what was given; of several layers, the first that has a setting counts.
    pub(crate) fn new(layers: &[&Given]) -> Result<Self, String> {
        let mut checked = Given::new();
        for (name, value) in layers.iter().rev().flat_map(|layer| layer.iter()) {
            let definition = find(name).ok_or_else(|| unknown(name))?;
            checked.insert(name.clone(), definition.check(value)?);
        }
        let settings = Self::read(Values::new(definitions(), |name| checked.get(name).cloned()));
        settings.consistent()?;
        Ok(settings)
    }

    /// Reads values that have been checked.
    fn read(values: Values) -> Self {
        Self {
            auto_create_topics: values.get("auto.create.topics.enable"),
            delete_topics: values.get("delete.topic.enable"),
            num_partitions: values.get("num.partitions"),
            max_connections: values.get("max.connections"),
            max_connections_per_ip: values.get("max.connections.per.ip"),
            connections_max_idle_ms: values.get("connections.max.idle.ms"),
            queued_max_request_bytes: values.get("queued.max.request.bytes"),
            max_request_bytes: values.get("socket.request.max.bytes"),
            fetch_max_bytes: values.get("fetch.max.bytes"),
            fetch_sessions: values.get("max.incremental.fetch.session.cache.slots"),
            retention_check_interval_ms: values.get("log.retention.check.interval.ms"),
            cleaner_enable: values.get("log.cleaner.enable"),
            cleaner_backoff_ms: values.get("log.cleaner.backoff.ms"),
            offset_metadata_max_bytes: usize::try_from(values.get::<i32>("offset.metadata.max.bytes"))
                .unwrap_or(0),
            offsets_retention_ms: values.get::<i64>("offsets.retention.minutes") * 60_000,
            offsets_retention_check_interval_ms: values.get("offsets.retention.check.interval.ms"),
            group_min_session_timeout_ms: values.get("group.min.session.timeout.ms"),
            group_max_session_timeout_ms: values.get("group.max.session.timeout.ms"),
            group_initial_rebalance_delay_ms: values.get("group.initial.rebalance.delay.ms"),
            group_max_size: values.get("group.max.size"),
            consumer_group_max_size: values.get("group.consumer.max.size"),
            consumer_session_timeout_ms: values.get("group.consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: values.get("group.consumer.heartbeat.interval.ms"),
            producer_id_expiration_ms: values.get("producer.id.expiration.ms"),
            transaction_max_timeout_ms: values.get("transaction.max.timeout.ms"),
            transactional_id_expiration_ms: values.get("transactional.id.expiration.ms"),
            values,
        }
    }

    /// Whether settings fit together that limit one another.
    fn consistent(&self) -> Result<(), String> {
        for (least, most) in [
            ("group.min.session.timeout.ms", "group.max.session.timeout.ms"),
            ("group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms"),
            ("group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"),
            ("group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
            ("group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"),
        ] {
            if self.values.get::<i32>(least) > self.values.get(most) {
                return Err(format!("{most} must be greater than or equal to {least}"));
            }
        }
        for name in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
            if self.values.text(name).is_some() && !matches!(self.values.get(name), -1 | 1i64..) {
                return Err(format!("{name} must be unlimited (-1) or, equal or greater than 1"));
            }
        }
        Ok(())
    }

    /// What holds, set or not.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.text(name)
    }

    /// What a topic has that does not say itself.
    pub(super) fn default_of_topic(&self, name: &str) -> Option<String> {
        topic::from_broker(name).iter().find_map(|(name, factor)| {
            let value = self.value(name)?;
            if *factor == 1 {
                return Some(value.to_owned());
            }
            let scaled = value.parse::<i64>().ok()?.saturating_mul(*factor);
            Some(scaled.max(-1).to_string())
        })
    }

    /// The words of a setting that has several.
    #[allow(dead_code, reason = "for listeners and mechanisms")]
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        list(self.value(name).unwrap_or_default())
    }
}

fn unknown(name: &str) -> String {
    match nearest(name, definitions().map(|definition| definition.name)) {
        Some(near) => format!("Unknown broker setting {name:?}; did you mean {near:?}?"),
        None => format!("Unknown broker setting {name:?}; this broker does not have it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<BrokerSettings, String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        BrokerSettings::new(&[&given])
    }

    #[test]
    fn what_is_not_given_has_its_default_and_every_default_is_valid() {
        let defaults = settings(&[]).unwrap();
        for definition in definitions() {
            assert_eq!(defaults.value(definition.name), definition.default);
            if let Some(default) = definition.default {
                assert_eq!(definition.check(default).as_deref(), Ok(default), "{}", definition.name);
            }
        }
        assert_eq!(defaults.offsets_retention_ms, 7 * 24 * 3_600_000);
    }

    #[test]
    fn the_first_layer_counts() {
        let layer = |value: &str| Given::from([("num.partitions".to_owned(), value.to_owned())]);
        let settings = BrokerSettings::new(&[&Given::new(), &layer("3"), &layer("4")]).unwrap();
        assert_eq!(settings.num_partitions, 3);
    }

    #[test]
    fn what_would_not_be_obeyed_is_refused_with_a_hint() {
        for (name, value, hint) in [
            ("log.retension.ms", "1", "did you mean \"log.retention.ms\"?"),
            ("zookeeper.connect", "x", "does not have it"),
            ("num.partitions", "0", "Value must be at least 1"),
            ("default.replication.factor", "3", "Value must be no more than 1"),
            ("log.retention.ms", "0", "must be unlimited"),
            ("group.min.session.timeout.ms", "1800001", "greater than or equal"),
        ] {
            let error = settings(&[(name, value)]).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }
}
