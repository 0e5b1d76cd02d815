//! Writes the files of a table, and says when a partition is whole.
//!
//! - **Rows** become lines of files, in the folder of their partition; each file is seen when its checkpoint is committed.
//! - **Watermarks** tell, with the trigger `partition-time`, which partitions are whole; that is said at the next commit.
//! - **State**: what the files need, and `partitions`: those that are not whole yet. Where it is said of partitions, one subtask writes all rows
//!   of one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "parquet")]
use arrow::array::{RecordBatch, UInt32Array};
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use thalweg_connectors::files::{FileSink, RollingPolicy};
use thalweg_connectors::store::{Store, StoreSink};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::operators::Collect;
use thalweg_dataflow::record::{Batch, Data};
use thalweg_dataflow::state::States;
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::super::{Changelog, TableSink};
use super::partitions::escape;
use super::{Encoding, Layout};
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::display::display;
use crate::error::SqlError;
use crate::operators::KeyBy;
use crate::options;

/// The folder of a partition, and some of its rows, as lines or as they are.
pub(super) type Part<R> = (Arc<str>, R);

fn folder<R>(part: &Part<R>) -> &str {
    &part.0
}

struct Folder {
    layout: Arc<Layout>,
    schema: arrow::datatypes::SchemaRef,
    rolling: RollingPolicy,
    commit: Option<Commit>,
}

/// When partitions are whole, and how that is said.
#[derive(Clone, Debug)]
struct Commit {
    by_watermark: bool,
    delay: i64,
    file: String,
    pattern: Option<String>,
    names: Vec<String>,
    folder: PathBuf,
    store: Option<Store>,
}

pub(super) fn sink(table: &Arc<Table>) -> Result<Box<dyn TableSink>, SqlError> {
    let columns = table.written_columns();
    let layout = Layout::of(table, &columns)?;
    let size = table.option("sink.rolling-policy.file-size").unwrap_or("128MB");
    let roll_at = options::bytes(size).filter(|bytes| *bytes > 0).ok_or_else(|| {
        SqlError::new(format!("`sink.rolling-policy.file-size` is a size such as `128MB`, not `{size}`"))
    })?;
    let interval = |option: &str| {
        let text = table.option(option).unwrap_or("30 min");
        let interval = options::duration(text).filter(|interval| !interval.is_zero());
        interval.ok_or_else(|| SqlError::new(format!("`{option}` is a length of time, not `{text}`")))
    };
    let rolling = RollingPolicy::default()
        .with_max_part_size(roll_at)
        .with_rollover_interval(interval("sink.rolling-policy.rollover-interval")?)
        .with_inactivity_interval(interval("sink.rolling-policy.inactivity-interval")?);
    interval("sink.rolling-policy.check-interval")?;
    if table.option("auto-compaction").is_some_and(|on| on.trim().eq_ignore_ascii_case("true")) {
        return Err(SqlError::new("`auto-compaction` is not there: files stay as they were written")
            .help("fewer files come of checkpoints that are further apart"));
    }
    let commit = Commit::of(table, &layout)?;
    let schema = table.schema_of(&columns);
    Ok(Box::new(Folder { layout: Arc::new(layout), schema, rolling, commit }))
}

impl Commit {
    fn of(table: &Table, layout: &Layout) -> Result<Option<Self>, SqlError> {
        let Some(kinds) = table.option("sink.partition-commit.policy.kind") else { return Ok(None) };
        if kinds.trim() != "success-file" {
            return Err(SqlError::new(format!(
                "`sink.partition-commit.policy.kind` is `success-file`, not `{kinds}`"
            ))
            .help("there is no metastore to be told"));
        }
        if layout.partitions.is_empty() {
            return Err(SqlError::new(
                "what says that partitions are whole is for a table PARTITIONED BY columns",
            ));
        }
        let by_watermark = match table.option("sink.partition-commit.trigger").unwrap_or("process-time") {
            "process-time" => false,
            "partition-time" => true,
            other => {
                return Err(SqlError::new(format!(
                    "`sink.partition-commit.trigger` is process-time or partition-time, not `{other}`"
                )));
            }
        };
        let delay = table.option("sink.partition-commit.delay").unwrap_or("0 s");
        let wrong =
            || SqlError::new(format!("`sink.partition-commit.delay` is a length of time, not `{delay}`"));
        let formatter = table.option("partition.time-extractor.timestamp-formatter");
        if let Some(other) = formatter.filter(|of| !matches!(*of, "yyyy-MM-dd HH:mm:ss" | "yyyy-MM-dd")) {
            return Err(SqlError::new(format!(
                "the time of a partition is `yyyy-MM-dd HH:mm:ss`, not `{other}`"
            )));
        }
        let file = table.option("sink.partition-commit.success-file.name").unwrap_or("_SUCCESS");
        Ok(Some(Self {
            by_watermark,
            delay: options::millis(delay).ok_or_else(wrong)?,
            file: file.to_owned(),
            pattern: table.option("partition.time-extractor.timestamp-pattern").map(str::to_owned),
            names: layout.partitions.iter().map(|(_, name)| name.clone()).collect(),
            folder: layout.path.clone(),
            store: layout.store.clone(),
        }))
    }

