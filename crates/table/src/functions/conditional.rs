//! `IF`, `COALESCE`, `NULLIF` and their kin.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::kernels::cmp;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, is_not_null, is_null, nullif};
use arrow::datatypes::DataType;
use datafusion_common::{Result, plan_err};
use datafusion_expr::Volatility;
use datafusion_expr::type_coercion::binary::type_union_coercion;

use super::builtin::{Arguments, Builtin, Call, Takes};

/// The type that all of these have in common. A floating point number with a decimal is one: of its own type behind it, a `DOUBLE` before it.
fn common(types: &[DataType]) -> Result<DataType> {
    let mut of = types[0].clone();
    for other in &types[1..] {
        let united = match (of.is_decimal(), other.is_decimal()) {
            (true, false) if other.is_floating() => Some(other.clone()),
            (false, true) if of.is_floating() => Some(DataType::Float64),
            _ => type_union_coercion(&of, other),
        };
        of = match united {
            Some(of) => of,
            None => return plan_err!("{of} and {other} have no type in common"),
        };
    }
    Ok(of)
}

fn all_common(types: &[DataType]) -> Result<Vec<DataType>> {
    Ok(vec![common(types)?; types.len()])
}

fn first(arguments: &Arguments<'_>) -> Result<DataType> {
    Ok(arguments.types[0].clone())
}

/// Where a condition is unknown, it is not true.
fn known(condition: &BooleanArray) -> BooleanArray {
    match condition.nulls() {
        Some(nulls) => BooleanArray::new(condition.values() & nulls.inner(), None),
        None => condition.clone(),
    }
}

fn coalesce(call: &Call<'_>) -> Result<ArrayRef> {
    let (mut result, rest) = (call.arguments[0].clone(), &call.arguments[1..]);
    for next in rest {
        result = zip(&is_not_null(&result)?, &result, next)?;
    }
    Ok(result)
}

/// The greatest of the arguments, or the least; NULL if one of them is.
fn extreme(call: &Call<'_>, greatest: bool) -> Result<ArrayRef> {
    let mut result = call.arguments[0].clone();
    for next in &call.arguments[1..] {
        let keeps = if greatest { cmp::gt_eq(&result, next)? } else { cmp::lt_eq(&result, next)? };
        let unknown = arrow::compute::or(&is_null(&result)?, &is_null(next)?)?;
        result = nullif(&zip(&known(&keeps), &result, next)?, &unknown)?;
    }
    Ok(result)
}

const fn of_common(
    name: &'static str,
    counts: (usize, usize),
    run: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Builtin {
    Builtin {
        name,
        takes: Takes::By(counts, all_common),
        result: first,
        run,
        volatility: Volatility::Immutable,
    }
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "IF",
        takes: Takes::By((3, 3), |types| {
            // Whichever comes first.
            let of = match types[1].is_decimal() && types[2].is_floating() {
                true => DataType::Float64,
                false => common(&types[1..])?,
            };
            Ok(vec![DataType::Boolean, of.clone(), of])
        }),
        result: |arguments| Ok(arguments.types[1].clone()),
        run: |call| Ok(zip(&known(call.arguments[0].as_boolean()), &call.arguments[1], &call.arguments[2])?),
        volatility: Volatility::Immutable,
    },
    of_common("COALESCE", (1, usize::MAX), coalesce),
    of_common("IFNULL", (2, 2), coalesce),
    Builtin {
        name: "NULLIF",
        takes: Takes::By((2, 2), super::builtin::as_they_are),
        result: first,
        run: |call| {
            let of = common(&[call.arguments[0].data_type().clone(), call.arguments[1].data_type().clone()])?;
            let equal = known(&cmp::eq(&cast(&call.arguments[0], &of)?, &cast(&call.arguments[1], &of)?)?);
            Ok(nullif(&call.arguments[0], &equal)?)
        },
        volatility: Volatility::Immutable,
    },
    of_common("GREATEST", (1, usize::MAX), |call| extreme(call, true)),
    of_common("LEAST", (1, usize::MAX), |call| extreme(call, false)),
    Builtin {
        name: "CARDINALITY",
        takes: Takes::Letters("*"),
        result: super::builtin::int,
        run: |call| {
            let lengths = match call.arguments[0].data_type() {
                DataType::Map(..) => {
                    let map = call.arguments[0].as_map();
                    let length = |row: usize| map.is_valid(row).then(|| map.value_length(row));
                    (0..map.len()).map(length).collect::<arrow::array::Int32Array>()
                }
                DataType::List(_) => {
                    let list = call.arguments[0].as_list::<i32>();
                    let length = |row: usize| list.is_valid(row).then(|| list.value_length(row));
                    (0..list.len()).map(length).collect()
                }
                other => return plan_err!("{other} has no cardinality"),
            };
            Ok(cast(&lengths, call.result)?)
        },
        volatility: Volatility::Immutable,
    },
];
