//! Tables that are read.

use std::sync::Arc;

use datafusion_common::DFSchema;
use datafusion_expr::{Expr, TableScan};

use super::{Planned, Traits, Translator, calc};
use crate::catalog::table::PlannedTable;
use crate::catalog::{ColumnSource, Table};
use crate::connectors::{Changelog, Shape};
use crate::error::SqlError;
use crate::operators::ChangelogNormalize;

/// The table of a scan.
pub(super) fn table_of(scan: &TableScan) -> Result<&Arc<Table>, SqlError> {
    let table = scan.source.downcast_ref::<PlannedTable>().map(|planned| &planned.table);
    table.ok_or_else(|| SqlError::new(format!("`{}` is no table", scan.table_name)))
}

/// Reads a table.
pub(super) fn scan(translator: &Translator<'_>, scan: &TableScan) -> Result<Arc<Planned>, SqlError> {
    let ttl = scan.source.downcast_ref::<PlannedTable>().and_then(|planned| planned.state_ttl);
    let rows = source(translator, table_of(scan)?, ttl)?;
    let Some(filter) = scan.filters.iter().cloned().reduce(Expr::and) else { return Ok(rows) };
    calc::filter(translator, rows, &scan.projected_schema, &filter)
}

/// All columns of a table, which the operator that reads them keeps for `ttl` milliseconds, if a hint says so.
pub(super) fn source(
    translator: &Translator<'_>,
    table: &Arc<Table>,
    ttl: Option<i64>,
) -> Result<Arc<Planned>, SqlError> {
    let connector = translator.connectors.of(table)?.source(table, translator.settings)?;
    let changelog = connector.changelog();
    let shape = shape_of(translator, table)?;
    let proctime = table.columns.iter().enumerate().filter(|(_, column)| match &column.source {
        ColumnSource::Computed(Expr::ScalarFunction(call)) => call.name().eq_ignore_ascii_case("PROCTIME"),
        _ => false,
    });
    let key = (!table.primary_key.is_empty()).then(|| table.primary_key.clone());
    let traits = Traits {
        retracts: changelog != Changelog::Append,
        keys: key.clone().into_iter().collect(),
        rowtime: table.watermark.iter().map(|(column, _)| *column).collect(),
        proctime: proctime.map(|(index, _)| index).collect(),
        window: None,
        ttl,
    };
    let schema = shape.schema().clone();
    let what = format!("TableSource(table=[{}])", table.path);
    let name = table.path.table.clone();
    let rows = Planned::new(what, Vec::new(), schema.clone(), traits.clone(), move |building, _| {
        let shape = shape.clone().reading(&building.needed());
        Ok(connector.scan(building.graph, &name, shape)?.identity(&building.identity()))
    });
    let duplicates = translator.settings.get("table.exec.source.cdc-events-duplicate") == Some("true");
    match (changelog, key) {
        (Changelog::Upsert, None) => Err(SqlError::new(format!(
            "the table `{}` gives updates by key, so it wants a PRIMARY KEY … NOT ENFORCED",
            table.path.table
        ))),
        (Changelog::Upsert, Some(key)) => normalize(translator, rows, key),
        (Changelog::Retract, Some(key)) if duplicates => normalize(translator, rows, key),
        _ => Ok(rows),
    }
}

/// Makes full retractions of updates by key.
fn normalize(
    translator: &Translator<'_>,
    rows: Arc<Planned>,
    key: Vec<usize>,
) -> Result<Arc<Planned>, SqlError> {
    let ttl = translator.ttl(&Traits::default());
    let (schema, traits) = (rows.schema.clone(), rows.traits.clone());
    let what = format!("ChangelogNormalize(key={key:?})");
    let of = schema.clone();
    Ok(Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
        let operator = ChangelogNormalize::new(key.clone(), &of).map_err(super::arrow)?.with_ttl(ttl);
        Ok(building
            .keyed(&inputs[0], &key, &of)?
            .apply("changelog normalize", operator)
            .identity(&building.identity()))
    }))
}

/// From what is read to all columns.
pub(super) fn shape_of(translator: &Translator<'_>, table: &Table) -> Result<Shape, SqlError> {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let (read, schema) = (table.schema_of(&table.read_columns()), table.schema_of(&all));
    let read_schema = DFSchema::try_from(read.as_ref().clone())?;
    let mut columns = None;
    if read.fields().len() < all.len() {
        let value = |index: &usize| {
            let column = &table.columns[*index];
            match &column.source {
                ColumnSource::Computed(expression) => translator.physical(expression, &read_schema),
                _ => translator.physical(
                    &Expr::Column(datafusion_common::Column::new_unqualified(&column.name)),
                    &read_schema,
                ),
            }
        };
        columns = Some(all.iter().map(value).collect::<Result<Vec<_>, _>>()?.into());
    }
    let all_schema = DFSchema::try_from(schema.as_ref().clone())?;
    let watermark = match &table.watermark {
        Some((_, Expr::ScalarFunction(call))) if call.name().eq_ignore_ascii_case("SOURCE_WATERMARK") => None,
        Some((_, watermark)) => Some(translator.physical(watermark, &all_schema)?),
        None => None,
    };
    let idleness = table.option("scan.watermark.idle-timeout");
    let idleness = idleness.or(translator.settings.get("table.exec.source.idle-timeout"));
    let idleness = idleness.and_then(crate::options::duration).filter(|timeout| !timeout.is_zero());
    let needs = crate::needs::all(read.fields().len());
    Ok(Shape { read, needs: needs.into(), columns, narrow: Default::default(), schema, watermark, idleness })
}
