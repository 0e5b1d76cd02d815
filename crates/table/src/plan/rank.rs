//! Top-N and deduplication: `WHERE row_number <= n` over a `ROW_NUMBER()`.
//!
//! | the rank is | operator |
//! |---|---|
//! | partitioned by the bounds of a window | Top-N of windows |
//! | the first `ROW_NUMBER`, of rows that are only added | deduplication |
//! | anything else | Top-N |

use std::sync::Arc;

use arrow::row::SortField;
use datafusion_common::{Column, DFSchema, ScalarValue};
use datafusion_expr::expr::{Sort, WindowFunction};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, Window, WindowFunctionDefinition};

use super::join::JoinSide;
use super::{Planned, Traits, Translator, arrow, calc, chunk_schema};
use crate::error::SqlError;
use crate::needs;
use crate::operators::{Deduplicate, Rank, RankPlan, WindowRank};
use crate::window_functions::{self, WindowFunction as Ranking};

/// What a filter asks of a rank: the first and the last that pass it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Top {
    from: u64,
    to: u64,
}

/// The rank that a column is, if it is one: down through projections and aliases.
fn rank_of<'a>(plan: &'a LogicalPlan, column: &Column) -> Option<&'a Expr> {
    let place = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = alias.input.schema().columns().into_iter().nth(place)?;
            rank_of(&alias.input, &inner)
        }
        LogicalPlan::Projection(projection) => match without_alias(&projection.expr[place]) {
            Expr::Column(inner) => rank_of(&projection.input, inner),
            _ => None,
        },
        LogicalPlan::Filter(filter) => rank_of(&filter.input, column),
        LogicalPlan::Window(window) => {
            let first = window.input.schema().fields().len();
            let expression = window.window_expr.get(place.checked_sub(first)?)?;
            ranking_of(expression).map(|_| expression)
        }
        _ => None,
    }
}

fn without_alias(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

/// The call of a rank.
fn ranking_of(expression: &Expr) -> Option<(Ranking, &WindowFunction)> {
    let Expr::WindowFunction(call) = without_alias(expression) else { return None };
    let WindowFunctionDefinition::WindowUDF(function) = &call.fun else { return None };
    match window_functions::function_of(function)? {
        rank @ (Ranking::RowNumber | Ranking::Rank | Ranking::DenseRank) => Some((rank, call)),
        _ => None,
    }
}

/// A whole number that does not change.
fn number(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Cast(cast) => number(&cast.expr),
        Expr::Literal(value, _) => match value.cast_to(&arrow::datatypes::DataType::Int64) {
            Ok(ScalarValue::Int64(number)) => number,
            _ => None,
        },
        _ => None,
    }
}

