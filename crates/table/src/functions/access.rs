//! What is inside of rows, arrays and maps: `row.field`, `array[1]`, `map['key']`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::{cast, nullif, take};
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion_common::{Column, DFSchema, Result, ScalarValue, TableReference, exec_err, plan_err};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion_expr::{Expr, ExprSchemable, GetFieldAccess, Volatility, lit};

use super::builtin::{Builtin, Call, Takes, as_they_are};

/// Plans access to fields and items.
#[derive(Debug)]
pub(super) struct AccessPlanner;

impl ExprPlanner for AccessPlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = access;
        let of = expr.get_type(schema)?;
        let planned = match (field_access, of) {
            (GetFieldAccess::NamedStructField { name }, DataType::Struct(_)) => {
                FUNCTIONS[0].udf().call(vec![expr, lit(name)])
            }
            (GetFieldAccess::NamedStructField { name }, _) => FUNCTIONS[1].udf().call(vec![expr, lit(name)]),
            (GetFieldAccess::ListIndex { key }, _) => FUNCTIONS[1].udf().call(vec![expr, *key]),
            (GetFieldAccess::ListRange { .. }, _) => return plan_err!("an item of an array has one number"),
        };
        Ok(PlannerResult::Planned(planned))
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let column = Expr::Column(Column::from((qualifier, field)));
        let nested =
            names.iter().fold(column, |inner, name| FUNCTIONS[0].udf().call(vec![inner, lit(name.clone())]));
        // A field goes by its own name, wherever it is selected.
        Ok(PlannerResult::Planned(match names.last() {
            Some(name) => nested.alias(name),
            None => nested,
        }))
    }
}

/// The name of the function that is access to a field.
pub(crate) const FIELD: &str = "$field";

pub(super) static FUNCTIONS: [Builtin; 2] = [
    Builtin {
        name: FIELD,
        takes: Takes::By((2, 2), as_they_are),
        result: |arguments| {
            let Some(Some(ScalarValue::Utf8(Some(name)))) = arguments.constants.get(1) else {
                return plan_err!("a field has a name");
            };
            match &arguments.types[0] {
                DataType::Struct(fields) => match fields.find(name) {
                    Some((_, field)) => Ok(field.data_type().clone()),
                    None => {
                        let names = fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
                        plan_err!("there is no field `{name}`; there are {}", names.join(", "))
                    }
                },
                other => plan_err!("{other} has no field `{name}`"),
            }
        },
        run: |call| {
            let (rows, names) = (call.arguments[0].as_struct(), call.arguments[1].as_string::<i32>());
            let Some(column) = rows.column_by_name(names.value(0)) else {
                return exec_err!("there is no field `{}`", names.value(0));
            };
            // Of no row there is no field either.
            match rows.nulls() {
                Some(nulls) if nulls.null_count() > 0 => {
                    Ok(nullif(column, &BooleanArray::new(!nulls.inner(), None))?)
                }
                _ => Ok(Arc::clone(column)),
            }
        },
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "$item",
        takes: Takes::By((2, 2), |types| match &types[0] {
            DataType::List(_) => Ok(vec![types[0].clone(), DataType::Int64]),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => Ok(vec![types[0].clone(), fields[0].data_type().clone()]),
                other => plan_err!("{other} are no entries of a map"),
            },
            other => plan_err!("{other} has no items"),
        }),
        result: |arguments| match &arguments.types[0] {
            DataType::List(item) => match arguments.constants.get(1) {
                Some(Some(ScalarValue::Int64(Some(number)))) if *number < 1 => {
                    plan_err!("items of arrays count from 1, and this is {number}")
                }
                _ => Ok(item.data_type().clone()),
            },
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => Ok(fields[1].data_type().clone()),
                other => plan_err!("{other} are no entries of a map"),
            },
            other => plan_err!("{other} has no items"),
        },
        run: |call| match call.arguments[0].data_type() {
            DataType::List(_) => item_of_list(call),
            _ => value_of_key(call),
        },
        volatility: Volatility::Immutable,
    },
];

/// Items count from one.
fn item_of_list(call: &Call<'_>) -> Result<ArrayRef> {
    let (lists, numbers) =
        (call.arguments[0].as_list::<i32>(), call.arguments[1].as_primitive::<Int64Type>());
    let place = |row: usize| {
        if lists.is_null(row) || numbers.is_null(row) {
            return None;
        }
        let (number, length) = (numbers.value(row), i64::from(lists.value_length(row)));
        (1..=length).contains(&number).then(|| (i64::from(lists.value_offsets()[row]) + number - 1) as u32)
    };
    let places: UInt32Array = (0..call.rows).map(place).collect();
    Ok(take(lists.values(), &places, None)?)
}

fn value_of_key(call: &Call<'_>) -> Result<ArrayRef> {
    let maps = call.arguments[0].as_map();
    let keys = cast(&call.arguments[1], maps.keys().data_type())?;
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
    let known = converter.convert_columns(&[Arc::clone(maps.keys())])?;
    let wanted = converter.convert_columns(&[keys])?;
    let place = |row: usize| {
        if maps.is_null(row) {
            return None;
        }
        let range = maps.value_offsets()[row] as usize..maps.value_offsets()[row + 1] as usize;
        range.into_iter().find(|at| known.row(*at) == wanted.row(row)).map(|at| at as u32)
    };
    let places: UInt32Array = (0..call.rows).map(place).collect();
    Ok(take(maps.values(), &places, None)?)
}
