//! Expressions that have a grammar of their own, as calls of functions of ours.
//!
//! Before: `SUBSTRING(x FROM 2)`, `TRIM(BOTH 'x' FROM y)`, `POSITION(x IN y)`, `FLOOR(t TO DAY)`, `TIMESTAMPADD(DAY, 1, t)`. After: calls
//! of `SUBSTRING`, `BTRIM`, `POSITION`, `$floor`, `TIMESTAMPADD` with plain arguments. `a[1].x` becomes calls of `$item` and `$field`.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, CeilFloorKind, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    Subscript, TrimWhereField, Value, VisitMut, visit_expressions_mut,
};

use crate::functions::FIELD;
use crate::parser::call;

/// Rewrites the expressions in something.
pub(super) fn rewrite(of: &mut impl VisitMut) {
    let _ = visit_expressions_mut(of, |expression| {
        one(expression);
        ControlFlow::<()>::Continue(())
    });
}

fn function(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(call(Ident::with_quote('`', name), arguments))
}

fn text(of: impl ToString) -> Expr {
    Expr::Value(Value::SingleQuotedString(of.to_string()).into())
}

/// An expression out of its place, which is filled soon.
fn taken(expression: &mut Expr) -> Expr {
    std::mem::replace(expression, Expr::Value(Value::Null.into()))
}

fn one(expression: &mut Expr) {
    *expression = match expression {
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let mut arguments = vec![taken(expr)];
            match (substring_from, substring_for) {
                (Some(from), length) => {
                    arguments.push(taken(from));
                    arguments.extend(length.as_mut().map(|length| taken(length)));
                }
                (None, Some(length)) => {
                    arguments
                        .extend([Expr::Value(Value::Number("1".to_owned(), false).into()), taken(length)]);
                }
                (None, None) => {}
            }
            function("SUBSTRING", arguments)
        }
        Expr::Trim { expr, trim_where, trim_what, trim_characters } => {
            let name = match trim_where {
                Some(TrimWhereField::Leading) => "LTRIM",
                Some(TrimWhereField::Trailing) => "RTRIM",
                Some(TrimWhereField::Both) | None => "BTRIM",
            };
            let mut arguments = vec![taken(expr)];
            arguments.extend(trim_what.as_mut().map(|what| taken(what)));
            arguments.extend(trim_characters.iter_mut().flatten().map(taken));
            function(name, arguments)
        }
        Expr::Position { expr, r#in } => function("POSITION", vec![taken(expr), taken(r#in)]),
        Expr::Floor { expr, field: CeilFloorKind::DateTimeField(unit) }
            if *unit != DateTimeField::NoDateTime =>
        {
            function("$floor", vec![text(&unit), taken(expr)])
        }
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(unit) }
            if *unit != DateTimeField::NoDateTime =>
        {
            function("$ceil", vec![text(&unit), taken(expr)])
        }
        Expr::CompoundFieldAccess { root, access_chain } => match accessed(root, access_chain) {
            Some(accessed) => accessed,
            None => return,
        },
        Expr::Function(called) => {
            // The first argument of these is a word, not a column.
            let name = called.name.to_string().to_uppercase();
            if matches!(name.as_str(), "TIMESTAMPADD" | "TIMESTAMPDIFF")
                && let FunctionArguments::List(list) = &mut called.args
                && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(unit))) = list.args.first_mut()
                && let Expr::Identifier(word) = unit
            {
                *unit = text(&word.value);
            }
            return;
        }
        _ => return,
    };
}

/// Items, and fields of items: none, if there are no fields among them.
fn accessed(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    chain.iter().any(|access| matches!(access, AccessExpr::Dot(_))).then_some(())?;
    chain.iter().try_fold(root.clone(), |of, access| match access {
        AccessExpr::Dot(Expr::Identifier(name)) => Some(function(FIELD, vec![of, text(&name.value)])),
        AccessExpr::Subscript(Subscript::Index { index }) => Some(function("$item", vec![of, index.clone()])),
        _ => None,
    })
}
