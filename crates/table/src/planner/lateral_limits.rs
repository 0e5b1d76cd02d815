//! `LATERAL (SELECT … WHERE inner = outer ORDER BY … LIMIT n)`: the first rows for each row of what stands before it.
//!
//! Before: a limit inside of a subquery that sees columns outside, of which DataFusion would make a limit for all rows together. After: rows
//! are numbered by what is compared with the columns outside, and those with a number up to the limit are joined: a Top-N.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, ExceptSelectItem, Expr, Fetch, GroupByExpr, Ident, LimitClause, OrderBy, OrderByExpr,
    OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, WildcardAdditionalOptions,
    WindowSpec, WindowType, visit_expressions,
};

use super::selects::rewrite_selects;
use crate::error::SqlError;
use crate::parser::{call, parse_query};

/// Rewrites the limits of all subqueries that see columns outside.
pub(super) fn rewrite(query: &mut Query) -> Result<(), SqlError> {
    rewrite_selects(query, of_select)
}

fn of_select(select: &mut Select) -> Result<(), SqlError> {
    let mut outside = BTreeSet::new();
    for from in &mut select.from {
        let joined = from.joins.iter_mut().map(|join| &mut join.relation);
        for relation in std::iter::once(&mut from.relation).chain(joined) {
            if let TableFactor::Derived { lateral: true, subquery, .. } = relation
                && let Some(limited) = limited(subquery, &outside)?
            {
                **subquery = limited;
            }
            outside.extend(name_of(relation));
        }
    }
    Ok(())
}

/// The name by which the columns of a relation are known.
fn name_of(relation: &TableFactor) -> Option<String> {
    let alias = match relation {
        TableFactor::Table { name, alias: None, .. } => {
            return name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.clone());
        }
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::TableFunction { alias, .. } => alias,
        _ => return None,
    };
    alias.as_ref().map(|alias: &TableAlias| alias.name.value.clone())
}

/// The first name in an expression that is of what stands outside.
fn outer(expression: &impl sqlparser::ast::Visit, outside: &BTreeSet<String>) -> Option<Ident> {
    let found = visit_expressions(expression, |of| match of {
        Expr::CompoundIdentifier(parts) if parts.len() > 1 && outside.contains(&parts[0].value) => {
            ControlFlow::Break(parts[0].clone())
        }
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(ident) => Some(ident),
        ControlFlow::Continue(()) => None,
    }
}

fn not_there(name: &Ident, why: &str) -> SqlError {
    SqlError::new(format!("a LATERAL subquery that sees `{}` has a LIMIT, and {why}", name.value))
        .help("LATERAL (SELECT … FROM t WHERE t.k = outer.k ORDER BY … LIMIT n) is there")
}

/// The limit of a query, if it is no more than that.
fn limit_of(query: &Query) -> Option<Expr> {
    match (&query.limit_clause, &query.fetch) {
        (Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by }), None)
            if limit_by.is_empty() =>
        {
            Some(limit.clone())
        }
        (None, Some(Fetch { with_ties: false, percent: false, quantity })) => Some(
            quantity
                .clone()
                .unwrap_or_else(|| Expr::value(sqlparser::ast::Value::Number("1".to_owned(), false))),
        ),
        _ => None,
    }
}

