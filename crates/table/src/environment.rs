//! A session: a catalog, settings, connectors, and statements that use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion_common::DFSchema;
use datafusion_expr::ExprSchemable;
use sqlparser::ast::Query;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::runtime::{Job, JobConfig};

use crate::catalog::{Catalog, Column, ColumnSource, Relation, Table, View};
use crate::chunk::Chunk;
use crate::connectors::{Connector, Connectors};
use crate::error::SqlError;
use crate::parser::{
    ColumnKind, CreateTable, Insert, Name, Options, Statement, StatementKind, TableSchema, parse_script,
};
use crate::plan::{Building, PlannedSink, Translator, plan_insert, sink};
use crate::planner::Planner;
use crate::settings::Settings;
use crate::types::LogicalType;

/// A session in which statements are run (Flink's `TableEnvironment`).
#[derive(Default)]
pub struct TableEnvironment {
    catalog: Catalog,
    settings: Settings,
    connectors: Connectors,
}

/// What became of a statement.
pub enum Outcome {
    /// It is done.
    Done,
    /// It is text to be shown.
    Text(String),
    /// It is a job, ready to be started.
    Job(PlannedJob),
    /// It is a query whose rows are to be shown.
    Query(Box<Query>),
}

/// Sinks that run as one job.
pub struct PlannedJob {
    sinks: Vec<PlannedSink>,
}

impl PlannedJob {
    /// The job, with these settings.
    ///
    /// # Errors
    /// If an operator or a connector cannot be made.
    pub fn build(&self, config: JobConfig) -> Result<Job, SqlError> {
        let job = Job::new(config);
        let building = Building::new(job.graph(), job.config().parallelism);
        self.sinks.iter().try_for_each(|sink| sink.build(&building))?;
        Ok(job)
    }

    /// The plan as a tree.
    pub fn explain(&self) -> String {
        self.sinks.iter().map(PlannedSink::explain).collect::<Vec<_>>().join("\n")
    }
}

impl TableEnvironment {
    /// An empty session.
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Adds a connector, for tables `WITH ('connector' = 'name')`.
    pub fn register_connector(&mut self, name: &str, connector: Arc<dyn Connector>) {
        self.connectors.register(name, connector);
    }

    /// The statements of a script, one after the other, up to the first that is wrong.
    ///
    /// # Errors
    /// If a statement is wrong; with the place.
    pub fn execute_script(
        &mut self,
        script: &str,
        mut each: impl FnMut(&mut Self, &Statement, Outcome) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        for statement in parse_script(script)? {
            let outcome = self.execute(&statement)?;
            each(self, &statement, outcome)?;
        }
        Ok(())
    }

    /// One statement.
    ///
    /// # Errors
    /// If it is wrong; with the place.
    pub fn execute(&mut self, statement: &Statement) -> Result<Outcome, SqlError> {
        self.kind(&statement.kind).map_err(|error| error.or_at(&statement.span))
    }

