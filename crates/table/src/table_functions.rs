//! Table functions: for each row of a table some rows, in `LATERAL TABLE(f(x))` and `UNNEST`.
//!
//! A function is pure: for a row that is taken back it gives the rows that it gave for it before. One of closures is made by
//! [`table_function`]; one that looks at whole columns is a [`TableFunction`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type};
use thalweg_dataflow::error::BoxError;

use crate::error::SqlError;
use crate::functions::user::{Arguments, Value};

/// For each row some rows.
pub trait TableFunction: Send + Sync {
    /// The names and types of its columns, for arguments of these types.
    ///
    /// # Errors
    /// If it takes no such arguments.
    fn columns(&self, arguments: &[DataType]) -> Result<Vec<(String, DataType)>, SqlError>;

    /// The rows that follow from `rows` rows of arguments.
    ///
    /// # Errors
    /// If it cannot be evaluated.
    fn evaluate(&self, arguments: &[ArrayRef], rows: usize) -> Result<Expanded, BoxError>;
}

/// What a table function gives.
pub struct Expanded {
    /// For each row that comes out the row that it follows from, in ascending order.
    pub origins: Vec<u32>,
    /// The rows that come out, by columns.
    pub columns: Vec<ArrayRef>,
}

/// A table function and the name it is called by.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) function: Arc<dyn TableFunction>,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// A row that a table function of a closure gives: a value, or a tuple of some.
pub trait RowOf: Send {
    /// The types of its columns.
    fn types() -> Vec<DataType>;

    /// Rows as columns.
    fn collect(rows: Vec<Self>) -> Vec<ArrayRef>
    where
        Self: Sized;
}

impl<T: Value> RowOf for T {
    fn types() -> Vec<DataType> {
        vec![T::data_type()]
    }

    fn collect(rows: Vec<Self>) -> Vec<ArrayRef> {
        vec![T::collect(rows)]
    }
}

macro_rules! row_of {
    ($($type:ident $place:tt),+) => {
        impl<$($type: Value),+> RowOf for ($($type,)+) {
            fn types() -> Vec<DataType> {
                vec![$($type::data_type()),+]
            }

            fn collect(rows: Vec<Self>) -> Vec<ArrayRef> {
                $(
                    #[allow(non_snake_case, reason = "a column for each type")]
                    let mut $type = Vec::with_capacity(rows.len());
                )+
                for row in rows {
                    $($type.push(row.$place);)+
                }
                vec![$($type::collect($type)),+]
            }
        }
    };
}

row_of!(A 0, B 1);
row_of!(A 0, B 1, C 2);
row_of!(A 0, B 1, C 2, D 3);
row_of!(A 0, B 1, C 2, D 3, E 4);

struct OfClosure<F, A, R> {
    function: F,
    names: Vec<String>,
    types: PhantomData<fn(A) -> R>,
}

/// A table function of a closure, which gives some rows for its arguments. Its columns have these names; `f0`, `f1`, … without.
///
/// ```
/// use thalweg_table::environment::TableEnvironment;
/// use thalweg_table::table_functions::table_function;
///
/// let mut environment = TableEnvironment::new();
/// let split = |text: String| -> Vec<(String, i32)> {
///     text.split(' ').map(|word| (word.to_owned(), word.len() as i32)).collect()
/// };
/// environment.create_table_function("split", table_function(&["word", "length"], split));
/// # let plan = environment.explain_sql("SELECT word FROM (VALUES ('to be')) AS t(x), LATERAL TABLE(split(x))")?;
/// # assert!(plan.contains("Correlate"));
/// # Ok::<(), thalweg_table::error::SqlError>(())
/// ```
pub fn table_function<F, A, I, R>(names: &[&str], function: F) -> Arc<dyn TableFunction>
where
    F: Fn(A) -> I + Send + Sync + 'static,
    A: Arguments + 'static,
    I: IntoIterator<Item = R> + 'static,
    R: RowOf + 'static,
{
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(OfClosure { function, names, types: PhantomData::<fn(A) -> I> })
}

impl<F, A, I, R> TableFunction for OfClosure<F, A, I>
where
    F: Fn(A) -> I + Send + Sync,
    A: Arguments,
    I: IntoIterator<Item = R>,
    R: RowOf,
{
    fn columns(&self, arguments: &[DataType]) -> Result<Vec<(String, DataType)>, SqlError> {
        A::check(arguments)?;
        let types = R::types();
        if !self.names.is_empty() && self.names.len() != types.len() {
            return Err(SqlError::new(format!(
                "the function gives {} columns, and there are {} names",
                types.len(),
                self.names.len()
            )));
        }
        let name = |place: usize| self.names.get(place).cloned().unwrap_or_else(|| format!("f{place}"));
        Ok(types.into_iter().enumerate().map(|(place, of)| (name(place), of)).collect())
    }

    fn evaluate(&self, arguments: &[ArrayRef], rows: usize) -> Result<Expanded, BoxError> {
        let arguments = A::prepare(arguments)?;
        let (mut origins, mut out) = (Vec::new(), Vec::new());
        for row in 0..rows {
            // A NULL for what cannot be NULL gives nothing.
            let Some(values) = A::read(&arguments, row) else { continue };
            out.extend((self.function)(values));
            origins.resize(out.len(), row as u32);
        }
        Ok(Expanded { origins, columns: R::collect(out) })
    }
}

