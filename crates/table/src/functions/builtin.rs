//! How a function of ours is one of DataFusion's.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue, exec_err};
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
    /// How many arguments it takes, at least and at most.
    pub(super) arity: (usize, usize),
    /// The types that its arguments are made to have.
    pub(super) coerce: fn(&[DataType]) -> Result<Vec<DataType>>,
    /// The type of its result.
    pub(super) result: fn(&Arguments<'_>) -> Result<DataType>,
    pub(super) run: fn(&Call<'_>) -> Result<ArrayRef>,
    /// Whether it gives the same for the same arguments: `Immutable`; else it is evaluated for every chunk.
    pub(super) volatility: Volatility,
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
        let Builtin { name, arity: (least, most), coerce, .. } = self.builtin;
        if !(*least..=*most).contains(&types.len()) {
            return exec_err!("{name} does not take {} arguments", types.len());
        }
        coerce(types)
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

/// All arguments as strings.
pub(super) fn strings(types: &[DataType]) -> Result<Vec<DataType>> {
    Ok(vec![DataType::Utf8; types.len()])
}
