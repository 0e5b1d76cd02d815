//! Names for what has none: `SELECT a + 1` is `EXPR$0`, as in Flink.
//!
//! Before: expressions that stand in `SELECT` without a name, and names that stand there twice. After: each has its own.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut};

/// Names what has no name in a query, and in those in it.
pub(super) fn rewrite(query: &mut Query) {
    struct Namer;
    impl VisitorMut for Namer {
        type Break = ();

        fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            of_body(&mut query.body);
            ControlFlow::Continue(())
        }
    }
    let _ = query.visit(&mut Namer);
}

fn of_body(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => of_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left);
            of_body(right);
        }
        // Queries within are visited by themselves.
        _ => {}
    }
}

fn of_select(select: &mut Select) {
    let mut taken: HashSet<String> = HashSet::new();
    for (place, item) in select.projection.iter_mut().enumerate() {
        let name = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(column)) => column.value.clone(),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => match parts.last() {
                Some(column) => column.value.clone(),
                None => continue,
            },
            SelectItem::UnnamedExpr(_) => format!("EXPR${place}"),
            SelectItem::ExprWithAlias { alias, .. } => {
                taken.insert(alias.value.clone());
                continue;
            }
            _ => continue,
        };
        let mut own = name.clone();
        let mut next = 0;
        while !taken.insert(own.clone()) {
            own = format!("{name}{next}");
            next += 1;
        }
        let is_column =
            matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
        if let (false, SelectItem::UnnamedExpr(expr)) = (is_column && own == name, &*item) {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('`', own) };
        }
    }
}
