//! Columns of a table, and of which connector it is.

use std::collections::BTreeMap;

use super::expression::{quoted, text};

/// The columns, watermark and key of a table, in the words of `CREATE TABLE`.
///
/// ```
/// use thalweg_table::api::Schema;
///
/// let schema = Schema::new_builder()
///     .column("word", "STRING")
///     .column_by_metadata("rowtime", "TIMESTAMP_LTZ(3)")
///     .watermark("rowtime", "SOURCE_WATERMARK()")
///     .build();
/// assert_eq!(
///     schema.to_string(),
///     "`word` STRING, `rowtime` TIMESTAMP_LTZ(3) METADATA, WATERMARK FOR `rowtime` AS SOURCE_WATERMARK()"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    lines: Vec<String>,
}

impl std::fmt::Display for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines.join(", "))
    }
}

impl Schema {
    /// Begins with no column.
    pub fn new_builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }
}

/// Builds a [`Schema`].
#[derive(Clone, Debug, Default)]
pub struct SchemaBuilder {
    schema: Schema,
}

impl SchemaBuilder {
    fn line(mut self, line: String) -> Self {
        self.schema.lines.push(line);
        self
    }

    /// A column of the records.
    #[must_use]
    pub fn column(self, name: &str, data_type: &str) -> Self {
        self.line(format!("{} {data_type}", quoted(name)))
    }

    /// A column that is computed.
    #[must_use]
    pub fn column_by_expression(self, name: &str, expression: &str) -> Self {
        self.line(format!("{} AS {expression}", quoted(name)))
    }

    /// What the connector knows of a record, by the name of the column. A stream knows `rowtime`.
    #[must_use]
    pub fn column_by_metadata(self, name: &str, data_type: &str) -> Self {
        self.line(format!("{} {data_type} METADATA", quoted(name)))
    }

    /// The watermark; `SOURCE_WATERMARK()` is that of the stream.
    #[must_use]
    pub fn watermark(self, column: &str, expression: &str) -> Self {
        self.line(format!("WATERMARK FOR {} AS {expression}", quoted(column)))
    }

    /// What no two rows have in common.
    #[must_use]
    pub fn primary_key(self, columns: &[&str]) -> Self {
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        self.line(format!("PRIMARY KEY ({}) NOT ENFORCED", columns.join(", ")))
    }

    /// The schema.
    pub fn build(self) -> Schema {
        self.schema
    }
}

/// A table of a connector.
///
/// ```
/// use thalweg_table::api::{Schema, TableDescriptor};
///
/// let made = TableDescriptor::for_connector("datagen")
///     .schema(Schema::new_builder().column("n", "INT").build())
///     .option("number-of-rows", "3")
///     .build();
/// ```
#[derive(Clone, Debug)]
pub struct TableDescriptor {
    schema: Schema,
    options: BTreeMap<String, String>,
    partitioned_by: Vec<String>,
}

/// Builds a [`TableDescriptor`].
#[derive(Clone, Debug)]
pub struct TableDescriptorBuilder(TableDescriptor);

impl TableDescriptor {
    /// A table of this connector.
    pub fn for_connector(connector: &str) -> TableDescriptorBuilder {
        let options = BTreeMap::from([("connector".to_owned(), connector.to_owned())]);
        TableDescriptorBuilder(Self { schema: Schema::default(), options, partitioned_by: Vec::new() })
    }

    /// The statement that makes the table.
    pub(super) fn create(&self, path: &str) -> String {
        let options = self.options.iter().map(|(key, value)| format!("{} = {}", text(key), text(value)));
        let partitions: Vec<String> = self.partitioned_by.iter().map(|name| quoted(name)).collect();
        let partitions = match partitions.is_empty() {
            true => String::new(),
            false => format!(" PARTITIONED BY ({})", partitions.join(", ")),
        };
        format!(
            "CREATE TEMPORARY TABLE {path} ({}){partitions} WITH ({})",
            self.schema,
            options.collect::<Vec<_>>().join(", ")
        )
    }
}

impl TableDescriptorBuilder {
    /// With these columns.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.0.schema = schema;
        self
    }

    /// With this option.
    #[must_use]
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.0.options.insert(key.to_owned(), value.to_owned());
        self
    }

    /// In this format.
    #[must_use]
    pub fn format(self, format: &str) -> Self {
        self.option("format", format)
    }

    /// In partitions by these columns.
    #[must_use]
    pub fn partitioned_by(mut self, columns: &[&str]) -> Self {
        self.0.partitioned_by = columns.iter().map(|column| (*column).to_owned()).collect();
        self
    }

    /// The descriptor.
    pub fn build(self) -> TableDescriptor {
        self.0
    }
}
