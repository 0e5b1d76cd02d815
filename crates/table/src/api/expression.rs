//! Expressions: columns, constants, and what is made of them. Each is a text of SQL.

use std::fmt;
use std::time::Duration;

/// An expression.
///
/// ```
/// use thalweg_table::api::{col, lit};
///
/// let price = (col("price") * lit(2)).gt(lit(10)).and(col("item").like("a%"));
/// assert_eq!(price.to_string(), "(((`price` * 2) > 10) AND (`item` LIKE 'a%'))");
/// assert_eq!(col("n").sum().alias("total").to_string(), "SUM(`n`) AS `total`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    sql: String,
    alias: Option<String>,
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)?;
        self.alias.as_ref().map_or(Ok(()), |alias| write!(f, " AS {}", quoted(alias)))
    }
}

/// A name between back-ticks, as SQL knows it whatever letters it has.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text between quotes.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A column; a field of a row with a `.` between.
pub fn col(name: &str) -> Expression {
    match name {
        "*" => Expression::of("*"),
        _ => Expression::of(name.split('.').map(quoted).collect::<Vec<_>>().join(".")),
    }
}

/// A constant.
pub fn lit(value: impl Literal) -> Expression {
    Expression::of(value.sql())
}

/// A call of a function by its name: of the system, or of a user.
pub fn call(name: &str, arguments: impl IntoIterator<Item = Expression>) -> Expression {
    let arguments: Vec<String> = arguments.into_iter().map(|argument| argument.sql).collect();
    Expression::of(format!("{name}({})", arguments.join(", ")))
}

/// What can be a constant.
pub trait Literal {
    /// As SQL.
    fn sql(&self) -> String;
}

