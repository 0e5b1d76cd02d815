//! A session: a catalog, settings, connectors, and statements that use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::{DFSchema, TableReference};
use datafusion_expr::{AggregateUDF, ExprSchemable, ScalarUDF};
use sqlparser::ast::Query;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::runtime::{Job, JobConfig};

use crate::catalog::{Catalog, Column, ColumnSource, Relation, Table, TablePath};
use crate::chunk::Chunk;
use crate::connectors::{Connector, Connectors};
use crate::error::SqlError;
use crate::models::{self, ModelProvider, ModelProviders};
use crate::parser::{ColumnKind, Insert, Name, Options, Statement, StatementKind, TableSchema, parse_script};
use crate::plan::{Building, Planned, PlannedSink, Translator, plan_insert, sink};
use crate::planner::Planner;
use crate::settings::Settings;
use crate::table_functions::TableFunction;
use crate::types::LogicalType;

/// A session in which statements are run (Flink's `TableEnvironment`).
#[derive(Default)]
pub struct TableEnvironment {
    catalog: Catalog,
    settings: Settings,
    connectors: Connectors,
    model_providers: ModelProviders,
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
        self.add_to(&job)?;
        Ok(job)
    }

    /// Adds it to a job.
    ///
    /// # Errors
    /// If an operator or a connector cannot be made.
    pub fn add_to(&self, job: &Job) -> Result<(), SqlError> {
        let building = Building::new(job.graph(), job.config().parallelism);
        self.sinks.iter().for_each(|sink| building.require(&sink.rows));
        self.sinks.iter().try_for_each(|sink| sink.build(&building))
    }

    /// Whether it shows rows on the terminal.
    pub fn shows_rows(&self) -> bool {
        self.sinks.iter().any(PlannedSink::shows_rows)
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

    /// Adds a provider of models, for models `WITH ('provider' = 'name')`.
    pub fn register_model_provider(&mut self, name: &str, provider: Arc<dyn ModelProvider>) {
        self.model_providers.register(name, provider);
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
            StatementKind::CreateTable(create) => self.create_table(create),
            StatementKind::CreateView(create) => self.create_view(create),
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
            StatementKind::CreateModel(create) => {
                models::create(&mut self.catalog, &self.model_providers, create).map(|()| Outcome::Done)
            }
            StatementKind::AlterModel(alter) => {
                models::alter(&mut self.catalog, &self.model_providers, alter).map(|()| Outcome::Done)
            }
            StatementKind::DescribeModel(name) => models::describe(&self.catalog, name).map(Outcome::Text),
            StatementKind::Drop(drop) => self.drop_object(drop),
            StatementKind::UseCatalog(catalog) => {
                let first = self.catalog.databases().find(|(of, _)| *of == catalog.value);
                let database = first.map_or("default", |(_, database)| database).to_owned();
                self.catalog.use_database(&catalog.value, &database)?;
                Ok(Outcome::Done)
            }
            StatementKind::UseDatabase(name) => {
                let parts: Vec<&str> = name.0.iter().map(|word| word.value.as_str()).collect();
                let (catalog, database) = self.database_of(&parts)?;
                self.catalog.use_database(&catalog, &database)?;
                Ok(Outcome::Done)
            }
            StatementKind::CreateNamespace(create) => self.create_namespace(create),
            StatementKind::Describe(name) => self.columns_of(name, &None).map(Outcome::Text),
            StatementKind::Show(show) => self.show_statement(show).map(Outcome::Text),
            StatementKind::AlterTable(alter) => self.alter_table(alter),
            StatementKind::AlterView(alter) => self.alter_view(alter),
            StatementKind::CreateFunction(create) => self.create_function(create),
            StatementKind::StopJob(_) => Err(SqlError::new("jobs are those of the shell")
                .help("`thalweg sql` runs jobs in the background, and stops them")),
        }
    }

    /// What there is by name.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn catalog_mut(&mut self) -> &mut Catalog {
        &mut self.catalog
    }

    /// Adds a scalar function of a user, by the name it has.
    pub fn create_scalar_function(&mut self, function: Arc<ScalarUDF>) {
        let name = function.name().to_owned();
        self.catalog.functions_mut().add_scalar(&name, function);
    }

    /// Adds an aggregate function of a user, by the name it has.
    pub fn create_aggregate_function(&mut self, function: Arc<AggregateUDF>) {
        let name = function.name().to_owned();
        self.catalog.functions_mut().add_aggregate(&name, function);
    }

    /// Adds a table function of a user.
    pub fn create_table_function(&mut self, name: &str, function: Arc<dyn TableFunction>) {
        self.catalog.functions_mut().add_table(name, function);
    }

    /// The columns of a table or view.
    pub(crate) fn schema_of(&self, path: &TablePath) -> Result<SchemaRef, SqlError> {
        use datafusion_expr::planner::ContextProvider;
        let name = TableReference::full(path.catalog.as_str(), path.database.as_str(), path.table.as_str());
        let context = crate::planner::Context::new(self.catalog.clone(), &self.settings);
        Ok(context.get_table_source(name)?.schema())
    }

    pub(crate) fn planner(&self) -> Planner {
        Planner::new(&self.catalog, &self.settings)
    }

    pub(crate) fn add(
        &mut self,
        name: &Name,
        relation: Relation,
        if_not_exists: bool,
        temporary: bool,
    ) -> Result<(), SqlError> {
        let path = self.catalog.path_of(name);
        if !self.catalog.has_database(&path.catalog, &path.database) {
            let text = format!("there is no database `{}.{}`", path.catalog, path.database);
            return Err(match name.0.first() {
                Some(word) => SqlError::at(word.span.clone(), text),
                None => SqlError::new(text),
            });
        }
        let error = || {
            let error = SqlError::new(format!("there is a table or view `{}` already", path.table));
            match name.0.last() {
                Some(word) => error.or_at(&word.span),
                None => error,
            }
        };
        match self.catalog.add(path.clone(), relation, temporary) || if_not_exists {
            true => Ok(()),
            false => Err(error()),
        }
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
        self.add(&name, Relation::Table(Arc::new(table)), false, false)
    }

    pub(crate) fn table(
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
            comment: None,
            declared: schema.clone(),
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

    pub(crate) fn plan_inserts(&self, inserts: &[Insert]) -> Result<PlannedJob, SqlError> {
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
                let table = match insert.hints.0.is_empty() {
                    true => table.clone(),
                    false => Arc::new(table.with_options(&options_of(&insert.hints))),
                };
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
        Building::new(job.graph(), job.config().parallelism).build(&*self.planned(query)?)
    }

    /// The plan of operators of a query.
    pub(crate) fn planned(&self, query: &str) -> Result<Arc<Planned>, SqlError> {
        let statements = parse_script(query)?;
        let [Statement { kind: StatementKind::Query(query), span }] = &statements[..] else {
            return Err(SqlError::new("one query is a stream, and no other statement is"));
        };
        self.planned_query(query).map_err(|error: SqlError| error.or_at(span))
    }

    /// The columns of a query.
    pub(crate) fn schema_of_query(&self, query: &str) -> Result<SchemaRef, SqlError> {
        let statements = parse_script(query)?;
        let [Statement { kind: StatementKind::Query(query), span }] = &statements[..] else {
            return Err(SqlError::new("one query is a table, and no other statement is"));
        };
        let planned = || Ok(self.planner().plan(query)?.schema().inner().clone());
        planned().map_err(|error: SqlError| error.or_at(span))
    }

    /// The table of this name, between back-ticks or not.
    pub(crate) fn table_of(&self, name: &str) -> Result<Arc<Table>, SqlError> {
        let path = self.catalog.path(&[name.trim_matches('`')]);
        match self.catalog.get(&path) {
            Some(Relation::Table(table)) => Ok(table.clone()),
            _ => Err(self.catalog.missing(&path)),
        }
    }

    /// The plan of operators of a query.
    pub(crate) fn planned_query(&self, query: &Query) -> Result<Arc<Planned>, SqlError> {
        let planner = self.planner();
        let translator =
            Translator { planner: &planner, connectors: &self.connectors, settings: &self.settings };
        translator.translate(&planner.plan(query)?)
    }

    /// A job that shows the rows of a query on the standard output, each with its kind.
    ///
    /// # Errors
    /// If the query is wrong; with the place.
    pub fn show(&self, query: &Query) -> Result<PlannedJob, SqlError> {
        Ok(PlannedJob { sinks: vec![PlannedSink::console(self.planned_query(query)?)] })
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

    /// The plan of a query or an INSERT, as EXPLAIN shows it.
    ///
    /// # Errors
    /// If the statement is wrong; with the place.
    pub fn explain_sql(&self, statement: &str) -> Result<String, SqlError> {
        let statements = parse_script(statement)?;
        let [statement] = &statements[..] else {
            return Err(SqlError::new("one statement is explained"));
        };
        self.explain(&statement.kind).map_err(|error| error.or_at(&statement.span))
    }
}

pub(crate) fn options_of(options: &Options) -> BTreeMap<String, String> {
    options.0.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect()
}
