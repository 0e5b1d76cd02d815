//! `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL …))` and its kin: windows as a table function.
//!
//! Before: a call in `FROM`. After: a node that adds `window_start`, `window_end` and `window_time` to the columns of its input.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError, Result, ScalarValue, plan_err};
use datafusion_expr::planner::RelationPlannerContext;
use datafusion_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, TableFactor};

use super::constant;
use crate::operators::WindowSpec;

/// A window function over its input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WindowFunction {
    pub(crate) input: LogicalPlan,
    pub(crate) spec: WindowSpec,
    /// The column of time.
    pub(crate) time: Expr,
    /// What sessions are kept apart by.
    pub(crate) partition: Vec<Expr>,
    pub(crate) schema: DFSchemaRef,
}

/// The arguments of a call, by name where they are named.
pub(super) struct Arguments<'a> {
    pub(super) name: String,
    pub(super) arguments: Vec<(Option<String>, &'a ast::Expr)>,
}

impl<'a> Arguments<'a> {
    pub(super) fn of(call: &'a ast::Function) -> Result<Self> {
        let name = call.name.to_string().to_uppercase();
        let FunctionArguments::List(list) = &call.args else {
            return plan_err!("`{name}` takes a table, and columns of it");
        };
        let mut arguments = Vec::new();
        for argument in &list.args {
            arguments.push(match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (None, value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    (Some(name.value.to_uppercase()), value)
                }
                FunctionArg::ExprNamed { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    (Some(name.to_string().to_uppercase()), value)
                }
                other => return plan_err!("`{other}` is no argument of `{name}`"),
            });
        }
        Ok(Self { name, arguments })
    }

    /// The argument of this name, or at this place.
    pub(super) fn get(&self, name: &str, place: usize) -> Option<&'a ast::Expr> {
        let named = self.arguments.iter().find(|(known, _)| known.as_deref() == Some(name));
        let placed = self.arguments.get(place).filter(|(known, _)| known.is_none());
        named.or(placed).map(|(_, value)| *value)
    }

    pub(super) fn require(&self, name: &str, place: usize) -> Result<&'a ast::Expr> {
        self.get(name, place).ok_or_else(|| {
            DataFusionError::Plan(format!("`{}` wants the argument {name} at place {}", self.name, place + 1))
        })
    }
}

pub(super) fn call_of(expression: &ast::Expr) -> Option<(String, Vec<&ast::Expr>)> {
    let ast::Expr::Function(call) = expression else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    let values = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    });
    let name = call.name.0.first().and_then(|part| part.as_ident()).map(|name| name.value.to_uppercase());
    Some((name?, values.collect()))
}

