//! What `SET 'key' = 'value'` sets.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::error::SqlError;

/// The settings of a session, by Flink's keys.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The value of a key, if it is set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets a key.
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
        self.0.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Forgets a key, or all.
    pub fn reset(&mut self, key: Option<&str>) {
        match key {
            Some(key) => drop(self.0.remove(key)),
            None => self.0.clear(),
        }
    }

    /// All that is set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The time zone of the session: `table.local-time-zone`, UTC unless it is set.
    pub fn time_zone(&self) -> Tz {
        self.get("table.local-time-zone").and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC)
    }
}
