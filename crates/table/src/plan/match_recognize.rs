//! Patterns of rows.

use std::sync::Arc;

use datafusion_expr::Expr;
use datafusion_physical_expr::utils::collect_columns;

use super::aggregate::Columns;
use super::rank::sort_field;
use super::{Planned, Traits, Translator, arrow, chunk_schema};
use crate::error::SqlError;
use crate::operators::{self, MatchPlan, MatchReference, OverReferences, Taken};
use crate::planner::match_recognize::{MatchRecognize, ReferenceKind};

/// Rows that follow each other in a pattern.
pub(super) fn match_recognize(
    translator: &Translator<'_>,
    node: &MatchRecognize,
) -> Result<Arc<Planned>, SqlError> {
    let input = translator.translate(&node.input)?;
    if input.traits.retracts {
        return Err(SqlError::new(
            "MATCH_RECOGNIZE is over rows that are only added, and these are taken back, too",
        ));
    }
    let schema = node.input.schema();
    let mut columns = Columns { expressions: schema.columns().into_iter().map(Expr::Column).collect() };
    let width = columns.expressions.len();
    let partition: Vec<usize> = node.partition.iter().map(|one| columns.place(one)).collect();
    let order: Vec<usize> = node.order.iter().map(|one| columns.place(&one.expr)).collect();
    let values: Vec<usize> = node.references.iter().map(|one| columns.place(&one.value)).collect();
    let traits = input.traits.clone();
    let (first, by_rowtime) = match order.first() {
        Some(first) if node.order[0].asc => (*first, traits.rowtime.contains(first)),
        _ => return Err(SqlError::new("MATCH_RECOGNIZE is ORDERed BY a time attribute first, ascending")),
    };
    if !by_rowtime && !traits.proctime.contains(&first) {
        return Err(SqlError::new("MATCH_RECOGNIZE is ORDERed BY a time attribute first, ascending")
            .help("a column with a WATERMARK, or one that is PROCTIME()"));
    }
    let rows =
        if columns.expressions.len() == width { input } else { columns.over(translator, input, schema)? };
    let physical = |expression: &Expr| -> Result<OverReferences, SqlError> {
        let made = translator.physical(expression, &node.reference_schema)?;
        let needs = collect_columns(&made).into_iter().map(|column| column.index()).collect();
        Ok((made, needs))
    };
    let conditions = node.conditions.iter().map(|condition| condition.as_ref().map(physical).transpose());
    let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
    let measures = node.measures.iter().map(physical).collect::<Result<Vec<_>, _>>()?;
    let shown: Vec<String> = node
        .conditions
        .iter()
        .zip(&node.names)
        .map(|(condition, name)| match condition {
            Some(condition) => format!("{name} AS {condition}"),
            None => name.clone(),
        })
        .collect();
    let what = format!(
        "Match(partitionBy={partition:?}, orderBy={order:?}, pattern={:?}, skip={:?}, within={:?}, define=[{}], references={:?}, measures={:?})",
        node.pattern,
        node.skip,
        node.within,
        shown.join(", "),
        node.references,
        node.measures
    );
    let sort = order.iter().zip(&node.order).skip(1);
    let order: Vec<_> = sort
        .map(|(column, sort)| (*column, sort_field(sort, rows.schema.field(*column).data_type())))
        .collect();
    let time = by_rowtime.then_some(first);
    let (of, out, references_of) =
        (rows.schema.clone(), chunk_schema(&node.schema), chunk_schema(&node.reference_schema));
    let schema = out.clone();
    let node = node.clone();
    // The times of matches are event time, or processing time, again.
    let mut traits = Traits::default();
    for (place, measure) in node.measures.iter().enumerate() {
        let place = partition.len() + place;
        match measure {
            Expr::Column(column) => {
                let of = node.reference_schema.maybe_index_of_column(column);
                if of.is_some_and(|of| node.references[of].kind == ReferenceKind::Rowtime) {
                    traits.rowtime.push(place);
                }
            }
            Expr::ScalarFunction(call) if call.name().eq_ignore_ascii_case("PROCTIME") => {
                traits.proctime.push(place);
            }
            _ => {}
        }
    }
    if !by_rowtime && node.references.iter().any(|reference| reference.kind == ReferenceKind::Rowtime) {
        return Err(SqlError::new("`MATCH_ROWTIME` is of rows that are ORDERed BY their event time"));
    }
    Ok(Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
        let reference = |(reference, column): (&crate::planner::match_recognize::Reference, &usize)| {
            let taken = match reference.kind {
                ReferenceKind::Last(by) => Taken::Last(by),
                ReferenceKind::Rowtime => Taken::Time,
                ReferenceKind::First(by) => Taken::First(by),
                ReferenceKind::Aggregate(_) => {
                    let made = reference.aggregation(*column, of.field(*column).data_type().clone())?;
                    let made = made.ok_or_else(|| SqlError::new("this aggregate is not there"))?;
                    Taken::Aggregate(Box::new(made))
                }
            };
            Ok::<_, SqlError>(MatchReference { name: reference.name, taken, column: *column })
        };
        let references = node.references.iter().zip(&values).map(reference).collect::<Result<Vec<_>, _>>()?;
        let plan = MatchPlan {
            partition: partition.clone(),
            time,
            order: order.clone(),
            pattern: node.pattern.clone(),
            skip: node.skip,
            within: node.within,
            references,
            conditions: conditions.clone(),
            measures: measures.clone(),
            input: of.clone(),
            reference_schema: references_of.clone(),
            schema: out.clone(),
        };
        let operator = operators::MatchRecognize::new(plan).map_err(arrow)?;
        Ok(building
            .keyed(&inputs[0], &partition, &of)?
            .apply("match", operator)
            .identity(&building.identity()))
    }))
}
