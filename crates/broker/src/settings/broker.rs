//! The settings of the broker.

use std::time::Duration;

use crate::settings::Given;
use crate::settings::broker_table::{definitions, find};
use crate::settings::definition::nearest;
use crate::settings::listener;
use crate::settings::topic;
use crate::settings::values::Values;

/// The settings of the broker as they are now. Never changed: an alteration makes another one.
#[derive(Debug, Clone)]
pub(crate) struct BrokerSettings {
    values: Values,
    pub(crate) auto_create_topics: bool,
    pub(crate) delete_topics: bool,
    pub(crate) num_partitions: i32,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_ip: usize,
    pub(crate) connections_max_idle_ms: i64,
    pub(crate) failed_authentication_delay: Duration,
    pub(crate) queued_max_request_bytes: i64,
    pub(crate) max_request_bytes: usize,
    pub(crate) fetch_max_bytes: usize,
    pub(crate) fetch_sessions: usize,
    pub(crate) retention_check_interval_ms: i64,
    pub(crate) cleaner_enable: bool,
    pub(crate) cleaner_backoff_ms: i64,
    pub(crate) cleaner_dedupe_buffer_size: i64,
    pub(crate) cleaner_load_factor: f64,
    pub(crate) cleaner_io_max_bytes_per_second: f64,
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
    pub(crate) consumer_limits: ConsumerLimits,
    pub(crate) may_upgrade_groups: bool,
    pub(crate) may_downgrade_groups: bool,
    pub(crate) producer_id_expiration_ms: i64,
    pub(crate) producer_id_check_interval_ms: i64,
    pub(crate) transaction_max_timeout_ms: i32,
    pub(crate) transaction_partition_verification: bool,
    pub(crate) transactional_id_expiration_ms: i64,
    pub(crate) transactional_id_check_interval_ms: i64,
}

/// Least and most of what may be set for one consumer group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsumerLimits {
    pub(crate) session_timeout_ms: (i32, i32),
    pub(crate) heartbeat_interval_ms: (i32, i32),
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
            if let Some(of_one_listener) = listener::prefixed(name) {
                of_one_listener.check(value)?;
                continue;
            }
            let definition = find(name).ok_or_else(|| unknown(name))?;
            checked.insert(name.clone(), definition.check(value)?);
        }
        let settings = Self::read(Values::new(definitions(), |name| checked.get(name).cloned()));
        settings.consistent()?;
        Ok(settings)
    }

    /// Reads values that have been checked.
    fn read(values: Values) -> Self {
        let migrations = values.text("group.consumer.migration.policy").unwrap_or_default();
        let may_upgrade_groups = matches!(migrations, "bidirectional" | "upgrade");
        let may_downgrade_groups = matches!(migrations, "bidirectional" | "downgrade");
        Self {
            auto_create_topics: values.get("auto.create.topics.enable"),
            delete_topics: values.get("delete.topic.enable"),
            num_partitions: values.get("num.partitions"),
            max_connections: values.get("max.connections"),
            max_connections_per_ip: values.get("max.connections.per.ip"),
            connections_max_idle_ms: values.get("connections.max.idle.ms"),
            failed_authentication_delay: Duration::from_millis(
                values.get("connection.failed.authentication.delay.ms"),
            ),
            queued_max_request_bytes: values.get("queued.max.request.bytes"),
            max_request_bytes: values.get("socket.request.max.bytes"),
            fetch_max_bytes: values.get("fetch.max.bytes"),
            fetch_sessions: values.get("max.incremental.fetch.session.cache.slots"),
            retention_check_interval_ms: values.get("log.retention.check.interval.ms"),
            cleaner_enable: values.get("log.cleaner.enable"),
            cleaner_backoff_ms: values.get("log.cleaner.backoff.ms"),
            cleaner_dedupe_buffer_size: values.get("log.cleaner.dedupe.buffer.size"),
            cleaner_load_factor: values.get("log.cleaner.io.buffer.load.factor"),
            cleaner_io_max_bytes_per_second: values.get("log.cleaner.io.max.bytes.per.second"),
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
            consumer_limits: ConsumerLimits {
                session_timeout_ms: (
                    values.get("group.consumer.min.session.timeout.ms"),
                    values.get("group.consumer.max.session.timeout.ms"),
                ),
                heartbeat_interval_ms: (
                    values.get("group.consumer.min.heartbeat.interval.ms"),
                    values.get("group.consumer.max.heartbeat.interval.ms"),
                ),
            },
            may_upgrade_groups,
            may_downgrade_groups,
            producer_id_expiration_ms: values.get("producer.id.expiration.ms"),
            producer_id_check_interval_ms: values.get("producer.id.expiration.check.interval.ms"),
            transaction_max_timeout_ms: values.get("transaction.max.timeout.ms"),
            transaction_partition_verification: values.get("transaction.partition.verification.enable"),
            transactional_id_expiration_ms: values.get("transactional.id.expiration.ms"),
            transactional_id_check_interval_ms: values
                .get("transaction.remove.expired.transaction.cleanup.interval.ms"),
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
        if self.cleaner_dedupe_buffer_size <= 1 << 20 {
            return Err("log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.".to_owned());
        }
        for name in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
            if self.values.text(name).is_some() && !matches!(self.values.get(name), -1 | 1i64..) {
                return Err(format!("{name} must be unlimited (-1) or, greater than or equal to 1"));
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
}

pub(super) fn unknown(name: &str) -> String {
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
            ("log.cleaner.dedupe.buffer.size", "1048576", "must be at least 1MB"),
            ("log.cleaner.threads", "2", "Value must be no more than 1"),
        ] {
            let error = settings(&[(name, value)]).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }
}