/// Plans a call in `FROM`.
pub(super) fn plan(call: &ast::Function, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let arguments = Arguments::of(call)?;
    let name = arguments.name.as_str();
    if !matches!(name, "TUMBLE" | "HOP" | "CUMULATE" | "SESSION") {
        return plan_err!(
            "there is no table function `{name}`; windows are TUMBLE, HOP, CUMULATE and SESSION"
        );
    }
    let (query, mut partition) = match call_of(arguments.require("DATA", 0)?) {
        Some((table, mut values)) if table == "$TABLE" && !values.is_empty() => (values.remove(0), values),
        _ => (arguments.require("DATA", 0)?, Vec::new()),
    };
    let ast::Expr::Subquery(query) = query else {
        return plan_err!("the first argument of `{name}` is a table: `TABLE t`");
    };
    let subquery = query.clone();
    let input = context.plan(TableFactor::Derived { lateral: false, subquery, alias: None, sample: None })?;
    let mut column = |expression: &ast::Expr| context.sql_to_expr(expression.clone(), input.schema());
    let time = match call_of(arguments.require("TIMECOL", 1)?) {
        Some((descriptor, columns)) if descriptor == "DESCRIPTOR" && columns.len() == 1 => {
            column(columns[0])?
        }
        _ => return plan_err!("the second argument of `{name}` is `DESCRIPTOR(column)`"),
    };
    // Another descriptor says what sessions are kept apart by, in older scripts.
    let mut first = 2;
    if let (true, Some((descriptor, columns))) =
        (name == "SESSION", arguments.get("KEY", 2).and_then(call_of))
        && descriptor == "DESCRIPTOR"
    {
        (partition, first) = (columns, 3);
    }
    let partition = partition.into_iter().map(&mut column).collect::<Result<Vec<_>>>()?;
    let mut interval = |name: &str, place: usize, default: Option<i64>| match arguments.get(name, place) {
        Some(value) => {
            let value = context.sql_to_expr(value.clone(), &DFSchema::empty())?;
            length(&constant(&value)?)
        }
        None => default.map_or_else(|| arguments.require(name, place).map(|_| 0), Ok),
    };
    let spec = match name {
        "TUMBLE" => {
            WindowSpec::Tumble { size: interval("SIZE", 2, None)?, offset: interval("OFFSET", 3, Some(0))? }
        }
        "HOP" => WindowSpec::Hop {
            slide: interval("SLIDE", 2, None)?,
            size: interval("SIZE", 3, None)?,
            offset: interval("OFFSET", 4, Some(0))?,
        },
        "CUMULATE" => WindowSpec::Cumulate {
            step: interval("STEP", 2, None)?,
            size: interval("SIZE", 3, None)?,
            offset: interval("OFFSET", 4, Some(0))?,
        },
        _ => WindowSpec::Session { gap: interval("GAP", first, None)? },
    };
    check(spec)?;
    let schema = schema_of(&input, &time)?;
    let node = WindowFunction { input, spec, time, partition, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn check(spec: WindowSpec) -> Result<()> {
    let (short, long) = match spec {
        WindowSpec::Tumble { size, .. } => (size, size),
        WindowSpec::Session { gap } => (gap, gap),
        WindowSpec::Hop { slide, size, .. } => (slide, size),
        WindowSpec::Cumulate { step, size, .. } => (step, size),
    };
    if short <= 0 || long <= 0 {
        return plan_err!("a window is longer than no time");
    }
    match spec {
        WindowSpec::Hop { .. } | WindowSpec::Cumulate { .. } if long % short != 0 => {
            plan_err!("the size of the window, {long} ms, is no multiple of {short} ms")
        }
        _ => Ok(()),
    }
}

/// An interval in milliseconds.
pub(crate) fn length(interval: &ScalarValue) -> Result<i64> {
    match interval {
        ScalarValue::IntervalMonthDayNano(Some(value)) if value.months == 0 => {
            Ok(i64::from(value.days) * 86_400_000 + value.nanoseconds / 1_000_000)
        }
        ScalarValue::IntervalDayTime(Some(value)) => {
            Ok(i64::from(value.days) * 86_400_000 + i64::from(value.milliseconds))
        }
        ScalarValue::IntervalMonthDayNano(Some(_)) | ScalarValue::IntervalYearMonth(Some(_)) => {
            plan_err!("months differ in length; give the interval in days")
        }
        other => plan_err!("{other} is no interval"),
    }
}

/// The columns of the input, without the name of a table, and those of the window.
fn schema_of(input: &LogicalPlan, time: &Expr) -> Result<DFSchemaRef> {
    use datafusion_expr::ExprSchemable;
    let of_time = time.get_type(input.schema().as_ref())?;
    let DataType::Timestamp(..) = of_time else {
        return plan_err!("windows go by a column of type TIMESTAMP(3) or TIMESTAMP_LTZ(3), not {of_time}");
    };
    let local = DataType::Timestamp(TimeUnit::Millisecond, None);
    let window_time = match of_time {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone),
        other => other,
    };
    let mut fields: Vec<Field> = input.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("window_start", local.clone(), false));
    fields.push(Field::new("window_end", local, false));
    fields.push(Field::new("window_time", window_time, false));
    Ok(Arc::new(DFSchema::from_unqualified_fields(fields.into(), std::collections::HashMap::new())?))
}

impl PartialOrd for WindowFunction {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.spec.partial_cmp(&other.spec)
    }
}

impl UserDefinedLogicalNodeCore for WindowFunction {
    fn name(&self) -> &str {
        "WindowFunction"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.partition).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WindowFunction: {:?} by {}", self.spec, self.time)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (time, input) = (exprs.remove(0), inputs.remove(0));
        let schema = schema_of(&input, &time)?;
        Ok(Self { input, spec: self.spec, time, partition: exprs, schema })
    }
}
