//! `INSERT INTO`: makes the columns of a query fit a table, and its changes what the connector takes.

use std::sync::Arc;

use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};

use super::implicit::is_implicit;
use super::{Building, Planned, Translator, arrow};
use crate::catalog::Table;
use crate::connectors::{Changelog, TableSink};
use crate::error::SqlError;
use crate::operators::{NotNull, UpsertMaterialize};
use crate::parser::Insert;
use crate::planner::Planner;
use crate::settings::Settings;

/// The plan of the rows that an `INSERT` writes: the columns of the table, in their order and types.
///
/// # Errors
/// If the query gives other columns than the table has.
pub fn plan_insert(planner: &Planner, table: &Table, insert: &Insert) -> Result<LogicalPlan, SqlError> {
    let query = planner.unoptimized(&insert.query)?;
    let written = table.written_columns();
    let place = |word: &crate::parser::Word| {
        let found = written.iter().copied().find(|index| table.columns[*index].name == word.value);
        found.ok_or_else(|| {
            let names = written.iter().map(|index| table.columns[*index].name.as_str());
            let error = SqlError::at(
                word.span.clone(),
                format!("`{}` has no column `{}` to write", table.path.table, word.value),
            );
            match crate::catalog::nearest(&word.value, names) {
                Some(name) => error.help(format!("did you mean `{name}`?")),
                None => error,
            }
        })
    };
    let fixed: Vec<(usize, &sqlparser::ast::Expr)> = insert
        .partition
        .iter()
        .map(|(word, value)| Ok((place(word)?, value)))
        .collect::<Result<_, SqlError>>()?;
    let given: Vec<usize> = match insert.columns.is_empty() {
        true => written.iter().copied().filter(|index| !fixed.iter().any(|(of, _)| of == index)).collect(),
        false => insert.columns.iter().map(place).collect::<Result<_, _>>()?,
    };
    let columns = query.schema().columns();
    if columns.len() != given.len() {
        return Err(SqlError::at(
            insert.span.clone(),
            format!(
                "the query gives {} columns, and `{}` takes {}",
                columns.len(),
                table.path.table,
                given.len()
            ),
        ));
    }
    let mut values = Vec::with_capacity(written.len());
    for index in &written {
        let column = &table.columns[*index];
        let value = if let Some((_, value)) = fixed.iter().find(|(of, _)| of == index) {
            planner.expression(value, query.schema())?
        } else if let Some(place) = given.iter().position(|of| of == index) {
            Expr::Column(columns[place].clone())
        } else {
            lit(datafusion_common::ScalarValue::Null)
        };
        let (from, to) = (value.get_type(query.schema().as_ref())?, column.data_type.to_arrow());
        if !is_implicit(&from, &to) {
            return Err(SqlError::at(
                insert.span.clone(),
                format!(
                    "the column `{}` of `{}` is {to}, and the query gives {from}",
                    column.name, table.path.table
                ),
            )
            .help("cast it, if that is what you want: CAST(… AS …)"));
        }
        let value = if from == to { value } else { datafusion_expr::cast(value, to) };
        values.push(value.alias(&column.name));
    }
    let plan = LogicalPlanBuilder::from(query).project(values)?.build()?;
    planner.optimized(plan)
}

/// Rows on their way into a table.
pub struct PlannedSink {
    /// What is written.
    pub rows: Arc<Planned>,
    /// Where to, in a line.
    pub what: String,
    name: String,
    /// What rows are updated by, if they are.
    key: Option<Vec<usize>>,
    sink: Box<dyn TableSink>,
}

impl PlannedSink {
    /// Shows the rows on the standard output.
    pub(crate) fn console(rows: Arc<Planned>) -> Self {
        let key = rows.traits.keys.first().cloned().unwrap_or_default();
        let (what, name) = ("Sink(console)".to_owned(), "console".to_owned());
        Self { rows, what, name, key: None, sink: crate::connectors::console(key) }
    }

    /// Builds the sink, and all that it reads.
    ///
    /// # Errors
    /// If an operator or a connector cannot be made.
    pub fn build(&self, building: &Building<'_>) -> Result<(), SqlError> {
        let rows = building.build(&self.rows)?;
        // What is updated by key is written by one subtask for each key, so that the last update is the last one written.
        match &self.key {
            Some(key) => self.sink.write(building.keyed(&rows, key, &self.rows.schema)?, &self.name),
            None => self.sink.write(rows, &self.name),
        }
    }

