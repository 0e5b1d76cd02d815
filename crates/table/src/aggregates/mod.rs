//! Aggregate functions: what they are called, which types they give ([`declaration`]), and how they run ([`accumulator`]).
//!
//! DataFusion knows them by their declarations alone: its accumulators cannot take anything back.

pub mod accumulator;
pub mod declaration;
mod numbers;
pub mod user;

use arrow::datatypes::DataType;

pub use accumulator::{Accumulator, Aggregation};
pub(crate) use declaration::GROUPING;
pub use declaration::{aggregate, aggregate_names};

/// Flink's aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `COUNT(*)`, `COUNT(a, …)`: rows, or those in which no argument is NULL.
    Count,
    /// `SUM`: NULL without a value.
    Sum,
    /// `SUM0`: 0 without a value.
    Sum0,
    /// `AVG`: of whole numbers a whole number.
    Avg,
    /// `MIN`.
    Min,
    /// `MAX`.
    Max,
    /// `FIRST_VALUE`: the first that is not NULL, as they came.
    FirstValue,
    /// `LAST_VALUE`.
    LastValue,
    /// `LISTAGG(text [, separator])`.
    ListAgg,
    /// `COLLECT`: a multiset.
    Collect,
    /// `ARRAY_AGG`, NULLs included.
    ArrayAgg,
    /// `JSON_OBJECTAGG(KEY k VALUE v)`, with or without the pairs whose value is NULL.
    JsonObjectAgg {
        /// `NULL ON NULL`.
        nulls: bool,
    },
    /// `JSON_ARRAYAGG(v)`, with or without NULL.
    JsonArrayAgg {
        /// `NULL ON NULL`.
        nulls: bool,
    },
    /// `PERCENTILE(value, fraction)`: between two values that which is in proportion. Of an array of fractions an array.
    Percentile,
    /// `VAR_POP`.
    VarPop,
    /// `VAR_SAMP`, `VARIANCE`.
    VarSamp,
    /// `STDDEV_POP`.
    StddevPop,
    /// `STDDEV_SAMP`, `STDDEV`.
    StddevSamp,
    /// One of a [user].
    User,
}

impl Function {
    /// The type of its result.
    pub fn result(self, arguments: &[DataType]) -> DataType {
        use arrow::datatypes::Field;
        let argument = arguments.first().cloned().unwrap_or(DataType::Null);
        match self {
            Self::Count => DataType::Int64,
            Self::Sum | Self::Sum0 => match argument {
                DataType::Decimal128(_, scale) => DataType::Decimal128(38, scale),
                other => other,
            },
            Self::Avg | Self::VarPop | Self::VarSamp | Self::StddevPop | Self::StddevSamp => match argument {
                DataType::Decimal128(_, scale) => DataType::Decimal128(38, scale.max(6)),
                other => other,
            },
            Self::Min | Self::Max | Self::FirstValue | Self::LastValue => argument,
            Self::ListAgg | Self::JsonObjectAgg { .. } | Self::JsonArrayAgg { .. } => DataType::Utf8,
            Self::Percentile => match arguments.get(1) {
                Some(DataType::List(_)) => DataType::List(Field::new("item", DataType::Float64, true).into()),
                _ => DataType::Float64,
            },
            // Said by the function itself.
            Self::User => DataType::Null,
            Self::ArrayAgg => DataType::List(Field::new("item", argument, true).into()),
            Self::Collect => {
                let fields =
                    [Field::new("key", argument, false), Field::new("value", DataType::Int32, false)];
                let entries = DataType::Struct(fields.into_iter().collect());
                DataType::Map(Field::new("entries", entries, false).into(), false)
            }
        }
    }

    /// Whether its result can be NULL.
    pub fn is_nullable(self) -> bool {
        !matches!(
            self,
            Self::Count | Self::Sum0 | Self::Collect | Self::JsonObjectAgg { .. } | Self::JsonArrayAgg { .. }
        )
    }
}
