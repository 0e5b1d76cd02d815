//! Columns in and out: features and labels of rows, and what a model says of them.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Array, Float64Builder, Int64Builder, ListArray,
    ListBuilder, StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use thalweg_ml::cluster::Assignment;
use thalweg_ml::{Class, Classes, Classification, Rejected};
use thalweg_table::chunk::Chunk;

/// The features of the rows of a chunk.
pub(crate) struct Features(Vec<FeatureColumn>);

enum FeatureColumn {
    Numbers(Float64Array),
    /// Where each row's begin and end, and all of them.
    Lists(ListArray, Float64Array),
}

impl Features {
    pub(crate) fn new(chunk: &Chunk, columns: &[usize]) -> Result<Self, ArrowError> {
        let numbers = |column: &ArrayRef| {
            cast(column, &DataType::Float64).map(|column| column.as_primitive::<Float64Type>().clone())
        };
        let column = |column: &usize| {
            let column = chunk.rows().column(*column);
            Ok(match column.as_list_opt::<i32>() {
                Some(lists) => FeatureColumn::Lists(lists.clone(), numbers(lists.values())?),
                None => FeatureColumn::Numbers(numbers(column)?),
            })
        };
        columns.iter().map(column).collect::<Result<_, _>>().map(Self)
    }

    /// The features of a row; NULL is a NaN, as a value that is missing.
    pub(crate) fn read(&self, row: usize, into: &mut Vec<f64>) {
        into.clear();
        let value = |of: &Float64Array, at: usize| if of.is_valid(at) { of.value(at) } else { f64::NAN };
        for column in &self.0 {
            match column {
                FeatureColumn::Numbers(numbers) => into.push(value(numbers, row)),
                FeatureColumn::Lists(lists, _) if lists.is_null(row) => into.push(f64::NAN),
                FeatureColumn::Lists(lists, values) => {
                    let (start, end) = (lists.value_offsets()[row], lists.value_offsets()[row + 1]);
                    into.extend((start as usize..end as usize).map(|at| value(values, at)));
                }
            }
        }
    }
}

/// Whether a column can be features.
pub(crate) fn is_feature(data_type: &DataType) -> bool {
    let is_number = |of: &DataType| of.is_numeric() || *of == DataType::Boolean;
    match data_type {
        DataType::List(item) => is_number(item.data_type()),
        other => is_number(other),
    }
}

/// The labels of the rows of a chunk.
pub(crate) enum Labels {
    Numbers(Float64Array),
    Names(StringArray),
}

impl Labels {
    pub(crate) fn new(chunk: &Chunk, column: usize) -> Result<Self, ArrowError> {
        let column = chunk.rows().column(column);
        Ok(match column.as_string_opt::<i32>() {
            Some(names) => Self::Names(names.clone()),
            None => Self::Numbers(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.is_null(row),
            Self::Names(names) => names.is_null(row),
        }
    }

    pub(crate) fn number(&self, row: usize) -> Result<f64, Rejected> {
        match self {
            Self::Numbers(numbers) => Ok(numbers.value(row)),
            Self::Names(names) => Err(Rejected::Target(format!("`{}` is no number", names.value(row)))),
        }
    }

    /// The class of a row. A name that is new has the next number, which it gets when it was learnt ([`Labels::learnt`]).
    pub(crate) fn class(&self, row: usize, classes: &Classes, are_fixed: bool) -> Result<Class, Rejected> {
        match self {
            Self::Numbers(numbers) => {
                let number = numbers.value(row);
                let is_class = number >= 0.0 && number <= f64::from(Class::MAX) && number.fract() == 0.0;
                match is_class {
                    true => Ok(number as Class),
                    false => Err(Rejected::Target(format!("{number} is no class; classes count from 0"))),
                }
            }
            Self::Names(names) => match classes.known(names.value(row)) {
                Err(_) if !are_fixed => Ok(classes.len() as Class),
                known => known,
            },
        }
    }

    /// Gives the name of a row, which was learnt, its number.
    pub(crate) fn learnt(&self, row: usize, classes: &mut Classes) {
        if let Self::Names(names) = self {
            // It was learnt; so its number is one that a class may have.
            let _ = classes.number(names.value(row));
        }
    }
}

/// What an output column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// The number of the class or cluster.
    Number,
    /// The name of the class.
    Name,
    /// Whether the class is 1.
    IsOne,
    /// The number that is predicted, the score, the probability of the class, the distance to the centre.
    Value,
    /// The probability of each class.
    Probabilities,
}

impl Says {
    /// By the type of the column.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            of if of.is_integer() => Self::Number,
            DataType::Utf8 => Self::Name,
            DataType::Boolean => Self::IsOne,
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => Self::Value,
            DataType::List(item) if *item.data_type() == DataType::Float64 => Self::Probabilities,
            _ => return None,
        })
    }
}

