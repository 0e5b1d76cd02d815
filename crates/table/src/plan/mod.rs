//! The plan of operators: what a logical plan becomes, bottom up, with what is known of each stream.
//!
//! Of each node the planner derives, from its inputs: whether rows are taken back, what is unique, which columns are event time or
//! processing time, and which of them are the bounds of a window ([`Traits`]). By these it chooses operators, and refuses what an operator
//! cannot take, before anything runs. A node also knows how it is built: [`Building`] makes streams of the engine out of nodes, each
//! node once.

mod aggregate;
mod calc;
mod correlate;
mod implicit;
mod interval;
mod join;
mod match_recognize;
mod model;
mod over;
mod phases;
mod rank;
mod sink;
mod slices;
mod sort;
mod source;
mod temporal;
mod translate;
mod values;
mod window;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono_tz::Tz;
use datafusion_common::DFSchema;
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::graph::{Either, Stream, StreamGraph};
use thalweg_dataflow::hash::key_hash;

pub use sink::{PlannedSink, plan_insert, sink};
pub use translate::Translator;

use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::needs::{self, Need};
use crate::operators::{KeyBy, WindowSpec};

/// What is known of a stream of rows. Columns go by their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traits {
    /// Whether rows may be taken back.
    pub retracts: bool,
    /// Sets of columns that no two rows have in common.
    pub keys: Vec<Vec<usize>>,
    /// Columns that watermarks are about.
    pub rowtime: Vec<usize>,
    /// Columns of processing time.
    pub proctime: Vec<usize>,
    /// The columns of a window.
    pub window: Option<WindowTrait>,
    /// How long the operator that reads it keeps what it has not written since (milliseconds), if a `STATE_TTL` hint says so.
    pub ttl: Option<i64>,
}

/// Which columns are the bounds of a window, and of which.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowTrait {
    /// `window_start`.
    pub start: usize,
    /// `window_end`.
    pub end: usize,
    /// Which windows.
    pub spec: WindowSpec,
    /// Whether they are of processing time.
    pub processing_time: bool,
    /// The zone by whose clock they begin and end; without one, by that of UTC.
    pub zone: Option<Tz>,
}

impl Traits {
    /// Whether a column is event time or processing time.
    fn is_time(&self, column: usize) -> bool {
        self.rowtime.contains(&column) || self.proctime.contains(&column)
    }

    /// What is left when each column that `new_place` has a place for gets there.
    fn moved(&self, new_place: impl Fn(usize) -> Option<usize>) -> Self {
        let places = |columns: &[usize]| columns.iter().filter_map(|column| new_place(*column)).collect();
        let window = self.window.as_ref().and_then(|window| {
            let (start, end) = (new_place(window.start)?, new_place(window.end)?);
            Some(WindowTrait { start, end, ..window.clone() })
        });
        let keys = self.keys.iter().filter_map(|key| key.iter().map(|column| new_place(*column)).collect());
        Self {
            retracts: self.retracts,
            keys: keys.collect(),
            rowtime: places(&self.rowtime),
            proctime: places(&self.proctime),
            window,
            ttl: self.ttl,
        }
    }
}

/// What each input is read of, if of the columns that come out this is needed.
type Reads = Box<dyn Fn(&[Need]) -> Vec<Vec<Need>> + Send + Sync>;

/// What a node filters by that does nothing else.
struct Filter {
    condition: Arc<dyn PhysicalExpr>,
    text: String,
}

