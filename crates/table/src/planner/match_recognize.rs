//! `MATCH_RECOGNIZE`: rows that follow each other in a pattern.
//!
//! Before: a clause in `FROM`, whose conditions refer to rows of the match so far by the names of the pattern. After: a node in which each of
//! these references (`LAST(A.price, 1)`, `SUM(B.amount)`, `price`) has a number, and the conditions and measures are expressions over them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError, Result, plan_err};
use datafusion_expr::planner::RelationPlannerContext;
use datafusion_expr::{
    AggregateUDF, Expr, ExprSchemable, Extension, LogicalPlan, SortExpr, UserDefinedLogicalNodeCore, col,
};
use sqlparser::ast::{
    self, AfterMatchSkip, FunctionArg, FunctionArgExpr, FunctionArguments, MatchRecognizePattern,
    MatchRecognizeSymbol, RepetitionQuantifier, RowsPerMatch, TableFactor,
};

use super::literals::typed;
use super::optimize::types_of;
use crate::aggregates::Aggregation;
use crate::aggregates::declaration::function_of;
use crate::aggregates::user::user_function;
use crate::operators::{Pattern, Skip, Times};
use crate::parser::within::WITHIN;

/// Which rows of a match a reference is about: those of one name, or all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) enum ReferenceKind {
    /// The row so many before the last.
    Last(usize),
    /// The row so many after the first.
    First(usize),
    /// An aggregate.
    Aggregate(Arc<AggregateUDF>),
    /// `MATCH_ROWTIME()`: the event time at which the match is known, which is that of its last row if nothing before it is open.
    Rowtime,
}

/// A reference to rows of the match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    /// The name in the pattern, by its number; all rows without it.
    pub(crate) name: Option<usize>,
    pub(crate) kind: ReferenceKind,
    /// Over the columns of the input.
    pub(crate) value: Expr,
}

/// A pattern over its input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MatchRecognize {
    pub(crate) input: LogicalPlan,
    pub(crate) partition: Vec<Expr>,
    pub(crate) order: Vec<SortExpr>,
    pub(crate) names: Vec<String>,
    pub(crate) pattern: Pattern,
    pub(crate) skip: Skip,
    /// In milliseconds.
    pub(crate) within: Option<i64>,
    pub(crate) references: Vec<Reference>,
    /// Of each name its condition, over the references.
    pub(crate) conditions: Vec<Option<Expr>>,
    /// Over the references.
    pub(crate) measures: Vec<Expr>,
    /// The references as columns.
    pub(crate) reference_schema: DFSchemaRef,
    pub(crate) schema: DFSchemaRef,
}

struct Clause<'a, 'b> {
    context: &'a mut dyn RelationPlannerContext,
    input: &'b DFSchema,
    names: Vec<String>,
    references: Vec<Reference>,
    /// What an expression, as it is written, refers to.
    known: HashMap<String, usize>,
    /// What rows are ordered by first.
    time: Option<Expr>,
}

