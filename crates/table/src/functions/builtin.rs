//! How a function of ours is one of DataFusion's.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray,
};
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType,
};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The types a call has, and the constants among its arguments.
pub(super) struct Arguments<'a> {
    pub(super) types: &'a [DataType],
    pub(super) constants: &'a [Option<&'a ScalarValue>],
}

/// What a function is evaluated over.
pub(super) struct Call<'a> {
    pub(super) arguments: &'a [ArrayRef],
    pub(super) rows: usize,
    pub(super) result: &'a DataType,
    pub(super) config: &'a ConfigOptions,
}

/// A function.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// The type of its result.
    pub(super) result: fn(&Arguments<'_>) -> Result<DataType>,
    pub(super) run: fn(&Call<'_>) -> Result<ArrayRef>,
    /// Whether it gives the same for the same arguments: `Immutable`; else it is evaluated for every chunk.
    pub(super) volatility: Volatility,
}

/// The arguments that a function takes.
#[derive(Debug)]
pub(super) enum Takes {
    /// So many at least and at most, made to have the types that the function says.
    By((usize, usize), fn(&[DataType]) -> Result<Vec<DataType>>),
    /// A letter for each: `s`tring, `i`nteger, `d`ouble, `b`oolean, `t`imestamp, `*` as it is. Those behind `?` may be left out, the last
    /// before a `+` comes as often as wanted.
    Letters(&'static str),
}

impl Takes {
    fn coerce(&self, name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
        let counts = |least: usize, most: usize| match (least..=most).contains(&types.len()) {
            true => Ok(()),
            false => plan_err!("{name} does not take {} arguments", types.len()),
        };
        let letters = match self {
            Self::By((least, most), coerce) => {
                counts(*least, *most)?;
                return coerce(types);
            }
            Self::Letters(letters) => letters,
        };
        let all: Vec<char> = letters.chars().filter(|letter| !"?+".contains(*letter)).collect();
        let least = letters.find('?').unwrap_or(all.len());
        counts(least, if letters.ends_with('+') { usize::MAX } else { all.len() })?;
        let of = |(place, given): (usize, &DataType)| match all.get(place).or(all.last()) {
            Some('s') => DataType::Utf8,
            Some('i') => DataType::Int64,
            Some('d') => DataType::Float64,
            Some('b') => DataType::Boolean,
            Some('t') => match given {
                DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
                _ => DataType::Timestamp(TimeUnit::Millisecond, None),
            },
            _ => given.clone(),
        };
        Ok(types.iter().enumerate().map(of).collect())
    }
}

/// The values of one row.
pub(super) struct Row<'a> {
    pub(super) arguments: &'a [ArrayRef],
    pub(super) row: usize,
}

impl<'a> Row<'a> {
    /// How many arguments there are.
    pub(super) fn len(&self) -> usize {
        self.arguments.len()
    }

    fn get(&self, place: usize) -> Option<&'a ArrayRef> {
        self.arguments.get(place).filter(|values| values.is_valid(self.row))
    }

    pub(super) fn text(&self, place: usize) -> Option<&'a str> {
        self.get(place).map(|values| values.as_string::<i32>().value(self.row))
    }

    pub(super) fn int(&self, place: usize) -> Option<i64> {
        self.get(place).map(|values| values.as_primitive::<Int64Type>().value(self.row))
    }

    pub(super) fn float(&self, place: usize) -> Option<f64> {
        self.get(place).map(|values| values.as_primitive::<Float64Type>().value(self.row))
    }

    /// Milliseconds since the epoch.
    pub(super) fn time(&self, place: usize) -> Option<i64> {
        self.get(place).map(|values| values.as_primitive::<TimestampMillisecondType>().value(self.row))
    }
}

fn rows<'a>(call: &'a Call<'_>) -> impl Iterator<Item = Row<'a>> {
    (0..call.rows).map(|row| Row { arguments: call.arguments, row })
}

