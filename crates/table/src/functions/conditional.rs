//! `IF`.

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::DataType;
use datafusion_common::plan_err;
use datafusion_expr::Volatility;
use datafusion_expr::type_coercion::binary::type_union_coercion;

use super::builtin::Builtin;

pub(super) static FUNCTIONS: [Builtin; 1] = [Builtin {
    name: "IF",
    arity: (3, 3),
    coerce: |types| match type_union_coercion(&types[1], &types[2]) {
        Some(of) => Ok(vec![DataType::Boolean, of.clone(), of]),
        None => plan_err!("IF gives either {} or {}, which have no type in common", types[1], types[2]),
    },
    result: |arguments| Ok(arguments.types[1].clone()),
    run: |call| {
        let condition = call.arguments[0].as_boolean();
        // Where the condition is unknown, it is not true.
        let condition = match condition.nulls() {
            Some(nulls) => BooleanArray::new(condition.values() & nulls.inner(), None),
            None => condition.clone(),
        };
        Ok(zip(&condition, &call.arguments[1], &call.arguments[2])?)
    },
    volatility: Volatility::Immutable,
}];