    fn kind(&mut self, kind: &StatementKind) -> Result<Outcome, SqlError> {
        match kind {
            StatementKind::CreateTable(create) => self.create_table(create).map(|()| Outcome::Done),
            StatementKind::CreateView(create) => {
                let columns = create.columns.iter().map(|word| word.value.clone()).collect();
                let view = View { query: (*create.query).clone(), columns };
                // A view that cannot be planned is refused when it is made, not when it is used.
                self.planner().unoptimized(&view.query)?;
                self.add(&create.name, Relation::View(Arc::new(view)), create.if_not_exists)?;
                Ok(Outcome::Done)
            }
            StatementKind::Insert(insert) => {
                self.plan_inserts(std::slice::from_ref(&**insert)).map(Outcome::Job)
            }
            StatementKind::StatementSet(inserts) => self.plan_inserts(inserts).map(Outcome::Job),
            StatementKind::Query(query) => Ok(Outcome::Query(query.clone())),
            StatementKind::Explain(explain) => self.explain(&explain.statement.kind).map(Outcome::Text),
            StatementKind::Set(Some((key, value))) => {
                self.settings.set(key, value)?;
                Ok(Outcome::Done)
            }
            StatementKind::Set(None) => {
                let lines = self.settings.iter().map(|(key, value)| format!("'{key}' = '{value}'"));
                Ok(Outcome::Text(lines.collect::<Vec<_>>().join("\n")))
            }
            StatementKind::Reset(key) => {
                self.settings.reset(key.as_deref());
                Ok(Outcome::Done)
            }
            StatementKind::Drop(drop) => {
                let path = self.catalog.path_of(&drop.name);
                match self.catalog.remove(&path) {
                    None if !drop.if_exists => Err(self.catalog.missing(&path)),
                    _ => Ok(Outcome::Done),
                }
            }
            StatementKind::UseCatalog(catalog) => {
                self.catalog.use_database(&catalog.value, "default_database")?;
                Ok(Outcome::Done)
            }
            StatementKind::UseDatabase(name) => {
                let parts: Vec<&str> = name.0.iter().map(|word| word.value.as_str()).collect();
                let (catalog, database) = match parts[..] {
                    [catalog, database] => (catalog.to_owned(), database),
                    [database] => (self.catalog.current().0.to_owned(), database),
                    _ => return Err(SqlError::new("a database has a name of one or two parts")),
                };
                self.catalog.use_database(&catalog, database)?;
                Ok(Outcome::Done)
            }
            StatementKind::CreateNamespace(create) => {
                let parts: Vec<&str> = create.name.0.iter().map(|word| word.value.as_str()).collect();
                let (catalog, database) = match parts[..] {
                    [catalog] if create.is_catalog => (catalog.to_owned(), "default_database"),
                    [database] => (self.catalog.current().0.to_owned(), database),
                    [catalog, database] => (catalog.to_owned(), database),
                    _ => return Err(SqlError::new("a database has a name of one or two parts")),
                };
                match self.catalog.add_database(&catalog, database) || create.if_not_exists {
                    true => Ok(Outcome::Done),
                    false => Err(SqlError::new(format!("`{}` is there already", parts.join(".")))),
                }
            }
            StatementKind::Describe(name) => self.describe(name).map(Outcome::Text),
            StatementKind::Show(show) => self.list(show).map(Outcome::Text),
            StatementKind::AlterTable(_) => Err(SqlError::new("ALTER TABLE is not there yet")),
            StatementKind::CreateFunction(_) => {
                Err(SqlError::new("functions of Java classes are not there; register functions from Rust"))
            }
        }
    }

    fn planner(&self) -> Planner {
        Planner::new(&self.catalog, &self.settings)
    }

    fn add(&mut self, name: &Name, relation: Relation, if_not_exists: bool) -> Result<(), SqlError> {
        let path = self.catalog.path_of(name);
        let error = || {
            let error = SqlError::new(format!("there is a table or view `{}` already", path.table));
            match name.0.last() {
                Some(word) => error.or_at(&word.span),
                None => error,
            }
        };
        match self.catalog.add(path.clone(), relation) || if_not_exists {
            true => Ok(()),
            false => Err(error()),
        }
    }

    fn create_table(&mut self, create: &CreateTable) -> Result<(), SqlError> {
        if create.like.is_some() {
            return Err(SqlError::new("CREATE TABLE … LIKE is not there yet"));
        }
        if create.query.is_some() {
            return Err(SqlError::new("CREATE TABLE … AS is not there yet")
                .help("create the table, then INSERT INTO it"));
        }
        let partitioned_by = create.partitioned_by.iter().map(|word| word.value.clone()).collect();
        let mut table = self.table(&create.name, &create.schema, options_of(&create.options))?;
        table.partitioned_by = partitioned_by;
        if let (Some((first, _)), Some((_, last))) = (create.options.0.first(), create.options.0.last()) {
            table.options_at = Some(first.span.start..last.span.end);
        }
        self.add(&create.name, Relation::Table(Arc::new(table)), create.if_not_exists)
    }

    /// Adds a table, for who has no statement of it.
    ///
    /// # Errors
    /// If its schema is wrong, or there is one of that name.
    pub fn create(
        &mut self,
        name: &str,
        schema: &TableSchema,
        options: BTreeMap<String, String>,
    ) -> Result<(), SqlError> {
        let name = Name(vec![crate::parser::Word { value: name.to_owned(), span: 0..0 }]);
        let table = self.table(&name, schema, options)?;
        self.add(&name, Relation::Table(Arc::new(table)), false)
    }

