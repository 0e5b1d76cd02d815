//! Queries over rows that are all there, as those of a batch are: a query ends, and gives a table instead of changes.
//!
//! ```
//! use thalweg_table::api::{BoundedTables, Names, Rows};
//!
//! let tables = BoundedTables::new();
//! let words = [("to", 1), ("be", 2), ("to", 3)].map(|(word, n)| (word.to_owned(), n));
//! let words = Rows::of(&[words.to_vec()], Names::Spark)?;
//! let counts = tables.run("SELECT _1 AS word, SUM(_2) AS total FROM `$rows0` GROUP BY _1 ORDER BY total DESC, word", &[words])?;
//! assert_eq!(counts.collect::<(String, i32)>()?, [("to".to_owned(), 4), ("be".to_owned(), 2)]);
//! # Ok::<(), thalweg_table::error::SqlError>(())
//! ```
//!
//! What an expression means is what it means in the SQL of streams. What differs is that input ends: groups give their results once, without
//! `GROUP BY` there is one group also of no rows, rows are ordered by any column, and what is taken back on the way does not show.
//!
//! A query is planned once for its text and the columns of its input, and then only run.

#[cfg(feature = "parquet")]
mod parquet;
mod rows;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use sqlparser::ast::{Ident, ObjectNamePart, Query, TableAlias, TableFactor, VisitMut, VisitorMut};
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::runtime::{Job, JobConfig};
use thalweg_dataflow::source::{CollectionSource, ParallelCollectionSource};

use super::expression::{quoted, text};
use crate::catalog::Table as CatalogTable;
use crate::chunk::Chunk;
use crate::connectors::{self, Connector, TableScan};
use crate::environment::TableEnvironment;
use crate::error::SqlError;
use crate::parser::{Statement, StatementKind, parse_script};
use crate::plan::{Building, Planned};
use crate::rows::RowCodec;
use crate::settings::Settings;
use crate::types::LogicalType;

pub use self::rows::{Columns, Names, Rows};
use self::rows::{arrow, batch};

/// Below so many rows, threads cost more than they bring.
const WORTH_THREADS: usize = 20_000;

/// So many plans are kept.
const PLANS: usize = 256;

/// The name of the connector of what is there.
const CONNECTOR: &str = "$rows";

/// What a plan reads while it is built: its inputs in their order.
#[derive(Default)]
struct Slots(Mutex<Vec<Rows>>);

/// A query that has been planned, for inputs of such columns.
struct Plan {
    planned: Arc<Planned>,
    slots: Arc<Slots>,
    building: Mutex<()>,
}

/// Plans, by query and columns, with the order in which they came.
#[derive(Default)]
struct Plans {
    known: HashMap<String, Arc<Plan>>,
    order: VecDeque<String>,
}

/// Runs queries over rows that are all there: each ends, and gives a table instead of changes. A query is planned once for its text and its columns.
pub struct BoundedTables {
    tables: Mutex<TableEnvironment>,
    plans: Mutex<Plans>,
}