/// An output column that is being filled.
pub(crate) enum Column {
    Numbers(Int64Builder),
    Names(StringBuilder),
    Flags(BooleanBuilder),
    Values(Float64Builder),
    Lists(ListBuilder<Float64Builder>),
}

impl Column {
    pub(crate) fn new(says: Says, rows: usize) -> Self {
        match says {
            Says::Number => Self::Numbers(Int64Builder::with_capacity(rows)),
            Says::Name => Self::Names(StringBuilder::with_capacity(rows, rows * 8)),
            Says::IsOne => Self::Flags(BooleanBuilder::with_capacity(rows)),
            Says::Value => Self::Values(Float64Builder::with_capacity(rows)),
            Says::Probabilities => {
                Self::Lists(ListBuilder::with_capacity(Float64Builder::with_capacity(rows * 4), rows))
            }
        }
    }

    /// A row of which nothing is said.
    pub(crate) fn push_null(&mut self) {
        match self {
            Self::Numbers(numbers) => numbers.append_null(),
            Self::Names(names) => names.append_null(),
            Self::Flags(flags) => flags.append_null(),
            Self::Values(values) => values.append_null(),
            Self::Lists(lists) => lists.append_null(),
        }
    }

    /// The column, of the type that was declared.
    pub(crate) fn finish(self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let column: ArrayRef = match self {
            Self::Numbers(mut numbers) => std::sync::Arc::new(numbers.finish()),
            Self::Names(mut names) => std::sync::Arc::new(names.finish()),
            Self::Flags(mut flags) => std::sync::Arc::new(flags.finish()),
            Self::Values(mut values) => std::sync::Arc::new(values.finish()),
            Self::Lists(mut lists) => std::sync::Arc::new(lists.finish()),
        };
        if column.data_type() == data_type { Ok(column) } else { cast(&column, data_type) }
    }
}

/// What a model says of a row.
pub(crate) trait Answer {
    /// Adds it to a column.
    fn write(&self, column: &mut Column, classes: &Classes);
}

impl Answer for Classification {
    fn write(&self, column: &mut Column, classes: &Classes) {
        let class = self.class();
        match column {
            Column::Numbers(numbers) => numbers.append_option(class.map(i64::from)),
            Column::Names(names) => names.append_option(class.and_then(|class| classes.name(class))),
            Column::Flags(flags) => flags.append_option(class.map(|class| class == 1)),
            Column::Values(values) => values.append_option(class.map(|class| self.probability(class))),
            Column::Lists(lists) => {
                lists.values().append_slice(self.probabilities());
                lists.append(true);
            }
        }
    }
}

impl Answer for f64 {
    fn write(&self, column: &mut Column, _: &Classes) {
        match column {
            Column::Values(values) => values.append_value(*self),
            Column::Numbers(numbers) => numbers.append_value(self.round() as i64),
            other => other.push_null(),
        }
    }
}

impl Answer for Assignment {
    fn write(&self, column: &mut Column, _: &Classes) {
        // While there are no centres, there is no cluster.
        match column {
            other if !self.distance.is_finite() => other.push_null(),
            Column::Numbers(numbers) => numbers.append_value(self.cluster.into()),
            Column::Values(values) => values.append_value(self.distance),
            other => other.push_null(),
        }
    }
}