/// Plans the clause.
pub(super) fn plan(clause: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let TableFactor::MatchRecognize {
        table,
        partition_by,
        order_by,
        measures,
        rows_per_match,
        after_match_skip,
        pattern,
        mut symbols,
        ..
    } = clause
    else {
        return plan_err!("this is no MATCH_RECOGNIZE");
    };
    if let Some(RowsPerMatch::AllRows(_)) = rows_per_match {
        return plan_err!("ALL ROWS PER MATCH is not there, in Flink neither");
    }
    let input = context.plan(*table)?;
    let mut names = Vec::new();
    let pattern = of_pattern(&pattern, &mut names)?;
    if pattern.ends_greedy() {
        return plan_err!(
            "the last name of a pattern has no greedy quantifier: its match would never be known to be over"
        );
    }
    let within = symbols.iter().position(|symbol| symbol.symbol.value == WITHIN);
    let within = match within.map(|place| symbols.remove(place)) {
        Some(symbol) => {
            let interval = context.sql_to_expr(symbol.definition, &DFSchema::empty())?;
            Some(super::window_function::length(&super::constant(&interval)?)?)
        }
        None => None,
    };
    let schema = input.schema().clone();
    let column = |expression: ast::Expr, context: &mut dyn RelationPlannerContext| {
        context.sql_to_expr(expression, &schema)
    };
    let partition = partition_by.into_iter().map(|one| column(one, context)).collect::<Result<Vec<_>>>()?;
    let order = order_by.into_iter().map(|one| {
        let asc = one.options.asc.unwrap_or(true);
        let nulls_first = one.options.nulls_first.unwrap_or(asc);
        Ok(SortExpr { expr: column(one.expr, context)?, asc, nulls_first })
    });
    let order = order.collect::<Result<Vec<_>>>()?;
    let skip = match after_match_skip {
        None | Some(AfterMatchSkip::PastLastRow) => Skip::PastLastRow,
        Some(AfterMatchSkip::ToNextRow) => Skip::ToNextRow,
        Some(AfterMatchSkip::ToFirst(name)) => Skip::ToFirst(number(&names, &name.value)?),
        Some(AfterMatchSkip::ToLast(name)) => Skip::ToLast(number(&names, &name.value)?),
    };
    let mut clause = Clause {
        context,
        input: &schema,
        names: names.clone(),
        references: Vec::new(),
        known: HashMap::new(),
        time: order.first().map(|sort| sort.expr.clone()),
    };
    let mut conditions: Vec<Option<ast::Expr>> = vec![None; names.len()];
    for symbol in symbols {
        let name = number(&names, &symbol.symbol.value)?;
        conditions[name] = Some(clause.referring(symbol.definition, Some(name))?);
    }
    let mut measured = Vec::new();
    for measure in measures {
        measured.push((clause.referring(measure.expr, None)?, measure.alias.value));
    }
    // Now that all references are known, they are the columns that conditions and measures are over.
    let references = clause.references;
    let fields = references.iter().enumerate().map(|(index, reference)| {
        let of = reference.value.get_type(schema.as_ref())?;
        let of = match &reference.kind {
            ReferenceKind::Aggregate(declared) => match (user_function(declared), function_of(declared)) {
                (Some(user), _) => user.result(),
                (None, Some((function, _))) => function.result(&[of]),
                (None, None) => return plan_err!("`{}` is no aggregate function", declared.name()),
            },
            _ => of,
        };
        Ok(Field::new(format!("$r{index}"), of, true))
    });
    let fields = fields.collect::<Result<Vec<Field>>>()?;
    let reference_schema = Arc::new(DFSchema::from_unqualified_fields(fields.into(), HashMap::new())?);
    let typed = |expression: ast::Expr, context: &mut dyn RelationPlannerContext| {
        let planned = context.sql_to_expr(expression, &reference_schema)?;
        types_of(planned, &reference_schema).map_err(DataFusionError::from)
    };
    let conditions =
        conditions.into_iter().map(|condition| condition.map(|one| typed(one, context)).transpose());
    let conditions = conditions.collect::<Result<Vec<_>>>()?;
    let mut fields: Vec<Field> = Vec::new();
    for expression in &partition {
        let (_, field) = expression.to_field(schema.as_ref())?;
        fields.push(field.as_ref().clone());
    }
    let mut measures = Vec::new();
    for (measure, name) in measured {
        let measure = typed(measure, context)?;
        fields.push(Field::new(name, measure.get_type(reference_schema.as_ref())?, true));
        measures.push(measure);
    }
    let schema = Arc::new(DFSchema::from_unqualified_fields(fields.into(), HashMap::new())?);
    let node = MatchRecognize {
        input,
        partition,
        order,
        names,
        pattern,
        skip,
        within,
        references,
        conditions,
        measures,
        reference_schema,
        schema,
    };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

fn number(names: &[String], name: &str) -> Result<usize> {
    match names.iter().position(|known| known == name) {
        Some(number) => Ok(number),
        None => plan_err!("there is no `{name}` in the pattern"),
    }
}

fn of_pattern(pattern: &MatchRecognizePattern, names: &mut Vec<String>) -> Result<Pattern> {
    Ok(match pattern {
        MatchRecognizePattern::Symbol(MatchRecognizeSymbol::Named(name)) => {
            let known = names.iter().position(|known| *known == name.value);
            Pattern::Name(known.unwrap_or_else(|| {
                names.push(name.value.clone());
                names.len() - 1
            }))
        }
        MatchRecognizePattern::Concat(parts) => {
            Pattern::Sequence(parts.iter().map(|part| of_pattern(part, names)).collect::<Result<_>>()?)
        }
        MatchRecognizePattern::Alternation(parts) => {
            Pattern::Either(parts.iter().map(|part| of_pattern(part, names)).collect::<Result<_>>()?)
        }
        MatchRecognizePattern::Group(inner) => of_pattern(inner, names)?,
        MatchRecognizePattern::Repetition(inner, quantifier) => {
            // A question mark behind a quantifier: as seldom as can be.
            let (inner, quantifier, reluctant) = match (&**inner, quantifier) {
                (MatchRecognizePattern::Repetition(inner, quantifier), RepetitionQuantifier::AtMostOne) => {
                    (inner, quantifier, true)
                }
                _ => (inner, quantifier, false),
            };
            let (least, most) = match *quantifier {
                RepetitionQuantifier::ZeroOrMore => (0, None),
                RepetitionQuantifier::OneOrMore => (1, None),
                RepetitionQuantifier::AtMostOne => (0, Some(1)),
                RepetitionQuantifier::Exactly(times) => (times, Some(times)),
                RepetitionQuantifier::AtLeast(times) => (times, None),
                RepetitionQuantifier::AtMost(times) => (0, Some(times)),
                RepetitionQuantifier::Range(least, most) => (least, Some(most)),
            };
            // Flink's match is over as soon as it can be without the row that need not be there.
            let reluctant = reluctant || (least, most) == (0, Some(1));
            Pattern::Repeat(Box::new(of_pattern(inner, names)?), Times { least, most, reluctant })
        }
        other => return plan_err!("`{other}` in a pattern is not there, in Flink neither"),
    })
}

impl Clause<'_, '_> {
    /// An expression over references. In the condition of `own`, a column without a name is that of the row that is looked at; in a measure,
    /// that of the last row.
    fn referring(&mut self, mut expression: ast::Expr, own: Option<usize>) -> Result<ast::Expr> {
        let mut failure = None;
        // From outside in: what is inside of a reference belongs to it.
        self.replace(&mut expression, own, &mut failure);
        failure.map_or(Ok(expression), Err)
    }

    fn replace(
        &mut self,
        expression: &mut ast::Expr,
        own: Option<usize>,
        failure: &mut Option<DataFusionError>,
    ) {
        match self.reference(expression, own) {
            Ok(Some(number)) => {
                *expression = ast::Expr::Identifier(ast::Ident::with_quote('`', format!("$r{number}")))
            }
            // The time of a match is that at which it is found.
            Ok(None) if is_match_proctime(expression) => {
                let name = ast::Ident::new("PROCTIME");
                *expression = ast::Expr::Function(crate::parser::call(name, Vec::new()));
            }
            Ok(None) => for_each_child(expression, &mut |child| self.replace(child, own, failure)),
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }

    /// The number of the reference that an expression is, if it is one.
    fn reference(&mut self, expression: &ast::Expr, own: Option<usize>) -> Result<Option<usize>> {
        let key = format!("{own:?} {expression}");
        if let Some(number) = self.known.get(&key) {
            return Ok(Some(*number));
        }
        let last = ReferenceKind::Last(0);
        let (name, kind, value) = match expression {
            ast::Expr::Identifier(_) => (own, last, expression.clone()),
            ast::Expr::CompoundIdentifier(parts)
                if parts.len() > 1 && self.names.contains(&parts[0].value) =>
            {
                let (name, value) = self.plain(expression.clone())?;
                (name, last, value)
            }
            ast::Expr::CompoundIdentifier(_) => (own, last, expression.clone()),
            ast::Expr::Function(call) => {
                let called = call.name.to_string().to_uppercase();
                let FunctionArguments::List(list) = &call.args else { return Ok(None) };
                let arguments: Vec<&ast::Expr> = list
                    .args
                    .iter()
                    .filter_map(|argument| match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
                        _ => None,
                    })
                    .collect();
                let by_name = self.context.context_provider().get_aggregate_meta(&called);
                let declared = by_name.filter(|_| !matches!(called.as_str(), "FIRST_VALUE" | "LAST_VALUE"));
                if called == "MATCH_ROWTIME" {
                    let Some(value) = self.time.clone() else {
                        return plan_err!("MATCH_ROWTIME() is of rows that are ORDERed BY their event time");
                    };
                    self.references.push(Reference { name: None, kind: ReferenceKind::Rowtime, value });
                    self.known.insert(key, self.references.len() - 1);
                    return Ok(Some(self.references.len() - 1));
                }
                if called == "FIRST" || called == "LAST" {
                    let Some(value) = arguments.first() else { return plan_err!("{called} takes a value") };
                    let by = match arguments.get(1) {
                        None => 0,
                        Some(by) => match by.to_string().parse() {
                            Ok(by) => by,
                            Err(_) => {
                                return plan_err!("{called} takes a number of rows that does not change");
                            }
                        },
                    };
                    let kind =
                        if called == "FIRST" { ReferenceKind::First(by) } else { ReferenceKind::Last(by) };
                    let (name, value) = self.plain((*value).clone())?;
                    (name, kind, value)
                } else if let Some(declared) = declared {
                    // What is said of it beside its value is not left out silently.
                    let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
                    if distinct || call.filter.is_some() || arguments.len() > 1 {
                        return plan_err!(
                            "aggregates in MATCH_RECOGNIZE are of one value, without DISTINCT and FILTER, as in Flink: {call}"
                        );
                    }
                    let value = arguments.first().map_or_else(
                        || ast::Expr::value(ast::Value::Number("1".into(), false)),
                        |value| (*value).clone(),
                    );
                    let (name, value) = self.plain(value)?;
                    (name, ReferenceKind::Aggregate(declared), value)
                } else {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        };
        let value = typed(self.context.sql_to_expr(value, self.input)?, self.input)?.data;
        self.references.push(Reference { name, kind, value });
        self.known.insert(key, self.references.len() - 1);
        Ok(Some(self.references.len() - 1))
    }

    /// The expression without the name of the pattern that its columns have, and that name.
    fn plain(&self, mut expression: ast::Expr) -> Result<(Option<usize>, ast::Expr)> {
        let mut found: Vec<usize> = Vec::new();
        strip(&mut expression, &self.names, &mut found);
        found.dedup();
        match found[..] {
            [] => Ok((None, expression)),
            [name] => Ok((Some(name), expression)),
            _ => plan_err!("`{expression}` has columns of two names of the pattern"),
        }
    }
}

fn is_match_proctime(expression: &ast::Expr) -> bool {
    matches!(expression, ast::Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("MATCH_PROCTIME"))
}

fn strip(expression: &mut ast::Expr, names: &[String], found: &mut Vec<usize>) {
    if let ast::Expr::CompoundIdentifier(parts) = expression
        && let Some(name) = names.iter().position(|name| *name == parts[0].value)
    {
        found.push(name);
        parts.remove(0);
        if let [column] = &parts[..] {
            *expression = ast::Expr::Identifier(column.clone());
        }
        return;
    }
    for_each_child(expression, &mut |child| strip(child, names, found));
}

/// Calls `each` for the expressions right below one.
fn for_each_child(expression: &mut ast::Expr, each: &mut dyn FnMut(&mut ast::Expr)) {
    use ast::Expr as E;
    match expression {
        E::BinaryOp { left, right, .. }
        | E::IsDistinctFrom(left, right)
        | E::IsNotDistinctFrom(left, right) => {
            each(left);
            each(right);
        }
        E::UnaryOp { expr, .. }
        | E::Nested(expr)
        | E::IsNull(expr)
        | E::IsNotNull(expr)
        | E::IsTrue(expr)
        | E::IsNotTrue(expr)
        | E::IsFalse(expr)
        | E::IsNotFalse(expr)
        | E::Cast { expr, .. }
        | E::Extract { expr, .. }
        | E::Ceil { expr, .. }
        | E::Floor { expr, .. } => each(expr),
        E::Between { expr, low, high, .. } => [expr, low, high].into_iter().for_each(|child| each(child)),
        E::Like { expr, pattern, .. } => {
            each(expr);
            each(pattern);
        }
        E::InList { expr, list, .. } => {
            each(expr);
            list.iter_mut().for_each(each);
        }
        E::Case { operand, conditions, else_result, .. } => {
            if let Some(operand) = operand {
                each(operand);
            }
            for when in conditions {
                each(&mut when.condition);
                each(&mut when.result);
            }
            if let Some(otherwise) = else_result {
                each(otherwise);
            }
        }
        E::Function(call) => {
            if let FunctionArguments::List(list) = &mut call.args {
                for argument in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument {
                        each(value);
                    }
                }
            }
        }
        _ => {}
    }
}

impl Reference {
    /// What aggregates the values of this type, if it is an aggregate.
    pub(crate) fn aggregation(&self, column: usize, of: DataType) -> Result<Option<Aggregation>> {
        let ReferenceKind::Aggregate(declared) = &self.kind else { return Ok(None) };
        let Some((function, counts_once)) = function_of(declared) else { return Ok(None) };
        let made = Aggregation::new(function, vec![column], None, counts_once, false, vec![of])?;
        Ok(Some(match user_function(declared) {
            Some(user) => made.of_user(user),
            None => made,
        }))
    }
}

impl PartialOrd for MatchRecognize {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.names.partial_cmp(&other.names)
    }
}

impl UserDefinedLogicalNodeCore for MatchRecognize {
    fn name(&self) -> &str {
        "MatchRecognize"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let order = self.order.iter().map(|sort| &sort.expr);
        let references = self.references.iter().map(|reference| &reference.value);
        self.partition.iter().chain(order).chain(references).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MatchRecognize: {:?}", self.pattern)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut node = self.clone();
        let mut exprs = exprs.into_iter();
        let order = node.order.iter_mut().map(|sort| &mut sort.expr);
        let references = node.references.iter_mut().map(|reference| &mut reference.value);
        for place in node.partition.iter_mut().chain(order).chain(references) {
            *place = exprs.next().unwrap_or_else(|| col("missing"));
        }
        node.input = inputs.remove(0);
        Ok(node)
    }
}
