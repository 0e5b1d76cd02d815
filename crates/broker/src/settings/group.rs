//! The settings of a group.

use crate::settings::Given;
use crate::settings::broker::BrokerSettings;
use crate::settings::definition::{Definition, int};

const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const SESSION: &str = "consumer.session.timeout.ms";

/// All settings, by name.
pub(crate) const DEFINITIONS: &[Definition] = &[
    int(HEARTBEAT, "5000", 1, "How often members of the consumer group report."),
    int(SESSION, "45000", 1, "After what silence a member of the consumer group is gone."),
];

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.name == name)
}

/// The broker's setting that is the default of a group's.
pub(super) fn from_broker(name: &str) -> Option<&'static str> {
    match name {
        HEARTBEAT => Some("group.consumer.heartbeat.interval.ms"),
        SESSION => Some("group.consumer.session.timeout.ms"),
        _ => None,
    }
}

/// Checks the values, also against the limits that the broker sets. The error is worded as Kafka does it.
pub(super) fn check(given: Given, broker: &BrokerSettings) -> Result<Given, String> {
    let check = |(name, value): (String, String)| {
        let definition = find(&name).ok_or_else(|| format!("Unknown group config name: {name}"))?;
        Ok((name, definition.check(&value)?))
    };
    let given: Given = given.into_iter().map(check).collect::<Result<_, String>>()?;
    let group = GroupSettings::new(Some(&given), broker);
    let limits = &broker.consumer_limits;
    for (name, value, kind, (min, max)) in [
        (HEARTBEAT, group.heartbeat_interval_ms, "heartbeat.interval.ms", limits.heartbeat_interval_ms),
        (SESSION, group.session_timeout_ms, "session.timeout.ms", limits.session_timeout_ms),
    ] {
        if value < min {
            return Err(format!("{name} must be greater than or equal to group.consumer.min.{kind}"));
        }
        if value > max {
            return Err(format!("{name} must be less than or equal to group.consumer.max.{kind}"));
        }
    }
    if group.session_timeout_ms <= group.heartbeat_interval_ms {
        return Err(format!("{SESSION} must be greater than {HEARTBEAT}"));
    }
    Ok(given)
}

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
            session_timeout_ms: set(SESSION).unwrap_or(broker.consumer_session_timeout_ms),
            heartbeat_interval_ms: set(HEARTBEAT).unwrap_or(broker.consumer_heartbeat_interval_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_against_the_limits_of_the_broker() {
        let refused = |name: &str, value: &str| {
            let given = Given::from([(name.to_owned(), value.to_owned())]);
            check(given, &BrokerSettings::default()).unwrap_err()
        };
        for (name, value, message) in [
            (
                SESSION,
                "5",
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                SESSION,
                "60001",
                "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
            ),
            (
                HEARTBEAT,
                "4999",
                "consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms",
            ),
            ("consumer.session", "5", "Unknown group config name: consumer.session"),
            (
                SESSION,
                "x",
                "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT",
            ),
        ] {
            assert_eq!(refused(name, value), message);
        }
    }
}
