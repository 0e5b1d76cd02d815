//! Table functions in `FROM`: `LATERAL TABLE(f(x))`, `UNNEST(x)`.
//!
//! Before: a call in `FROM`, which refers to columns of what stands before it. After: a node above what stands before it, which has its
//! columns and those of the function. Three steps: the grammar's forms of a call become one ([`rewrite`]); the call becomes a node that
//! reads nothing ([`plan`]); joins with such a node become one node ([`correlate`]).

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, DFSchemaRef, Result, ScalarValue, plan_err};
use datafusion_expr::planner::RelationPlannerContext;
use datafusion_expr::{
    Expr, ExprSchemable, Extension, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder,
    UserDefinedLogicalNodeCore,
};
use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, TableFactor, VisitMut,
    VisitorMut,
};

use crate::catalog::{UserFunctions, nearest};
use crate::parser::call;
use crate::table_functions::Named;

/// A table function for each row of its input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableCall {
    pub(crate) input: LogicalPlan,
    pub(crate) function: Named,
    pub(crate) arguments: Vec<Expr>,
    /// Rows for which there is none stay.
    pub(crate) outer: bool,
    /// What the function gives.
    columns: DFSchemaRef,
    /// All columns.
    schema: DFSchemaRef,
}

/// The name of a call that stands between the parentheses of `TABLE(…)`.
const TABLE: &str = "TABLE";

/// Makes one form of the forms of a call.
pub(super) fn rewrite(query: &mut Query) {
    struct Calls;
    impl VisitorMut for Calls {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            match factor {
                TableFactor::Table { name, args: Some(args), with_ordinality, alias, .. }
                    if is_unnest(name) =>
                {
                    let array_exprs = args.args.iter().filter_map(expression).cloned().collect();
                    *factor = TableFactor::UNNEST {
                        alias: alias.take(),
                        array_exprs,
                        with_offset: false,
                        with_offset_alias: None,
                        with_ordinality: *with_ordinality,
                    };
                }
                TableFactor::TableFunction { expr: ast::Expr::Function(call), alias }
                    if !is_window(call) && !super::model_function::is_model_function(call) =>
                {
                    let call = ast::Expr::Function(call.clone());
                    *factor = TableFactor::Function {
                        lateral: true,
                        name: ObjectName::from(vec![Ident::new(TABLE)]),
                        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(call))],
                        with_ordinality: false,
                        alias: alias.take(),
                    };
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }

        // DataFusion plans the items of an array without the tables outside; arguments of a call are planned with them.
        fn post_visit_expr(&mut self, expression: &mut ast::Expr) -> ControlFlow<()> {
            if let ast::Expr::Array(array) = expression
                && !array.elem.is_empty()
            {
                let items = std::mem::take(&mut array.elem);
                *expression = ast::Expr::Function(call(Ident::with_quote('`', "$array"), items));
            }
            // `SECOND(3)`: how many digits there may be is of no account.
            if let ast::Expr::Interval(interval) = expression {
                interval.leading_precision = None;
                interval.fractional_seconds_precision = None;
            }
            ControlFlow::Continue(())
        }
    }
    let _ = query.visit(&mut Calls);
}

fn is_unnest(name: &ObjectName) -> bool {
    let [part] = &name.0[..] else { return false };
    part.as_ident()
        .is_some_and(|name| name.quote_style.is_none() && name.value.eq_ignore_ascii_case("UNNEST"))
}

fn is_window(call: &ast::Function) -> bool {
    let name = call.name.to_string().to_uppercase();
    matches!(name.as_str(), "TUMBLE" | "HOP" | "CUMULATE" | "SESSION")
}

fn expression(argument: &FunctionArg) -> Option<&ast::Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    }
}

/// The function that is called, and its arguments.
pub(super) fn call_of(
    name: &ObjectName,
    arguments: &[FunctionArg],
    functions: &UserFunctions,
) -> Result<(Named, Vec<ast::Expr>)> {
    let inner = match arguments {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Function(inner)))]
            if name.to_string().eq_ignore_ascii_case(TABLE) =>
        {
            Some(inner)
        }
        _ => None,
    };
    let (name, arguments) = match inner {
        None => (name.to_string(), arguments.to_vec()),
        Some(call) => match &call.args {
            FunctionArguments::List(list) => (call.name.to_string(), list.args.clone()),
            _ => (call.name.to_string(), Vec::new()),
        },
    };
    let name = name.replace('`', "");
    let Some(function) = functions.table(&name) else {
        let known = functions.table_names().chain(["TUMBLE", "HOP", "CUMULATE", "SESSION", "UNNEST"]);
        return match nearest(&name, known) {
            Some(near) => plan_err!("there is no table function `{name}`; did you mean `{near}`?"),
            None => plan_err!("there is no table function `{name}`; register one from Rust"),
        };
    };
    let values: Vec<ast::Expr> = arguments.iter().filter_map(expression).cloned().collect();
    if values.len() < arguments.len() {
        return plan_err!("the arguments of `{name}` are values, in their order");
    }
    Ok((Named { name: name.as_str().into(), function }, values))
}

