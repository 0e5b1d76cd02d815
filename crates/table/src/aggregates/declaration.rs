//! Aggregate functions as the planner sees them: names and types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, ScalarValue, internal_err, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::Function;
use super::user::user_function;

/// All of them, by all of their names.
const NAMES: [(&str, Function); 23] = [
    ("COUNT", Function::Count),
    ("SUM", Function::Sum),
    ("SUM0", Function::Sum0),
    ("AVG", Function::Avg),
    ("MIN", Function::Min),
    ("MAX", Function::Max),
    ("FIRST_VALUE", Function::FirstValue),
    ("LAST_VALUE", Function::LastValue),
    ("LISTAGG", Function::ListAgg),
    ("COLLECT", Function::Collect),
    ("ARRAY_AGG", Function::ArrayAgg),
    ("JSON_OBJECTAGG", Function::JsonObjectAgg { nulls: true }),
    ("$json_objectagg_absent", Function::JsonObjectAgg { nulls: false }),
    ("JSON_ARRAYAGG", Function::JsonArrayAgg { nulls: false }),
    ("$json_arrayagg_null", Function::JsonArrayAgg { nulls: true }),
    ("PERCENTILE", Function::Percentile),
    ("VAR_POP", Function::VarPop),
    ("VAR_SAMP", Function::VarSamp),
    ("VARIANCE", Function::VarSamp),
    ("STDDEV_POP", Function::StddevPop),
    ("STDDEV_SAMP", Function::StddevSamp),
    ("STDDEV", Function::StddevSamp),
    ("APPROX_COUNT_DISTINCT", Function::Count),
];

/// `GROUPING` and `GROUPING_ID`, by the name that DataFusion's rule knows, which computes them from the grouping set.
pub(crate) const GROUPING: &str = "grouping";

/// The aggregate function of this name, whatever its case.
pub fn aggregate(name: &str) -> Option<Arc<AggregateUDF>> {
    if name.eq_ignore_ascii_case(GROUPING) || name.eq_ignore_ascii_case("GROUPING_ID") {
        let signature = Signature::user_defined(Volatility::Immutable);
        // What it is declared to be matters to nobody, but that it takes anything.
        let declared = Declared { name: GROUPING, function: Function::Count, signature };
        return Some(Arc::new(AggregateUDF::from(declared)));
    }
    let (name, function) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    let signature = Signature::user_defined(Volatility::Immutable);
    Some(Arc::new(AggregateUDF::from(Declared { name, function: *function, signature })))
}

/// The names of all aggregate functions.
pub fn aggregate_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// Which function a declaration stands for, and whether it counts each value once.
pub fn function_of(declared: &AggregateUDF) -> Option<(Function, bool)> {
    if user_function(declared).is_some() {
        return Some((Function::User, false));
    }
    let (name, function) = NAMES.iter().find(|(known, _)| *known == declared.name())?;
    Some((*function, *name == "APPROX_COUNT_DISTINCT"))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Declared {
    name: &'static str,
    function: Function,
    signature: Signature,
}

fn is_number(of: &DataType) -> bool {
    of.is_integer() || of.is_floating() || of.is_decimal() || of.is_null()
}

impl AggregateUDFImpl for Declared {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let allowed = match self.function {
            Function::Count => 0..=usize::MAX,
            Function::ListAgg => 1..=2,
            Function::JsonObjectAgg { .. } | Function::Percentile => 2..=2,
            _ => 1..=1,
        };
        if !allowed.contains(&arguments.len()) {
            return plan_err!("{} does not take {} arguments", self.name, arguments.len());
        }
        let numeric = !matches!(
            self.function,
            Function::Count
                | Function::Min
                | Function::Max
                | Function::FirstValue
                | Function::LastValue
                | Function::ListAgg
                | Function::Collect
                | Function::ArrayAgg
                | Function::JsonObjectAgg { .. }
                | Function::JsonArrayAgg { .. }
                | Function::Percentile
        );
        if self.function == Function::Percentile && !is_number(&arguments[0]) {
            return plan_err!("PERCENTILE takes numbers, not {}", arguments[0]);
        }
        if numeric && let Some(other) = arguments.iter().find(|of| !is_number(of)) {
            return plan_err!("{} takes numbers, not {other}", self.name);
        }
        if self.function == Function::ListAgg && arguments.iter().any(|of| *of != DataType::Utf8) {
            return plan_err!("LISTAGG takes strings: cast the argument to STRING");
        }
        Ok(arguments.to_vec())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(self.function.result(arguments))
    }

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        let types: Vec<DataType> = arguments.iter().map(|field| field.data_type().clone()).collect();
        let result = self.function.result(&types);
        Ok(Field::new(self.name, result, self.function.is_nullable()).into())
    }

    /// What a subquery gives that has no rows.
    fn default_value(&self, of: &DataType) -> Result<ScalarValue> {
        match self.function {
            Function::Count | Function::Sum0 => ScalarValue::new_zero(of),
            _ => ScalarValue::try_from(of),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        internal_err!("{} is not run by DataFusion", self.name)
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        internal_err!("{} is not run by DataFusion", self.name)
    }
}
