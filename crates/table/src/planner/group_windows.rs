//! The old group windows: `GROUP BY TUMBLE(ts, INTERVAL …)`, with `TUMBLE_START(ts, INTERVAL …)` among the results.
//!
//! Before: a call in `GROUP BY`. After: a window table function in `FROM`, and its columns in place of the calls. Sessions, which are those of
//! each group, are partitioned by the other columns that are grouped by.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Query, Select, SelectItem,
    SetExpr, TableAlias, TableFactor, TableWithJoins, WildcardAdditionalOptions, visit_expressions_mut,
};

use super::selects::rewrite_selects;
use crate::error::SqlError;
use crate::parser::call;

/// Rewrites the group windows of a query, and of those in it.
pub(super) fn rewrite(query: &mut Query) -> Result<(), SqlError> {
    rewrite_selects(query, of_select)
}

/// The name and the arguments of a call.
fn call_of(expression: &Expr) -> Option<(String, Vec<Expr>)> {
    let Expr::Function(call) = expression else { return None };
    let FunctionArguments::List(list) = &call.args else { return None };
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
        _ => None,
    });
    Some((call.name.to_string().to_uppercase(), arguments.collect::<Option<_>>()?))
}

fn is_window(expression: &Expr) -> bool {
    call_of(expression).is_some_and(|(name, arguments)| {
        matches!(name.as_str(), "TUMBLE" | "HOP" | "SESSION") && arguments.len() >= 2
    })
}

fn of_select(select: &mut Select) -> Result<(), SqlError> {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return Ok(()) };
    let windows: Vec<Expr> = groups.iter().filter(|group| is_window(group)).cloned().collect();
    let [window] = &windows[..] else {
        return match windows.is_empty() {
            true => Ok(()),
            false => Err(SqlError::new("a query is grouped by one window at most")),
        };
    };
    let Some((name, mut arguments)) = call_of(window) else { return Ok(()) };
    groups.retain(|group| !is_window(group));
    let time = match arguments.remove(0) {
        Expr::CompoundIdentifier(mut parts) => parts.pop().map(Expr::Identifier),
        Expr::Identifier(column) => Some(Expr::Identifier(column)),
        _ => None,
    };
    let Some(time) = time else { return Err(SqlError::new(format!("{name} goes by a time column"))) };
    let computed = if name == "SESSION" { computed_groups(select) } else { Vec::new() };
    let mut table = vec![Expr::Subquery(Box::new(inner(select, computed)))];
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return Ok(()) };
    if name == "SESSION" {
        for group in groups.iter() {
            match group {
                Expr::CompoundIdentifier(parts) => table.extend(parts.last().cloned().map(Expr::Identifier)),
                other => table.push(other.clone()),
            }
        }
    }
    let column = |name: &str| Expr::Identifier(Ident::new(name));
    groups.extend([column("window_start"), column("window_end"), column("window_time")]);
    arguments.splice(
        0..0,
        [
            Expr::Function(call(Ident::new("$table"), table)),
            Expr::Function(call(Ident::new("DESCRIPTOR"), vec![time])),
        ],
    );
    let alias = match &select.from[..] {
        [TableWithJoins { relation: TableFactor::Table { name, alias, .. }, joins }] if joins.is_empty() => {
            let last = name.0.last().and_then(|part| part.as_ident()).cloned();
            alias.clone().or(last.map(|name| TableAlias {
                explicit: true,
                name,
                columns: Vec::new(),
                at: None,
            }))
        }
        [TableWithJoins { relation: TableFactor::Derived { alias, .. }, joins }] if joins.is_empty() => {
            alias.clone()
        }
        _ => None,
    };
    let expr = Expr::Function(call(Ident::new(&name), arguments));
    select.from =
        vec![TableWithJoins { relation: TableFactor::TableFunction { expr, alias }, joins: Vec::new() }];
    select.selection = None;
    let bounds = |expression: &mut Expr| -> ControlFlow<()> {
        if let Some((called, _)) = call_of(expression)
            && let Some(what) = called.strip_prefix(&format!("{name}_"))
        {
            *expression = match what {
                "START" => column("window_start"),
                "END" => column("window_end"),
                "ROWTIME" => column("window_time"),
                "PROCTIME" => Expr::Function(call(Ident::new("PROCTIME"), Vec::new())),
                _ => return ControlFlow::Continue(()),
            };
        }
        ControlFlow::Continue(())
    };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } = item
        {
            let _ = visit_expressions_mut(expression, bounds);
        }
    }
    if let Some(having) = &mut select.having {
        let _ = visit_expressions_mut(having, bounds);
    }
    Ok(())
}

/// What a query is grouped by that is no column, by the names of the columns that stand in its place from now on.
fn computed_groups(select: &mut Select) -> Vec<SelectItem> {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return Vec::new() };
    let mut computed = Vec::new();
    for (place, group) in groups.iter_mut().enumerate() {
        if matches!(group, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            continue;
        }
        let alias = Ident::with_quote('`', format!("$group{place}"));
        let expr = std::mem::replace(group, Expr::Identifier(alias.clone()));
        computed.push((expr, alias));
    }
    let in_place = |of: &mut Expr| {
        let _ = visit_expressions_mut(of, |expression| {
            if let Some((_, alias)) = computed.iter().find(|(expr, _)| expr == expression) {
                *expression = Expr::Identifier(alias.clone());
            }
            ControlFlow::<()>::Continue(())
        });
    };
    for (place, item) in select.projection.iter_mut().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expression) => {
                let before = expression.clone();
                in_place(expression);
                if before != *expression {
                    // Its name is that of an expression.
                    let alias = Ident::with_quote('`', format!("EXPR${place}"));
                    *item = SelectItem::ExprWithAlias { expr: expression.clone(), alias };
                }
            }
            SelectItem::ExprWithAlias { expr, .. } => in_place(expr),
            _ => {}
        }
    }
    select.having.iter_mut().for_each(in_place);
    computed.into_iter().map(|(expr, alias)| SelectItem::ExprWithAlias { expr, alias }).collect()
}

/// `SELECT *, … FROM … WHERE …` of a query.
fn inner(select: &Select, computed: Vec<SelectItem>) -> Query {
    let mut projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
    projection.extend(computed);
    let inner = Select {
        projection,
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        having: None,
        distinct: None,
        named_window: Vec::new(),
        qualify: None,
        ..select.clone()
    };
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(inner))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
