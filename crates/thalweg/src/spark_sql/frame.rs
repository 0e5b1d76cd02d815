//! The data frame: a query, and what it reads.

use serde::de::DeserializeOwned;
use thalweg_dstream::Rdd;
use thalweg_table::api::{BoundedTables, Columns, Expression, Rows, quoted};
use thalweg_table::types::LogicalType;

use super::column::{Column, IntoColumn, IntoColumns, list};
use super::{DataFrameWriter, GroupedData, SparkSession, SqlError};

/// So many rows are shown.
const SHOWN: usize = 20;

/// So many letters of a value are shown, at most.
const LETTERS: usize = 20;

/// A column that is shown is so wide, at least.
const WIDTH: usize = 3;

/// A table that is there, by a number that no other has.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) number: u64,
    pub(super) rows: Rows,
}

impl Input {
    /// What queries call it.
    pub(super) fn name(&self) -> String {
        quoted(&format!("$thalweg_rows_of_{}", self.number))
    }
}

/// A query, and what it reads.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) query: String,
    pub(super) columns: Columns,
    pub(super) inputs: Vec<Input>,
    /// Whether the query may end with its order, so that a limit goes behind it.
    pub(super) ordered: bool,
    /// The batch with which files become visible.
    pub(super) batch: Option<Rdd<()>>,
}

/// Adds inputs that are not there yet.
pub(super) fn add(inputs: &mut Vec<Input>, others: &[Input]) {
    for other in others {
        if !inputs.iter().any(|known| known.number == other.number) {
            inputs.push(other.clone());
        }
    }
}

/// The query with its inputs numbered in their order, so that the same query of the next batch is the same text.
pub(super) fn numbered(query: &str, inputs: &[Input]) -> String {
    let mut query = query.to_owned();
    for (place, input) in inputs.iter().enumerate() {
        query = query.replace(&input.name(), &BoundedTables::name(place));
    }
    query
}

/// A table that is computed when something is asked of it. See the [module](super).
#[derive(Clone, Debug)]
pub struct DataFrame {
    pub(super) session: SparkSession,
    pub(super) plan: Plan,
}

/// What a join keeps of rows without partners.
#[derive(Clone, Copy)]
enum How {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

impl How {
    fn of(name: &str) -> Result<Self, SqlError> {
        Ok(match name.to_ascii_lowercase().replace('_', "").as_str() {
            "inner" => Self::Inner,
            "left" | "leftouter" => Self::Left,
            "right" | "rightouter" => Self::Right,
            "full" | "outer" | "fullouter" => Self::Full,
            "semi" | "leftsemi" => Self::Semi,
            "anti" | "leftanti" => Self::Anti,
            _ => {
                return Err(SqlError::new(format!("there is no join `{name}`"))
                    .help("there are inner, left, right, full, left_semi and left_anti"));
            }
        })
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Inner => "JOIN",
            Self::Left => "LEFT JOIN",
            Self::Right => "RIGHT JOIN",
            Self::Full => "FULL JOIN",
            Self::Semi => "LEFT SEMI JOIN",
            Self::Anti => "LEFT ANTI JOIN",
        }
    }

    fn keeps_right(self) -> bool {
        !matches!(self, Self::Semi | Self::Anti)
    }
}

impl DataFrame {
    /// The frame of another query over the same.
    pub(super) fn made(&self, query: String) -> Result<Self, SqlError> {
        self.session.planned(query, self.plan.inputs.clone(), self.plan.batch.clone(), false)
    }

    /// The frame of a query over this and another.
    fn made_with(&self, other: &Self, query: String) -> Result<Self, SqlError> {
        let mut inputs = self.plan.inputs.clone();
        add(&mut inputs, &other.plan.inputs);
        let batch = self.plan.batch.clone().or_else(|| other.plan.batch.clone());
        self.session.planned(query, inputs, batch, false)
    }

    pub(super) fn query(&self) -> &str {
        &self.plan.query
    }

