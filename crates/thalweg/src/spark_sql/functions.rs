//! Functions over columns, by Spark's names (`org.apache.spark.sql.functions`). What is not here has its name in SQL: `call("UPPER", [col("word")])`, or
//! [`expr`] with text.
//!
//! ```
//! use thalweg::spark_sql::functions::{col, count, lit, when};
//!
//! assert_eq!(count("*").to_string(), "COUNT(*) AS `count(1)`");
//! let size = when(col("n").gt(lit(10)), lit("many")).otherwise(lit("few")).alias("size");
//! assert_eq!(size.to_string(), "CASE WHEN (`n` > 10) THEN 'many' ELSE 'few' END AS `size`");
//! ```

pub use thalweg_table::api::{call, col, lit};

use super::column::{Column, IntoColumn};

/// An expression of SQL, as text.
pub fn expr(sql: &str) -> Column {
    Column::from(sql)
}

/// A call that is named as Spark names it.
fn named(function: &str, column: Column, made: Column) -> Column {
    let of = column.sql().replace('`', "");
    made.alias(&format!("{function}({of})"))
}

macro_rules! aggregates {
    ($($(#[$doc:meta])+ $name:ident $method:ident;)+) => {$(
        $(#[$doc])+
        pub fn $name(column: impl IntoColumn) -> Column {
            let column = column.into_column();
            named(stringify!($name), column.clone(), column.$method())
        }
    )+};
}

aggregates! {
    /// The sum, of a group.
    sum sum;
    /// The mean, of a group. That of whole numbers is whole, as in Flink.
    avg avg;
    /// The least, of a group.
    min min;
    /// The greatest, of a group.
    max max;
    /// The first of a group that came.
    first first_value;
    /// The last of a group that came.
    last last_value;
}

/// The mean, of a group.
pub fn mean(column: impl IntoColumn) -> Column {
    avg(column)
}

/// How many are not NULL in a group; of `"*"`, how many rows there are.
pub fn count(column: impl IntoColumn) -> Column {
    let column = column.into_column();
    match column.sql() {
        "*" => column.count().alias("count(1)"),
        _ => named("count", column.clone(), column.count()),
    }
}

/// How many different ones there are in a group.
pub fn count_distinct(column: impl IntoColumn) -> Column {
    let column = column.into_column();
    let of = column.sql().replace('`', "");
    column.count_distinct().alias(&format!("count(DISTINCT {of})"))
}

/// In ascending order, NULLs first.
pub fn asc(column: impl IntoColumn) -> Column {
    column.into_column().asc()
}

/// In descending order, NULLs last.
pub fn desc(column: impl IntoColumn) -> Column {
    column.into_column().desc()
}

/// In capitals.
pub fn upper(column: impl IntoColumn) -> Column {
    column.into_column().upper_case()
}

/// In small letters.
pub fn lower(column: impl IntoColumn) -> Column {
    column.into_column().lower_case()
}

/// The number of letters.
pub fn length(column: impl IntoColumn) -> Column {
    column.into_column().char_length()
}

/// Without blanks before and behind.
pub fn trim(column: impl IntoColumn) -> Column {
    column.into_column().trim()
}

/// Without its sign.
pub fn abs(column: impl IntoColumn) -> Column {
    column.into_column().abs()
}

/// The first of these that is not NULL.
pub fn coalesce<T: IntoColumn>(columns: impl IntoIterator<Item = T>) -> Column {
    call("COALESCE", columns.into_iter().map(IntoColumn::into_column))
}

/// The texts of these, one behind the other.
pub fn concat<T: IntoColumn>(columns: impl IntoIterator<Item = T>) -> Column {
    call("CONCAT", columns.into_iter().map(IntoColumn::into_column))
}

/// A value if a condition is true; more cases follow by [`When::when`].
pub fn when(condition: Column, value: Column) -> When {
    When { cases: format!("WHEN {} THEN {}", condition.sql(), value.sql()) }
}

/// Cases, the first of which that is true has the value.
#[derive(Clone, Debug)]
pub struct When {
    cases: String,
}

impl When {
    /// Another case.
    #[must_use]
    pub fn when(self, condition: Column, value: Column) -> Self {
        Self { cases: format!("{} WHEN {} THEN {}", self.cases, condition.sql(), value.sql()) }
    }

    /// The value if no case is true.
    pub fn otherwise(self, value: Column) -> Column {
        expr(&format!("CASE {} ELSE {} END", self.cases, value.sql()))
    }

    /// NULL if no case is true.
    pub fn end(self) -> Column {
        expr(&format!("CASE {} END", self.cases))
    }
}
