//! Which part of a query an error is about: the first name in it that the error speaks of.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, ObjectName, ObjectNamePart, Query, Visit, Visitor};

use crate::error::{Part, SqlError};

/// The error with its place, if it has none yet and speaks of a name that is in the query.
pub(super) fn placed(error: SqlError, query: &Query) -> SqlError {
    if error.part.is_some() || error.span.is_some() {
        return error;
    }
    // Names stand between back-ticks; what a function says begins with its name.
    let mut names: Vec<&str> = error.message.split('`').skip(1).step_by(2).collect();
    names.extend(error.message.split([' ', ':', '(']).next());
    let part = names.iter().find_map(|name| find(name, query));
    SqlError { part, ..error }
}

/// The first place at which a name stands in a query.
fn find(name: &str, query: &Query) -> Option<Part> {
    struct Finder<'a>(&'a str);
    impl Finder<'_> {
        fn look(&self, ident: &Ident) -> ControlFlow<Part> {
            let (start, end) = (ident.span.start, ident.span.end);
            match ident.value.eq_ignore_ascii_case(self.0) && start.line > 0 {
                true => ControlFlow::Break(Part {
                    start: (start.line as usize, start.column as usize),
                    end: (end.line as usize, end.column as usize),
                }),
                false => ControlFlow::Continue(()),
            }
        }

        fn look_at(&self, name: &ObjectName) -> ControlFlow<Part> {
            name.0.iter().filter_map(ObjectNamePart::as_ident).try_for_each(|ident| self.look(ident))
        }
    }
    impl Visitor for Finder<'_> {
        type Break = Part;

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Part> {
            self.look_at(relation)
        }

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Part> {
            match expression {
                Expr::Identifier(ident) => self.look(ident),
                Expr::CompoundIdentifier(parts) => parts.iter().try_for_each(|ident| self.look(ident)),
                Expr::Function(call) => self.look_at(&call.name),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match query.visit(&mut Finder(name)) {
        ControlFlow::Break(part) => Some(part),
        ControlFlow::Continue(()) => None,
    }
}
