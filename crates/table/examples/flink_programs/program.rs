//! A program, as it stands in the file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A program.
#[derive(Debug, Deserialize)]
pub(crate) struct Program {
    pub(crate) id: String,
    pub(crate) setup: Vec<Step>,
    pub(crate) run: Vec<Step>,
}

/// A step of a program: a table, a setting or a statement, by `kind`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Step {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) schema_components: Vec<String>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) data_before_restore: Vec<Row>,
    pub(crate) data_after_restore: Vec<Row>,
    pub(crate) expected_before_restore: Vec<Row>,
    pub(crate) expected_after_restore: Vec<Row>,
    pub(crate) expected_before_restore_strings: Vec<String>,
    pub(crate) expected_after_restore_strings: Vec<String>,
    pub(crate) expected_materialized_rows: Vec<Row>,
    pub(crate) expected_materialized_strings: Vec<String>,
    pub(crate) test_changelog_data: bool,
    pub(crate) option: String,
    pub(crate) value: Value,
    pub(crate) sql: String,
}

/// A row and its kind.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) row: Vec<Value>,
}

impl Program {
    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// The tables that are read.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Step> {
        self.setup.iter().filter(|step| step.kind.starts_with("SOURCE"))
    }

    /// The tables that are written.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = &Step> {
        self.setup.iter().filter(|step| step.kind.starts_with("SINK"))
    }
}

impl Step {
    /// The key of a setting: it stands between quotes.
    pub(crate) fn key(&self) -> &str {
        self.option.split('\'').nth(1).unwrap_or(&self.option)
    }

    /// The value of a setting, as text.
    pub(crate) fn text(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl Row {
    /// Whether it takes a row back.
    pub(crate) fn is_retraction(&self) -> bool {
        self.kind == "-U" || self.kind == "-D"
    }

    /// Rows in rows stand as `{"kind", "row"}`; here they become arrays.
    pub(crate) fn values(&self) -> Vec<Value> {
        self.row.iter().map(plain).collect()
    }
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields)
            if fields.len() == 2 && fields.contains_key("kind") && fields.contains_key("row") =>
        {
            plain(&fields["row"])
        }
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}
