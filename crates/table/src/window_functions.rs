//! Functions that number and compare rows, for `OVER`: what the planner knows of them. They are run by the operators of
//! [`operators`](crate::operators).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, internal_err, plan_err};
use datafusion_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowFunction {
    /// `ROW_NUMBER()`.
    RowNumber,
    /// `RANK()`: equal rows share one, and leave a gap.
    Rank,
    /// `DENSE_RANK()`: equal rows share one, without a gap.
    DenseRank,
    /// `LAG(value [, by [, default]])`.
    Lag,
    /// `LEAD(value [, by [, default]])`.
    Lead,
    /// `NTILE(n)`.
    Ntile,
    /// `CUME_DIST()`.
    CumeDist,
    /// `PERCENT_RANK()`.
    PercentRank,
}

const NAMES: [(&str, WindowFunction); 8] = [
    ("ROW_NUMBER", WindowFunction::RowNumber),
    ("RANK", WindowFunction::Rank),
    ("DENSE_RANK", WindowFunction::DenseRank),
    ("LAG", WindowFunction::Lag),
    ("LEAD", WindowFunction::Lead),
    ("NTILE", WindowFunction::Ntile),
    ("CUME_DIST", WindowFunction::CumeDist),
    ("PERCENT_RANK", WindowFunction::PercentRank),
];

/// The function of this name, whatever its case.
pub fn window_function(name: &str) -> Option<Arc<WindowUDF>> {
    let (name, function) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    let signature = Signature::user_defined(Volatility::Immutable);
    Some(Arc::new(WindowUDF::from(Declared { name, function: *function, signature })))
}

/// Which function a declaration stands for.
pub fn function_of(declared: &WindowUDF) -> Option<WindowFunction> {
    NAMES.iter().find(|(known, _)| *known == declared.name()).map(|(_, function)| *function)
}

/// The names of all of them.
pub fn window_function_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Declared {
    name: &'static str,
    function: WindowFunction,
    signature: Signature,
}

impl WindowUDFImpl for Declared {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let allowed = match self.function {
            WindowFunction::Lag | WindowFunction::Lead => 1..=3,
            WindowFunction::Ntile => 1..=1,
            _ => 0..=0,
        };
        match allowed.contains(&arguments.len()) {
            true => Ok(arguments.to_vec()),
            false => plan_err!("{} does not take {} arguments", self.name, arguments.len()),
        }
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        internal_err!("{} is not run by DataFusion", self.name)
    }

    fn field(&self, arguments: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let (of, nullable) = match self.function {
            WindowFunction::Lag | WindowFunction::Lead => {
                (arguments.get_input_field(0).map_or(DataType::Null, |field| field.data_type().clone()), true)
            }
            WindowFunction::CumeDist | WindowFunction::PercentRank => (DataType::Float64, false),
            _ => (DataType::Int64, false),
        };
        Ok(Field::new(arguments.name(), of, nullable).into())
    }
}
