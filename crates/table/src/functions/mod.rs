//! Flink's system functions, as DataFusion's [`ScalarUDF`] with Flink's semantics over Arrow arrays.
//!
//! - A function is found by its name, whatever the case: [`scalar`]. Its types are Flink's: it coerces its arguments by itself
//!   (`Signature::user_defined`), and says whether its result can be `NULL`.
//! - What the grammar has a form of its own for (`EXTRACT`, `SUBSTRING … FROM`, `a + b`, `CASE`, `CAST`, …) becomes a call of one of
//!   these functions while the query is planned, so that types are Flink's from the beginning.
//! - Which of Flink's functions are there is on the page below; a test holds it and the functions together.
//! - The session's time zone is `execution.time_zone` of the arguments' `ConfigOptions`.

#![doc = include_str!("../../FUNCTIONS.md")]

mod access;
mod bits;
mod builtin;
mod calendar;
mod collections;
mod conditional;
mod conversion;
mod decimal;
mod hash;
mod json;
mod json_path;
mod math;
mod regex;
mod rows;
mod text;
mod time;
mod time_pattern;
mod url;
pub mod user;

use std::sync::Arc;

use datafusion_expr::ScalarUDF;
use datafusion_expr::planner::ExprPlanner;

pub(crate) use self::access::FIELD;
use self::builtin::Builtin;
pub(crate) use self::decimal::arithmetic;
pub(crate) use self::json::{json_of, object};

/// All functions, those with a name of their own and those that the grammar has another form for (`$…`).
fn all() -> impl Iterator<Item = &'static Builtin> {
    let pages: [&'static [Builtin]; 14] = [
        &access::FUNCTIONS,
        bits::FUNCTIONS,
        collections::FUNCTIONS,
        conditional::FUNCTIONS,
        &conversion::FUNCTIONS,
        &decimal::FUNCTIONS,
        hash::FUNCTIONS,
        json::FUNCTIONS,
        regex::FUNCTIONS,
        url::FUNCTIONS,
        math::FUNCTIONS,
        rows::FUNCTIONS,
        text::FUNCTIONS,
        time::FUNCTIONS,
    ];
    pages.into_iter().flatten()
}

/// The scalar function of this name.
pub fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    all().find(|builtin| builtin.name.eq_ignore_ascii_case(name)).map(Builtin::udf)
}

/// A call of the scalar function of this name.
pub(crate) fn call(
    name: &str,
    arguments: Vec<datafusion_expr::Expr>,
) -> datafusion_common::Result<datafusion_expr::Expr> {
    match scalar(name) {
        Some(function) => Ok(function.call(arguments)),
        None => datafusion_common::plan_err!("there is no function {name}"),
    }
}

/// The names of all scalar functions, in upper case.
pub fn scalar_names() -> Vec<String> {
    let named = all().filter(|builtin| !builtin.name.starts_with('$'));
    named.map(|builtin| builtin.name.to_owned()).collect()
}

/// Plans expressions that have a grammar of their own.
pub fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![Arc::new(access::AccessPlanner), Arc::new(text::TextPlanner)]
}