type Build = Box<dyn Fn(&Building<'_>, Vec<Stream<Chunk>>) -> Result<Stream<Chunk>, SqlError> + Send + Sync>;

/// A node of the plan.
pub struct Planned {
    /// What it does, in a line.
    pub what: String,
    /// What it reads.
    pub inputs: Vec<Arc<Planned>>,
    /// The columns that come out.
    pub schema: SchemaRef,
    /// What is known of them.
    pub traits: Traits,
    /// The same for all nodes that do the same to the same inputs.
    digest: String,
    /// Without it, everything.
    reads: Option<Reads>,
    filter: Option<Filter>,
    build: Build,
}

impl Planned {
    fn new(
        what: String,
        inputs: Vec<Arc<Planned>>,
        schema: SchemaRef,
        traits: Traits,
        build: impl Fn(&Building<'_>, Vec<Stream<Chunk>>) -> Result<Stream<Chunk>, SqlError>
        + Send
        + Sync
        + 'static,
    ) -> Arc<Self> {
        let below: Vec<&str> = inputs.iter().map(|input| input.digest.as_str()).collect();
        // What a hint says of state is part of what is asked for; a setting of the session is not, and may change from run to run.
        let hints: Vec<Option<i64>> = inputs.iter().map(|input| input.traits.ttl).collect();
        let hash = match hints.iter().all(Option::is_none) {
            true => key_hash(&(what.as_str(), below)),
            false => key_hash(&(what.as_str(), below, hints)),
        };
        let digest = format!("{hash:016x}");
        let (reads, filter) = (None, None);
        Arc::new(Self { what, inputs, schema, traits, digest, reads, filter, build: Box::new(build) })
    }

    /// With what it reads of its inputs, by what is needed of its columns.
    fn reading(
        mut self: Arc<Self>,
        reads: impl Fn(&[Need]) -> Vec<Vec<Need>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        // Nobody else has it yet.
        if let Some(own) = Arc::get_mut(&mut self) {
            own.reads = Some(Box::new(reads));
        }
        self
    }

    /// With what is known of its rows, if it is more than what follows from its input.
    fn knowing(mut self: Arc<Self>, traits: Traits) -> Arc<Self> {
        if let Some(own) = Arc::get_mut(&mut self) {
            own.traits = traits;
        }
        self
    }

    /// A node that does nothing but filter by this.
    fn filtering(mut self: Arc<Self>, filter: Filter) -> Arc<Self> {
        if let Some(own) = Arc::get_mut(&mut self) {
            own.filter = Some(filter);
        }
        self
    }

    /// The plan as a tree, a line for each node, with what is known of it.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        self.explain_at(0, &mut text);
        text
    }

    fn explain_at(&self, depth: usize, text: &mut String) {
        let changes = if self.traits.retracts { "retract" } else { "append" };
        let name = |column: &usize| self.schema.field(*column).name().as_str();
        let names = |columns: &[usize]| columns.iter().map(name).collect::<Vec<_>>().join(", ");
        let mut known = format!("changelog=[{changes}]");
        for key in &self.traits.keys {
            let _ = write!(known, ", unique=[{}]", names(key));
        }
        if !self.traits.rowtime.is_empty() {
            let _ = write!(known, ", rowtime=[{}]", names(&self.traits.rowtime));
        }
        // To a string nothing fails to be written.
        let _ = writeln!(text, "{}{}   {known}", "  ".repeat(depth), self.what);
        self.inputs.iter().for_each(|input| input.explain_at(depth + 1, text));
    }
}

/// Makes streams out of nodes.
pub struct Building<'a> {
    /// The graph of the job.
    pub graph: &'a StreamGraph,
    /// How many subtasks operators have.
    pub parallelism: usize,
    built: RefCell<HashMap<String, Stream<Chunk>>>,
    /// What is read of the columns of each node, by all that read it.
    needs: RefCell<HashMap<String, Vec<Need>>>,
    /// The node that is being built.
    digest: RefCell<String>,
}

impl<'a> Building<'a> {
    /// Builds into `graph`.
    pub fn new(graph: &'a StreamGraph, parallelism: usize) -> Self {
        Self {
            graph,
            parallelism,
            built: RefCell::default(),
            needs: RefCell::default(),
            digest: RefCell::default(),
        }
    }

    /// Says that all columns of a node are read. Of nodes that are built together this is said of all before the first is built: what they
    /// share is built once, with the columns that any of them reads.
    pub fn require(&self, node: &Planned) {
        self.need(node, &needs::all(node.schema.fields().len()));
    }