impl Default for BoundedTables {
    fn default() -> Self {
        Self::new()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BoundedTables {
    /// With the functions and connectors of the system.
    pub fn new() -> Self {
        let mut tables = TableEnvironment::new();
        tables.settings().set_bounded();
        Self { tables: Mutex::new(tables), plans: Mutex::default() }
    }

    /// The name by which a query knows its input of this number.
    pub fn name(input: usize) -> String {
        quoted(&format!("$rows{input}"))
    }

    /// What is under it: to register functions, and to change settings. Plans are made anew after it.
    pub fn with<R>(&self, then: impl FnOnce(&mut TableEnvironment) -> R) -> R {
        let result = then(&mut lock(&self.tables));
        *lock(&self.plans) = Plans::default();
        result
    }

    /// The query with other queries in the place of tables whose names these are, unless the query itself has something of that name.
    ///
    /// # Errors
    /// If one of them does not parse; with the place.
    pub fn with_views(query: &str, view: impl Fn(&str) -> Option<String>) -> Result<String, SqlError> {
        let mut statements = parse_script(query)?;
        let [Statement { kind: StatementKind::Query(parsed), .. }] = &mut statements[..] else {
            return Err(SqlError::new("one query is a table, and no other statement is"));
        };
        let mut own = BTreeSet::new();
        let _ = parsed.visit(&mut Own(&mut own));
        let mut views =
            Views { view: |name: &str| if own.contains(name) { None } else { view(name) }, used: false };
        match parsed.visit(&mut views) {
            ControlFlow::Break(error) => Err(error),
            // What has nothing to be put in stays as it was written, so that places in it are right.
            ControlFlow::Continue(()) if !views.used => Ok(query.trim().trim_end_matches(';').to_owned()),
            ControlFlow::Continue(()) => Ok(parsed.to_string()),
        }
    }

    /// The columns of a query over inputs with these.
    ///
    /// # Errors
    /// If the query is wrong; with the place.
    pub fn columns(&self, query: &str, inputs: &[Columns]) -> Result<Columns, SqlError> {
        columns_of(&self.plan(query, inputs)?.planned.schema)
    }

    /// How the query is run, as `EXPLAIN` shows it.
    ///
    /// # Errors
    /// If the query is wrong; with the place.
    pub fn explain(&self, query: &str, inputs: &[Columns]) -> Result<String, SqlError> {
        Ok(self.plan(query, inputs)?.planned.explain())
    }

    /// The rows of a query over these inputs, which go by [`name`](Self::name). With an `ORDER BY` they are in its order; else, if there are few
    /// rows and neither groups nor joins, in that of the input. Many rows are worked on in parallel, by as many subtasks as there are partitions, and
    /// cores.
    ///
    /// # Errors
    /// If the query is wrong, with the place; or if it fails.
    pub fn run(&self, query: &str, inputs: &[Rows]) -> Result<Rows, SqlError> {
        let columns: Vec<Columns> = inputs.iter().map(|input| input.columns.clone()).collect();
        let plan = self.plan(query, &columns)?;
        let rows: usize = inputs.iter().map(Rows::count).sum();
        let mut config = JobConfig { tell_totals: false, ..JobConfig::new("query over a batch") };
        config.parallelism = match rows < WORTH_THREADS {
            true => 1,
            false => {
                let partitions = inputs.iter().map(|input| input.partitions.len()).max().unwrap_or(1);
                config.parallelism.min(partitions).max(1)
            }
        };
        let (job, collected) = (Job::new(config), Arc::new(Mutex::new(Vec::<Chunk>::new())));
        {
            let building = Building::new(job.graph(), job.config().parallelism);
            // What is read is looked up while the plan is built, so one at a time builds it.
            let one = lock(&plan.building);
            *lock(&plan.slots.0) = inputs.to_vec();
            let stream = building.build(&plan.planned);
            lock(&plan.slots.0).clear();
            drop(one);
            let kept = collected.clone();
            let collect = move |chunk: Chunk, _: &mut thalweg_dataflow::operators::Collect<'_, ()>| {
                lock(&kept).push(chunk);
                Ok(())
            };
            let _ = stream?.flat_map("collect", collect).determined();
        }
        job.run().map_err(|error| SqlError::new(error.to_string()))?;
        let chunks = std::mem::take(&mut *lock(&collected));
        let columns = columns_of(&plan.planned.schema)?;
        let batches = settled(&plan.planned.schema, chunks, plan.planned.traits.retracts)?;
        Ok(Rows { columns, partitions: vec![batches].into() })
    }

    fn plan(&self, query: &str, inputs: &[Columns]) -> Result<Arc<Plan>, SqlError> {
        let mut key = query.to_owned();
        for (name, of) in inputs.iter().flat_map(|columns| columns.iter()) {
            key.push_str(&format!("\n{} {of}", quoted(name)));
        }
        if let Some(plan) = lock(&self.plans).known.get(&key) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(self.planned(query, inputs)?);
        let mut plans = lock(&self.plans);
        if plans.order.len() >= PLANS
            && let Some(oldest) = plans.order.pop_front()
        {
            plans.known.remove(&oldest);
        }
        plans.order.push_back(key.clone());
        plans.known.insert(key, plan.clone());
        Ok(plan)
    }

    fn planned(&self, query: &str, inputs: &[Columns]) -> Result<Plan, SqlError> {
        let (slots, mut tables) = (Arc::new(Slots::default()), lock(&self.tables));
        tables.register_connector(CONNECTOR, Arc::new(OfRows(slots.clone())));
        let statement = |tables: &mut TableEnvironment, text: &str| {
            let statements = parse_script(text)?;
            statements.iter().try_for_each(|statement| tables.execute(statement).map(drop))
        };
        let mut made = 0;
        let mut planned = || {
            for (number, columns) in inputs.iter().enumerate() {
                let column = |(name, of): &(String, LogicalType)| format!("{} {of}", quoted(name));
                let columns = columns.iter().map(column).collect::<Vec<_>>().join(", ");
                let with = format!("'connector' = {}, 'slot' = '{number}'", text(CONNECTOR));
                let name = Self::name(number);
                statement(&mut tables, &format!("CREATE TEMPORARY TABLE {name} ({columns}) WITH ({with})"))?;
                made += 1;
            }
            tables.planned(query)
        };
        let planned = planned();
        for number in 0..made {
            statement(&mut tables, &format!("DROP TEMPORARY TABLE {}", Self::name(number)))?;
        }
        Ok(Plan { planned: planned?, slots, building: Mutex::default() })
    }
}

fn columns_of(schema: &SchemaRef) -> Result<Columns, SqlError> {
    let column = |field: &arrow::datatypes::FieldRef| {
        Ok((field.name().clone(), LogicalType::from_arrow(field.data_type(), field.is_nullable())?))
    };
    schema.fields().iter().map(column).collect()
}

/// Where a row was added, and how often it was taken back before that.
type Known = (Vec<(usize, usize)>, usize);

/// What is left of changes when all have come: additions without those that were taken back, in the order in which they came.
fn settled(schema: &SchemaRef, chunks: Vec<Chunk>, retracts: bool) -> Result<Vec<RecordBatch>, SqlError> {
    let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
    if !retracts {
        return chunks.map(|chunk| batch(schema, chunk.rows().columns().to_vec(), chunk.len())).collect();
    }
    let chunks: Vec<Chunk> = chunks.collect();
    let codec = RowCodec::of_schema(schema).map_err(arrow)?;
    // Of each row, by its bytes, where it was added and not taken back. What two subtasks say of one row may come in any order.
    let mut known: HashMap<Box<[u8]>, Known> = HashMap::new();
    let mut alive: Vec<Vec<bool>> = chunks.iter().map(|chunk| vec![false; chunk.len()]).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        let rows = codec.encode(chunk.rows().columns()).map_err(arrow)?;
        for row in 0..chunk.len() {
            let (added, owed) = known.entry(rows.row(row).data().into()).or_default();
            if !chunk.is_retraction(row) {
                match *owed {
                    0 => {
                        added.push((number, row));
                        alive[number][row] = true;
                    }
                    _ => *owed -= 1,
                }
            } else if let Some((number, row)) = added.pop() {
                alive[number][row] = false;
            } else {
                *owed += 1;
            }
        }
    }
    if known.values().any(|(_, owed)| *owed > 0) {
        return Err(SqlError::new(
            "rows were taken back that were never there: this is an error of the planner",
        ));
    }
    let mut batches = Vec::new();
    for (chunk, alive) in chunks.iter().zip(alive) {
        let kept = chunk.filter(&alive.into()).map_err(arrow)?;
        if !kept.is_empty() {
            batches.push(batch(schema, kept.rows().columns().to_vec(), kept.len())?);
        }
    }
    Ok(batches)
}

