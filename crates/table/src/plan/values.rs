//! Rows that stand in the query.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, concat};
use arrow::datatypes::SchemaRef;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;

use super::{Planned, Traits, Translator, arrow, chunk_schema};
use crate::chunk::Chunk;
use crate::error::SqlError;

fn of_batch(what: String, rows: RecordBatch) -> Arc<Planned> {
    let schema = rows.schema();
    let chunk = Chunk::additions(rows);
    Planned::new(what, Vec::new(), schema, Traits::default(), move |building, _| {
        let chunks = if chunk.is_empty() { Vec::new() } else { vec![chunk.clone()] };
        let source = CollectionSource::new(chunks);
        Ok(building
            .graph
            .source("values", source, WatermarkStrategy::no_watermarks())
            .identity(&building.identity()))
    })
}

/// `VALUES (…), (…)`.
pub(super) fn values(
    translator: &Translator<'_>,
    rows: &[Vec<Expr>],
    schema: &DFSchema,
) -> Result<Arc<Planned>, SqlError> {
    let (schema, nothing) = (chunk_schema(schema), DFSchema::empty());
    let one = one_row(nothing.inner().clone(), true)?;
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (column, field) in schema.fields().iter().enumerate() {
        let mut values = Vec::new();
        for row in rows {
            let value = translator.physical(&row[column], &nothing)?.evaluate(&one)?.into_array(1)?;
            values.push(cast(&value, field.data_type()).map_err(arrow)?);
        }
        let values: Vec<_> = values.iter().map(|value| value.as_ref()).collect();
        columns.push(concat(&values).map_err(arrow)?);
    }
    let what = format!(
        "Values({})",
        rows.iter()
            .map(|row| {
                format!("({})", row.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            })
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(of_batch(what, RecordBatch::try_new(schema, columns).map_err(arrow)?))
}

/// A row without columns, or nothing.
pub(super) fn constant(one: bool, schema: &DFSchema) -> Arc<Planned> {
    let schema = chunk_schema(schema);
    let rows = one_row(schema.clone(), one && schema.fields().is_empty());
    of_batch(
        format!("Values(rows={})", u8::from(one)),
        rows.unwrap_or_else(|_| RecordBatch::new_empty(schema)),
    )
}

fn one_row(schema: SchemaRef, one: bool) -> Result<RecordBatch, SqlError> {
    if !schema.fields().is_empty() {
        return Ok(RecordBatch::new_empty(schema));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(usize::from(one)));
    RecordBatch::try_new_with_options(schema, Vec::new(), &options).map_err(arrow)
}
