//! A table function for each row: `LATERAL TABLE(f(x))`, `UNNEST(x)`.

use std::sync::Arc;

use datafusion_expr::Expr;

use super::{Planned, Traits, Translator, chunk_schema};
use crate::error::SqlError;
use crate::needs::{self, Need};
use crate::operators::Correlate;
use crate::planner::table_function::TableCall;

/// The rows of the input, each with those that the function gives for it.
pub(super) fn correlate(translator: &Translator<'_>, node: &TableCall) -> Result<Arc<Planned>, SqlError> {
    if let Some(column) = node.arguments.iter().flat_map(outer_columns).next() {
        return Err(SqlError::new(format!(
            "`{}` cannot see `{column}`: a table function stands beside its table, in the same FROM",
            node.function.name
        )));
    }
    let input = translator.translate(&node.input)?;
    let of = node.input.schema();
    let arguments = node.arguments.iter().map(|argument| translator.physical(argument, of));
    let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = node.arguments.iter().map(ToString::to_string).collect();
    let what = format!(
        "Correlate(function=[{}({})], joinType=[{}])",
        node.function.name,
        names.join(", "),
        if node.outer { "LEFT" } else { "INNER" }
    );
    let schema = chunk_schema(datafusion_expr::UserDefinedLogicalNodeCore::schema(node));
    // A row that was unique stands there more than once.
    let traits = Traits { keys: Vec::new(), ..input.traits.clone() };
    let (function, outer, out, width) =
        (node.function.function.clone(), node.outer, schema.clone(), input.schema.fields().len());
    let read = arguments.clone();
    let planned = Planned::new(what, vec![input], schema, traits, move |building, inputs| {
        let needed = building.needed();
        let operator = Correlate::new(function.clone(), arguments.clone(), outer, out.clone());
        Ok(inputs[0].apply("correlate", operator.reading(&needed[..width.min(needed.len())])))
    });
    Ok(planned.reading(move |needed| {
        let mut below = needed[..width.min(needed.len())].to_vec();
        read.iter().for_each(|argument| needs::reads(argument, &Need::All, &mut below));
        vec![below]
    }))
}

fn outer_columns(expression: &Expr) -> Vec<String> {
    use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut found = Vec::new();
    let _ = expression.apply(|of| {
        if let Expr::OuterReferenceColumn(_, column) = of {
            found.push(column.flat_name());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
