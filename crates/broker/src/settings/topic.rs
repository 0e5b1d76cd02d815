//! The settings of a topic.

use crate::log::partition::AppendRules;
use crate::log::recompress::Compression;
use crate::settings::Given;
use crate::settings::broker::BrokerSettings;
use crate::settings::definition::{Definition, Kind, boolean, int, list, long, other, unset};
use crate::settings::values::Values;

/// What `compression.type` may be.
pub(super) const COMPRESSION: Kind =
    Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
pub(super) const CLEANUP: Kind = Kind::List(&["compact", "delete"]);
pub(super) const TIMESTAMPS: Kind = Kind::OneOf(&["CreateTime", "LogAppendTime"]);
pub(super) const RATIO: Kind = Kind::Double(0.0, 1.0);
/// The smallest segment that Kafka allows.
pub(super) const MIN_SEGMENT: i32 = 1 << 20;
/// As long as there is.
pub(super) const FOREVER: &str = "9223372036854775807";

/// All settings, by name. With one node and nothing in remote storage, some are met
/// whatever they say; they are here since clients set them and read them.
const DEFINITIONS: &[Definition] = &[
    other(
        "cleanup.policy",
        CLEANUP,
        "delete",
        "What happens to old records: they are deleted by age and size, compacted to the last of each key, or both.",
    ),
    other(
        "compression.gzip.level",
        Kind::Int(-1, 9),
        "-1",
        "The level of gzip, where the broker compresses.",
    ),
    other("compression.lz4.level", Kind::Int(1, 17), "9", "The level of lz4, where the broker compresses."),
    other(
        "compression.type",
        COMPRESSION,
        "producer",
        "How batches are compressed that come in another way; with producer they are kept as they come.",
    ),
    other(
        "compression.zstd.level",
        Kind::Int(-131_072, 22),
        "3",
        "The level of zstd, where the broker compresses.",
    ),
    long(
        "delete.retention.ms",
        "86400000",
        0,
        "How long a compacted topic keeps the marks of deleted keys, so that readers learn of them.",
    ),
    // They are gone at once; nobody can read them in between.
    long("file.delete.delay.ms", "60000", 0, "How long the file of removed records stays on disk."),
    long("flush.messages", FOREVER, 1, "Records after which the log is forced to disk."),
    long("flush.ms", FOREVER, 0, "Milliseconds after which the log is forced to disk."),
    // There are no followers to be throttled.
    other(
        "follower.replication.throttled.replicas",
        Kind::Replicas,
        "",
        "Replicas that are throttled as followers.",
    ),
    // How this broker finds its way in its files is its own affair: no client can tell.
    int("index.interval.bytes", "4096", 0, "Bytes of log between two entries of its index."),
    other(
        "leader.replication.throttled.replicas",
        Kind::Replicas,
        "",
        "Replicas that are throttled as leaders.",
    ),
    // There is no remote storage, so all that is kept is local.
    unset("internal.segment.bytes", Kind::Int(1, i32::MAX), "segment.bytes without its lower limit."),
    long(
        "local.retention.bytes",
        "-2",
        -2,
        "Bytes kept locally of what is in remote storage, which there is none of.",
    ),
    long(
        "local.retention.ms",
        "-2",
        -2,
        "How long to keep locally what is in remote storage, which there is none of.",
    ),
    long("max.compaction.lag.ms", FOREVER, 1, "The longest time that a record stays uncompacted."),
    int("max.message.bytes", "1048588", 0, "Bytes of the largest batch that is taken."),
    long(
        "message.timestamp.after.max.ms",
        "3600000",
        0,
        "How far the time of a record may be ahead of the broker's.",
    ),
    long(
        "message.timestamp.before.max.ms",
        FOREVER,
        0,
        "How far the time of a record may be behind the broker's.",
    ),
    other(
        "message.timestamp.type",
        TIMESTAMPS,
        "CreateTime",
        "Whether records bear the time that their producer gave them or that of being appended.",
    ),
    other(
        "min.cleanable.dirty.ratio",
        RATIO,
        "0.5",
        "The part of a log that must be uncompacted to be worth compacting.",
    ),
    long("min.compaction.lag.ms", "0", 0, "How long a record stays uncompacted at least."),
    // As with Kafka, never more than there are at all.
    int("min.insync.replicas", "1", 1, "Copies that must be in sync for acks=all; there is one copy."),
    // The space is not wanted for anything else; no client can tell.
    boolean("preallocate", "false", "Whether to reserve the whole file of a new segment on disk."),
    boolean(
        "remote.log.copy.disable",
        "false",
        "Whether to stop copying to remote storage, which there is none of.",
    ),
    boolean(
        "remote.log.delete.on.disable",
        "false",
        "Whether to delete from remote storage, which there is none of.",
    ),
    other(
        "remote.storage.enable",
        Kind::OneOf(&["false"]),
        "false",
        "Remote storage, which there is none of.",
    ),
    long("retention.bytes", "-1", i64::MIN, "Bytes of a partition that are kept; -1 for all."),
    long("retention.ms", "604800000", -1, "How long records are kept; -1 for ever."),
    int("segment.bytes", "1073741824", MIN_SEGMENT, "Bytes after which another file of the log is begun."),
    // As with `index.interval.bytes`.
    int("segment.index.bytes", "10485760", 4, "Bytes of the largest index of a file of the log."),
    // Nothing is among what may be taken off at random.
    long(
        "segment.jitter.ms",
        "0",
        0,
        "The most that is randomly taken off segment.ms, so that not all files end at once.",
    ),
    long("segment.ms", "604800000", 1, "Milliseconds after which another file of the log is begun."),
    // The only copy is always in sync.
    boolean(
        "unclean.leader.election.enable",
        "false",
        "Whether a copy that is not in sync may become leader.",
    ),
];