fn column(expression: &Expr) -> Option<&Column> {
    match expression {
        Expr::Cast(cast) => column(&cast.expr),
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

/// What one condition says of a rank.
fn bounds(condition: &Expr, input: &LogicalPlan) -> Option<(u64, u64)> {
    let is_rank =
        |expression: &Expr| column(expression).is_some_and(|column| rank_of(input, column).is_some());
    if let Expr::Between(between) = condition
        && !between.negated
        && is_rank(&between.expr)
    {
        return Some((number(&between.low)?.max(1) as u64, number(&between.high)?.max(0) as u64));
    }
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (op, number) = match (is_rank(left), is_rank(right)) {
        (true, false) => (*op, number(right)?),
        (false, true) => (op.swap()?, number(left)?),
        _ => return None,
    };
    Some(match op {
        Operator::Eq => (number.max(1) as u64, number.max(0) as u64),
        Operator::Lt => (1, (number - 1).max(0) as u64),
        Operator::LtEq => (1, number.max(0) as u64),
        Operator::Gt => ((number + 1).max(1) as u64, u64::MAX),
        Operator::GtEq => (number.max(1) as u64, u64::MAX),
        _ => return None,
    })
}

/// What a filter asks of a rank, if it is one over a rank, and says which is the last.
pub(super) fn matching(filter: &Filter) -> Option<Top> {
    let conditions = split_conjunction(&filter.predicate);
    let all: Vec<(u64, u64)> = conditions.into_iter().filter_map(|one| bounds(one, &filter.input)).collect();
    let from = all.iter().map(|(from, _)| *from).max()?;
    let to = all.iter().map(|(_, to)| *to).min().filter(|to| *to < u64::MAX)?;
    Some(Top { from, to })
}

/// The rows of each partition that pass the filter.
pub(super) fn filter(
    translator: &Translator<'_>,
    filter: &Filter,
    top: Top,
) -> Result<Arc<Planned>, SqlError> {
    let rows = ranked(translator, &filter.input, top)?;
    let conditions = split_conjunction(&filter.predicate);
    let others = conditions.into_iter().filter(|one| bounds(one, &filter.input).is_none());
    match others.cloned().reduce(Expr::and) {
        Some(others) => calc::filter(translator, rows, filter.input.schema(), &others),
        None => Ok(rows),
    }
}

/// A plan above a rank of which only the top goes out.
fn ranked(translator: &Translator<'_>, plan: &LogicalPlan, top: Top) -> Result<Arc<Planned>, SqlError> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => ranked(translator, &alias.input, top),
        LogicalPlan::Projection(projection) => {
            let rows = ranked(translator, &projection.input, top)?;
            calc::project(translator, rows, projection.input.schema(), &projection.expr, &projection.schema)
        }
        LogicalPlan::Window(window) => of_window(translator, window, top),
        LogicalPlan::Filter(_) => Err(SqlError::new(
            "another condition stands between a rank and the one that limits it; move it into the inner query, or out of it",
        )),
        other => Err(SqlError::new(format!("a rank over this is not there yet: {}", other.display()))),
    }
}

fn of_window(translator: &Translator<'_>, window: &Window, top: Top) -> Result<Arc<Planned>, SqlError> {
    let [expression] = &window.window_expr[..] else {
        return Err(SqlError::new(
            "a rank that is limited stands alone: no other function over rows beside it",
        ));
    };
    let Some((function, call)) = ranking_of(expression) else {
        return Err(SqlError::new("only ROW_NUMBER, RANK and DENSE_RANK are limited"));
    };
    let rows = translator.translate(&window.input)?;
    let params = &call.params;
    let order: Vec<&Sort> = params.order_by.iter().collect();
    let partition: Vec<&Expr> = params.partition_by.iter().collect();
    top_n(
        translator,
        rows,
        window.input.schema(),
        TopN { function, top, partition, order, schema: &window.schema },
    )
}

/// A Top-N to be planned.
struct TopN<'a> {
    function: Ranking,
    top: Top,
    partition: Vec<&'a Expr>,
    order: Vec<&'a Sort>,
    schema: &'a DFSchema,
}

/// How a column is sorted.
pub(super) fn sort_field(sort: &Sort, of: &arrow::datatypes::DataType) -> SortField {
    let options = arrow::compute::SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
    SortField::new_with_options(of.clone(), options)
}

/// The first rows of all, in an order.
pub(super) fn first_rows(
    translator: &Translator<'_>,
    rows: Arc<Planned>,
    input: &DFSchema,
    order: &[Sort],
    (skip, fetch): (u64, u64),
) -> Result<Arc<Planned>, SqlError> {
    let top = Top { from: skip + 1, to: skip.saturating_add(fetch) };
    let order = order.iter().collect();
    let function = Ranking::RowNumber;
    top_n(translator, rows, input, TopN { function, top, partition: Vec::new(), order, schema: input })
}

