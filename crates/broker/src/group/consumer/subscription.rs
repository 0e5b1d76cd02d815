//! What a member wants to read, by names or by a pattern, and which topics that means at the moment.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::group::Denied;
use crate::topics::Topics;

/// Memory that a compiled pattern may take.
const MAX_BYTES: usize = 1 << 20;

/// The topics there are, as a group needs to know them.
pub(crate) trait Catalog {
    /// Another number whenever a topic has come, gone or grown.
    fn version(&self) -> u64;
    /// Id and number of partitions of a topic.
    fn find(&self, name: &str) -> Option<(Uuid, i32)>;
    /// The name of a topic.
    fn name(&self, id: Uuid) -> Option<String>;
    /// The topics whose names a pattern matches.
    fn matching(&self, pattern: &Pattern) -> Vec<(Uuid, i32)>;
}

impl Catalog for Topics {
    fn version(&self) -> u64 {
        Topics::version(self)
    }

    fn find(&self, name: &str) -> Option<(Uuid, i32)> {
        self.get(name).map(|topic| (topic.id, topic.partition_count()))
    }

    fn name(&self, id: Uuid) -> Option<String> {
        self.get_by_id(id).map(|topic| topic.name.clone())
    }

    fn matching(&self, pattern: &Pattern) -> Vec<(Uuid, i32)> {
        let matching = self.list().into_iter().filter(|topic| pattern.matches(&topic.name));
        matching.map(|topic| (topic.id, topic.partition_count())).collect()
    }
}

/// A regular expression that a whole name has to match.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Pattern {
    text: String,
    /// None for the empty text, which Kafka takes for no pattern.
    regex: Option<Regex>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, Denied> {
        let regex = if text.is_empty() {
            None
        } else {
            let whole = format!("^(?:{text})$");
            let compiled = RegexBuilder::new(&whole).size_limit(MAX_BYTES).build().map_err(|error| {
                let message =
                    format!("SubscribedTopicRegex `{text}` is not a valid regular expression: {error}.");
                Denied::new(ResponseError::InvalidRegularExpression, message)
            })?;
            Some(compiled)
        };
        Ok(Self { text: text.to_owned(), regex })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(name))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text).map_err(|denied| denied.message)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

/// What a member has subscribed to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) names: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Pattern::is_empty")]
    pub(crate) pattern: Pattern,
}

impl Subscription {
    /// The topics it means now, with how many partitions they have.
    pub(crate) fn resolve(&self, catalog: &impl Catalog) -> BTreeMap<Uuid, i32> {
        let named = self.names.iter().filter_map(|name| catalog.find(name));
        if self.pattern.is_empty() {
            return named.collect();
        }
        named.chain(catalog.matching(&self.pattern)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let pattern = Pattern::new("a|b.*").unwrap();
        let matches: Vec<&str> =
            ["a", "aa", "b", "bc", "cb", ""].into_iter().filter(|name| pattern.matches(name)).collect();
        assert_eq!(matches, ["a", "b", "bc"]);
        assert!(!Pattern::new("").unwrap().matches(""));
        let denied = Pattern::new("a(").unwrap_err();
        assert_eq!(denied.error, ResponseError::InvalidRegularExpression);
        assert!(denied.message.contains("`a(`"), "{}", denied.message);
        assert!(Pattern::new("(((a{100}){100}){100}){100}").is_err(), "it would take gigabytes");
    }
}
