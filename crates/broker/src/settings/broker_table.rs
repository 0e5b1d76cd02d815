//! The table of the broker's settings.

use crate::settings::definition::{Definition, Kind, boolean, int, long, other, unset};
use crate::settings::listener;
use crate::settings::topic::{CLEANUP, COMPRESSION, FOREVER, MIN_SEGMENT, RATIO, TIMESTAMPS};
use crate::topics::MAX_PARTITIONS;

const ANY_INT: Kind = Kind::Int(i32::MIN, i32::MAX);
/// Nothing is in a second place, so that is what replication has to say.
const ONE: Kind = Kind::Int(1, 1);

/// What is fixed when the broker starts.
const STATIC: &[Definition] = &[
    boolean("auto.create.topics.enable", "true", "Whether asking for a topic may create it."),
    other("broker.id", ONE, "1", "The number of the only node."),
    int(
        "connection.failed.authentication.delay.ms",
        "100",
        0,
        "How long a client waits to be told that it has not proved who it is.",
    ),
    long(
        "connections.max.idle.ms",
        "600000",
        i64::MIN,
        "How long a connection may be idle before it is closed.",
    ),
    other(
        "default.replication.factor",
        ONE,
        "1",
        "Copies of a topic that is created without saying how many.",
    ),
    boolean("delete.topic.enable", "true", "Whether topics may be deleted."),
    int("fetch.max.bytes", "57671680", 1024, "Bytes of the longest answer to a fetch, but for one batch."),
    int("group.consumer.heartbeat.interval.ms", "5000", 1, "How often members of consumer groups report."),
    int(
        "group.consumer.max.heartbeat.interval.ms",
        "15000",
        1,
        "The most that a group may set as its heartbeat interval.",
    ),
    int(
        "group.consumer.max.session.timeout.ms",
        "60000",
        1,
        "The most that a group may set as its session timeout.",
    ),
    int("group.consumer.max.size", "2147483647", 1, "Members that a consumer group may have."),
    other(
        "group.consumer.migration.policy",
        Kind::OneOf(&["upgrade", "downgrade", "bidirectional", "disabled"]),
        "bidirectional",
        "Whether groups with members change from the classic protocol to the new one, and back.",
    ),
    int(
        "group.consumer.min.heartbeat.interval.ms",
        "5000",
        1,
        "The least that a group may set as its heartbeat interval.",
    ),
    int(
        "group.consumer.min.session.timeout.ms",
        "45000",
        1,
        "The least that a group may set as its session timeout.",
    ),
    int(
        "group.consumer.session.timeout.ms",
        "45000",
        1,
        "After what silence a member of a consumer group is gone.",
    ),
    // Kafka's default is 3000, but what it comes with for trying it out says 0, as it should be on one machine.
    int(
        "group.initial.rebalance.delay.ms",
        "0",
        0,
        "How long an empty classic group waits for more members.",
    ),
    int(
        "group.max.session.timeout.ms",
        "1800000",
        i32::MIN,
        "The longest session timeout of a classic group's member.",
    ),
    int("group.max.size", "2147483647", 1, "Members that a classic group may have."),
    int(
        "group.min.session.timeout.ms",
        "6000",
        i32::MIN,
        "The shortest session timeout of a classic group's member.",
    ),
    unset("log.dirs", Kind::Text, "The folder that everything is kept in; none for memory."),
    boolean("log.cleaner.enable", "true", "Whether topics are compacted that say so."),
    long(
        "log.flush.scheduler.interval.ms",
        FOREVER,
        i64::MIN,
        "flush.ms of a topic, where log.flush.interval.ms is not set.",
    ),
    long(
        "log.retention.check.interval.ms",
        "300000",
        1,
        "How often to look for records that are to be deleted.",
    ),
    int(
        "log.retention.hours",
        "168",
        i32::MIN,
        "retention.ms of a topic in hours, where neither ms nor minutes are set.",
    ),
    unset(
        "log.retention.minutes",
        ANY_INT,
        "retention.ms of a topic in minutes, where log.retention.ms is not set.",
    ),
    int("log.roll.hours", "168", 1, "segment.ms of a topic in hours, where log.roll.ms is not set."),
    int(
        "log.roll.jitter.hours",
        "0",
        0,
        "segment.jitter.ms of a topic in hours, where log.roll.jitter.ms is not set.",
    ),
    int("max.incremental.fetch.session.cache.slots", "1000", 0, "Fetch sessions that are remembered."),
    unset("node.id", ONE, "The number of the only node."),
    other(
        "num.partitions",
        Kind::Int(1, MAX_PARTITIONS),
        "1",
        "Partitions of a topic that is created without saying how many.",
    ),
    int(
        "offset.metadata.max.bytes",
        "4096",
        i32::MIN,
        "Bytes of the text that may be committed with an offset.",
    ),
    long(
        "offsets.retention.check.interval.ms",
        "600000",
        1,
        "How often to look for offsets that are to be forgotten.",
    ),
    int(
        "offsets.retention.minutes",
        "10080",
        1,
        "How long offsets are kept after the last member of their group has gone.",
    ),
    other("offsets.topic.replication.factor", ONE, "1", "Copies of what groups commit."),
    // Kafka's default is -1, which is no limit.
    long(
        "queued.max.request.bytes",
        "268435456",
        i64::MIN,
        "Bytes of all requests that are read at a time; one of any length fits. Not above 0 is no limit.",
    ),
    int(
        "producer.id.expiration.check.interval.ms",
        "600000",
        1,
        "How often to look for producers whose sequence numbers may be forgotten.",
    ),
    int("socket.request.max.bytes", "104857600", 1, "Bytes of the longest request that is read."),
    int(
        "transaction.max.timeout.ms",
        "900000",
        1,
        "The longest timeout that a transactional producer may ask for.",
    ),
    int(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        "3600000",
        1,
        "How often to look for transactional ids that nobody uses.",
    ),
    other(
        "transaction.state.log.min.isr",
        ONE,
        "1",
        "Copies that a step of a transaction must be written to.",
    ),
    other("transaction.state.log.replication.factor", ONE, "1", "Copies of the steps of transactions."),
    int(
        "transactional.id.expiration.ms",
        "604800000",
        1,
        "After how long a transactional id that nobody uses is forgotten.",
    ),
];

