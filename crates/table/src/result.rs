//! The rows of a query as they come: what Flink's `TableResult` is.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use thalweg_dataflow::error::JobError;
use thalweg_dataflow::runtime::{Job, JobConfig, JobHandle};

use crate::chunk::Chunk;
use crate::display::display;
use crate::environment::TableEnvironment;
use crate::error::SqlError;
use crate::plan::{Building, Planned};
use crate::row_kind::{RowKind, kinds};

/// So many chunks wait for whoever reads; then the job does.
const WAITING: usize = 64;

/// A row of a result, and what kind of change it is. Its text is that of `print`: `+I[1, a]`.
#[derive(Clone, Debug)]
pub struct Change {
    /// The kind.
    pub kind: RowKind,
    chunk: Chunk,
    row: usize,
}

impl Change {
    /// The values, as text.
    pub fn values(&self) -> Vec<String> {
        self.columns().iter().map(|column| display(column, self.row)).collect()
    }

    /// The columns of the chunk that the row is in.
    pub fn columns(&self) -> &[ArrayRef] {
        self.chunk.rows().columns()
    }

    /// The number of the row in these columns.
    pub fn row(&self) -> usize {
        self.row
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.kind, self.values().join(", "))
    }
}

/// A query that runs, and its rows. Dropping it cancels the query.
pub struct TableResult {
    schema: SchemaRef,
    rows: Option<Receiver<Vec<Change>>>,
    waiting: std::vec::IntoIter<Change>,
    job: Option<JobHandle>,
}

/// What there is when a result is looked at.
pub enum Next {
    /// A row.
    Row(Change),
    /// None yet.
    Nothing,
    /// There will be no more.
    End,
}

impl TableResult {
    /// The names and types of the columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The job, while it runs.
    pub fn job(&self) -> Option<&JobHandle> {
        self.job.as_ref()
    }

    /// The next row, if there is one within `patience`.
    ///
    /// # Errors
    /// If the job has failed.
    pub fn next_within(&mut self, patience: Duration) -> Result<Next, JobError> {
        loop {
            if let Some(row) = self.waiting.next() {
                return Ok(Next::Row(row));
            }
            let Some(rows) = &self.rows else { return Ok(Next::End) };
            match rows.recv_timeout(patience) {
                Ok(rows) => self.waiting = rows.into_iter(),
                // A graph that is kept keeps the channel open when the job has ended.
                Err(RecvTimeoutError::Timeout) if self.job.as_ref().is_some_and(JobHandle::is_finished) => {
                    match rows.try_recv() {
                        Ok(rows) => self.waiting = rows.into_iter(),
                        Err(_) => return self.end(),
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Nothing),
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn end(&mut self) -> Result<Next, JobError> {
        self.rows = None;
        self.job.take().map_or(Ok(()), |job| job.wait().map(drop))?;
        Ok(Next::End)
    }

    /// All rows, of a query that ends.
    ///
    /// # Errors
    /// If the job fails.
    pub fn collect(mut self) -> Result<Vec<Change>, JobError> {
        let mut all = Vec::new();
        loop {
            match self.next_within(Duration::from_millis(100))? {
                Next::Row(row) => all.push(row),
                Next::Nothing => {}
                Next::End => return Ok(all),
            }
        }
    }
}

impl Drop for TableResult {
    fn drop(&mut self) {
        // Whoever waits to hand over a row must not wait for ever.
        self.rows = None;
        if let Some(job) = self.job.take() {
            job.cancel();
        }
    }
}

/// Runs what is planned, and hands over its rows.
pub(crate) fn start(rows: &Planned, job: Job) -> Result<TableResult, SqlError> {
    let building = Building::new(job.graph(), job.config().parallelism);
    let stream = building.build(rows)?;
    let key = rows.traits.keys.first().cloned().unwrap_or_default();
    let (sender, receiver) = sync_channel(WAITING);
    let send = move |chunk: Chunk, _: &mut thalweg_dataflow::operators::Collect<'_, ()>| {
        hand_over(&sender, &chunk, &key)
    };
    stream.flat_map("collect", send).determined();
    drop(stream);
    let handle = job.start().map_err(|error| SqlError::new(error.to_string()))?;
    // The graph would keep the channel open.
    drop(job);
    let waiting = Vec::new().into_iter();
    Ok(TableResult { schema: rows.schema.clone(), rows: Some(receiver), waiting, job: Some(handle) })
}

fn hand_over(
    sender: &SyncSender<Vec<Change>>,
    chunk: &Chunk,
    key: &[usize],
) -> Result<(), thalweg_dataflow::error::BoxError> {
    let of_rows = kinds(chunk, key)?.into_iter().enumerate();
    let changes = of_rows.map(|(row, kind)| Change { kind, chunk: chunk.clone(), row }).collect();
    // Nobody wants them any more: the job is about to be cancelled.
    let _ = sender.send(changes);
    Ok(())
}

impl TableEnvironment {
    /// Runs a query in a job of its own, and gives its rows as they come.
    ///
    /// ```
    /// use thalweg_dataflow::runtime::JobConfig;
    /// use thalweg_table::environment::TableEnvironment;
    ///
    /// let result = TableEnvironment::new().execute_query("SELECT 1 + 1, 'a'", JobConfig::new("two"))?;
    /// assert_eq!(result.collect()?[0].to_string(), "+I[2, a]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the query is wrong, with the place; or the job cannot be started.
    pub fn execute_query(&self, query: &str, config: JobConfig) -> Result<TableResult, SqlError> {
        start(&*self.planned(query)?, Job::new(config))
    }
}
