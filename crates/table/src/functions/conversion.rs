//! `CAST` and `TRY_CAST`: calls whose last argument is the type, as it is written.

use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::Volatility;

use super::builtin::{Arguments, Builtin, Call, Takes, as_they_are};
use super::time::zone;
use crate::cast::{Casting, cast, check};
use crate::parser::parse_type;
use crate::types::LogicalType;

/// The type that a cast is to.
fn target(constant: Option<&ScalarValue>) -> Result<LogicalType> {
    let Some(ScalarValue::Utf8(Some(text))) = constant else {
        return plan_err!("a cast is to a type");
    };
    Ok(parse_type(text)?)
}

fn result(arguments: &Arguments<'_>) -> Result<arrow::datatypes::DataType> {
    let to = target(arguments.constants.get(1).copied().flatten())?;
    check(&arguments.types[0], &to)?;
    Ok(to.to_arrow())
}

fn run(call: &Call<'_>, lenient: bool) -> Result<arrow::array::ArrayRef> {
    let of = &call.arguments[1];
    if of.is_empty() {
        return Ok(arrow::array::new_empty_array(call.result));
    }
    let to = target(Some(&ScalarValue::try_from_array(of, 0)?))?;
    let zone = zone(call);
    let made = cast(&call.arguments[0], &to, Casting { zone, lenient })?;
    match made.data_type() == call.result {
        true => Ok(made),
        false => exec_err!("a cast to {} gave {}", call.result, made.data_type()),
    }
}

const fn casting(name: &'static str, run: fn(&Call<'_>) -> Result<arrow::array::ArrayRef>) -> Builtin {
    Builtin { name, takes: Takes::By((2, 2), as_they_are), result, run, volatility: Volatility::Immutable }
}

pub(super) static FUNCTIONS: [Builtin; 2] =
    [casting("$cast", |call| run(call, false)), casting("$try_cast", |call| run(call, true))];