/// What can be altered while the broker runs.
const DYNAMIC: &[Definition] = &[
    other(
        "compression.gzip.level",
        Kind::Int(-1, 9),
        "-1",
        "compression.gzip.level of a topic that does not say.",
    ),
    other(
        "compression.lz4.level",
        Kind::Int(1, 17),
        "9",
        "compression.lz4.level of a topic that does not say.",
    ),
    other("compression.type", COMPRESSION, "producer", "compression.type of a topic that does not say."),
    other(
        "compression.zstd.level",
        Kind::Int(-131_072, 22),
        "3",
        "compression.zstd.level of a topic that does not say.",
    ),
    long(
        "log.cleaner.backoff.ms",
        "15000",
        0,
        "How often to look for logs to compact, after there were none.",
    ),
    long(
        "log.cleaner.dedupe.buffer.size",
        "134217728",
        i64::MIN,
        "Bytes of memory for the keys of a log that is compacted.",
    ),
    long(
        "log.cleaner.delete.retention.ms",
        "86400000",
        0,
        "delete.retention.ms of a topic that does not say.",
    ),
    other(
        "log.cleaner.io.buffer.load.factor",
        Kind::Double(0.0, 1.0),
        "0.9",
        "How full log.cleaner.dedupe.buffer.size gets.",
    ),
    // A megabyte is read and written at a time; no client can tell.
    int("log.cleaner.io.buffer.size", "524288", 0, "Bytes that compaction reads and writes at a time."),
    other(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Double(1.0, f64::MAX),
        "1.7976931348623157E308",
        "Bytes that compaction reads and writes in a second at most.",
    ),
    long(
        "log.cleaner.max.compaction.lag.ms",
        FOREVER,
        1,
        "max.compaction.lag.ms of a topic that does not say.",
    ),
    other(
        "log.cleaner.min.cleanable.ratio",
        RATIO,
        "0.5",
        "min.cleanable.dirty.ratio of a topic that does not say.",
    ),
    long("log.cleaner.min.compaction.lag.ms", "0", 0, "min.compaction.lag.ms of a topic that does not say."),
    other("log.cleaner.threads", ONE, "1", "Threads that compact."),
    other("log.cleanup.policy", CLEANUP, "delete", "cleanup.policy of a topic that does not say."),
    long("log.flush.interval.messages", FOREVER, 1, "flush.messages of a topic that does not say."),
    unset("log.flush.interval.ms", Kind::Long(0, i64::MAX), "flush.ms of a topic that does not say."),
    int("log.index.interval.bytes", "4096", 0, "index.interval.bytes of a topic that does not say."),
    int("log.index.size.max.bytes", "10485760", 4, "segment.index.bytes of a topic that does not say."),
    long("log.local.retention.bytes", "-2", -2, "local.retention.bytes of a topic that does not say."),
    long("log.local.retention.ms", "-2", -2, "local.retention.ms of a topic that does not say."),
    long(
        "log.message.timestamp.after.max.ms",
        "3600000",
        0,
        "message.timestamp.after.max.ms of a topic that does not say.",
    ),
    long(
        "log.message.timestamp.before.max.ms",
        FOREVER,
        0,
        "message.timestamp.before.max.ms of a topic that does not say.",
    ),
    other(
        "log.message.timestamp.type",
        TIMESTAMPS,
        "CreateTime",
        "message.timestamp.type of a topic that does not say.",
    ),
    boolean("log.preallocate", "false", "preallocate of a topic that does not say."),
    long("log.retention.bytes", "-1", i64::MIN, "retention.bytes of a topic that does not say."),
    unset("log.retention.ms", Kind::Long(i64::MIN, i64::MAX), "retention.ms of a topic that does not say."),
    unset("log.roll.jitter.ms", Kind::Long(0, i64::MAX), "segment.jitter.ms of a topic that does not say."),
    unset("log.roll.ms", Kind::Long(1, i64::MAX), "segment.ms of a topic that does not say."),
    int("log.segment.bytes", "1073741824", MIN_SEGMENT, "segment.bytes of a topic that does not say."),
    long("log.segment.delete.delay.ms", "60000", 0, "file.delete.delay.ms of a topic that does not say."),
    // Kafka takes 0 as well, and then nobody can connect to take it back.
    int("max.connections", "2147483647", 1, "Connections served at a time; further ones are closed at once."),
    int(
        "max.connections.per.ip",
        "2147483647",
        1,
        "Connections of one address served at a time; further ones are closed at once.",
    ),
    int("message.max.bytes", "1048588", 0, "max.message.bytes of a topic that does not say."),
    int("min.insync.replicas", "1", 1, "min.insync.replicas of a topic that does not say."),
    int(
        "producer.id.expiration.ms",
        "86400000",
        1,
        "After how long the sequence numbers of an idle producer are forgotten.",
    ),
    boolean(
        "transaction.partition.verification.enable",
        "true",
        "Whether records of a transaction are refused that does not know of their partition.",
    ),
    boolean(
        "unclean.leader.election.enable",
        "false",
        "unclean.leader.election.enable of a topic that does not say.",
    ),
];

/// All settings.
pub(crate) fn definitions() -> impl Iterator<Item = &'static Definition> {
    STATIC.iter().chain(DYNAMIC).chain(listener::OF_ALL).chain(listener::OF_ONE)
}

/// The setting of that name.
pub(crate) fn find(name: &str) -> Option<&'static Definition> {
    definitions().find(|definition| definition.name == name)
}

/// Whether nobody may be told the value of that setting; also if it is not known, since it may be misspelled.
pub(crate) fn is_secret(name: &str) -> bool {
    listener::prefixed(name).or_else(|| find(name)).is_none_or(Definition::is_sensitive)
}

/// Whether it can be altered while the broker runs.
pub(crate) fn is_dynamic(name: &str) -> bool {
    DYNAMIC.iter().any(|definition| definition.name == name)
}

/// The names under which this setting can be given, in other units too: the first that has a value counts.
pub(super) fn also_named(name: &'static str) -> Vec<&'static str> {
    const SEVERAL: [&[&str]; 4] = [
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    ];
    SEVERAL.iter().find(|names| names.contains(&name)).map_or_else(|| vec![name], |names| names.to_vec())
}
