//! Functions of a user, registered from Rust: closures over values.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use datafusion_common::{DataFusionError, Result, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::SqlError;

/// A type of Rust that values of SQL have in functions: numbers, `bool`, `String`, `Vec<u8>`, and an `Option` of one, in which NULL is
/// `None`.
pub trait Value: Sized + Send {
    /// Its type in SQL, as Arrow has it.
    fn data_type() -> DataType;

    /// The value of a row of a column of that type, if it can have it.
    fn read(column: &ArrayRef, row: usize) -> Option<Self>;

    /// Values as a column.
    fn collect(values: Vec<Self>) -> ArrayRef {
        Self::collect_options(values.into_iter().map(Some).collect())
    }

    /// Values, some of which may be absent, as a column.
    fn collect_options(values: Vec<Option<Self>>) -> ArrayRef;
}

macro_rules! numbers {
    ($($rust:ty, $of:ident, $arrow:ty, $array:ty;)+) => {$(
        impl Value for $rust {
            fn data_type() -> DataType {
                DataType::$of
            }

            fn read(column: &ArrayRef, row: usize) -> Option<Self> {
                column.is_valid(row).then(|| column.as_primitive::<$arrow>().value(row))
            }

            fn collect_options(values: Vec<Option<Self>>) -> ArrayRef {
                Arc::new(<$array>::from(values))
            }
        }
    )+};
}

numbers! {
    i8, Int8, Int8Type, Int8Array;
    i16, Int16, Int16Type, Int16Array;
    i32, Int32, Int32Type, Int32Array;
    i64, Int64, Int64Type, Int64Array;
    f32, Float32, Float32Type, Float32Array;
    f64, Float64, Float64Type, Float64Array;
}

impl Value for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn read(column: &ArrayRef, row: usize) -> Option<Self> {
        column.is_valid(row).then(|| column.as_boolean().value(row))
    }

    fn collect_options(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(BooleanArray::from(values))
    }
}

impl Value for String {
    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn read(column: &ArrayRef, row: usize) -> Option<Self> {
        column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned())
    }

    fn collect_options(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(StringArray::from(values))
    }
}

impl Value for Vec<u8> {
    fn data_type() -> DataType {
        DataType::Binary
    }

    fn read(column: &ArrayRef, row: usize) -> Option<Self> {
        column.is_valid(row).then(|| column.as_binary::<i32>().value(row).to_vec())
    }

    fn collect_options(values: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>())
    }
}

impl<T: Value> Value for Option<T> {
    fn data_type() -> DataType {
        T::data_type()
    }

    fn read(column: &ArrayRef, row: usize) -> Option<Self> {
        Some(T::read(column, row))
    }

    fn collect(values: Vec<Self>) -> ArrayRef {
        T::collect_options(values)
    }

    fn collect_options(values: Vec<Option<Self>>) -> ArrayRef {
        T::collect_options(values.into_iter().map(Option::flatten).collect())
    }
}

/// The arguments of a function: a value, or a tuple of some.
pub trait Arguments: Sized {
    /// Their types.
    fn types() -> Vec<DataType>;

    /// The values of a row, if none is NULL that cannot be.
    fn read(columns: &[ArrayRef], row: usize) -> Option<Self>;

    /// That there are as many as are taken.
    ///
    /// # Errors
    /// If there are more or fewer.
    fn check(types: &[DataType]) -> Result<(), SqlError> {
        match types.len() == Self::types().len() {
            true => Ok(()),
            false => Err(SqlError::new(format!(
                "the function takes {} arguments, not {}",
                Self::types().len(),
                types.len()
            ))),
        }
    }

    /// Columns of the types that are taken.
    ///
    /// # Errors
    /// If a column has another type, and cannot be cast.
    fn prepare(columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        columns.iter().zip(Self::types()).map(|(column, of)| cast(column, &of)).collect()
    }
}

impl<T: Value> Arguments for T {
    fn types() -> Vec<DataType> {
        vec![T::data_type()]
    }

    fn read(columns: &[ArrayRef], row: usize) -> Option<Self> {
        T::read(&columns[0], row)
    }
}

macro_rules! arguments {
    ($($type:ident $place:tt),*) => {
        impl<$($type: Value),*> Arguments for ($($type,)*) {
            fn types() -> Vec<DataType> {
                vec![$($type::data_type()),*]
            }

            fn read(columns: &[ArrayRef], row: usize) -> Option<Self> {
                let _ = (columns, row);
                Some(($($type::read(&columns[$place], row)?,)*))
            }
        }
    };
}

arguments!();
arguments!(A 0, B 1);
arguments!(A 0, B 1, C 2);
arguments!(A 0, B 1, C 2, D 3);
arguments!(A 0, B 1, C 2, D 3, E 4);

struct OfClosure<F, A, R> {
    name: String,
    function: F,
    signature: Signature,
    types: PhantomData<fn(A) -> R>,
}

/// A scalar function of a closure. It gives the same for the same arguments; for a NULL that it cannot take, NULL.
///
/// ```
/// use thalweg_table::environment::TableEnvironment;
/// use thalweg_table::functions::user::scalar_function;
///
/// let mut environment = TableEnvironment::new();
/// environment.create_scalar_function(scalar_function("shout", |text: String| format!("{text}!")));
/// environment.create_scalar_function(scalar_function("weigh", |(n, by): (i64, Option<f64>)| n as f64 * by.unwrap_or(1.0)));
/// # environment.explain_sql("SELECT shout('a'), weigh(1, NULL)")?;
/// # Ok::<(), thalweg_table::error::SqlError>(())
/// ```
pub fn scalar_function<F, A, R>(name: &str, function: F) -> Arc<ScalarUDF>
where
    F: Fn(A) -> R + Send + Sync + 'static,
    A: Arguments + 'static,
    R: Value + 'static,
{
    let signature = Signature::user_defined(Volatility::Immutable);
    let types = PhantomData::<fn(A) -> R>;
    Arc::new(ScalarUDF::from(OfClosure { name: name.to_owned(), function, signature, types }))
}

impl<F, A, R> fmt::Debug for OfClosure<F, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<F, A, R> PartialEq for OfClosure<F, A, R> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<F, A, R> Eq for OfClosure<F, A, R> {}

impl<F, A, R> Hash for OfClosure<F, A, R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl<F, A, R> ScalarUDFImpl for OfClosure<F, A, R>
where
    F: Fn(A) -> R + Send + Sync + 'static,
    A: Arguments + 'static,
    R: Value + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match A::check(types) {
            Ok(()) => Ok(A::types()),
            Err(_) => plan_err!("{} takes {} arguments, not {}", self.name, A::types().len(), types.len()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(R::data_type())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&call.args)?;
        let columns =
            A::prepare(&columns).map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?;
        // Constants come as columns of one row.
        let rows = columns.first().map_or(call.number_rows, |column| column.len());
        let values = (0..rows).map(|row| A::read(&columns, row).map(&self.function)).collect();
        let column = R::collect_options(values);
        let constant = rows == 1 && call.number_rows != 1;
        match constant {
            true => Ok(ColumnarValue::Scalar(datafusion_common::ScalarValue::try_from_array(&column, 0)?)),
            false => Ok(ColumnarValue::Array(column)),
        }
    }
}
