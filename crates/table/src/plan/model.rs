//! `ML_PREDICT` and `ML_LEARN`.

use std::sync::Arc;

use datafusion_expr::Expr;

use super::{Planned, Translator, calc, chunk_schema};
use crate::error::SqlError;
use crate::models::ModelCall;
use crate::planner::model_function::ModelFunction;

/// Rows with what a model says of them.
pub(super) fn model(translator: &Translator<'_>, node: &ModelFunction) -> Result<Arc<Planned>, SqlError> {
    let input = translator.translate(&node.input)?;
    let (schema, definition) = (chunk_schema(&node.schema), &node.model.definition);
    let function = if node.learns { "ML_LEARN" } else { "ML_PREDICT" };
    if input.traits.retracts {
        return Err(SqlError::new(format!(
            "{function} takes rows that are only added; this input takes rows back"
        ))
        .help("predict before what takes rows back: an aggregate, a join, a Top-N"));
    }
    let place = |expression: &Expr| {
        let column = calc::column_of(expression, node.input.schema());
        column.ok_or_else(|| SqlError::new(format!("{function} goes by columns; `{expression}` is none")))
    };
    let places = |of: &[Expr]| of.iter().map(place).collect::<Result<Vec<usize>, _>>();
    let call = ModelCall {
        arguments: places(&node.arguments)?,
        label: node.label.as_ref().map(place).transpose()?,
        key: places(&node.partition)?,
        schema: schema.clone(),
        config: node.config.clone(),
    };
    for (column, wanted) in call.arguments.iter().zip(&definition.inputs) {
        let (found, wanted_type) = (input.schema.field(*column), wanted.data_type.to_arrow());
        if !fits(found.data_type(), &wanted_type) {
            return Err(SqlError::new(format!(
                "the model `{}` has the input `{} {}`, and the column `{}` is of another type",
                definition.path.table,
                wanted.name,
                wanted.data_type,
                found.name()
            ))
            .help("cast it in a view or subquery"));
        }
    }
    node.model.model.check(&call, node.learns)?;
    let names = |of: &[usize]| {
        of.iter().map(|column| input.schema.field(*column).name().as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut what = format!(
        "{function}(model={}, args=[{}], model id={}",
        definition.path,
        names(&call.arguments),
        node.model.model.identity()
    );
    if let Some(label) = call.label {
        what += &format!(", label={}", names(&[label]));
    }
    if !call.key.is_empty() {
        what += &format!(", partition by [{}]", names(&call.key));
    }
    if !call.config.is_empty() {
        what += &format!(", config={:?}", call.config);
    }
    what.push(')');
    let (model, learns, of) = (node.model.model.clone(), node.learns, input.schema.clone());
    let traits = input.traits.clone();
    Ok(Planned::new(what, vec![input], schema, traits, move |building, inputs| {
        if !learns {
            return model.predict(&inputs[0], &call);
        }
        let rows = building.keyed(&inputs[0], &call.key, &of)?;
        Ok(model.learn(&rows, &call)?.identity(&building.identity()))
    }))
}

/// Whether a column may be an input of this type: it is of the type, or both are numbers.
fn fits(found: &arrow::datatypes::DataType, wanted: &arrow::datatypes::DataType) -> bool {
    found == wanted || (found.is_numeric() && wanted.is_numeric())
}
