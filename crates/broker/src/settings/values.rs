//! The value of every setting of a table, checked, to be read by name.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::settings::definition::Definition;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    by_name: BTreeMap<&'static str, String>,
}

impl Values {
    /// Takes what `given` has, which must have been checked, and the defaults for the rest.
    pub(super) fn new(
        definitions: impl IntoIterator<Item = &'static Definition>,
        given: impl Fn(&'static str) -> Option<String>,
    ) -> Self {
        let value = |definition: &Definition| {
            let value = given(definition.name).or_else(|| definition.default.map(str::to_owned))?;
            Some((definition.name, value))
        };
        Self { by_name: definitions.into_iter().filter_map(value).collect() }
    }

    /// The value as it is written; none if it was not given and there is no default.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// The value as a number or a truth, which it has been checked to be.
    pub(super) fn get<T: FromStr + Default>(&self, name: &str) -> T {
        let value = self.text(name).and_then(|value| value.parse().ok());
        debug_assert!(value.is_some(), "{name} is not in the table, or its kind is another");
        value.unwrap_or_default()
    }
}