/// A string for each row.
pub(super) fn texts<'a, S: AsRef<str>>(
    call: &'a Call<'_>,
    of: impl Fn(&Row<'a>) -> Option<S>,
) -> Result<ArrayRef> {
    Ok(Arc::new(rows(call).map(|row| of(&row)).collect::<StringArray>()))
}

/// An `INT` for each row.
pub(super) fn ints(call: &Call<'_>, of: impl Fn(&Row<'_>) -> Option<i32>) -> Result<ArrayRef> {
    Ok(Arc::new(rows(call).map(|row| of(&row)).collect::<Int32Array>()))
}

/// A `BIGINT` for each row.
pub(super) fn longs(call: &Call<'_>, of: impl Fn(&Row<'_>) -> Option<i64>) -> Result<ArrayRef> {
    Ok(Arc::new(rows(call).map(|row| of(&row)).collect::<Int64Array>()))
}

/// A `DOUBLE` for each row.
pub(super) fn floats(call: &Call<'_>, of: impl Fn(&Row<'_>) -> Option<f64>) -> Result<ArrayRef> {
    Ok(Arc::new(rows(call).map(|row| of(&row)).collect::<Float64Array>()))
}

/// A `BOOLEAN` for each row.
pub(super) fn flags(call: &Call<'_>, of: impl Fn(&Row<'_>) -> Option<bool>) -> Result<ArrayRef> {
    Ok(Arc::new(rows(call).map(|row| of(&row)).collect::<BooleanArray>()))
}

/// A function of strings, numbers and times that gives the same for the same arguments.
pub(super) const fn pure(
    name: &'static str,
    letters: &'static str,
    result: fn(&Arguments<'_>) -> Result<DataType>,
    run: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Builtin {
    Builtin { name, takes: Takes::Letters(letters), result, run, volatility: Volatility::Immutable }
}

/// That the result is a string.
pub(super) fn text(_: &Arguments<'_>) -> Result<DataType> {
    Ok(DataType::Utf8)
}

/// That the result is an `INT`.
pub(super) fn int(_: &Arguments<'_>) -> Result<DataType> {
    Ok(DataType::Int32)
}

/// That the result is a `BIGINT`.
pub(super) fn long(_: &Arguments<'_>) -> Result<DataType> {
    Ok(DataType::Int64)
}

/// That the result is a `DOUBLE`.
pub(super) fn float(_: &Arguments<'_>) -> Result<DataType> {
    Ok(DataType::Float64)
}

/// That the result is a `BOOLEAN`.
pub(super) fn flag(_: &Arguments<'_>) -> Result<DataType> {
    Ok(DataType::Boolean)
}

#[derive(Debug)]
struct Declared {
    builtin: &'static Builtin,
    signature: Signature,
}

impl PartialEq for Declared {
    fn eq(&self, other: &Self) -> bool {
        self.builtin.name == other.builtin.name
    }
}

impl Eq for Declared {}

impl Hash for Declared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.builtin.name.hash(state);
    }
}

impl Builtin {
    pub(super) fn udf(&'static self) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(self.volatility);
        Arc::new(ScalarUDF::from(Declared { builtin: self, signature }))
    }
}

impl ScalarUDFImpl for Declared {
    fn name(&self) -> &str {
        self.builtin.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.builtin.takes.coerce(self.builtin.name, types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        (self.builtin.result)(&Arguments { types, constants: &vec![None; types.len()] })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let arguments = Arguments { types: &types, constants: args.scalar_arguments };
        Ok(Field::new(self.builtin.name, (self.builtin.result)(&arguments)?, true).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Constants alone give a constant.
        let constant =
            !args.args.is_empty() && args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arguments = args.args.iter().map(|value| value.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let result = args.return_field.data_type();
        let call = Call { arguments: &arguments, rows, result, config: &args.config_options };
        let values = (self.builtin.run)(&call)?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?)),
            false => Ok(ColumnarValue::Array(values)),
        }
    }
}

/// The arguments as they are.
pub(super) fn as_they_are(types: &[DataType]) -> Result<Vec<DataType>> {
    Ok(types.to_vec())
}