    /// The names of the columns.
    pub fn columns(&self) -> Vec<&str> {
        self.plan.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The names and types of the columns.
    pub fn schema(&self) -> &[(String, LogicalType)] {
        &self.plan.columns
    }

    /// Prints the columns, a line for each.
    pub fn print_schema(&self) {
        println!("root");
        for (name, of) in self.schema() {
            let (kind, nullable) = (LogicalType { kind: of.kind.clone(), nullable: true }, of.nullable);
            println!(" |-- {name}: {kind} (nullable = {nullable})");
        }
        println!();
    }

    fn has(&self, name: &str) -> bool {
        self.plan.columns.iter().any(|(known, _)| known == name)
    }

    fn must_have(&self, name: &str) -> Result<(), SqlError> {
        if self.has(name) {
            return Ok(());
        }
        Err(SqlError::new(format!("there is no column `{name}`"))
            .help(format!("there are {}", self.columns().join(", "))))
    }

    /// These columns; `"*"` is all of them.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn select(&self, columns: impl IntoColumns) -> Result<Self, SqlError> {
        self.made(format!("SELECT {} FROM ({})", list(&columns.into_columns()), self.query()))
    }

    /// These expressions, each as text of SQL.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn select_expr(&self, expressions: &[&str]) -> Result<Self, SqlError> {
        self.made(format!("SELECT {} FROM ({})", expressions.join(", "), self.query()))
    }

    /// The rows for which a condition is true: an expression, or text of SQL.
    ///
    /// # Errors
    /// If the condition is wrong.
    pub fn filter(&self, condition: impl Into<Expression>) -> Result<Self, SqlError> {
        self.made(format!("SELECT * FROM ({}) WHERE {}", self.query(), condition.into().sql()))
    }

    /// The rows for which a condition is true (Spark's `where`).
    ///
    /// # Errors
    /// If the condition is wrong.
    pub fn where_(&self, condition: impl Into<Expression>) -> Result<Self, SqlError> {
        self.filter(condition)
    }

    /// Groups of rows that have the same of these, for [`agg`](GroupedData::agg) and its kin.
    ///
    /// # Errors
    /// None; what is wrong is told by what follows.
    pub fn group_by(&self, columns: impl IntoColumns) -> Result<GroupedData, SqlError> {
        Ok(GroupedData::new(self.clone(), columns.into_columns()))
    }

    /// Aggregates of all rows; one row, also of none.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn agg(&self, aggregates: impl IntoColumns) -> Result<Self, SqlError> {
        GroupedData::new(self.clone(), Vec::new()).agg(aggregates)
    }

    /// Each row with those of `right` that have the same in these columns, which are there once; `how` is `inner`, `left`, `right`, `full`,
    /// `left_semi` (the rows that have a partner) or `left_anti` (those that have none). NULL is equal to nothing.
    ///
    /// # Errors
    /// If a column is missing on one side, both have another of the same name, or there is no such `how`.
    pub fn join(&self, right: &Self, using: &[&str], how: &str) -> Result<Self, SqlError> {
        let how = How::of(how)?;
        for name in using {
            self.must_have(name)?;
            right.must_have(name)?;
        }
        let [own, other] =
            [self, right].map(|side| side.columns().into_iter().filter(|name| !using.contains(name)));
        let (own, other): (Vec<&str>, Vec<&str>) = (own.collect(), other.collect());
        if how.keeps_right() {
            self.differ(&own, &other)?;
        }
        let side = |side: &str, name: &str| format!("{side}.{}", quoted(name));
        let key = |name: &&str| match how {
            How::Right => format!("`r`.{0} AS {0}", quoted(name)),
            How::Full => {
                format!("COALESCE({}, {}) AS {}", side("`l`", name), side("`r`", name), quoted(name))
            }
            _ => format!("`l`.{0} AS {0}", quoted(name)),
        };
        let mut columns: Vec<String> = using.iter().map(key).collect();
        columns.extend(own.iter().map(|name| side("`l`", name)));
        if how.keeps_right() {
            columns.extend(other.iter().map(|name| side("`r`", name)));
        }
        let same = using.iter().map(|name| format!("{} = {}", side("`l`", name), side("`r`", name)));
        let on = same.collect::<Vec<_>>().join(" AND ");
        self.joined(right, &columns.join(", "), how, &on)
    }

    /// Each row with those of `right` for which a condition over the columns of both is true; see [`join`](Self::join).
    ///
    /// # Errors
    /// If the condition is wrong, both have a column of the same name, or there is no such `how`.
    pub fn join_on(
        &self,
        right: &Self,
        condition: impl Into<Expression>,
        how: &str,
    ) -> Result<Self, SqlError> {
        self.differ(&self.columns(), &right.columns())?;
        self.joined(right, "*", How::of(how)?, condition.into().sql())
    }

    /// Each row with each of `right`.
    ///
    /// # Errors
    /// If both have a column of the same name.
    pub fn cross_join(&self, right: &Self) -> Result<Self, SqlError> {
        self.differ(&self.columns(), &right.columns())?;
        self.made_with(
            right,
            format!("SELECT * FROM ({}) AS `l` CROSS JOIN ({}) AS `r`", self.query(), right.query()),
        )
    }

    fn joined(&self, right: &Self, columns: &str, how: How, on: &str) -> Result<Self, SqlError> {
        let kind = how.sql();
        self.made_with(
            right,
            format!(
                "SELECT {columns} FROM ({}) AS `l` {kind} ({}) AS `r` ON {on}",
                self.query(),
                right.query()
            ),
        )
    }

    fn differ(&self, own: &[&str], other: &[&str]) -> Result<(), SqlError> {
        let Some(name) = own.iter().find(|name| other.contains(name)) else { return Ok(()) };
        Err(SqlError::new(format!("both sides have a column `{name}`"))
            .help("rename it in one of them: with_column_renamed"))
    }

    /// The rows in the order of these columns: names, or expressions with `asc()` or `desc()`.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn sort(&self, columns: impl IntoColumns) -> Result<Self, SqlError> {
        let columns = columns.into_columns();
        let order = columns.iter().map(Column::sql).collect::<Vec<_>>().join(", ");
        let mut sorted = self.made(format!("SELECT * FROM ({}) ORDER BY {order}", self.query()))?;
        sorted.plan.ordered = true;
        Ok(sorted)
    }

    /// The same as [`sort`](Self::sort).
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn order_by(&self, columns: impl IntoColumns) -> Result<Self, SqlError> {
        self.sort(columns)
    }

    /// The first `n` rows, in the order that there is.
    ///
    /// # Errors
    /// None that is known of.
    pub fn limit(&self, n: usize) -> Result<Self, SqlError> {
        match self.plan.ordered {
            true => {
                // One that was made by `sort` ends with its order; of what a user wrote nothing is known.
                let mut limited = self.made(format!("{} LIMIT {n}", self.query()))?;
                limited.plan.ordered = false;
                Ok(limited)
            }
            false => self.made(format!("SELECT * FROM ({}) LIMIT {n}", self.query())),
        }
    }

    /// Each row once.
    ///
    /// # Errors
    /// If a column has a type that cannot be compared.
    pub fn distinct(&self) -> Result<Self, SqlError> {
        self.made(format!("SELECT DISTINCT * FROM ({})", self.query()))
    }

    /// The rows of both, with all that are there more than once; columns go by their places, and have the names of this one.
    ///
    /// # Errors
    /// If the other has other columns.
    pub fn union(&self, other: &Self) -> Result<Self, SqlError> {
        self.both("UNION ALL", other)
    }

    /// The rows that are in both, each once.
    ///
    /// # Errors
    /// If the other has other columns.
    pub fn intersect(&self, other: &Self) -> Result<Self, SqlError> {
        self.both("INTERSECT", other)
    }

    /// The rows that are not in the other, each once.
    ///
    /// # Errors
    /// If the other has other columns.
    pub fn except(&self, other: &Self) -> Result<Self, SqlError> {
        self.both("EXCEPT", other)
    }

    fn both(&self, what: &str, other: &Self) -> Result<Self, SqlError> {
        self.made_with(
            other,
            format!("SELECT * FROM ({}) {what} SELECT * FROM ({})", self.query(), other.query()),
        )
    }

    /// With one more column, or another one in the place of that of this name.
    ///
    /// # Errors
    /// If the expression is wrong.
    pub fn with_column(&self, name: &str, value: impl IntoColumn) -> Result<Self, SqlError> {
        let value = value.into_column().alias(name).to_string();
        let kept = |known: &str| if known == name { value.clone() } else { quoted(known) };
        let mut columns: Vec<String> = self.columns().into_iter().map(kept).collect();
        if !self.has(name) {
            columns.push(value.clone());
        }
        self.made(format!("SELECT {} FROM ({})", columns.join(", "), self.query()))
    }

    /// With another name for a column. If there is none of this name, it is the same frame, as in Spark.
    ///
    /// # Errors
    /// If there is one of the new name already.
    pub fn with_column_renamed(&self, from: &str, to: &str) -> Result<Self, SqlError> {
        if from != to && self.has(from) && self.has(to) {
            return Err(SqlError::new(format!("there is a column `{to}` already")));
        }
        let renamed = |name: &str| {
            if name == from { format!("{} AS {}", quoted(from), quoted(to)) } else { quoted(name) }
        };
        let columns: Vec<String> = self.columns().into_iter().map(renamed).collect();
        self.made(format!("SELECT {} FROM ({})", columns.join(", "), self.query()))
    }

    /// Without these columns; one that is not there is no mistake, as in Spark.
    ///
    /// # Errors
    /// If no column would be left.
    pub fn drop(&self, names: &[&str]) -> Result<Self, SqlError> {
        let kept: Vec<String> =
            self.columns().into_iter().filter(|name| !names.contains(name)).map(quoted).collect();
        if kept.is_empty() {
            return Err(SqlError::new("no column would be left, and a table without columns is none"));
        }
        self.made(format!("SELECT {} FROM ({})", kept.join(", "), self.query()))
    }

    /// With these names for its columns, in their order.
    ///
    /// # Errors
    /// If there are not as many.
    pub fn to_df(&self, names: &[&str]) -> Result<Self, SqlError> {
        let own = self.columns();
        if own.len() != names.len() {
            return Err(SqlError::new(format!(
                "{} names were given for {} columns ({})",
                names.len(),
                own.len(),
                own.join(", ")
            )));
        }
        let renamed =
            own.into_iter().zip(names).map(|(own, name)| format!("{} AS {}", quoted(own), quoted(name)));
        self.made(format!("SELECT {} FROM ({})", renamed.collect::<Vec<_>>().join(", "), self.query()))
    }

    /// Gives the frame a name that [`sql`](SparkSession::sql) of its session knows, in the place of what had it. It stays there, with the rows that it
    /// reads, until another takes its place or it is [dropped](SparkSession::drop_temp_view).
    ///
    /// # Errors
    /// If it is no name.
    pub fn create_or_replace_temp_view(&self, name: &str) -> Result<(), SqlError> {
        if name.is_empty() || name.contains('.') {
            return Err(SqlError::new(format!("`{name}` is no name of a view")));
        }
        let views = &self.session.inner.views;
        views
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(name.to_owned(), self.plan.clone());
        Ok(())
    }

    /// How it is computed: the operators, with what is known of their rows.
    ///
    /// # Errors
    /// None that is known of.
    pub fn explain(&self) -> Result<(), SqlError> {
        println!("{}", self.explained()?);
        Ok(())
    }

    /// What [`explain`](Self::explain) prints.
    ///
    /// # Errors
    /// None that is known of.
    pub fn explained(&self) -> Result<String, SqlError> {
        let Plan { query, inputs, .. } = &self.plan;
        let columns: Vec<Columns> = inputs.iter().map(|input| input.rows.columns().clone()).collect();
        self.session.inner.tables.explain(&numbered(query, inputs), &columns)
    }

    /// Computes it.
    pub(super) fn rows(&self) -> Result<Rows, SqlError> {
        let Plan { query, inputs, .. } = &self.plan;
        if let [input] = &inputs[..]
            && *query == format!("SELECT * FROM {}", input.name())
        {
            return Ok(input.rows.clone());
        }
        let rows: Vec<Rows> = inputs.iter().map(|input| input.rows.clone()).collect();
        self.session.inner.tables.run(&numbered(query, inputs), &rows)
    }

    /// The same frame, computed now and kept: what is asked of it afterwards does not compute it again.
    ///
    /// # Errors
    /// If it fails.
    pub fn cache(&self) -> Result<Self, SqlError> {
        Ok(self.session.frame_of(self.rows()?, self.plan.batch.clone()))
    }

    /// The number of rows.
    ///
    /// # Errors
    /// If it fails.
    pub fn count(&self) -> Result<usize, SqlError> {
        Ok(self.rows()?.count())
    }

    /// Whether there is no row.
    ///
    /// # Errors
    /// If it fails.
    pub fn is_empty(&self) -> Result<bool, SqlError> {
        Ok(self.limit(1)?.count()? == 0)
    }

    /// All rows: a struct by the names of the columns, a tuple by their places, anything else of the one column there is. A column that may be NULL
    /// needs an `Option`.
    ///
    /// # Errors
    /// If it fails, or a row does not fit.
    pub fn collect<T: DeserializeOwned>(&self) -> Result<Vec<T>, SqlError> {
        self.rows()?.collect()
    }

    /// The first `n` rows.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub fn take<T: DeserializeOwned>(&self, n: usize) -> Result<Vec<T>, SqlError> {
        self.limit(n)?.collect()
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub fn first<T: DeserializeOwned>(&self) -> Result<Option<T>, SqlError> {
        Ok(self.take(1)?.pop())
    }

    /// The rows as an `Rdd`, in the batch that they come from.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub fn to_rdd<T: DeserializeOwned>(&self) -> Result<Rdd<T>, SqlError> {
        let partitions = self.rows()?.partitions_as()?;
        Ok(match &self.plan.batch {
            Some(batch) => batch.in_same_batch(partitions),
            None => Rdd::from_partitions(partitions),
        })
    }

    /// Writes the rows to files.
    pub fn write(&self) -> DataFrameWriter {
        DataFrameWriter::new(self.clone())
    }

    /// Prints the first 20 rows, as Spark does: what is longer than 20 letters is cut.
    ///
    /// # Errors
    /// If it fails.
    pub fn show(&self) -> Result<(), SqlError> {
        self.show_rows(SHOWN, true)
    }

    /// Prints the first `n` rows, with long values cut or not.
    ///
    /// # Errors
    /// If it fails.
    pub fn show_rows(&self, n: usize, truncate: bool) -> Result<(), SqlError> {
        print!("{}", self.shown(n, truncate)?);
        Ok(())
    }

    /// What [`show_rows`](Self::show_rows) prints.
    ///
    /// # Errors
    /// If it fails.
    pub fn shown(&self, n: usize, truncate: bool) -> Result<String, SqlError> {
        let rows = self.rows()?;
        let cut = |text: String| match truncate && text.chars().count() > LETTERS {
            true => text.chars().take(LETTERS - 3).chain("...".chars()).collect(),
            false => text,
        };
        let header: Vec<String> = self.columns().into_iter().map(|name| cut(name.to_owned())).collect();
        let cell = |text: Option<String>| cut(text.unwrap_or_else(|| "NULL".to_owned()));
        let texts = rows.texts(n).into_iter().map(|row| row.into_iter().map(cell).collect());
        let table: Vec<Vec<String>> = std::iter::once(header).chain(texts).collect();
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> =
            (0..self.plan.columns.len()).map(|column| width(column).max(WIDTH)).collect();
        let rule = widths.iter().map(|width| format!("+{}", "-".repeat(*width))).collect::<String>() + "+\n";
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| match truncate {
                true => format!("|{cell:>width$}"),
                false => format!("|{cell:<width$}"),
            });
            cells.collect::<String>() + "|\n"
        };
        let lines: String = table[1..].iter().map(line).collect();
        let more = match rows.count() > n {
            true => format!("only showing top {n} row{}\n", if n == 1 { "" } else { "s" }),
            false => String::new(),
        };
        Ok(format!("{rule}{}{rule}{lines}{rule}{more}\n", line(&table[0])))
    }
}
