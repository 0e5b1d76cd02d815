//! The settings of a topic, under Kafka's names.

use std::collections::BTreeMap;

use crate::log::partition::AppendRules;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    OneOf(&'static [&'static str]),
}

/// A setting that the broker knows and obeys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: Kind,
}

/// All settings, by name.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting { name: "max.message.bytes", default: "1048588", kind: Kind::Int },
    Setting {
        name: "message.timestamp.type",
        default: "CreateTime",
        kind: Kind::OneOf(&["CreateTime", "LogAppendTime"]),
    },
    Setting { name: "segment.bytes", default: "1073741824", kind: Kind::Int },
];

/// The settings of one topic: what was set, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct TopicConfig {
    overrides: BTreeMap<String, String>,
    rules: AppendRules,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            overrides: BTreeMap::new(),
            rules: AppendRules { max_batch_bytes: 1_048_588, segment_bytes: 1 << 30, append_time: false },
        }
    }
}

impl TopicConfig {
    /// Checks the values; the error is a sentence for the client.
    pub(crate) fn new(overrides: BTreeMap<String, String>) -> Result<Self, String> {
        let mut rules = Self::default().rules;
        for (name, value) in &overrides {
            let setting = SETTINGS
                .iter()
                .find(|setting| setting.name == name)
                .ok_or_else(|| format!("Unknown topic config name: {name}"))?;
            let invalid = || format!("Invalid value {value} for configuration {name}");
            match setting.kind {
                Kind::Int => drop(value.parse::<i32>().map_err(|_| invalid())?),
                Kind::OneOf(values) if values.contains(&value.as_str()) => {}
                Kind::OneOf(_) => return Err(invalid()),
            }
            match setting.name {
                "max.message.bytes" => rules.max_batch_bytes = value.parse().map_err(|_| invalid())?,
                "segment.bytes" => rules.segment_bytes = value.parse().map_err(|_| invalid())?,
                "message.timestamp.type" => rules.append_time = value == "LogAppendTime",
                _ => {}
            }
        }
        Ok(Self { overrides, rules })
    }

    /// What was set explicitly.
    pub(crate) fn overrides(&self) -> &BTreeMap<String, String> {
        &self.overrides
    }

    /// What an append has to obey.
    pub(crate) fn rules(&self) -> &AppendRules {
        &self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let config = |name: &str, value: &str| TopicConfig::new([(name.to_owned(), value.to_owned())].into());
        assert!(config("message.timestamp.type", "LogAppendTime").unwrap().rules().append_time);
        assert!(config("message.timestamp.type", "Sometime").is_err());
        assert!(config("max.message.bytes", "-1").is_err());
        assert!(config("no.such.thing", "1").is_err());
    }
}
