//! The settings of a group.

use crate::settings::Given;
use crate::settings::broker::BrokerSettings;
use crate::settings::definition::{Definition, int};

/// All settings, by name. The broker's that begin with `group.` are their defaults and limits.
#[allow(dead_code, reason = "for consumer groups")]
pub(crate) const DEFINITIONS: &[Definition] = &[
    int("consumer.heartbeat.interval.ms", "5000", 1, "How often members of the consumer group report."),
    int(
        "consumer.session.timeout.ms",
        "45000",
        1,
        "After what silence a member of the consumer group is gone.",
    ),
];

/// What holds for one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupSettings {
    pub(crate) session_timeout_ms: i32,
    pub(crate) heartbeat_interval_ms: i32,
}

impl GroupSettings {
    /// What was set for the group, and the broker's for the rest.
    pub(super) fn new(given: Option<&Given>, broker: &BrokerSettings) -> Self {
        let set = |name: &str| given.and_then(|given| given.get(name)?.parse().ok());
        Self {
            session_timeout_ms: set("consumer.session.timeout.ms")
                .unwrap_or(broker.consumer_session_timeout_ms),
            heartbeat_interval_ms: set("consumer.heartbeat.interval.ms")
                .unwrap_or(broker.consumer_heartbeat_interval_ms),
        }
    }
}
