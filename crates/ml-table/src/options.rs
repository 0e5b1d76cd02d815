//! Options, as an algorithm reads them: each with its default, and refused where it is no such value.

use std::cell::RefCell;
use std::collections::BTreeSet;

use thalweg_table::error::SqlError;
use thalweg_table::models::ModelDefinition;

/// The options of a model, and which of them were asked for.
pub(crate) struct Options<'a> {
    definition: &'a ModelDefinition,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Options<'a> {
    pub(crate) fn new(definition: &'a ModelDefinition) -> Self {
        Self { definition, asked: RefCell::default() }
    }

    /// What it says, if it is set.
    pub(crate) fn text(&self, key: &'static str) -> Option<&'a str> {
        self.asked.borrow_mut().insert(key);
        self.definition.options.get(key).map(String::as_str)
    }

    /// A number.
    pub(crate) fn number(&self, key: &'static str, default: f64) -> Result<f64, SqlError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.wrong(format!("`{key}` is a number, and not `{text}`")))
    }

    /// A whole number, not below 0.
    pub(crate) fn whole(&self, key: &'static str, default: u32) -> Result<u32, SqlError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        text.trim()
            .parse()
            .map_err(|_| self.wrong(format!("`{key}` is a whole number, not below 0, and not `{text}`")))
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &'static str, default: bool) -> Result<bool, SqlError> {
        self.one_of(key, &[("true", true), ("false", false)], default)
    }

    /// One of some words.
    pub(crate) fn one_of<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&str, T)],
        default: T,
    ) -> Result<T, SqlError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(format!("`{key}` is one of {}, and not `{text}`", words.join(", ")))
        })
    }

    /// That something is wrong with the options.
    pub(crate) fn wrong(&self, message: String) -> SqlError {
        self.definition.wrong(message)
    }

    /// Refuses options that nobody asked for.
    pub(crate) fn finish(&self) -> Result<(), SqlError> {
        let known: Vec<&str> = self.asked.borrow().iter().copied().collect();
        self.definition.only(&known)
    }
}