/// The node of a call, which reads nothing yet.
pub(super) fn plan(
    function: Named,
    arguments: Vec<ast::Expr>,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let nothing = DFSchema::empty();
    let arguments = arguments.into_iter().map(|argument| context.sql_to_expr(argument, &nothing));
    let arguments = arguments.collect::<Result<Vec<_>>>()?;
    let input = LogicalPlanBuilder::empty(true).build()?;
    let columns = fields_of(&function, &arguments, &nothing)?;
    let fields: Vec<Field> = columns.into_iter().map(|(name, of)| Field::new(name, of, true)).collect();
    let columns =
        Arc::new(DFSchema::from_unqualified_fields(fields.into(), std::collections::HashMap::new())?);
    let schema = Arc::clone(&columns);
    let call = TableCall { input, function, arguments, outer: false, columns, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(call) }))
}

fn fields_of(function: &Named, arguments: &[Expr], schema: &DFSchema) -> Result<Vec<(String, DataType)>> {
    let types = arguments.iter().map(|argument| argument.get_type(schema)).collect::<Result<Vec<_>>>()?;
    Ok(function.function.columns(&types)?)
}

/// Makes one node of a join with a call.
pub(super) fn correlate(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(join) => joined(join),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// The call that a plan is, under no more than names.
fn call_below(plan: &LogicalPlan) -> Option<&TableCall> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => call_below(&alias.input),
        LogicalPlan::Subquery(subquery) => call_below(&subquery.subquery),
        LogicalPlan::Projection(projection) => {
            let call = call_below(&projection.input)?;
            let columns = projection.input.schema().columns();
            let same = projection.expr.len() == columns.len()
                && projection.expr.iter().zip(&columns).all(
                    |(of, column)| matches!(of.clone().unalias(), Expr::Column(found) if found == *column),
                );
            same.then_some(call)
        }
        LogicalPlan::Extension(extension) => {
            let call = extension.node.as_any().downcast_ref::<TableCall>()?;
            matches!(call.input, LogicalPlan::EmptyRelation(_)).then_some(call)
        }
        _ => None,
    }
}

fn joined(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(call) = call_below(&join.right) else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        other => {
            return plan_err!(
                "`{}` takes part in inner and left joins, not in a {other} one",
                call.function.name
            );
        }
    };
    let on = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let condition = on.chain(join.filter.clone()).reduce(Expr::and);
    let condition = condition.filter(|of| !matches!(of, Expr::Literal(ScalarValue::Boolean(Some(true)), _)));
    if outer && condition.is_some() {
        return plan_err!("a LEFT JOIN with `{}` is ON TRUE", call.function.name);
    }
    let input = Arc::unwrap_or_clone(join.left.clone());
    let arguments = call.arguments.iter().map(|argument| inside(argument, input.schema()));
    let arguments = arguments.collect::<Result<Vec<_>>>()?;
    let columns = Arc::clone(join.right.schema());
    let node = TableCall::new(input, call.function.clone(), arguments, outer, &columns)?;
    let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
    Ok(Transformed::yes(match condition {
        Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?),
        None => plan,
    }))
}

/// The expression, with columns of the left side as columns of the input.
fn inside(expression: &Expr, schema: &DFSchema) -> Result<Expr> {
    let expression = expression.clone().transform(|of| match of {
        Expr::OuterReferenceColumn(_, column) if schema.has_column(&column) => {
            Ok(Transformed::yes(Expr::Column(column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(expression.data)
}

impl TableCall {
    /// The call for each row of `input`, whose columns have the names that the function gives them.
    pub(super) fn unnamed(input: LogicalPlan, function: Named, arguments: Vec<Expr>) -> Result<Self> {
        let columns = fields_of(&function, &arguments, input.schema())?;
        let fields: Vec<Field> = columns.into_iter().map(|(name, of)| Field::new(name, of, true)).collect();
        let columns = DFSchema::from_unqualified_fields(fields.into(), std::collections::HashMap::new())?;
        Self::new(input, function, arguments, false, &columns)
    }

    /// The call for each row of `input`; `columns` has the names of what it gives.
    fn new(
        input: LogicalPlan,
        function: Named,
        arguments: Vec<Expr>,
        outer: bool,
        columns: &DFSchema,
    ) -> Result<Self> {
        let arguments: Vec<Expr> = arguments.into_iter().map(Expr::unalias).collect();
        let of = fields_of(&function, &arguments, input.schema())?;
        let named = columns.iter().zip(of).map(|((qualifier, field), (_, of))| {
            (qualifier.cloned(), Arc::new(Field::new(field.name(), of, true)))
        });
        let named = named.collect();
        let columns = Arc::new(DFSchema::new_with_metadata(named, std::collections::HashMap::new())?);
        let schema = match input.schema().fields().is_empty() {
            true => Arc::clone(&columns),
            false => Arc::new(input.schema().join(&columns)?),
        };
        Ok(Self { input, function, arguments, outer, columns, schema })
    }
}

impl PartialOrd for TableCall {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.function.name.partial_cmp(&other.function.name)
    }
}

impl UserDefinedLogicalNodeCore for TableCall {
    fn name(&self) -> &str {
        "TableCall"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.arguments.clone()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments = self.arguments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "TableCall: {}({arguments}), outer={}", self.function.name, self.outer)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        Self::new(inputs.remove(0), self.function.clone(), exprs, self.outer, &self.columns)
    }
}