fn top_n(
    translator: &Translator<'_>,
    rows: Arc<Planned>,
    input: &DFSchema,
    TopN { function, top, partition, order, schema }: TopN<'_>,
) -> Result<Arc<Planned>, SqlError> {
    let names = |of: Vec<String>| of.join(", ");
    let by = names(partition.iter().map(ToString::to_string).collect());
    let ordered = names(order.iter().map(ToString::to_string).collect());
    let mut expressions = partition.clone();
    expressions.extend(order.iter().map(|sort| &sort.expr));
    let JoinSide { rows, key, width } = JoinSide::new(translator, rows, input, &expressions)?;
    let (partition, sorted) = key.split_at(partition.len());
    let sorted_columns = sorted;
    let partition = partition.to_vec();
    let traits = rows.traits.clone();
    // Who comes later has the later processing time: rows are in that order already.
    let by_arrival =
        matches!((sorted, &order[..]), ([time], [sort]) if traits.proctime.contains(time) && sort.asc);
    let sorted: Vec<(usize, SortField)> = match by_arrival {
        true => Vec::new(),
        false => {
            let field = |(column, sort): (&usize, &&Sort)| {
                (*column, sort_field(sort, rows.schema.field(*column).data_type()))
            };
            sorted.iter().zip(&order).map(field).collect()
        }
    };
    // The latest first, by a time attribute.
    let newest = function == Ranking::RowNumber
        && (top.from, top.to) == (1, 1)
        && !traits.retracts
        && matches!((sorted_columns, &order[..]), ([time], [sort]) if !sort.asc && traits.is_time(*time));
    let schema = chunk_schema(schema);
    let window =
        traits.window.clone().filter(|of| partition.contains(&of.start) && partition.contains(&of.end));
    let retracts = traits.retracts;
    let mut known = traits.moved(|column| (column < width).then_some(column));
    known.retracts = window.is_none() && (retracts || !(sorted.is_empty() && function == Ranking::RowNumber));
    // A rank is there once in a partition.
    if function == Ranking::RowNumber && partition.iter().all(|column| *column < width) {
        let mut unique = partition.clone();
        if top.from != top.to {
            unique.extend((schema.fields().len() > width).then_some(width));
        }
        if top.from == top.to || unique.len() > partition.len() {
            known.keys.push(unique);
        }
    }
    if window.is_none() {
        // The last row of each key by its event time is a version of the key from that time on; other ranks are of any time.
        let first = function == Ranking::RowNumber && (top.from, top.to) == (1, 1) && !retracts;
        let by_time = match &sorted[..] {
            [(only, _)] if first => traits.rowtime.contains(only),
            _ => false,
        };
        let rowtime = if by_time { known.rowtime } else { Vec::new() };
        known = Traits { rowtime, window: None, ..known };
    }
    let Top { from, to } = top;
    let kind = if window.is_some() { "WindowRank" } else { "Rank" };
    let what = format!("{kind}({function:?} {from}..={to}, partitionBy=[{by}], orderBy=[{ordered}])");
    let (input, out, ttl) = (rows.schema.clone(), schema.clone(), translator.ttl(&rows.traits));
    known.ttl = None;
    let looked_at: Vec<usize> =
        partition.iter().copied().chain(sorted.iter().map(|(column, _)| *column)).collect();
    let (columns, also) = (input.fields().len(), looked_at);
    let planned = Planned::new(what, vec![rows], schema, known, move |building, inputs| {
        let plan = RankPlan {
            function,
            from,
            to,
            partition: partition.clone(),
            order: sorted.clone(),
            retracts,
            newest,
            width,
            input: input.clone(),
            schema: out.clone(),
        };
        let keyed = building.keyed(&inputs[0], &partition, &input)?;
        Ok(match &window {
            Some(window) => {
                let operator =
                    WindowRank::new(plan, window.end, window.zone, window.processing_time).map_err(arrow)?;
                keyed.apply("window rank", operator).identity(&building.identity_of_rows())
            }
            None if Deduplicate::fits(&plan) => {
                let operator = Deduplicate::new(plan).map_err(arrow)?.with_ttl(ttl);
                keyed.apply("deduplicate", operator).identity(&building.identity_of_rows())
            }
            None => {
                let operator = Rank::new(plan).map_err(arrow)?.with_ttl(ttl);
                keyed.apply("rank", operator).identity(&building.identity_of_rows())
            }
        })
    });
    // The rank stands behind the columns, if it comes out.
    Ok(planned.reading(move |needed| {
        vec![needs::through(&needed[..width.min(needed.len())], columns, also.iter().copied())]
    }))
}