/// The query without its limit, if it has one and sees columns outside.
fn limited(query: &Query, outside: &BTreeSet<String>) -> Result<Option<Query>, SqlError> {
    if query.limit_clause.is_none() && query.fetch.is_none() {
        return Ok(None);
    }
    let SetExpr::Select(select) = &*query.body else { return Ok(None) };
    let mut outside = outside.clone();
    for from in &select.from {
        let inside = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
        for name in inside.filter_map(name_of) {
            outside.remove(&name);
        }
    }
    let Some(seen) = outer(query, &outside) else { return Ok(None) };
    let Some(limit) = limit_of(query) else { return Err(not_there(&seen, "an OFFSET is not there yet")) };
    let Some(OrderBy { kind: OrderByKind::Expressions(order), .. }) = &query.order_by else {
        return Err(not_there(&seen, "no ORDER BY says which rows are the first"));
    };
    if !is_plain(select) {
        return Err(not_there(&seen, "its rows are grouped or distinct"));
    }
    let (mut keys, mut compared, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for condition in select.selection.iter().flat_map(conjuncts) {
        let Some(name) = outer(condition, &outside) else {
            rest.push(condition.clone());
            continue;
        };
        let (inner, outer) = match condition {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                match (outer(&**left, &outside), outer(&**right, &outside)) {
                    (None, Some(_)) => (left, right),
                    (Some(_), None) => (right, left),
                    _ => return Err(not_there(&name, "is compared with by more than `=`")),
                }
            }
            _ => return Err(not_there(&name, "is compared with by more than `=`")),
        };
        let key = Ident::with_quote('`', format!("$key{}", keys.len()));
        compared.push(Expr::BinaryOp {
            left: Box::new(Expr::Identifier(key.clone())),
            op: BinaryOperator::Eq,
            right: outer.clone(),
        });
        keys.push(((**inner).clone(), key));
    }
    let mut numbered = (**select).clone();
    numbered.selection = rest.into_iter().reduce(and);
    if let Some(name) = outer(&numbered.projection, &outside).or_else(|| outer(order, &outside)) {
        return Err(not_there(&name, "is computed with"));
    }
    let order = order.iter().map(|by| resolved(by, &select.projection)).collect();
    let over = WindowSpec {
        window_name: None,
        partition_by: keys.iter().map(|(key, _)| key.clone()).collect(),
        order_by: order,
        window_frame: None,
    };
    let mut number = call(Ident::new("ROW_NUMBER"), Vec::new());
    number.over = Some(WindowType::WindowSpec(over));
    let place = Ident::with_quote('`', "$number");
    numbered
        .projection
        .push(SelectItem::ExprWithAlias { expr: Expr::Function(number), alias: place.clone() });
    for (key, name) in &keys {
        numbered.projection.push(SelectItem::ExprWithAlias { expr: key.clone(), alias: name.clone() });
    }
    // What is read and compared is put in: so places stay where they are.
    let mut made = parse_query("SELECT * FROM (SELECT 1) AS `$numbered`")?;
    let hidden = WildcardAdditionalOptions {
        opt_except: Some(ExceptSelectItem {
            first_element: place.clone(),
            additional_elements: keys.iter().map(|(_, name)| name.clone()).collect(),
        }),
        ..WildcardAdditionalOptions::default()
    };
    if let SetExpr::Select(select) = &mut *made.body {
        select.projection = vec![SelectItem::Wildcard(hidden)];
        for from in &mut select.from {
            if let TableFactor::Derived { subquery, .. } = &mut from.relation {
                *subquery.body = SetExpr::Select(Box::new(numbered.clone()));
            }
        }
        let first = Expr::BinaryOp {
            left: Box::new(Expr::Identifier(place)),
            op: BinaryOperator::LtEq,
            right: Box::new(limit),
        };
        select.selection = Some(compared.into_iter().fold(first, and));
    }
    made.with.clone_from(&query.with);
    Ok(Some(made))
}

fn is_plain(select: &Select) -> bool {
    let ungrouped =
        matches!(&select.group_by, GroupByExpr::Expressions(of, with) if of.is_empty() && with.is_empty());
    ungrouped && select.having.is_none() && select.distinct.is_none()
}

/// The conditions that an `AND` joins.
fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        Expr::Nested(inner) => match &**inner {
            Expr::BinaryOp { op: BinaryOperator::And, .. } => conjuncts(inner),
            _ => vec![condition],
        },
        other => vec![other],
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

/// An order, with what a name stands for in place of the name.
fn resolved(by: &OrderByExpr, projection: &[SelectItem]) -> OrderByExpr {
    let mut by = by.clone();
    if let Expr::Identifier(name) = &by.expr {
        let named = projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => Some(expr.clone()),
            _ => None,
        });
        by.expr = named.unwrap_or(by.expr);
    }
    by
}
