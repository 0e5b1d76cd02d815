//! What `SET 'key' = 'value'` sets.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use thalweg_dataflow::tell;

use crate::error::SqlError;

/// The keys that something goes by, here or in the binary.
const OBEYED: [&str; 24] = [
    "table.dml-sync",
    "table.exec.state.ttl",
    "sql-client.execution.result-mode",
    "sql-client.execution.max-table-result.rows",
    "table.local-time-zone",
    "table.exec.source.cdc-events-duplicate",
    "table.exec.source.idle-timeout",
    "table.exec.emit.early-fire.enabled",
    "table.exec.emit.early-fire.delay",
    "table.exec.emit.late-fire.enabled",
    "table.exec.emit.late-fire.delay",
    "table.exec.emit.allow-lateness",
    "table.exec.sink.nested-constraint-enforcer",
    "table.exec.sink.not-null-enforcer",
    "table.exec.resource.default-parallelism",
    "parallelism.default",
    "pipeline.name",
    "execution.checkpointing.dir",
    "execution.checkpointing.interval",
    "execution.checkpointing.unaligned",
    "execution.checkpointing.unaligned.enabled",
    "execution.checkpointing.aligned-checkpoint-timeout",
    "state.checkpoints.dir",
    "execution.runtime-mode",
];

/// No key that a user can set.
const BOUNDED: &str = "$bounded";

/// The settings of a session, by Flink's keys.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The value of a key, if it is set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// After how long a barrier overtakes the records before it, if checkpoints are unaligned (`execution.checkpointing.unaligned.enabled`): at once,
    /// or after `execution.checkpointing.aligned-checkpoint-timeout`.
    pub fn unaligned_after(&self) -> Option<std::time::Duration> {
        let switch = self.get("execution.checkpointing.unaligned.enabled");
        let is_on = switch.or(self.get("execution.checkpointing.unaligned")) == Some("true");
        let timeout = self.get("execution.checkpointing.aligned-checkpoint-timeout");
        is_on.then(|| timeout.and_then(crate::options::duration).unwrap_or_default())
    }

    /// Sets a key. Of one that nothing goes by yet it is told that it has no effect.
    ///
    /// # Errors
    /// If it is a key of ours, and the value is none that it can have.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SqlError> {
        if key == "table.local-time-zone" && !value.eq_ignore_ascii_case("default") {
            value.parse::<Tz>().map_err(|_| {
                SqlError::new(format!("`{value}` is no time zone"))
                    .help("zones go by names such as `UTC` and `Europe/Berlin`")
            })?;
        }
        if key == "execution.runtime-mode" && !value.eq_ignore_ascii_case("streaming") {
            return Err(SqlError::new(format!(
                "`{key}` can be `streaming` only: there is no `{value}` mode yet"
            )));
        }
        let is_time = matches!(
            key,
            "table.exec.state.ttl"
                | "table.exec.emit.early-fire.delay"
                | "table.exec.emit.late-fire.delay"
                | "table.exec.emit.allow-lateness"
                | "execution.checkpointing.aligned-checkpoint-timeout"
        );
        let is_switch =
            matches!(key, "execution.checkpointing.unaligned" | "execution.checkpointing.unaligned.enabled");
        if is_switch && value.parse::<bool>().is_err() {
            return Err(SqlError::new(format!("`{key}` is `true` or `false`, not `{value}`")));
        }
        if is_time && crate::options::millis(value).is_none() {
            return Err(
                SqlError::new(format!("`{value}` is no length of time")).help("such as '1 h' or '30 min'")
            );
        }
        // Batches of rows are what every operator works on; how many rows one has changes nothing in what comes out.
        let only_speed = key.starts_with("table.exec.mini-batch.") || key.starts_with("table.optimizer.");
        if !only_speed && !OBEYED.contains(&key) {
            tell::warn(format_args!("the setting `{key}` has no effect: nothing goes by it yet"));
        }
        self.0.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Says that all that is read is there, and ends: aggregates then give their results once, and rows are ordered by anything.
    pub(crate) fn set_bounded(&mut self) {
        self.0.insert(BOUNDED.to_owned(), "true".to_owned());
    }

    /// Whether all that is read ends.
    pub(crate) fn is_bounded(&self) -> bool {
        self.is_on(BOUNDED)
    }

    /// Forgets a key, or all.
    pub fn reset(&mut self, key: Option<&str>) {
        match key {
            Some(key) => drop(self.0.remove(key)),
            None => self.0.retain(|key, _| key == BOUNDED),
        }
    }

    /// All that is set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let settable = self.0.iter().filter(|(key, _)| *key != BOUNDED);
        settable.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether a key is set to `true`.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The time zone of the session: `table.local-time-zone`, UTC unless it is set.
    pub fn time_zone(&self) -> Tz {
        self.get("table.local-time-zone").and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC)
    }
}
