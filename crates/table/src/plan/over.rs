//! `OVER`.
//!
//! | the order is that of | operator |
//! |---|---|
//! | event time or processing time, ascending | in the order of time: each row goes out once |
//! | anything else | as a table that changes: results of rows change with those before them |

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::row::SortField;
use datafusion_expr::expr::{Sort, WindowFunction};
use datafusion_expr::{
    Expr, ExprSchemable, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use super::aggregate::{Call, Columns};
use super::rank::sort_field;
use super::{Planned, Traits, Translator, arrow, chunk_schema};
use crate::error::SqlError;
use crate::needs::{self, Need};
use crate::operators::{Frame, Over, OverCall, OverFunction, OverTable};
use crate::planner::{constant, window_function::length};
use crate::window_functions::{self, WindowFunction as Function};

/// A function, before the operator is made.
#[derive(Clone)]
enum Wanted {
    Aggregate(Call),
    RowNumber,
    Rank,
    DenseRank,
    Lag(usize, usize, Option<usize>),
}

impl Wanted {
    fn made(&self, retracts: bool) -> Result<OverFunction, SqlError> {
        Ok(match self {
            Self::Aggregate(call) => OverFunction::Aggregate(call.aggregation(retracts)?),
            Self::RowNumber => OverFunction::RowNumber,
            Self::Rank => OverFunction::Rank,
            Self::DenseRank => OverFunction::DenseRank,
            Self::Lag(column, by, otherwise) => OverFunction::Lag(*column, *by, *otherwise),
        })
    }
}

impl Wanted {
    /// The columns that it looks at.
    fn reads(&self) -> Vec<usize> {
        match self {
            Self::Aggregate(call) => call.arguments.iter().copied().chain(call.filter).collect(),
            Self::Lag(column, _, otherwise) => std::iter::once(*column).chain(*otherwise).collect(),
            _ => Vec::new(),
        }
    }
}

fn without_alias(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

/// Functions over the rows before each row.
pub(super) fn over(translator: &Translator<'_>, window: &Window) -> Result<Arc<Planned>, SqlError> {
    let input = translator.translate(&window.input)?;
    let input_schema = window.input.schema();
    let width = input.schema.fields().len();
    let mut columns = Columns { expressions: input_schema.columns().into_iter().map(Expr::Column).collect() };
    let mut calls: Vec<(Wanted, Frame, DataType)> = Vec::new();
    let mut shared: Option<(Vec<Expr>, Vec<Sort>)> = None;
    for expression in &window.window_expr {
        let Expr::WindowFunction(call) = without_alias(expression) else {
            return Err(SqlError::new(format!("`{expression}` is no function over rows")));
        };
        let params = &call.params;
        let this = (params.partition_by.clone(), params.order_by.clone());
        if shared.get_or_insert_with(|| this.clone()) != &this {
            return Err(SqlError::new("functions over different windows in one SELECT are not there yet"));
        }
        let of = expression.get_type(input_schema.as_ref())?;
        calls.push((wanted(&mut columns, call, input_schema)?, frame(&params.window_frame)?, of));
    }
    let Some((partition_by, order_by)) = shared else { return Ok(input) };
    let partition: Vec<usize> = partition_by.iter().map(|expression| columns.place(expression)).collect();
    let order: Vec<usize> = order_by.iter().map(|sort| columns.place(&sort.expr)).collect();
    let time_of = |of: &[usize]| matches!((of, &order[..], &order_by[..]), (of, [time], [sort]) if of.contains(time) && sort.asc);
    let (by_rowtime, by_proctime) = (time_of(&input.traits.rowtime), time_of(&input.traits.proctime));
    let traits = input.traits.clone();
    let names = |of: Vec<String>| of.join(", ");
    let what =
        format!("Over(select=[{}])", names(window.window_expr.iter().map(ToString::to_string).collect()));
    let rows = if columns.expressions.len() == width {
        input
    } else {
        columns.over(translator, input, input_schema)?
    };
    let (schema, of) = (chunk_schema(&window.schema), rows.schema.clone());
    let mut also: Vec<usize> = partition.iter().chain(&order).copied().collect();
    calls.iter().for_each(|(wanted, ..)| also.extend(wanted.reads()));
    let columns = of.fields().len();
    let reads = move |needed: &[Need]| {
        vec![needs::through(&needed[..width.min(needed.len())], columns, also.iter().copied())]
    };
    let mut known = traits.moved(|column| (column < width).then_some(column));
    if by_rowtime || by_proctime {
        if traits.retracts {
            return Err(SqlError::new(
                "OVER in the order of time is over rows that are only added, and these are taken back, too",
            ));
        }
        let time = by_rowtime.then(|| order[0]);
        let out = schema.clone();
        let planned = Planned::new(what, vec![rows], schema, known, move |building, inputs| {
            let operator = Over::new(partition.clone(), time, made(&calls, false)?, of.clone(), out.clone());
            let keyed = building.keyed(&inputs[0], &partition, &of)?;
            Ok(keyed.apply("over", operator.map_err(arrow)?).identity(&building.identity_of_rows()))
        });
        return Ok(planned.reading(reads));
    }
    if calls.iter().any(|(_, frame, _)| matches!(frame, Frame::Range(_))) {
        return Err(SqlError::new(
            "a RANGE that begins somewhere wants an order by a time attribute, ascending",
        ));
    }
    let field =
        |(column, sort): (&usize, &Sort)| (*column, sort_field(sort, rows.schema.field(*column).data_type()));
    let order: Vec<(usize, SortField)> = order.iter().zip(&order_by).map(field).collect();
    known = Traits { retracts: true, rowtime: Vec::new(), window: None, ..known };
    let (out, ttl) = (schema.clone(), translator.ttl(&rows.traits));
    known.ttl = None;
    let planned = Planned::new(what, vec![rows], schema, known, move |building, inputs| {
        let calls = made(&calls, true)?;
        let operator = OverTable::new(partition.clone(), order.clone(), calls, of.clone(), out.clone());
        let keyed = building.keyed(&inputs[0], &partition, &of)?;
        let operator = operator.map_err(arrow)?.with_ttl(ttl);
        Ok(keyed.apply("over table", operator).identity(&building.identity_of_rows()))
    });
    Ok(planned.reading(reads))
}

fn made(calls: &[(Wanted, Frame, DataType)], retracts: bool) -> Result<Vec<OverCall>, SqlError> {
    let made = |(wanted, frame, result): &(Wanted, Frame, DataType)| {
        let bounded = !matches!(frame, Frame::Unbounded { .. });
        Ok(OverCall { function: wanted.made(retracts || bounded)?, frame: *frame, result: result.clone() })
    };
    calls.iter().map(made).collect()
}

fn wanted(
    columns: &mut Columns,
    call: &WindowFunction,
    schema: &datafusion_common::DFSchema,
) -> Result<Wanted, SqlError> {
    let params = &call.params;
    match &call.fun {
        WindowFunctionDefinition::AggregateUDF(function) => {
            let made =
                columns.call(function, &params.args, params.filter.as_deref(), params.distinct, schema)?;
            Ok(Wanted::Aggregate(made))
        }
        WindowFunctionDefinition::WindowUDF(function) => match window_functions::function_of(function) {
            Some(Function::RowNumber) => Ok(Wanted::RowNumber),
            Some(Function::Rank) => Ok(Wanted::Rank),
            Some(Function::DenseRank) => Ok(Wanted::DenseRank),
            Some(Function::Lag) => {
                let by = match params.args.get(1) {
                    None => 1,
                    Some(by) => match constant(by)?.cast_to(&DataType::UInt64) {
                        Ok(datafusion_common::ScalarValue::UInt64(Some(by))) => by as usize,
                        _ => {
                            return Err(SqlError::new(
                                "LAG goes back by a number of rows that does not change",
                            ));
                        }
                    },
                };
                let column = columns.place(&params.args[0]);
                let otherwise = match params.args.get(2) {
                    None => None,
                    Some(value) => {
                        let of = params.args[0].get_type(schema)?;
                        Some(columns.place(&datafusion_expr::cast(value.clone(), of)))
                    }
                };
                Ok(Wanted::Lag(column, by, otherwise))
            }
            _ => Err(SqlError::new(format!("`{}` over rows that go on is not there yet", function.name()))),
        },
    }
}

fn frame(frame: &WindowFrame) -> Result<Frame, SqlError> {
    let ends_here = matches!(&frame.end_bound, WindowFrameBound::CurrentRow);
    let ends_here = ends_here
        // Of a function that has no frame, or of no order.
        || matches!(&frame.end_bound, WindowFrameBound::Following(value) if value.is_null());
    if !ends_here {
        return Err(SqlError::new("a frame ends with the CURRENT ROW: rows that follow are not known yet"));
    }
    let range = frame.units != WindowFrameUnits::Rows;
    match &frame.start_bound {
        WindowFrameBound::Preceding(value) if value.is_null() => Ok(Frame::Unbounded { range }),
        WindowFrameBound::CurrentRow if range => Ok(Frame::Range(0)),
        WindowFrameBound::CurrentRow => Ok(Frame::Rows(0)),
        WindowFrameBound::Preceding(value) if range => Ok(Frame::Range(length(value)?)),
        WindowFrameBound::Preceding(value) => match value.cast_to(&DataType::UInt64)? {
            datafusion_common::ScalarValue::UInt64(Some(rows)) => Ok(Frame::Rows(rows as usize)),
            _ => Err(SqlError::new("a frame of ROWS begins so many rows before")),
        },
        WindowFrameBound::Following(_) => Err(SqlError::new("a frame does not begin after its row")),
    }
}
