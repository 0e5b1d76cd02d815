//! `ARRAY[…]`, `MAP[…]` and `ROW(…)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, StructArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::Volatility;
use datafusion_expr::type_coercion::binary::type_union_coercion;

use super::builtin::{Builtin, Call, Takes, as_they_are};

fn common(types: &[DataType]) -> Result<Vec<DataType>> {
    let mut of = types.first().cloned().unwrap_or(DataType::Null);
    for other in types {
        of = match type_union_coercion(&of, other) {
            Some(of) => of,
            None => return plan_err!("{of} and {other} have no type in common"),
        };
    }
    Ok(vec![of; types.len()])
}

/// The values of several columns, row by row.
fn interleaved(columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let all = concat(&columns.iter().map(|column| column.as_ref()).collect::<Vec<_>>())?;
    let place = |at: usize| (at % columns.len() * rows + at / columns.len()) as u32;
    let places: UInt32Array = (0..rows * columns.len()).map(|at| Some(place(at))).collect();
    Ok(take(&all, &places, None)?)
}

fn array(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::List(item) = call.result else { return exec_err!("no array") };
    let values = interleaved(call.arguments, call.rows)?;
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(call.arguments.len(), call.rows));
    Ok(Arc::new(ListArray::try_new(item.clone(), offsets, values, None)?))
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "$array",
        takes: Takes::By((1, usize::MAX), common),
        result: |arguments| Ok(DataType::List(Field::new("item", arguments.types[0].clone(), true).into())),
        run: array,
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "ROW",
        takes: Takes::By((1, usize::MAX), as_they_are),
        result: |arguments| {
            let field =
                |(place, of): (usize, &DataType)| Field::new(format!("EXPR${place}"), of.clone(), true);
            Ok(DataType::Struct(arguments.types.iter().enumerate().map(field).collect::<Fields>()))
        },
        run: |call| {
            let DataType::Struct(fields) = call.result else { return exec_err!("no row") };
            Ok(Arc::new(StructArray::try_new(fields.clone(), call.arguments.to_vec(), None)?))
        },
        volatility: Volatility::Immutable,
    },
];
