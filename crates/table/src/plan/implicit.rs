//! Which types a value takes on without being asked to, when it is written: those that hold all of it.

use arrow::datatypes::{DataType, Field};

/// Whether a value of the type `from` may be written into a column of the type `to`.
pub(super) fn is_implicit(from: &DataType, to: &DataType) -> bool {
    use DataType as D;
    let fields = |a: &Field, b: &Field| is_implicit(a.data_type(), b.data_type());
    match (from, to) {
        _ if from == to => true,
        (D::Null, _) => true,
        (D::Decimal128(..), D::Decimal128(..) | D::Float32 | D::Float64) => true,
        (D::Float32, D::Float64) => true,
        (from, D::Decimal128(..) | D::Float32 | D::Float64) if from.is_integer() => true,
        (D::Int8, D::Int16 | D::Int32 | D::Int64)
        | (D::Int16, D::Int32 | D::Int64)
        | (D::Int32, D::Int64) => true,
        (D::Timestamp(..), D::Timestamp(..)) | (D::Date32, D::Timestamp(..)) => true,
        (D::List(a), D::List(b)) | (D::Map(a, _), D::Map(b, _)) => fields(a, b),
        (D::Struct(a), D::Struct(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fields(a, b)),
        _ => false,
    }
}
