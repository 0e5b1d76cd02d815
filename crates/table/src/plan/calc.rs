//! Projections and filters.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, SchemaRef};
use datafusion_common::{DFSchema, TableReference};
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;

use super::{Filter, Planned, Traits, Translator, chunk_schema};
use crate::error::SqlError;
use crate::needs::{self, Need};
use crate::operators::{Calc, Steady};

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
    let traits = traits_of(&input.traits, expressions, input_schema);
    if input.traits.retracts && expressions.iter().any(Expr::is_volatile) {
        let (input, schema_of_input, expressions) = steady(translator, input, input_schema, expressions)?;
        let planned = columns(translator, input, &schema_of_input, &expressions, schema)?;
        return Ok(planned.knowing(traits));
    }
    let physical = expressions.iter().map(|expression| translator.physical(expression, input_schema));
    let physical: Arc<[_]> = physical.collect::<Result<Vec<_>, _>>()?.into();
    let names: Vec<String> = expressions.iter().map(ToString::to_string).collect();
    let select = names.join(", ");
    // Rows that are filtered first are so by the same operator: what it does not read is not copied.
    let (what, filter, input) = match (&input.filter, &input.inputs[..]) {
        (Some(filter), [below]) => (
            format!("Calc(select=[{select}], where=[{}])", filter.text),
            Some(filter.condition.clone()),
            below.clone(),
        ),
        _ => (format!("Calc(select=[{select}])"), None, input),
    };
    let (of, out) = (input.schema.clone(), schema.clone());
    let (read, condition) = (physical.clone(), filter.clone());
    let width = of.fields().len();
    let planned = Planned::new(what, vec![input], schema, traits, move |building, inputs| {
        let calc = Calc::new(filter.clone(), &physical, &building.needed(), &of, out.clone())?;
        Ok(inputs[0].apply("calc", calc))
    });
    Ok(planned.reading(move |needed| {
        let mut below = vec![Need::No; width];
        condition.iter().for_each(|condition| needs::reads(condition, &Need::All, &mut below));
        read.iter().zip(needed).for_each(|(column, need)| needs::reads(column, need, &mut below));
        vec![below]
    }))
}

/// The input with the values of all expressions that are other each time, which a row keeps until it is taken back; and the expressions
/// over that.
fn steady(
    translator: &Translator<'_>,
    input: Arc<Planned>,
    schema: &DFSchema,
    expressions: &[Expr],
) -> Result<(Arc<Planned>, DFSchema, Vec<Expr>), SqlError> {
    let width = input.schema.fields().len();
    let (mut made, mut rewritten) = (Vec::new(), Vec::new());
    let mut fields: Vec<(Option<TableReference>, FieldRef)> =
        schema.iter().map(|(of, field)| (of.cloned(), field.clone())).collect();
    for expression in expressions {
        if !expression.is_volatile() {
            rewritten.push(expression.clone());
            continue;
        }
        let name = format!("$made{}", made.len());
        fields.push((None, Arc::new(Field::new(&name, expression.get_type(schema)?, true))));
        rewritten.push(Expr::Column(datafusion_common::Column::new_unqualified(name)));
        made.push(expression.clone());
    }
    let physical = made.iter().map(|expression| translator.physical(expression, schema));
    let physical = physical.collect::<Result<Vec<_>, _>>()?;
    let schema_with = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    let out = chunk_schema(&schema_with);
    // What a row is known by: a key, or all that it is.
    let key = input.traits.keys.first().filter(|key| !key.is_empty()).cloned();
    let key = key.unwrap_or_else(|| (0..width).collect());
    let names: Vec<String> = made.iter().map(ToString::to_string).collect();
    let what = format!("Steady(key={key:?}, select=[{}])", names.join(", "));
    let (traits, ttl, of) = (input.traits.clone(), translator.ttl(&input.traits), out.clone());
    let planned = Planned::new(what, vec![input], out, traits, move |building, inputs| {
        let operator = Steady::new(key.clone(), physical.clone(), of.clone()).map_err(super::arrow)?;
        let keyed = building.keyed(&inputs[0], &key, &of)?;
        Ok(keyed.apply("steady", operator.with_ttl(ttl)).identity(&building.identity()))
    });
    Ok((planned, schema_with, rewritten))
}

/// The rows for which `predicate` is true.
pub(super) fn filter(
    translator: &Translator<'_>,
    input: Arc<Planned>,
    schema: &DFSchema,
    predicate: &Expr,
) -> Result<Arc<Planned>, SqlError> {
    if input.traits.retracts && predicate.is_volatile() {
        // Whether a row passes is remembered as any other value.
        let all = schema.columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
        let (input, with, found) = steady(translator, input, schema, std::slice::from_ref(predicate))?;
        let passing = filter(translator, input, &with, &found[0])?;
        return columns(translator, passing, &with, &all, chunk_schema(schema));
    }
    let condition = translator.physical(predicate, schema)?;
    let text = predicate.to_string();
    let what = format!("Calc(where=[{text}])");
    let (rows, traits) = (input.schema.clone(), input.traits.clone());
    let of = rows.clone();
    let filter = Filter { condition: condition.clone(), text };
    let read = condition.clone();
    let planned = Planned::new(what, vec![input], rows, traits, move |building, inputs| {
        let needed = building.needed();
        if needed.iter().all(|need| *need == Need::All) {
            return Ok(inputs[0].apply("filter", Calc::filter(condition.clone(), of.clone())));
        }
        let column = |(place, field): (usize, &FieldRef)| {
            Arc::new(Column::new(field.name(), place)) as Arc<dyn PhysicalExpr>
        };
        let columns: Vec<_> = of.fields().iter().enumerate().map(column).collect();
        let calc = Calc::new(Some(condition.clone()), &columns, &needed, &of, of.clone())?;
        Ok(inputs[0].apply("filter", calc))
    });
    let planned = planned.reading(move |needed| {
        let mut below = needed.to_vec();
        needs::reads(&read, &Need::All, &mut below);
        vec![below]
    });
    Ok(planned.filtering(filter))
}

/// The same rows; names are of no account to operators.
pub(super) fn renamed(input: Arc<Planned>, _: &DFSchema) -> Arc<Planned> {
    input
}