/// The settings that clients are told of: all but the internal ones, which are for tests.
pub(crate) fn described() -> impl Iterator<Item = &'static Definition> {
    DEFINITIONS.iter().filter(|definition| !definition.name.starts_with("internal."))
}

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.name == name)
}

/// The broker's settings that one of a topic is taken from, and what to multiply theirs with: the first that has a
/// value counts.
pub(crate) fn from_broker(name: &str) -> &'static [(&'static str, i64)] {
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    match name {
        "cleanup.policy" => &[("log.cleanup.policy", 1)],
        "compression.gzip.level" => &[("compression.gzip.level", 1)],
        "compression.lz4.level" => &[("compression.lz4.level", 1)],
        "compression.type" => &[("compression.type", 1)],
        "compression.zstd.level" => &[("compression.zstd.level", 1)],
        "delete.retention.ms" => &[("log.cleaner.delete.retention.ms", 1)],
        "file.delete.delay.ms" => &[("log.segment.delete.delay.ms", 1)],
        "flush.messages" => &[("log.flush.interval.messages", 1)],
        "flush.ms" => &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        "index.interval.bytes" => &[("log.index.interval.bytes", 1)],
        "local.retention.bytes" => &[("log.local.retention.bytes", 1)],
        "local.retention.ms" => &[("log.local.retention.ms", 1)],
        "max.compaction.lag.ms" => &[("log.cleaner.max.compaction.lag.ms", 1)],
        "max.message.bytes" => &[("message.max.bytes", 1)],
        "message.timestamp.after.max.ms" => &[("log.message.timestamp.after.max.ms", 1)],
        "message.timestamp.before.max.ms" => &[("log.message.timestamp.before.max.ms", 1)],
        "message.timestamp.type" => &[("log.message.timestamp.type", 1)],
        "min.cleanable.dirty.ratio" => &[("log.cleaner.min.cleanable.ratio", 1)],
        "min.compaction.lag.ms" => &[("log.cleaner.min.compaction.lag.ms", 1)],
        "min.insync.replicas" => &[("min.insync.replicas", 1)],
        "preallocate" => &[("log.preallocate", 1)],
        "retention.bytes" => &[("log.retention.bytes", 1)],
        "retention.ms" => {
            &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE), ("log.retention.hours", HOUR)]
        }
        "segment.bytes" => &[("log.segment.bytes", 1)],
        "segment.index.bytes" => &[("log.index.size.max.bytes", 1)],
        "segment.jitter.ms" => &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR)],
        "segment.ms" => &[("log.roll.ms", 1), ("log.roll.hours", HOUR)],
        "unclean.leader.election.enable" => &[("unclean.leader.election.enable", 1)],
        _ => &[],
    }
}

/// The settings of one topic: what was set on it, and what follows from that and from the broker's. Never changed:
/// an alteration makes another one.
#[derive(Debug, Clone)]
pub(crate) struct TopicConfig {
    overrides: Given,
    values: Values,
    rules: AppendRules,
    /// Whether old records are removed by age and size.
    pub(crate) delete: bool,
    /// Whether only the last record of each key is kept.
    pub(crate) compact: bool,
    /// None: for ever.
    pub(crate) retention_ms: Option<i64>,
    /// None: all.
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) delete_retention_ms: i64,
    pub(crate) min_compaction_lag_ms: i64,
    pub(crate) max_compaction_lag_ms: i64,
    pub(crate) min_cleanable_dirty_ratio: f64,
}

#[cfg(test)]
impl Default for TopicConfig {
    fn default() -> Self {
        Self::read(Given::new(), &BrokerSettings::default())
    }
}