macro_rules! whole {
    ($($of:ty),+) => {$(
        impl Literal for $of {
            fn sql(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

whole!(i8, i16, i32, i64, u8, u16, u32);

impl Literal for f64 {
    fn sql(&self) -> String {
        // A number with a point is a DECIMAL.
        format!("CAST('{self}' AS DOUBLE)")
    }
}

impl Literal for bool {
    fn sql(&self) -> String {
        if *self { "TRUE".to_owned() } else { "FALSE".to_owned() }
    }
}

impl Literal for &str {
    fn sql(&self) -> String {
        text(self)
    }
}

impl Literal for String {
    fn sql(&self) -> String {
        text(self)
    }
}

impl Literal for Duration {
    fn sql(&self) -> String {
        format!("INTERVAL '{}.{:03}' SECOND", self.as_secs(), self.subsec_millis())
    }
}

impl From<Duration> for Expression {
    fn from(length: Duration) -> Self {
        lit(length)
    }
}

/// Text of SQL, as it stands.
impl From<&str> for Expression {
    fn from(sql: &str) -> Self {
        Self::of(sql)
    }
}

macro_rules! binary {
    ($($(#[$doc:meta])+ $name:ident $operator:literal;)+) => {$(
        $(#[$doc])+
        #[must_use]
        pub fn $name(self, other: impl Into<Self>) -> Self {
            Self::of(format!("({} {} {})", self.sql, $operator, other.into().sql))
        }
    )+};
}

macro_rules! functions {
    ($($(#[$doc:meta])+ $name:ident $function:literal;)+) => {$(
        $(#[$doc])+
        #[must_use]
        pub fn $name(self) -> Self {
            Self::of(format!("{}({})", $function, self.sql))
        }
    )+};
}

macro_rules! behind {
    ($($(#[$doc:meta])+ $name:ident $text:literal;)+) => {$(
        $(#[$doc])+
        #[must_use]
        pub fn $name(self) -> Self {
            Self::of(format!("({} {})", self.sql, $text))
        }
    )+};
}

macro_rules! intervals {
    ($($(#[$doc:meta])+ $name:ident $unit:literal;)+) => {$(
        $(#[$doc])+
        #[must_use]
        pub fn $name(self) -> Self {
            Self::of(format!("INTERVAL '{}' {}", self.sql, $unit))
        }
    )+};
}

impl Expression {
    fn of(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), alias: None }
    }

    /// The expression without its name, as SQL.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    binary! {
        /// `=`, true if both are the same.
        eq "=";
        /// `<>`.
        not_equal "<>";
        /// `>`.
        gt ">";
        /// `>=`.
        ge ">=";
        /// `<`.
        lt "<";
        /// `<=`.
        le "<=";
        /// Both are true.
        and "AND";
        /// One of them is true.
        or "OR";
    }

    behind! {
        /// It is NULL.
        is_null "IS NULL";
        /// It is not NULL.
        is_not_null "IS NOT NULL";
        /// It is true, and not NULL.
        is_true "IS TRUE";
        /// It is false, and not NULL.
        is_false "IS FALSE";
    }

    functions! {
        /// The sum, of a group.
        sum "SUM";
        /// The mean, of a group.
        avg "AVG";
        /// The least, of a group.
        min "MIN";
        /// The greatest, of a group.
        max "MAX";
        /// How many are not NULL, in a group.
        count "COUNT";
        /// The first of a group.
        first_value "FIRST_VALUE";
        /// The last of a group.
        last_value "LAST_VALUE";
        /// All of a group, as a multiset.
        collect "COLLECT";
        /// In capitals.
        upper_case "UPPER";
        /// In small letters.
        lower_case "LOWER";
        /// The number of letters.
        char_length "CHAR_LENGTH";
        /// Without blanks before and behind.
        trim "TRIM";
        /// Without its sign.
        abs "ABS";
        /// The whole number below.
        floor "FLOOR";
        /// The whole number above.
        ceil "CEIL";
    }

    intervals! {
        /// So many milliseconds.
        millis_of_second "MILLISECOND";
        /// So many seconds.
        seconds "SECOND";
        /// So many minutes.
        minutes "MINUTE";
        /// So many hours.
        hours "HOUR";
        /// So many days.
        days "DAY";
    }

    /// So many milliseconds.
    #[must_use]
    pub fn millis(self) -> Self {
        match self.sql.parse::<u64>() {
            Ok(millis) => lit(Duration::from_millis(millis)),
            // What is no number is told of when the query is planned.
            Err(_) => self.millis_of_second(),
        }
    }

    /// How many different ones there are in a group.
    #[must_use]
    pub fn count_distinct(self) -> Self {
        Self::of(format!("COUNT(DISTINCT {})", self.sql))
    }

    /// Over a window by its name: `sum().over("w")`.
    #[must_use]
    pub fn over(self, window: &str) -> Self {
        Self::of(format!("{} OVER {}", self.sql, quoted(window)))
    }

    /// With this name.
    #[must_use]
    pub fn alias(mut self, name: &str) -> Self {
        self.alias = Some(name.to_owned());
        self
    }

    /// With this name (Flink's `as`).
    #[must_use]
    pub fn as_(self, name: &str) -> Self {
        self.alias(name)
    }

    /// As another type: `"BIGINT"`.
    #[must_use]
    pub fn cast(self, data_type: &str) -> Self {
        Self::of(format!("CAST({} AS {data_type})", self.sql))
    }

    /// Like a pattern, with `%` and `_`.
    #[must_use]
    pub fn like(self, pattern: &str) -> Self {
        Self::of(format!("({} LIKE {})", self.sql, text(pattern)))
    }

    /// Within these bounds, which are part of it.
    #[must_use]
    pub fn between(self, low: impl Into<Self>, high: impl Into<Self>) -> Self {
        Self::of(format!("({} BETWEEN {} AND {})", self.sql, low.into().sql, high.into().sql))
    }

    /// One of these.
    #[must_use]
    pub fn in_(self, values: impl IntoIterator<Item = Self>) -> Self {
        let values: Vec<String> = values.into_iter().map(|value| value.sql).collect();
        Self::of(format!("({} IN ({}))", self.sql, values.join(", ")))
    }

    /// Letters from a place on, which counts from one.
    #[must_use]
    pub fn substring(self, from: impl Into<Self>, length: impl Into<Self>) -> Self {
        Self::of(format!("SUBSTRING({} FROM {} FOR {})", self.sql, from.into().sql, length.into().sql))
    }

    /// One of two, as it is true or not.
    #[must_use]
    pub fn then(self, yes: impl Into<Self>, no: impl Into<Self>) -> Self {
        Self::of(format!("CASE WHEN {} THEN {} ELSE {} END", self.sql, yes.into().sql, no.into().sql))
    }

    /// A field of a row.
    #[must_use]
    pub fn get(self, field: &str) -> Self {
        Self::of(format!("{}.{}", self.sql, quoted(field)))
    }

    /// An item of an array, from one; the value of a key of a map.
    #[must_use]
    pub fn at(self, place: impl Into<Self>) -> Self {
        Self::of(format!("{}[{}]", self.sql, place.into().sql))
    }

    /// In ascending order.
    #[must_use]
    pub fn asc(self) -> Self {
        Self::of(format!("{} ASC", self.sql))
    }

    /// In descending order.
    #[must_use]
    pub fn desc(self) -> Self {
        Self::of(format!("{} DESC", self.sql))
    }

    /// Where the window of this name begins: `col("w").start()`.
    #[must_use]
    pub fn start(self) -> Self {
        self.get("$start")
    }

    /// Where the window of this name ends.
    #[must_use]
    pub fn end(self) -> Self {
        self.get("$end")
    }

    /// The event time of the window of this name: its last millisecond.
    #[must_use]
    pub fn rowtime(self) -> Self {
        self.get("$rowtime")
    }

    /// The processing time of the window of this name.
    #[must_use]
    pub fn proctime(self) -> Self {
        self.get("$proctime")
    }
}

macro_rules! operator {
    ($($of:ident $method:ident $text:literal;)+) => {$(
        impl<T: Into<Expression>> std::ops::$of<T> for Expression {
            type Output = Expression;

            fn $method(self, other: T) -> Expression {
                Expression::of(format!("({} {} {})", self.sql, $text, other.into().sql))
            }
        }
    )+};
}

operator! {
    Add add "+";
    Sub sub "-";
    Mul mul "*";
    Div div "/";
    Rem rem "%";
}

impl std::ops::Not for Expression {
    type Output = Self;

    fn not(self) -> Self {
        Self::of(format!("(NOT {})", self.sql))
    }
}

impl std::ops::Neg for Expression {
    type Output = Self;

    fn neg(self) -> Self {
        Self::of(format!("(- {})", self.sql))
    }
}

/// One expression or several: text with commas between, an [`Expression`], or an array, tuple or vector of them.
pub trait Expressions {
    /// As SQL, with commas between.
    fn list(&self) -> String;
}

impl Expressions for &str {
    fn list(&self) -> String {
        (*self).to_owned()
    }
}

impl Expressions for Expression {
    fn list(&self) -> String {
        self.to_string()
    }
}

fn joined(all: &[Expression]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl<const N: usize> Expressions for [Expression; N] {
    fn list(&self) -> String {
        joined(self)
    }
}

impl Expressions for Vec<Expression> {
    fn list(&self) -> String {
        joined(self)
    }
}

impl Expressions for &[Expression] {
    fn list(&self) -> String {
        joined(self)
    }
}

macro_rules! tuples {
    ($(($($place:tt $of:ident),+);)+) => {$(
        impl<$($of: Expressions),+> Expressions for ($($of,)+) {
            fn list(&self) -> String {
                [$(self.$place.list()),+].join(", ")
            }
        }
    )+};
}

tuples! {
    (0 A, 1 B);
    (0 A, 1 B, 2 C);
    (0 A, 1 B, 2 C, 3 D);
    (0 A, 1 B, 2 C, 3 D, 4 E);
    (0 A, 1 B, 2 C, 3 D, 4 E, 5 F);
}
