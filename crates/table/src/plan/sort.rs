//! `ORDER BY` and `LIMIT`.
//!
//! With a limit, it is a Top-N of one partition; by event time, first of all, rows are held until the watermark has reached them; in any other
//! order, until the input ends, if it ends at all.

use std::sync::Arc;

use arrow::row::SortField;
use datafusion_common::DFSchema;
use datafusion_expr::expr::Sort;
use datafusion_expr::{Expr, Limit, LogicalPlan};

use super::join::JoinSide;
use super::rank::{first_rows, sort_field};
use super::{Planned, Traits, Translator, arrow, calc};
use crate::error::SqlError;
use crate::operators;

/// Rows in order, or some of them.
pub(super) fn sort(translator: &Translator<'_>, plan: &LogicalPlan) -> Result<Arc<Planned>, SqlError> {
    match plan {
        LogicalPlan::Limit(limit) => limited(translator, &limit.input, wanted(limit)?),
        LogicalPlan::Sort(sort) => {
            if let Some(fetch) = sort.fetch {
                let rows = translator.translate(&sort.input)?;
                let rows = first_rows(translator, rows, sort.input.schema(), &sort.expr, (0, fetch as u64))?;
                return sorted_at_the_end(translator, rows, sort.input.schema(), &sort.expr);
            }
            in_order(translator, translator.translate(&sort.input)?, sort.input.schema(), &sort.expr)
        }
        other => Err(SqlError::new(format!("this is no order: {}", other.display()))),
    }
}

/// The first rows of an input, in its order if it has one.
fn limited(
    translator: &Translator<'_>,
    input: &Arc<LogicalPlan>,
    wanted: (u64, u64),
) -> Result<Arc<Planned>, SqlError> {
    let (input, order) = match &**input {
        LogicalPlan::Sort(sort) => (&sort.input, &sort.expr[..]),
        // Of rows that are in order by what is not among their columns in the end.
        LogicalPlan::Projection(projection) if matches!(&*projection.input, LogicalPlan::Sort(_)) => {
            let rows = limited(translator, &projection.input, wanted)?;
            let (below, schema) = (projection.input.schema(), &projection.schema);
            return calc::project(translator, rows, below, &projection.expr, schema);
        }
        _ => (input, &[][..]),
    };
    let rows = first_rows(translator, translator.translate(input)?, input.schema(), order, wanted)?;
    sorted_at_the_end(translator, rows, input.schema(), order)
}

fn wanted(limit: &Limit) -> Result<(u64, u64), SqlError> {
    let number = |expression: &Option<Box<Expr>>, otherwise: u64| match expression {
        None => Ok(otherwise),
        Some(expression) => {
            let value = crate::planner::constant(expression)?.cast_to(&arrow::datatypes::DataType::UInt64)?;
            u64::try_from(value).map_err(SqlError::from)
        }
    };
    Ok((number(&limit.skip, 0)?, number(&limit.fetch, u64::MAX)?))
}

/// The first rows come as they turn out to be that; when all that is read ends, they go out in their order.
fn sorted_at_the_end(
    translator: &Translator<'_>,
    rows: Arc<Planned>,
    input: &DFSchema,
    order: &[Sort],
) -> Result<Arc<Planned>, SqlError> {
    match translator.settings.is_bounded() && !order.is_empty() {
        true => in_order(translator, rows, input, order),
        false => Ok(rows),
    }
}

fn in_order(
    translator: &Translator<'_>,
    rows: Arc<Planned>,
    input: &DFSchema,
    order: &[Sort],
) -> Result<Arc<Planned>, SqlError> {
    let schema = rows.schema.clone();
    let by: Vec<&Expr> = order.iter().map(|sort| &sort.expr).collect();
    let JoinSide { rows, key, .. } = JoinSide::new(translator, rows, input, &by)?;
    let by_time = rows.traits.rowtime.contains(&key[0]) && order[0].asc;
    let time = by_time.then_some(key[0]);
    let allowed = translator.settings.get("__table.exec.sort.non-temporal.enabled__") == Some("true")
        || translator.settings.is_bounded();
    if !by_time && !allowed {
        return Err(SqlError::new(
            "a table that goes on for ever has no order but that of its event time, ascending",
        )
        .help("order by the column of the WATERMARK first, or add a LIMIT"));
    }
    let skipped = usize::from(by_time);
    let field =
        |(column, sort): (&usize, &Sort)| (*column, sort_field(sort, rows.schema.field(*column).data_type()));
    let fields: Vec<(usize, SortField)> = key.iter().zip(order).skip(skipped).map(field).collect();
    let names: Vec<String> = order.iter().map(ToString::to_string).collect();
    let what = format!("Sort(orderBy=[{}])", names.join(", "));
    let traits = Traits {
        window: None,
        ..rows.traits.moved(|column| (column < schema.fields().len()).then_some(column))
    };
    let (input, out) = (rows.schema.clone(), schema.clone());
    Ok(Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
        let operator = operators::Sort::new(time, fields.clone(), &input, out.clone()).map_err(arrow)?;
        Ok(building.keyed(&inputs[0], &[], &input)?.apply("sort", operator).identity(&building.identity()))
    }))
}