    fn need(&self, node: &Planned, needed: &[Need]) {
        let merged = {
            let mut all = self.needs.borrow_mut();
            let known = all.get(&node.digest);
            let mut merged = known.cloned().unwrap_or_else(|| vec![Need::No; needed.len()]);
            merged.iter_mut().zip(needed).for_each(|(own, other)| own.add(other));
            if known == Some(&merged) {
                return;
            }
            all.insert(node.digest.clone(), merged.clone());
            merged
        };
        let below = node.reads.as_ref().map(|reads| reads(&merged));
        for (place, input) in node.inputs.iter().enumerate() {
            match below.as_ref().and_then(|below| below.get(place)) {
                Some(below) => self.need(input, below),
                None => self.require(input),
            }
        }
    }

    /// What is read of the columns of the node that is being built.
    fn needed(&self) -> Vec<Need> {
        self.needs.borrow().get(&*self.digest.borrow()).cloned().unwrap_or_default()
    }

    /// The stream of a node, with all its columns. What is read twice is built once.
    ///
    /// # Errors
    /// If an operator or a connector cannot be made.
    pub fn build(&self, node: &Planned) -> Result<Stream<Chunk>, SqlError> {
        self.require(node);
        self.make(node)
    }

    fn make(&self, node: &Planned) -> Result<Stream<Chunk>, SqlError> {
        if let Some(stream) = self.built.borrow().get(&node.digest) {
            return Ok(stream.clone());
        }
        let inputs = node.inputs.iter().map(|input| self.make(input)).collect::<Result<Vec<_>, _>>()?;
        self.digest.borrow_mut().clone_from(&node.digest);
        let stream = (node.build)(self, inputs)?;
        self.built.borrow_mut().insert(node.digest.clone(), stream.clone());
        Ok(stream)
    }

    /// Who the operator of the node that is being built is: what the node does, and what is below it. So its state is found again at any
    /// parallelism.
    fn identity(&self) -> String {
        self.digest.borrow().clone()
    }

    /// Who the operator of the node is, if it keeps rows as they come: also, which of their columns are there.
    fn identity_of_rows(&self) -> String {
        let (needed, digest) = (self.needed(), self.identity());
        match needed.iter().all(|need| *need == Need::All) {
            true => digest,
            false => {
                let needed: Vec<String> = needed.iter().map(ToString::to_string).collect();
                format!("{digest}-{:016x}", key_hash(&needed))
            }
        }
    }

    /// Rows divided by these columns, among the subtasks of what follows.
    fn keyed(
        &self,
        rows: &Stream<Chunk>,
        key: &[usize],
        schema: &SchemaRef,
    ) -> Result<Stream<Chunk>, SqlError> {
        if self.parallelism == 1 {
            return Ok(rows.clone());
        }
        let key_by = KeyBy::new(key, schema).map_err(|error| SqlError::new(error.to_string()))?;
        let again = key_by.clone();
        let divided = rows.apply("key by", key_by).exchange_divided();
        Ok(divided.unaligned_with(move |chunk| again.hashed(chunk)))
    }
}

impl Building<'_> {
    /// The rows of two inputs, each divided by its own columns, for an operator that reads both.
    fn keyed_pair(
        &self,
        inputs: &[Stream<Chunk>],
        keys: (&[usize], &[usize]),
        schemas: (&SchemaRef, &SchemaRef),
    ) -> Result<Stream<Either<Chunk, Chunk>>, SqlError> {
        let [left, right] = inputs else { return Err(SqlError::new("a join has two inputs")) };
        if self.parallelism == 1 {
            return Ok(left.either(right));
        }
        let by_left = KeyBy::new(keys.0, schemas.0).map_err(arrow)?;
        let by_right = KeyBy::new(keys.1, schemas.1).map_err(arrow)?;
        let again = (by_left.clone(), by_right.clone());
        let (left, right) = (left.apply("key by", by_left), right.apply("key by", by_right));
        let divided = left.either(&right).exchange_divided();
        Ok(divided.unaligned_with(move |chunk| match chunk {
            Either::Left(chunk) => again.0.hashed(chunk).map(Either::Left),
            Either::Right(chunk) => again.1.hashed(chunk).map(Either::Right),
        }))
    }
}

/// The columns of a plan as chunks have them: any may be NULL.
fn chunk_schema(schema: &DFSchema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

fn arrow(error: arrow::error::ArrowError) -> SqlError {
    SqlError::new(error.to_string())
}