impl TopicConfig {
    /// Checks the values; the error is a sentence for the client.
    pub(crate) fn new(overrides: Given, broker: &BrokerSettings) -> Result<Self, String> {
        let check = |(name, value): (String, String)| {
            let setting = find(&name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
            Ok((name, setting.check(&value)?))
        };
        let config = Self::read(overrides.into_iter().map(check).collect::<Result<_, String>>()?, broker);
        let (min, max) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
        if min > max {
            return Err(format!(
                "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
            ));
        }
        Ok(config)
    }

    /// Reads values that have been checked.
    fn read(overrides: Given, broker: &BrokerSettings) -> Self {
        let values = Values::new(DEFINITIONS, |name| {
            overrides.get(name).cloned().or_else(|| broker.default_of_topic(name))
        });
        let limit = |name| Some(values.get(name)).filter(|value: &i64| *value != i64::MAX);
        let kept = |name| Some(values.get(name)).filter(|value: &i64| *value >= 0);
        let policies: Vec<&str> = list(values.text("cleanup.policy").unwrap_or_default()).collect();
        Self {
            rules: AppendRules {
                max_batch_bytes: values.get("max.message.bytes"),
                segment_bytes: match values.text("internal.segment.bytes") {
                    Some(_) => values.get("internal.segment.bytes"),
                    None => values.get("segment.bytes"),
                },
                // What is appended to cannot be compacted.
                segment_ms: match policies.contains(&"compact") {
                    true => values.get::<i64>("segment.ms").min(values.get("max.compaction.lag.ms")),
                    false => values.get("segment.ms"),
                },
                flush_messages: limit("flush.messages"),
                flush_ms: limit("flush.ms"),
                append_time: values.text("message.timestamp.type") == Some("LogAppendTime"),
                timestamp_before_max_ms: values.get("message.timestamp.before.max.ms"),
                timestamp_after_max_ms: values.get("message.timestamp.after.max.ms"),
                keys_needed: policies.contains(&"compact"),
                compression: compression(&values),
            },
            delete: policies.contains(&"delete"),
            compact: policies.contains(&"compact"),
            retention_ms: kept("retention.ms"),
            retention_bytes: kept("retention.bytes").map(i64::unsigned_abs),
            delete_retention_ms: values.get("delete.retention.ms"),
            min_compaction_lag_ms: values.get("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.get("max.compaction.lag.ms"),
            min_cleanable_dirty_ratio: values.get("min.cleanable.dirty.ratio"),
            overrides,
            values,
        }
    }

    /// The same under altered settings of the broker.
    pub(crate) fn under(&self, broker: &BrokerSettings) -> Self {
        Self::read(self.overrides.clone(), broker)
    }

    /// What was set explicitly.
    pub(crate) fn overrides(&self) -> &Given {
        &self.overrides
    }

    /// What holds, set or not.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.text(name)
    }

    /// What an append has to obey.
    pub(crate) fn rules(&self) -> &AppendRules {
        &self.rules
    }
}

/// How batches are to be compressed, if not as they come.
fn compression(values: &Values) -> Option<Compression> {
    let (codec, level) = match values.text("compression.type")? {
        "uncompressed" => (0, None),
        "gzip" => (1, Some("compression.gzip.level")),
        "snappy" => (2, None),
        "lz4" => (3, Some("compression.lz4.level")),
        "zstd" => (4, Some("compression.zstd.level")),
        _ => return None,
    };
    Some(Compression { codec, level: level.map(|name| values.get(name)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(settings: &[(&str, &str)]) -> Given {
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn config(settings: &[(&str, &str)]) -> Result<TopicConfig, String> {
        TopicConfig::new(given(settings), &BrokerSettings::default())
    }

    #[test]
    fn values_are_checked() {
        assert!(config(&[("message.timestamp.type", "LogAppendTime")]).unwrap().rules().append_time);
        for (name, value) in [
            ("message.timestamp.type", "Sometime"),
            ("max.message.bytes", "-1"),
            ("segment.bytes", "1000"),
            ("compression.type", "brotli"),
            ("no.such.thing", "1"),
        ] {
            assert!(config(&[(name, value)]).is_err(), "{name}={value}");
        }
        let conflict = config(&[("min.compaction.lag.ms", "2"), ("max.compaction.lag.ms", "1")]);
        assert!(conflict.unwrap_err().starts_with("conflict topic config setting"));
    }

    #[test]
    fn defaults_are_those_of_kafka_also_through_the_broker() {
        let config = config(&[]).unwrap();
        for definition in described() {
            assert_eq!(config.value(definition.name), definition.default, "{}", definition.name);
            assert_eq!(
                definition.check(definition.default.unwrap()).as_deref(),
                Ok(definition.default.unwrap())
            );
        }
        assert_eq!((config.retention_ms, config.retention_bytes), (Some(604_800_000), None));
        assert_eq!((config.rules().flush_messages, config.rules().flush_ms), (None, None));
        assert!(config.delete && !config.compact);
    }

    #[test]
    fn the_broker_gives_what_the_topic_does_not_say() {
        let broker = |settings| BrokerSettings::new(&[&given(settings)]).unwrap();
        let minutes = broker(&[("log.retention.minutes", "2"), ("log.cleanup.policy", "compact")]);
        let config = TopicConfig::new(given(&[("segment.ms", "5")]), &minutes).unwrap();
        assert_eq!(
            (config.retention_ms, config.rules().segment_ms, config.compact),
            (Some(120_000), 5, true)
        );
        let ms = broker(&[("log.retention.minutes", "2"), ("log.retention.ms", "-1")]);
        assert_eq!(TopicConfig::new(Given::new(), &ms).unwrap().retention_ms, None);
    }
}
