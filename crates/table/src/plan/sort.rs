//! `ORDER BY` and `LIMIT`.
//!
//! With a limit, it is a Top-N of one partition; by event time, first of all, rows are held until the watermark has reached them; in any other
//! order, until the input ends, if it ends at all.

use std::sync::Arc;

use arrow::row::SortField;
use datafusion_expr::{Expr, Limit, LogicalPlan};

use super::join::JoinSide;
use super::rank::{first_rows, sort_field};
use super::{Planned, Traits, Translator, arrow};
use crate::error::SqlError;
use crate::operators;

/// Rows in order, or some of them.
pub(super) fn sort(translator: &Translator<'_>, plan: &LogicalPlan) -> Result<Arc<Planned>, SqlError> {
    match plan {
        LogicalPlan::Limit(limit) => {
            let wanted = wanted(limit)?;
            let (input, order) = match &*limit.input {
                LogicalPlan::Sort(sort) => (&sort.input, &sort.expr[..]),
                _ => (&limit.input, &[][..]),
            };
            first_rows(translator, translator.translate(input)?, input.schema(), order, wanted)
        }
        LogicalPlan::Sort(sort) => {
            if let Some(fetch) = sort.fetch {
                let rows = translator.translate(&sort.input)?;
                return first_rows(translator, rows, sort.input.schema(), &sort.expr, (0, fetch as u64));
            }
            in_order(translator, sort)
        }
        other => Err(SqlError::new(format!("this is no order: {}", other.display()))),
    }
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

fn in_order(translator: &Translator<'_>, sort: &datafusion_expr::Sort) -> Result<Arc<Planned>, SqlError> {
    let rows = translator.translate(&sort.input)?;
    let schema = rows.schema.clone();
    let order: Vec<&Expr> = sort.expr.iter().map(|sort| &sort.expr).collect();
    let JoinSide { rows, key, .. } = JoinSide::new(translator, rows, sort.input.schema(), &order)?;
    let by_time = rows.traits.rowtime.contains(&key[0]) && sort.expr[0].asc;
    let time = by_time.then_some(key[0]);
    let allowed = translator.settings.get("__table.exec.sort.non-temporal.enabled__") == Some("true");
    if !by_time && !allowed {
        return Err(SqlError::new(
            "a table that goes on for ever has no order but that of its event time, ascending",
        )
        .help("order by the column of the WATERMARK first, or add a LIMIT"));
    }
    let skipped = usize::from(by_time);
    let field = |(column, sort): (&usize, &datafusion_expr::expr::Sort)| {
        (*column, sort_field(sort, rows.schema.field(*column).data_type()))
    };
    let fields: Vec<(usize, SortField)> = key.iter().zip(&sort.expr).skip(skipped).map(field).collect();
    let names: Vec<String> = sort.expr.iter().map(ToString::to_string).collect();
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