    /// The time of a partition, from its folder.
    fn time_of(&self, partition: &str) -> Result<i64, SqlError> {
        let values = partition.split('/').filter_map(|part| part.split_once('='));
        let values: Vec<String> = values.map(|(_, value)| super::partitions::unescape(value)).collect();
        let text = match &self.pattern {
            // Longer names first: `$dt` is the beginning of `$dtime`.
            Some(pattern) => {
                let mut pairs: Vec<(&String, &String)> = self.names.iter().zip(&values).collect();
                pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
                pairs
                    .iter()
                    .fold(pattern.clone(), |text, (name, value)| text.replace(&format!("${name}"), value))
            }
            None => values.join(" "),
        };
        let whole = match text.trim().len() {
            10 => format!("{} 00:00:00", text.trim()),
            16 => format!("{}:00", text.trim()),
            _ => text.trim().to_owned(),
        };
        NaiveDateTime::parse_from_str(&whole, "%Y-%m-%d %H:%M:%S")
            .map(|time| time.and_utc().timestamp_millis())
            .map_err(|_| {
                SqlError::new(format!("the partition `{partition}` has no time: `{text}`"))
                    .help("set `partition.time-extractor.timestamp-pattern`, such as `$dt $hour:00:00`")
            })
    }
}

impl Layout {
    /// The rows of a chunk, by the folder that they go into.
    fn parts(&self, chunk: &Chunk) -> Vec<(Arc<str>, Vec<usize>)> {
        if chunk.is_empty() {
            return Vec::new();
        }
        if self.partitions.is_empty() {
            return vec![("".into(), (0..chunk.len()).collect())];
        }
        let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for row in 0..chunk.len() {
            let folders = self.partitions.iter().map(|(place, name)| {
                let column = chunk.rows().column(*place);
                let value = match arrow::array::Array::is_null(column, row) {
                    true => self.no_value.clone(),
                    false => display(column, row),
                };
                format!("{}={}", escape(name), escape(&value))
            });
            rows.entry(folders.collect::<Vec<_>>().join("/")).or_default().push(row);
        }
        rows.into_iter().map(|(folder, rows)| (folder.into(), rows)).collect()
    }
}

impl TableSink for Folder {
    fn changelog(&self) -> Changelog {
        Changelog::Append
    }

    fn write(&self, rows: Stream<Chunk>, name: &str) -> Result<(), SqlError> {
        let layout = self.layout.clone();
        let rows = match &self.commit {
            None => rows,
            // One subtask knows of all rows of a partition.
            Some(_) => {
                let key: Vec<usize> = self.layout.partitions.iter().map(|(place, _)| *place).collect();
                let key_by =
                    KeyBy::new(&key, &self.schema).map_err(|error| SqlError::new(error.to_string()))?;
                let again = key_by.clone();
                let divided = rows.apply("key by", key_by).exchange_divided();
                divided.unaligned_with(move |chunk| again.hashed(chunk))
            }
        };
        let format = match &self.layout.encoding {
            Encoding::Lines(format) => format.clone(),
            #[cfg(feature = "parquet")]
            Encoding::Parquet(_) => return self.write_parquet(&rows, name),
        };
        let parts = move |chunk: Chunk, out: &mut Collect<'_, Part<Vec<u8>>>| {
            for (folder, rows) in layout.parts(&chunk) {
                let mut lines = Vec::new();
                for (number, row) in rows.into_iter().enumerate() {
                    if number > 0 {
                        lines.push(b'\n');
                    }
                    format.encode(&chunk, &layout.lines, row, &mut lines)?;
                }
                out.collect((folder, lines));
            }
            Ok(())
        };
        let parts = rows.flat_map("partitions", parts).determined();
        let format = |(_, lines): &Part<Vec<u8>>, out: &mut Vec<u8>| out.extend_from_slice(lines);
        match &self.layout.store {
            None => {
                let files = FileSink::new(&self.layout.path, format).with_buckets(folder);
                self.write_into(&parts, name, files.with_rolling_policy(self.rolling));
            }
            Some(store) => {
                let files = StoreSink::new(&self.layout.path.to_string_lossy(), format);
                let files = files.on(store.clone()).with_buckets(folder);
                self.write_into(&parts, name, files.with_rolling_policy(self.rolling));
            }
        }
        Ok(())
    }
}