    fn table(
        &self,
        name: &Name,
        schema: &TableSchema,
        options: BTreeMap<String, String>,
    ) -> Result<Table, SqlError> {
        let planner = self.planner();
        // What computed columns may refer to.
        let mut fields = Vec::new();
        for column in &schema.columns {
            match &column.kind {
                ColumnKind::Physical(of) | ColumnKind::Metadata { data_type: of, .. } => {
                    fields.push(arrow::datatypes::Field::new(&column.name.value, of.to_arrow(), of.nullable));
                }
                ColumnKind::Computed(_) => {}
            }
        }
        let read = DFSchema::try_from(Schema::new(fields))?;
        let mut columns = Vec::new();
        for column in &schema.columns {
            let (data_type, source) = match &column.kind {
                ColumnKind::Physical(of) => (of.clone(), ColumnSource::Physical),
                ColumnKind::Metadata { data_type, from, is_virtual } => {
                    let key = from.clone().unwrap_or_else(|| column.name.value.clone());
                    (data_type.clone(), ColumnSource::Metadata { key, is_virtual: *is_virtual })
                }
                ColumnKind::Computed(expression) => {
                    let planned = planner
                        .expression(expression, &read)
                        .map_err(|error| error.or_at(&column.name.span))?;
                    let (_, field) = planned.to_field(&read)?;
                    let of = LogicalType::from_arrow(field.data_type(), field.is_nullable())?;
                    (of, ColumnSource::Computed(planned))
                }
            };
            if columns.iter().any(|known: &Column| known.name == column.name.value) {
                return Err(SqlError::at(
                    column.name.span.clone(),
                    format!("there are two columns `{}`", column.name.value),
                ));
            }
            columns.push(Column { name: column.name.value.clone(), data_type, source });
        }
        let place = |word: &crate::parser::Word| {
            columns.iter().position(|column| column.name == word.value).ok_or_else(|| {
                SqlError::at(word.span.clone(), format!("there is no column `{}`", word.value))
            })
        };
        let primary_key = schema.primary_key.iter().flatten().map(place).collect::<Result<Vec<_>, _>>()?;
        let mut table = Table {
            path: self.catalog.path_of(name),
            watermark: None,
            primary_key,
            partitioned_by: Vec::new(),
            options,
            options_at: None,
            columns: columns.clone(),
        };
        for column in table.primary_key.clone() {
            table.columns[column].data_type.nullable = false;
        }
        if let Some(watermark) = &schema.watermark {
            let [column] = &watermark.column[..] else {
                return Err(SqlError::new("a watermark is for a column; fields of rows are not there yet"));
            };
            let of_time = place(column)?;
            let all = DFSchema::try_from(table.schema().as_ref().clone())?;
            let expression = planner.expression(&watermark.expression, &all);
            let expression = expression.map_err(|error| error.or_at(&column.span))?;
            table.watermark = Some((of_time, expression));
        }
        Ok(table)
    }

    fn plan_inserts(&self, inserts: &[Insert]) -> Result<PlannedJob, SqlError> {
        let planner = self.planner();
        let translator =
            Translator { planner: &planner, connectors: &self.connectors, settings: &self.settings };
        let mut sinks = Vec::with_capacity(inserts.len());
        for insert in inserts {
            let planned = || {
                if insert.overwrite {
                    return Err(SqlError::new("INSERT OVERWRITE is not there yet"));
                }
                let (_, relation) = self.catalog.find(&insert.table)?;
                let Relation::Table(table) = relation else {
                    return Err(SqlError::new("rows are written into tables, not into views"));
                };
                let mut table = table.clone();
                if !insert.hints.0.is_empty() {
                    let mut hinted = (*table).clone();
                    hinted.options.extend(options_of(&insert.hints));
                    table = Arc::new(hinted);
                }
                let plan = plan_insert(&planner, &table, insert)?;
                sink(&translator, &table, translator.translate(&plan)?)
            };
            sinks.push(planned().map_err(|error: SqlError| error.or_at(&insert.span))?);
        }
        Ok(PlannedJob { sinks })
    }