/// The names that a query gives to queries of its own.
struct Own<'a>(&'a mut BTreeSet<String>);

impl VisitorMut for Own<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(with.map(|table| table.alias.name.value.clone()));
        ControlFlow::Continue(())
    }
}

/// Puts queries in the place of tables.
struct Views<F> {
    view: F,
    used: bool,
}

impl<F: Fn(&str) -> Option<String>> VisitorMut for Views<F> {
    type Break = SqlError;

    // Afterwards, so that what is put in is not looked at.
    fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<SqlError> {
        let TableFactor::Table { name, alias, args: None, .. } = table else {
            return ControlFlow::Continue(());
        };
        let [ObjectNamePart::Identifier(name)] = &name.0[..] else { return ControlFlow::Continue(()) };
        let Some(query) = (self.view)(&name.value) else { return ControlFlow::Continue(()) };
        let mut statements = match parse_script(&query) {
            Ok(statements) => statements,
            Err(error) => return ControlFlow::Break(error),
        };
        if let Some(StatementKind::Query(subquery)) = statements.pop().map(|statement| statement.kind) {
            let of_name = TableAlias {
                explicit: true,
                name: Ident::with_quote('`', &name.value),
                columns: Vec::new(),
                at: None,
            };
            let alias = alias.take().or(Some(of_name));
            *table = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
            self.used = true;
        }
        ControlFlow::Continue(())
    }
}

/// The connector of rows that are there.
struct OfRows(Arc<Slots>);

struct RowsScan {
    slots: Arc<Slots>,
    slot: usize,
}

impl Connector for OfRows {
    fn source(&self, table: &Arc<CatalogTable>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let slot = table.option("slot").and_then(|slot| slot.parse().ok());
        let slot = slot.ok_or_else(|| SqlError::new("rows that are there have a number"))?;
        Ok(Box::new(RowsScan { slots: self.0.clone(), slot }))
    }
}

impl TableScan for RowsScan {
    fn scan(
        &self,
        graph: &StreamGraph,
        name: &str,
        shape: connectors::Shape,
    ) -> Result<Stream<Chunk>, SqlError> {
        let rows = lock(&self.slots.0).get(self.slot).cloned();
        let rows = rows.ok_or_else(|| SqlError::new(format!("there are no rows for `{name}`")))?;
        let chunk = |batch_of: &RecordBatch| {
            Ok(Chunk::additions(batch(&shape.read, batch_of.columns().to_vec(), batch_of.num_rows())?))
        };
        let chunks: Vec<Chunk> = rows.batches().map(chunk).collect::<Result<_, SqlError>>()?;
        Ok(match rows.count() < WORTH_THREADS {
            true => shape.source(graph, name, CollectionSource::new(chunks)),
            false => shape.source(graph, name, ParallelCollectionSource::new(chunks)),
        })
    }
}
