//! Alterations of settings, as clients ask for them.

use std::collections::HashSet;

use kafka_protocol::ResponseError;

use crate::error::Refusal;
use crate::settings::Given;
use crate::settings::definition::{Definition, Kind, list};

/// What is to become of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Set(String),
    Delete,
    /// Adds words to a list.
    Append(String),
    /// Takes words off a list.
    Subtract(String),
}

/// What is to become of the settings of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Alteration {
    /// These and no others are to be set.
    Replace(Given),
    /// What is not named stays.
    Change(Vec<(String, Operation)>),
}

impl Alteration {
    /// What shall be set, given what is. Whether the values are valid is another question.
    pub(super) fn apply(
        self,
        now: &Given,
        find: impl Fn(&str) -> Option<&'static Definition>,
    ) -> Result<Given, Refusal> {
        let operations = match self {
            Self::Replace(given) => return Ok(given),
            Self::Change(operations) => operations,
        };
        let mut altered = now.clone();
        for (name, operation) in operations {
            let words = |altered: &Given, verb: &str| -> Result<Vec<String>, Refusal> {
                let definition = find(&name);
                if !definition.is_some_and(|found| matches!(found.kind, Kind::List(_) | Kind::Replicas)) {
                    let message = format!("Can't {verb} to key {name} because its type is not LIST.");
                    return Err((ResponseError::InvalidConfig, message));
                }
                let now = altered.get(&name).map(String::as_str);
                let now = now.or_else(|| definition?.default).unwrap_or_default();
                Ok(list(now).map(str::to_owned).collect())
            };
            match operation {
                Operation::Set(value) => drop(altered.insert(name, value)),
                Operation::Delete => drop(altered.remove(&name)),
                Operation::Append(more) => {
                    let mut words = words(&altered, "APPEND")?;
                    let mut known: HashSet<String> = words.iter().cloned().collect();
                    for word in list(&more) {
                        if known.insert(word.to_owned()) {
                            words.push(word.to_owned());
                        }
                    }
                    altered.insert(name, words.join(","));
                }
                Operation::Subtract(less) => {
                    let mut words = words(&altered, "SUBTRACT")?;
                    let gone: HashSet<&str> = list(&less).collect();
                    words.retain(|word| !gone.contains(word.as_str()));
                    altered.insert(name, words.join(","));
                }
            }
        }
        Ok(altered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::definition::other;

    const POLICY: &Definition = &other("policy", Kind::List(&["compact", "delete"]), "delete", "");

    fn altered(now: &[(&str, &str)], operations: &[(&str, Operation)]) -> Result<Vec<String>, Refusal> {
        let now = now.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let operations = operations.iter().map(|(name, what)| ((*name).to_owned(), what.clone())).collect();
        let given =
            Alteration::Change(operations).apply(&now, |name| (name == POLICY.name).then_some(POLICY))?;
        Ok(given.iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn what_is_not_named_stays() {
        let set = Operation::Set("2".to_owned());
        assert_eq!(altered(&[("a", "1"), ("b", "1")], &[("b", set)]).unwrap(), ["a=1", "b=2"]);
        assert_eq!(
            altered(&[("a", "1")], &[("a", Operation::Delete), ("x", Operation::Delete)]).unwrap(),
            [""; 0]
        );
    }

    #[test]
    fn a_list_grows_from_its_default_and_has_no_word_twice() {
        let append = || Operation::Append("compact".to_owned());
        let subtract = |word: &str| Operation::Subtract(word.to_owned());
        assert_eq!(altered(&[], &[("policy", append())]).unwrap(), ["policy=delete,compact"]);
        assert_eq!(altered(&[("policy", "compact")], &[("policy", append())]).unwrap(), ["policy=compact"]);
        assert_eq!(altered(&[], &[("policy", subtract("delete"))]).unwrap(), ["policy="]);
        assert_eq!(altered(&[], &[("policy", subtract("other"))]).unwrap(), ["policy=delete"]);
        let refused = altered(&[], &[("number", append())]).unwrap_err();
        assert_eq!(refused.1, "Can't APPEND to key number because its type is not LIST.");
    }
}