    /// The changes of a query as a stream of `job` (Flink's `to_changelog_stream`).
    ///
    /// # Errors
    /// If the query is wrong; with the place.
    pub fn stream(&self, query: &str, job: &Job) -> Result<Stream<Chunk>, SqlError> {
        let statements = parse_script(query)?;
        let [Statement { kind: StatementKind::Query(query), span }] = &statements[..] else {
            return Err(SqlError::new("one query is a stream, and no other statement is"));
        };
        let planner = self.planner();
        let translator =
            Translator { planner: &planner, connectors: &self.connectors, settings: &self.settings };
        let planned = || {
            let rows = translator.translate(&planner.plan(query)?)?;
            Building::new(job.graph(), job.config().parallelism).build(&rows)
        };
        planned().map_err(|error: SqlError| error.or_at(span))
    }

    /// A job that shows the rows of a query on the standard output, each with its kind.
    ///
    /// # Errors
    /// If the query is wrong; with the place.
    pub fn show(&self, query: &Query) -> Result<PlannedJob, SqlError> {
        let planner = self.planner();
        let translator =
            Translator { planner: &planner, connectors: &self.connectors, settings: &self.settings };
        let rows = translator.translate(&planner.plan(query)?)?;
        Ok(PlannedJob { sinks: vec![PlannedSink::console(rows)] })
    }

    fn explain(&self, kind: &StatementKind) -> Result<String, SqlError> {
        let planner = self.planner();
        match kind {
            StatementKind::Insert(insert) => {
                self.plan_inserts(std::slice::from_ref(&**insert)).map(|job| job.explain())
            }
            StatementKind::StatementSet(inserts) => self.plan_inserts(inserts).map(|job| job.explain()),
            StatementKind::Query(query) => {
                let plan = planner.plan(query)?;
                let translator =
                    Translator { planner: &planner, connectors: &self.connectors, settings: &self.settings };
                let rows = translator.translate(&plan)?;
                Ok(format!(
                    "== Logical plan ==\n{}\n\n== Operators ==\n{}",
                    plan.display_indent(),
                    rows.explain()
                ))
            }
            _ => Err(SqlError::new("EXPLAIN is for queries and INSERT")),
        }
    }

    fn describe(&self, name: &Name) -> Result<String, SqlError> {
        let (_, relation) = self.catalog.find(name)?;
        match relation {
            Relation::Table(table) => {
                let lines =
                    table.columns.iter().map(|column| format!("{} {}", column.name, column.data_type));
                Ok(lines.collect::<Vec<_>>().join("\n"))
            }
            Relation::View(view) => {
                let plan = self.planner().unoptimized(&view.query)?;
                let lines = plan.schema().fields().iter().map(|field| {
                    let of = LogicalType::from_arrow(field.data_type(), field.is_nullable())?;
                    Ok(format!("{} {of}", field.name()))
                });
                Ok(lines.collect::<Result<Vec<_>, SqlError>>()?.join("\n"))
            }
        }
    }

    fn list(&self, show: &crate::parser::Show) -> Result<String, SqlError> {
        use crate::parser::{ObjectKind, Show};
        let names: Vec<String> = match show {
            Show::Objects(ObjectKind::Table, _) => {
                self.catalog.relations().map(|(name, _)| name.to_owned()).collect()
            }
            Show::Objects(ObjectKind::View, _) => {
                let views =
                    self.catalog.relations().filter(|(_, relation)| matches!(relation, Relation::View(_)));
                views.map(|(name, _)| name.to_owned()).collect()
            }
            Show::Objects(ObjectKind::Function, _) => {
                let mut names = crate::functions::scalar_names();
                names.extend(crate::aggregates::aggregate_names().map(str::to_owned));
                names.sort();
                names
            }
            Show::Objects(ObjectKind::Database, _) => {
                self.catalog.databases().map(|(_, database)| database.to_owned()).collect()
            }
            Show::Objects(ObjectKind::Catalog, _) => {
                let mut names: Vec<String> =
                    self.catalog.databases().map(|(catalog, _)| catalog.to_owned()).collect();
                names.dedup();
                names
            }
            Show::Columns(name) => return self.describe(name),
            Show::CurrentCatalog => vec![self.catalog.current().0.to_owned()],
            Show::CurrentDatabase => vec![self.catalog.current().1.to_owned()],
            Show::Create(_) | Show::Jobs => return Err(SqlError::new("this SHOW is not there yet")),
        };
        Ok(names.join("\n"))
    }
}

fn options_of(options: &Options) -> BTreeMap<String, String> {
    options.0.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect()
}