impl Folder {
    #[cfg(feature = "parquet")]
    fn write_parquet(&self, rows: &Stream<Chunk>, name: &str) -> Result<(), SqlError> {
        let layout = self.layout.clone();
        let parts = move |chunk: Chunk, out: &mut Collect<'_, Part<RecordBatch>>| {
            for (folder, rows) in layout.parts(&chunk) {
                let part = match rows.len() == chunk.len() {
                    true => chunk.rows().project(&layout.lines)?,
                    false => {
                        let rows: UInt32Array = rows.into_iter().map(|row| row as u32).collect();
                        chunk.take(&rows)?.rows().project(&layout.lines)?
                    }
                };
                out.collect((folder, part));
            }
            Ok(())
        };
        let parts = rows.flat_map("partitions", parts).determined();
        let wrong = |error: arrow::error::ArrowError| SqlError::new(error.to_string());
        let format =
            super::parquet::Writes(Arc::new(self.schema.project(&self.layout.lines).map_err(wrong)?));
        match &self.layout.store {
            None => {
                let files = FileSink::for_bulk_format(&self.layout.path, format).with_buckets(folder);
                self.write_into(&parts, name, files.with_rolling_policy(self.rolling));
            }
            Some(store) => {
                let files = StoreSink::for_bulk_format(&self.layout.path.to_string_lossy(), format);
                let files = files.on(store.clone()).with_buckets(folder);
                self.write_into(&parts, name, files.with_rolling_policy(self.rolling));
            }
        }
        Ok(())
    }

    fn write_into<S, R>(&self, parts: &Stream<Part<R>>, name: &str, files: S)
    where
        R: Data,
        S: Operator<In = Part<R>, Out = ()> + Clone,
    {
        match &self.commit {
            None => parts.apply(name, files),
            Some(commit) => parts.apply(name, WholePartitions::new(files, commit.clone())),
        };
    }
}

/// A partition that is not whole yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Growing {
    folder: String,
    /// Its own time, or the one at which it was first written to.
    time: i64,
}

/// Says of partitions when they are whole, behind the files.
#[derive(Clone)]
struct WholePartitions<S> {
    files: S,
    commit: Commit,
    growing: Vec<Growing>,
    watermark: Timestamp,
    clock: TaskClock,
    ended: bool,
}

impl<S> WholePartitions<S> {
    fn new(files: S, commit: Commit) -> Self {
        let (growing, watermark) = (Vec::new(), Timestamp::MIN);
        Self { files, commit, growing, watermark, clock: TaskClock::default(), ended: false }
    }
}

impl<S, R> Operator for WholePartitions<S>
where
    R: Data,
    S: Operator<In = Part<R>, Out = ()>,
{
    type In = Part<R>;
    type Out = ();

    fn identity(&self) -> String {
        self.files.identity()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        self.files.open(context)
    }

    fn states(&mut self, states: &mut States<'_>) {
        self.files.states(states);
        states.list("partitions", &mut self.growing);
    }

    fn process(&mut self, batch: &mut Batch<Part<R>>, output: &mut Output<()>) -> Result<(), BoxError> {
        for record in &batch.records {
            let folder = &record.value.0;
            if self.growing.iter().rev().any(|growing| *growing.folder == **folder) {
                continue;
            }
            let time = match self.commit.by_watermark {
                true => self.commit.time_of(folder)?,
                false => self.clock.now(),
            };
            self.growing.push(Growing { folder: folder.to_string(), time });
        }
        self.files.process(batch, output)
    }

    fn watermark(&mut self, watermark: Timestamp, _: &mut Output<()>) -> Result<Option<Timestamp>, BoxError> {
        self.watermark = watermark;
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.files.next_timer()
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<()>) -> Result<(), BoxError> {
        self.files.processing_time(now, output)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<()>) -> Result<(), BoxError> {
        self.files.barrier(barrier, output)
    }

    fn end(&mut self, _: &mut Output<()>) -> Result<(), BoxError> {
        self.ended = true;
        Ok(())
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        self.files.committed(epoch)?;
        let now = if self.commit.by_watermark { self.watermark } else { self.clock.now() };
        let (delay, ended) = (self.commit.delay, self.ended);
        for whole in self.growing.extract_if(.., |of| ended || of.time.saturating_add(delay) <= now) {
            let path = self.commit.folder.join(&whole.folder).join(&self.commit.file);
            let said = match &self.commit.store {
                None => std::fs::write(&path, ""),
                Some(store) => store.put(&path, b""),
            };
            said.map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        }
        Ok(())
    }
}
