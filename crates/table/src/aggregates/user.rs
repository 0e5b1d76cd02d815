//! Aggregate functions of a user, registered from Rust.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion_common::{Result, internal_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::functions::user::{Arguments, Value};
use crate::rows::RowBytes;

/// What a function gathers of the rows of a group.
///
/// A row with a NULL for an argument that cannot be NULL is left out; with an `Option` it is not.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use thalweg_dataflow::runtime::JobConfig;
/// use thalweg_table::aggregates::user::{AggregateFunction, aggregate_function};
/// use thalweg_table::environment::TableEnvironment;
///
/// /// An average by weight.
/// struct WeightedAverage;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Sums {
///     values: i64,
///     weights: i64,
/// }
///
/// impl AggregateFunction for WeightedAverage {
///     type Input = (i64, i64);
///     type Accumulator = Sums;
///     type Output = Option<i64>;
///
///     fn accumulate(&self, sums: &mut Sums, (value, weight): (i64, i64)) {
///         sums.values += value * weight;
///         sums.weights += weight;
///     }
///
///     fn retracts(&self) -> bool {
///         true
///     }
///
///     fn retract(&self, sums: &mut Sums, (value, weight): (i64, i64)) {
///         sums.values -= value * weight;
///         sums.weights -= weight;
///     }
///
///     fn value(&self, sums: &Sums) -> Option<i64> {
///         (sums.weights != 0).then(|| sums.values / sums.weights)
///     }
/// }
///
/// let mut environment = TableEnvironment::new();
/// environment.create_aggregate_function(aggregate_function("weighted_average", WeightedAverage));
/// let query = "SELECT weighted_average(v, w) FROM (VALUES (10, 1), (20, 3)) AS t (v, w)";
/// let changes = environment.execute_query(query, JobConfig::new("weights"))?.collect()?;
/// assert_eq!(changes.last().map(ToString::to_string), Some("+I[17]".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AggregateFunction: Send + Sync + 'static {
    /// The arguments: a value, or a tuple of some.
    type Input: Arguments;
    /// What is kept of a group. It is part of checkpoints, as JSON: fields may be added that have a default.
    type Accumulator: Default + Serialize + DeserializeOwned;
    /// The type of the result; an `Option` where it may be NULL.
    type Output: Value;

    /// Adds a row.
    fn accumulate(&self, accumulator: &mut Self::Accumulator, input: Self::Input);

    /// Whether rows can be taken back, which they are where their group follows from what changes. Without that, such a query is refused.
    fn retracts(&self) -> bool {
        false
    }

    /// Takes a row back, if that [can be done](Self::retracts).
    fn retract(&self, accumulator: &mut Self::Accumulator, input: Self::Input) {
        let _ = (accumulator, input);
    }

    /// The result.
    fn value(&self, accumulator: &Self::Accumulator) -> Self::Output;
}

/// The function under a name, ready to be [registered](crate::environment::TableEnvironment::create_aggregate_function).
pub fn aggregate_function<F: AggregateFunction>(name: &str, function: F) -> Arc<AggregateUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    let function: Arc<dyn UserAggregate> = Arc::new(Of(function));
    Arc::new(AggregateUDF::from(Declared { name: name.to_owned(), function, signature }))
}

/// The function of a user that is declared, if it is one.
pub(crate) fn user_function(declared: &AggregateUDF) -> Option<Arc<dyn UserAggregate>> {
    declared.inner().downcast_ref::<Declared>().map(|declared| declared.function.clone())
}

/// Accumulators as bytes.
pub(crate) trait UserAggregate: Send + Sync {
    fn types(&self) -> Vec<DataType>;

    fn result(&self) -> DataType;

    fn retracts(&self) -> bool;

    /// Of no row.
    fn empty(&self) -> RowBytes;

    /// Columns of the types that are taken.
    fn prepare(&self, columns: &[ArrayRef]) -> std::result::Result<Vec<ArrayRef>, ArrowError>;

    /// Adds some rows to an accumulator, or takes them back.
    fn update(
        &self,
        accumulator: &mut RowBytes,
        columns: &[ArrayRef],
        rows: &mut dyn Iterator<Item = (usize, i64)>,
    ) -> std::result::Result<(), ArrowError>;

    fn results(&self, of: &mut dyn Iterator<Item = &RowBytes>) -> std::result::Result<ArrayRef, ArrowError>;
}

struct Of<F>(F);

impl<F: AggregateFunction> Of<F> {
    fn read(&self, bytes: &RowBytes) -> std::result::Result<F::Accumulator, ArrowError> {
        serde_json::from_slice(bytes).map_err(|error| {
            ArrowError::ComputeError(format!(
                "what an aggregate function has kept is not what it keeps: {error}"
            ))
        })
    }
}

fn written(accumulator: &impl Serialize) -> std::result::Result<RowBytes, ArrowError> {
    let bytes = serde_json::to_vec(accumulator).map_err(|error| {
        ArrowError::ComputeError(format!("what an aggregate function keeps cannot be written: {error}"))
    })?;
    Ok(RowBytes::new(&bytes))
}

impl<F: AggregateFunction> UserAggregate for Of<F> {
    fn types(&self) -> Vec<DataType> {
        F::Input::types()
    }

    fn result(&self) -> DataType {
        F::Output::data_type()
    }

    fn retracts(&self) -> bool {
        self.0.retracts()
    }

    fn empty(&self) -> RowBytes {
        // What cannot be written is told when there is a row.
        written(&F::Accumulator::default()).unwrap_or_default()
    }

    fn prepare(&self, columns: &[ArrayRef]) -> std::result::Result<Vec<ArrayRef>, ArrowError> {
        F::Input::prepare(columns)
    }

    fn update(
        &self,
        accumulator: &mut RowBytes,
        columns: &[ArrayRef],
        rows: &mut dyn Iterator<Item = (usize, i64)>,
    ) -> std::result::Result<(), ArrowError> {
        let mut own = self.read(accumulator)?;
        for (row, sign) in rows {
            let Some(input) = F::Input::read(columns, row) else { continue };
            match sign < 0 {
                false => self.0.accumulate(&mut own, input),
                true => self.0.retract(&mut own, input),
            }
        }
        *accumulator = written(&own)?;
        Ok(())
    }

    fn results(&self, of: &mut dyn Iterator<Item = &RowBytes>) -> std::result::Result<ArrayRef, ArrowError> {
        let values = of.map(|bytes| Ok(self.0.value(&self.read(bytes)?)));
        Ok(F::Output::collect(values.collect::<std::result::Result<Vec<_>, ArrowError>>()?))
    }
}

struct Declared {
    name: String,
    function: Arc<dyn UserAggregate>,
    signature: Signature,
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Declared {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Declared {}

impl Hash for Declared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Declared {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let own = self.function.types();
        match own.len() == types.len() {
            true => Ok(own),
            false => plan_err!("{} takes {} arguments, not {}", self.name, own.len(), types.len()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.function.result())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        internal_err!("{} is not run by DataFusion", self.name)
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<arrow::datatypes::FieldRef>> {
        internal_err!("{} is not run by DataFusion", self.name)
    }
}
