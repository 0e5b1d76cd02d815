//! Projections and filters.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;

use super::{Planned, Traits, Translator, chunk_schema};
use crate::error::SqlError;
use crate::operators::Calc;

/// The column of the input that an expression is, if it is no more than that.
pub(super) fn column_of(expression: &Expr, schema: &DFSchema) -> Option<usize> {
    match expression {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        Expr::Alias(alias) => column_of(&alias.expr, schema),
        _ => None,
    }
}

fn is_proctime(expression: &Expr) -> bool {
    match expression {
        Expr::Alias(alias) => is_proctime(&alias.expr),
        Expr::ScalarFunction(call) => call.name().eq_ignore_ascii_case("PROCTIME"),
        _ => false,
    }
}

/// What is known of these expressions over an input of which `traits` is known.
pub(super) fn traits_of(traits: &Traits, expressions: &[Expr], schema: &DFSchema) -> Traits {
    let columns: Vec<Option<usize>> =
        expressions.iter().map(|expression| column_of(expression, schema)).collect();
    let mut moved = traits.moved(|column| columns.iter().position(|from| *from == Some(column)));
    // A column that is there twice is event time twice.
    for (place, from) in columns.iter().enumerate() {
        let Some(from) = from else { continue };
        if traits.rowtime.contains(from) && !moved.rowtime.contains(&place) {
            moved.rowtime.push(place);
        }
        if traits.proctime.contains(from) && !moved.proctime.contains(&place) {
            moved.proctime.push(place);
        }
    }
    let made = (0..expressions.len()).filter(|place| is_proctime(&expressions[*place]));
    moved.proctime.extend(made);
    moved
}

/// These expressions for each row.
pub(super) fn project(
    translator: &Translator<'_>,
    input: Arc<Planned>,
    input_schema: &DFSchema,
    expressions: &[Expr],
    schema: &DFSchema,
) -> Result<Arc<Planned>, SqlError> {
    columns(translator, input, input_schema, expressions, chunk_schema(schema))
}

/// These expressions for each row, as columns of `schema`.
pub(super) fn columns(
    translator: &Translator<'_>,
    input: Arc<Planned>,
    input_schema: &DFSchema,
    expressions: &[Expr],
    schema: SchemaRef,
) -> Result<Arc<Planned>, SqlError> {
    let physical = expressions.iter().map(|expression| translator.physical(expression, input_schema));
    let physical = physical.collect::<Result<Vec<_>, _>>()?;
    let traits = traits_of(&input.traits, expressions, input_schema);
    let names: Vec<String> = expressions.iter().map(ToString::to_string).collect();
    let what = format!("Calc(select=[{}])", names.join(", "));
    let calc = Calc::new(None, Some(physical), schema.clone());
    Ok(Planned::new(what, vec![input], schema, traits, move |_, inputs| {
        Ok(inputs[0].apply("calc", calc.clone()))
    }))
}

/// The rows for which `predicate` is true.
pub(super) fn filter(
    translator: &Translator<'_>,
    input: Arc<Planned>,
    schema: &DFSchema,
    predicate: &Expr,
) -> Result<Arc<Planned>, SqlError> {
    let physical = translator.physical(predicate, schema)?;
    let what = format!("Calc(where=[{predicate}])");
    let calc = Calc::new(Some(physical), None, input.schema.clone());
    let (rows, traits) = (input.schema.clone(), input.traits.clone());
    Ok(Planned::new(what, vec![input], rows, traits, move |_, inputs| {
        Ok(inputs[0].apply("filter", calc.clone()))
    }))
}

/// The same rows; names are of no account to operators.
pub(super) fn renamed(input: Arc<Planned>, _: &DFSchema) -> Arc<Planned> {
    input
}