    /// Whether the rows are shown on the terminal.
    pub fn shows_rows(&self) -> bool {
        self.sink.shows_rows()
    }

    /// The plan as a tree.
    pub fn explain(&self) -> String {
        let rows = self.rows.explain();
        let lines = rows.lines().map(|line| format!("  {line}\n"));
        format!("{}\n{}", self.what, lines.collect::<String>())
    }
}

/// Writes rows, which have the table's columns, into it.
///
/// # Errors
/// If the connector does not take such changes.
pub fn sink(
    translator: &Translator<'_>,
    table: &Arc<Table>,
    rows: Arc<Planned>,
) -> Result<PlannedSink, SqlError> {
    let sink = translator.connectors.of(table)?.sink(table, translator.settings)?;
    let rows = not_null(translator.settings, table, rows);
    let written = table.written_columns();
    let key: Option<Vec<usize>> =
        table.primary_key.iter().map(|column| written.iter().position(|of| of == column)).collect();
    let key = key.filter(|key| !key.is_empty());
    let by_key = key.clone().filter(|_| sink.changelog() == Changelog::Upsert);
    let rows = match (sink.changelog(), key) {
        (Changelog::Append, _) if rows.traits.retracts => {
            return Err(SqlError::new(format!(
                "the query takes back rows that it has given, and the table `{}` can only be added to",
                table.path.table
            ))
            .help("write into a table that takes updates, such as `upsert-kafka`, or aggregate by windows"));
        }
        (Changelog::Upsert, None) => {
            return Err(SqlError::new(format!(
                "the table `{}` wants a PRIMARY KEY … NOT ENFORCED",
                table.path.table
            )));
        }
        // Where rows of one key of the table come from several keys of the query, the last one that is there counts.
        (_, Some(key))
            if rows.traits.retracts
                && !rows
                    .traits
                    .keys
                    .iter()
                    .any(|unique| unique.iter().all(|column| key.contains(column))) =>
        {
            materialize(translator, rows, key)
        }
        _ => rows,
    };
    let what = format!("Sink(table=[{}])", table.path);
    Ok(PlannedSink { rows, what, name: table.path.table.clone(), key: by_key, sink })
}

fn materialize(translator: &Translator<'_>, rows: Arc<Planned>, key: Vec<usize>) -> Arc<Planned> {
    let ttl = translator.ttl(&super::Traits::default());
    let schema = rows.schema.clone();
    let traits = super::Traits { keys: vec![key.clone()], ..rows.traits.clone() };
    let what = format!("UpsertMaterialize(key={key:?})");
    let of = schema.clone();
    Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
        let operator = UpsertMaterialize::new(key.clone(), &of).map_err(arrow)?.with_ttl(ttl);
        let keyed = building.keyed(&inputs[0], &key, &of)?;
        Ok(keyed.apply("upsert materialize", operator).identity(&building.identity()))
    })
}

/// Columns that are not to be NULL are looked at, if there are any.
fn not_null(settings: &Settings, table: &Table, rows: Arc<Planned>) -> Arc<Planned> {
    let written = table.written_columns();
    let strict = written.iter().enumerate().filter(|(_, index)| !table.columns[**index].data_type.nullable);
    let strict: Vec<usize> = strict.map(|(place, _)| place).collect();
    let nested = settings.get("table.exec.sink.nested-constraint-enforcer");
    let types: Vec<_> = written.iter().map(|index| table.columns[*index].data_type.clone()).collect();
    if strict.is_empty() && nested.is_none() {
        return rows;
    }
    let drop = settings
        .get("table.exec.sink.not-null-enforcer")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("DROP"));
    let what = format!("ConstraintEnforcer(notNull={strict:?}, drop={drop})");
    let operator = NotNull::new(table.path.table.clone(), types, nested.is_some(), drop);
    let (schema, traits) = (rows.schema.clone(), rows.traits.clone());
    Planned::new(what, vec![rows], schema, traits, move |_, inputs| {
        Ok(inputs[0].apply("constraint enforcer", operator.clone()))
    })
}
