//! A table: its columns, its key, its watermark and the options of its connector.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion_expr::TableSource;

use super::TablePath;
use crate::error::Span;
use crate::parser::TableSchema;
use crate::types::LogicalType;

/// A table of a connector.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub path: TablePath,
    /// Its columns, as they were declared.
    pub columns: Vec<Column>,
    /// The column of event time, and the watermark that follows from a row.
    pub watermark: Option<(usize, datafusion_expr::Expr)>,
    /// The columns of the primary key.
    pub primary_key: Vec<usize>,
    /// The columns it is partitioned by.
    pub partitioned_by: Vec<String>,
    /// The options of its connector.
    pub options: BTreeMap<String, String>,
    /// Where its options stand.
    pub options_at: Option<Span>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// Columns, watermark and key as they were declared.
    pub declared: TableSchema,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: LogicalType,
    /// Where its values come from.
    pub source: ColumnSource,
}

/// Where the values of a column come from.
#[derive(Clone, Debug)]
pub enum ColumnSource {
    /// The record.
    Physical,
    /// What the connector knows of the record, by this key.
    Metadata {
        /// The key.
        key: String,
        /// Not written.
        is_virtual: bool,
    },
    /// An expression over the other columns.
    Computed(datafusion_expr::Expr),
}

impl Column {
    /// As a field of Arrow's. Nothing is promised about NULLs in chunks; what must not be NULL is checked at sinks.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.to_arrow(), self.data_type.nullable)
    }
}

impl Table {
    /// The schema that queries see: all columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// The numbers of the columns that a connector reads: physical ones and metadata.
    pub fn read_columns(&self) -> Vec<usize> {
        let read = |index: &usize| !matches!(self.columns[*index].source, ColumnSource::Computed(_));
        (0..self.columns.len()).filter(read).collect()
    }

    /// The numbers of the columns that a connector writes: physical ones and metadata that is not virtual.
    pub fn written_columns(&self) -> Vec<usize> {
        let written = |index: &usize| match &self.columns[*index].source {
            ColumnSource::Physical => true,
            ColumnSource::Metadata { is_virtual, .. } => !is_virtual,
            ColumnSource::Computed(_) => false,
        };
        (0..self.columns.len()).filter(written).collect()
    }

    /// The schema of some columns; anything may be NULL in it.
    pub fn schema_of(&self, columns: &[usize]) -> SchemaRef {
        let fields = columns.iter().map(|index| self.columns[*index].field().with_nullable(true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The table, with these options in place of its own or besides.
    pub(crate) fn with_options(&self, options: &BTreeMap<String, String>) -> Self {
        // Where they stand is somewhere else.
        let mut table = Self { options_at: None, ..self.clone() };
        table.options.extend(options.iter().map(|(key, value)| (key.clone(), value.clone())));
        table
    }

    /// An option.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }
}

/// A table, as DataFusion's planner sees it.
pub(crate) struct PlannedTable {
    pub(crate) table: Arc<Table>,
    /// How long the operator that reads it keeps its rows (milliseconds), if a `STATE_TTL` hint says so.
    pub(crate) state_ttl: Option<i64>,
    pub(crate) schema: SchemaRef,
}

impl PlannedTable {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self { schema: table.schema(), state_ttl: None, table }
    }
}

impl TableSource for PlannedTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