/// `UNNEST`: a row for each item of an array or multiset, or entry of a map; those that are rows, by their fields.
pub(crate) struct Unnest {
    /// `WITH ORDINALITY`: a column with the number of each, from one.
    pub(crate) ordinality: bool,
}

/// The fields of what an array or a map holds, the name of a value that is no row being `name`.
fn flat(name: &str, of: &DataType) -> Vec<(String, DataType)> {
    match of {
        DataType::Struct(fields) => {
            fields.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        }
        other => vec![(name.to_owned(), other.clone())],
    }
}

/// Whether a map is a multiset: its counts are never NULL.
fn is_multiset(of: &DataType) -> bool {
    let DataType::Map(entries, _) = of else { return false };
    let DataType::Struct(fields) = entries.data_type() else { return false };
    fields.len() == 2 && *fields[1].data_type() == DataType::Int32 && !fields[1].is_nullable()
}

impl TableFunction for Unnest {
    fn columns(&self, arguments: &[DataType]) -> Result<Vec<(String, DataType)>, SqlError> {
        let [of] = arguments else {
            return Err(SqlError::new("UNNEST takes one array, map or multiset"));
        };
        let mut columns = match of {
            DataType::List(item) => flat("EXPR$0", item.data_type()),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if is_multiset(of) => flat("EXPR$0", fields[0].data_type()),
                DataType::Struct(fields) => {
                    let (key, value) = (fields[0].data_type(), fields[1].data_type());
                    vec![("KEY".to_owned(), key.clone()), ("VALUE".to_owned(), value.clone())]
                }
                other => return Err(SqlError::new(format!("{other} are no entries of a map"))),
            },
            other => {
                return Err(SqlError::new(format!(
                    "UNNEST takes an array, a map or a multiset, not {other}"
                )));
            }
        };
        if self.ordinality {
            columns.push(("ORDINALITY".to_owned(), DataType::Int32));
        }
        Ok(columns)
    }

    fn evaluate(&self, arguments: &[ArrayRef], rows: usize) -> Result<Expanded, BoxError> {
        let all = &arguments[0];
        let (mut origins, mut places, mut numbers) = (Vec::new(), Vec::<u32>::new(), Vec::<i32>::new());
        let mut add = |row: usize, range: std::ops::Range<i32>, times: &dyn Fn(usize) -> i32| {
            let mut number = 0;
            for place in range {
                for _ in 0..times(place as usize) {
                    number += 1;
                    origins.push(row as u32);
                    places.push(place as u32);
                    numbers.push(number);
                }
            }
        };
        let valid = (0..rows).filter(|row| all.is_valid(*row));
        let values: Vec<ArrayRef> = match all.data_type() {
            DataType::List(_) => {
                let lists = all.as_list::<i32>();
                let offsets = lists.value_offsets();
                match self.ordinality {
                    true => valid.for_each(|row| add(row, offsets[row]..offsets[row + 1], &|_| 1)),
                    false => {
                        for row in valid {
                            let range = offsets[row] as u32..offsets[row + 1] as u32;
                            origins.extend(range.clone().map(|_| row as u32));
                            places.extend(range);
                        }
                    }
                }
                vec![lists.values().clone()]
            }
            _ => {
                let maps = all.as_map();
                let offsets = maps.value_offsets();
                if is_multiset(all.data_type()) {
                    let counts = maps.values().as_primitive::<Int32Type>();
                    valid.for_each(|row| {
                        add(row, offsets[row]..offsets[row + 1], &|place| counts.value(place));
                    });
                    vec![maps.keys().clone()]
                } else {
                    valid.for_each(|row| add(row, offsets[row]..offsets[row + 1], &|_| 1));
                    vec![maps.keys().clone(), maps.values().clone()]
                }
            }
        };
        // Where all of them come out, in their order, they are there already.
        let first = places.first().copied().unwrap_or(0);
        let in_order = places.iter().zip(first..).all(|(place, expected)| *place == expected);
        let (places, single) = (UInt32Array::from(places), values.len() == 1);
        let mut columns = Vec::new();
        for values in values {
            let values = match in_order {
                true => values.slice(first as usize, places.len()),
                false => take(&values, &places, None)?,
            };
            match values.as_struct_opt().filter(|_| single) {
                Some(items) => {
                    // Of no row there are no fields either.
                    let there: UInt32Array =
                        (0..items.len()).map(|row| items.is_valid(row).then_some(row as u32)).collect();
                    for field in items.columns() {
                        columns.push(take(field, &there, None)?);
                    }
                }
                None => columns.push(values),
            }
        }
        if self.ordinality {
            columns.push(Arc::new(Int32Array::from(numbers)));
        }
        Ok(Expanded { origins, columns })
    }
}
