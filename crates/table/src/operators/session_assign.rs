//! `SESSION`: puts rows into sessions, which end when no row has come for a while.
//!
//! - **Rows** are kept until their session is over. A row whose session would be over already is dropped, and counted as late.
//! - **Watermarks** emit the rows of the sessions that end with them, with `window_start`, `window_end` and `window_time` behind their
//!   columns, then pass. Sessions of processing time are emitted when that time has come.
//! - **State**: keyed, `sessions`: of each key its open sessions with their rows; union, `watermark`: how far event time has got.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::due::Deadlines;
use super::grouping::hash_of;
use super::window_assign::{to_local, to_utc};
use super::{Grouping, batch, emit, from_millis, millis};
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    /// On the clock of the zone.
    start: i64,
    end: i64,
    /// When it is looked at next: when it ended as it was then. It may have grown since.
    due: Timestamp,
    /// Each row, and whether it is a retraction.
    rows: Vec<(RowBytes, bool)>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct SessionAssign {
    plan: Arc<Plan>,
    sessions: KeyedTable<RowBytes, Vec<Session>>,
    deadlines: Deadlines,
    clock: TaskClock,
}

struct Plan {
    key: Vec<usize>,
    gap: i64,
    /// The column of event time; without it, sessions are of processing time.
    time: Option<usize>,
    zone: Option<Tz>,
    key_codec: RowCodec,
    rows: RowCodec,
    schema: SchemaRef,
}

impl SessionAssign {
    /// Sessions of each value of the columns `key`, by the column `time` or by processing time. `schema` has the input's columns and the
    /// three of the window.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(
        key: Vec<usize>,
        gap: i64,
        time: Option<usize>,
        zone: Option<Tz>,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::of_columns(&schema, &key)?;
        let input = &schema.fields()[..schema.fields().len() - 3];
        let rows = RowCodec::new(input.iter().map(|field| field.data_type()))?;
        let plan = Arc::new(Plan { key, gap, time, zone, key_codec, rows, schema });
        let (sessions, deadlines, clock) = Default::default();
        Ok(Self { plan, sessions, deadlines, clock })
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        let times = match plan.time {
            Some(time) => millis(chunk.rows().column(time))?,
            None => Int64Array::from_value(self.clock.now(), chunk.len()),
        };
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let rows = plan.rows.encode(chunk.rows().columns())?;
        for row in (0..chunk.len()).filter(|row| times.is_valid(*row)) {
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let time = to_local(plan.zone, times.value(row));
            let (mut start, mut end) = (time, time + plan.gap);
            let sessions = self.sessions.entry(hash, key.clone()).or_insert_with(Vec::new);
            // Sessions that touch it become one with it.
            let touching: SmallVec<[usize; 4]> = (0..sessions.len())
                .filter(|index| sessions[*index].start <= end && start <= sessions[*index].end)
                .collect();
            for index in &touching {
                (start, end) = (start.min(sessions[*index].start), end.max(sessions[*index].end));
            }
            if plan.time.is_some() && self.deadlines.is_over(to_utc(plan.zone, end) - 1) {
                self.deadlines.late.dropped(1);
                if sessions.is_empty() {
                    self.sessions.remove(hash, key);
                }
                continue;
            }
            let new = (RowBytes::new(rows.row(row).data()), chunk.is_retraction(row));
            if let [only] = touching[..] {
                let session = &mut sessions[only];
                (session.start, session.end) = (start, end);
                session.rows.push(new);
                continue;
            }
            let mut merged = Session { start, end, due: to_utc(plan.zone, end) - 1, rows: Vec::new() };
            if touching.is_empty() {
                self.deadlines.due.add(merged.due, hash, key.clone());
            }
            for index in touching.into_iter().rev() {
                let mut before = sessions.remove(index);
                merged.due = merged.due.min(before.due);
                before.rows.append(&mut merged.rows);
                merged.rows = before.rows;
            }
            merged.rows.push(new);
            sessions.push(merged);
        }
        Ok(())
    }

    /// Emits the sessions that are over at `time`.
    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        while let Some((at, keys)) = self.deadlines.due.pop(time) {
            let mut over = Vec::new();
            for (hash, key) in keys {
                let Some(sessions) = self.sessions.get_mut(hash, &key) else { continue };
                let ended = sessions.extract_if(.., |session| to_utc(plan.zone, session.end) - 1 <= at);
                over.extend(ended);
                // A session that has grown since is due later.
                for session in sessions.iter_mut().filter(|session| session.due <= at) {
                    session.due = to_utc(plan.zone, session.end) - 1;
                    self.deadlines.due.add(session.due, hash, key.clone());
                }
                if sessions.is_empty() {
                    self.sessions.remove(hash, &key);
                }
            }
            if !over.is_empty() {
                emit(output, plan.rows_of(&over)?);
            }
        }
        Ok(())
    }
}

impl Plan {
    fn rows_of(&self, sessions: &[Session]) -> Result<Chunk, BoxError> {
        let rows = || sessions.iter().flat_map(|session| session.rows.iter().map(move |row| (session, row)));
        let mut columns: Vec<ArrayRef> = self.rows.decode(rows().map(|(_, (row, _))| &**row))?;
        let before = columns.len();
        let starts: Int64Array = rows().map(|(session, _)| session.start).collect();
        let ends: Int64Array = rows().map(|(session, _)| session.end).collect();
        let times: Int64Array = rows().map(|(session, _)| to_utc(self.zone, session.end) - 1).collect();
        for (index, values) in [starts, ends, times].into_iter().enumerate() {
            columns.push(from_millis(values, self.schema.field(before + index).data_type())?);
        }
        let retractions: BooleanArray = rows().map(|(_, (_, retraction))| Some(*retraction)).collect();
        Ok(Chunk::new(batch(&self.schema, columns, retractions.len())?, Some(retractions)))
    }
}

impl Operator for SessionAssign {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        self.deadlines.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("sessions", &mut self.sessions);
        if self.deadlines.states(states) {
            for (key, sessions) in self.sessions.iter() {
                for session in sessions {
                    self.deadlines.due.add(session.due, hash_of(key), key.clone());
                }
            }
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, _: &mut Output<Chunk>) -> Result<(), BoxError> {
        batch.records.drain(..).try_for_each(|record| self.add(&record.value))
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.deadlines.advance(watermark);
        if self.plan.time.is_some() {
            self.fire(watermark, output)?;
        }
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.deadlines.next_end().filter(|_| self.plan.time.is_none())
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        if self.plan.time.is_none() { self.fire(now - 1, output) } else { Ok(()) }
    }
}
