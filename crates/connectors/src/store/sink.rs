//! Writes files of a store, exactly once: text, a line a record, or records of another [format](crate::files::format).
//!
//! A subtask writes a file for each checkpoint, and bucket. At the barrier it is complete with the store, but not visible; what it takes to make it so goes into the state,
//! and is done when the checkpoint is committed:
//!
//! | store | until then | then |
//! |---|---|---|
//! | S3 and its like | a multipart upload | the upload is completed: the object is there, whole |
//! | Azure | blocks of a blob, not committed | the list of blocks is committed: the blob is there, whole |
//! | HDFS | a hidden file | it is renamed |
//!
//! ```text
//! part-<subtask>-<epoch>-<token>                       what readers see
//! .part-<subtask>-<epoch>-<token>.<run>.inprogress     in HDFS, before that
//! ```
//!
//! - **Guarantee**: exactly once. A crash at any time leaves nothing half visible: what was complete and committed is published by the next run, what was not is never visible.
//! - **State**: list, `pending`: the files that are complete, and not published for certain.
//! - **Memory**: 24 MiB a file that is being written, 96 MiB in all: when more buckets are written than fit, the largest file is completed early.
//! - **Failure**: requests are tried again as [`Store::retry`](super::Store::retry) says; then the job fails, and its restart strategy decides. A file of a committed checkpoint that is
//!   gone is told, and is never passed over.
//! - **What is left behind**: by a crash, uploads that nobody completes. S3 removes them by a lifecycle rule of the bucket (`AbortIncompleteMultipartUpload`), which every bucket
//!   that is written to should have, with a time longer than the job may be down. Azure drops blocks that nobody has committed after a week, which is how long the job may be down there. Hidden files of former runs in HDFS are removed at the first commit.
//! - Whoever takes files away leaves the newest ones for a checkpoint or two: a restart looks for those that it may have published.
//! - Without checkpoints files become visible when the job ends.

use std::collections::HashMap;
use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::{Path, PathPart};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::debug_hook::reach;
use thalweg_dataflow::error::{BoxError, Fallible, Fatal};
use thalweg_dataflow::hash::key_hash;
use thalweg_dataflow::operator::{Operator, OperatorContext, RunId};
use thalweg_dataflow::record::{Batch, Data};
use thalweg_dataflow::state::States;
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::upload::{Complete, PART, Writing};
use super::{Asking, Store, lasting};
use crate::contract::{ConnectorMetrics, Guarantee, Promise, without_credentials};
use crate::files::RollingPolicy;
use crate::files::format::FileFormat;

/// So much may be in memory in one subtask.
const IN_MEMORY: usize = 12 * PART;

/// A file that has grown to this size gets no more.
const ROLL_AT: u64 = 1 << 30;

/// Writes each record as a line of text, or as its format says. See the [module](self).
///
/// ```no_run
/// use std::time::Duration;
///
/// use thalweg_connectors::store::{StoreSink, checkpoint_storage};
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, run};
/// use thalweg_dataflow::source::CollectionSource;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let graph = StreamGraph::new();
/// let words = CollectionSource::new(vec!["deep".to_owned(), "fast".to_owned()]);
/// let words = graph.source("words", words, WatermarkStrategy::no_watermarks());
/// words.apply("words-in-s3", StoreSink::lines("s3://bucket/words"));
/// let checkpoint = CheckpointConfig::new(Duration::from_secs(60), checkpoint_storage("s3://bucket/checkpoints")?);
/// run(&graph, JobConfig { checkpoint: Some(checkpoint), ..JobConfig::new("words") })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `S` is what the format knows of a file that is being written.
pub struct StoreSink<T, F = fn(&T, &mut Vec<u8>), S = ()> {
    address: String,
    format: F,
    /// The folder inside of the folder that a record goes into.
    bucket: Option<fn(&T) -> &str>,
    rolling: RollingPolicy,
    /// Found by the address, if it is not given.
    store: Option<Store>,
    opened: Option<Opened>,
    /// By bucket.
    writing: HashMap<String, Open<S>>,
    /// What the format has made of a record.
    encoded: Vec<u8>,
    /// What the names of files end with.
    suffix: String,
    epoch: Epoch,
    pending: Vec<Complete>,
    records: std::marker::PhantomData<fn(T)>,
}

/// A file that is being written.
struct Open<S> {
    file: Writing,
    /// What the format knows of it.
    state: S,
    begun: Timestamp,
    written: Timestamp,
}

struct Opened {
    store: Store,
    folder: Path,
    subtask: usize,
    parallelism: usize,
    run: RunId,
    uid: Arc<str>,
    restored: Epoch,
    metrics: ConnectorMetrics,
    clock: TaskClock,
    /// Whether what former runs have left is still to be removed.
    leftovers: bool,
}

impl StoreSink<String> {
    /// Writes text into the files of a folder: `s3://bucket/folder`, `az://container/folder`, `hdfs://namenode:8020/folder`.
    pub fn lines(folder: &str) -> Self {
        Self::new(folder, |line: &String, out| out.extend_from_slice(line.as_bytes()))
    }
}

impl<T, F> StoreSink<T, F> {
    /// Writes what `format` makes of a record: it appends the line, without its end. It may return a `Result`; an error fails the job.
    pub fn new<R: Fallible>(folder: &str, format: F) -> Self
    where
        F: FnMut(&T, &mut Vec<u8>) -> R,
    {
        Self::in_folder(folder, format, String::new())
    }
}

impl<T, F: FileFormat<T>> StoreSink<T, F, F::File> {
    /// Writes files of a [format](crate::files::format), whatever is in them before, between and after the records (Flink's `FileSink.forBulkFormat`). Their names end as the
    /// format has it.
    ///
    /// ```
    /// use thalweg_connectors::files::format::JsonLinesFormat;
    /// use thalweg_connectors::store::StoreSink;
    ///
    /// let sink: StoreSink<(String, u64), _, _> = StoreSink::for_bulk_format("s3://bucket/counts", JsonLinesFormat);
    /// # let _ = sink;
    /// ```
    pub fn for_bulk_format(folder: &str, format: F) -> Self {
        let suffix = format.suffix();
        Self::in_folder(folder, format, suffix)
    }
}

impl<T, F, S> StoreSink<T, F, S> {
    fn in_folder(folder: &str, format: F, suffix: String) -> Self {
        Self {
            address: folder.trim_end_matches('/').to_owned(),
            format,
            bucket: None,
            rolling: RollingPolicy::default().with_max_part_size(ROLL_AT),
            store: None,
            opened: None,
            writing: HashMap::new(),
            encoded: Vec::new(),
            suffix,
            epoch: 0,
            pending: Vec::new(),
            records: std::marker::PhantomData,
        }
    }

    /// The folder is one of `store`, which is not found by its address.
    #[must_use]
    pub fn on(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// A record goes into the folder, inside of the folder, that `bucket` says: `dt=2020-01-01/hm=08:00`.
    #[must_use]
    pub fn with_buckets(mut self, bucket: fn(&T) -> &str) -> Self {
        self.bucket = Some(bucket);
        self
    }

    /// A file that has grown to so many bytes gets no more; what follows goes into another one. Default: 1 GiB.
    #[must_use]
    pub fn roll_at(mut self, bytes: u64) -> Self {
        self.rolling = self.rolling.with_max_part_size(bytes);
        self
    }

    /// When files end before a checkpoint, as [`FileSink`](crate::files::FileSink) has it. A policy that says nothing of sizes leaves the one that is set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_connectors::files::RollingPolicy;
    /// use thalweg_connectors::store::StoreSink;
    ///
    /// let policy = RollingPolicy::default().with_rollover_interval(Duration::from_secs(900));
    /// let sink = StoreSink::lines("hdfs://namenode:8020/words").with_rolling_policy(policy);
    /// # let _ = sink;
    /// ```
    #[must_use]
    pub fn with_rolling_policy(mut self, policy: RollingPolicy) -> Self {
        let bytes = policy.bytes.or(self.rolling.bytes);
        self.rolling = RollingPolicy { bytes, ..policy };
        self
    }

    fn publish(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let Some(opened) = &self.opened else { return Err("the sink has not been opened".into()) };
        let resumed = opened.run.resumed || epoch > opened.restored;
        for complete in self.pending.extract_if(.., |complete| complete.epoch <= epoch) {
            if complete.publish(&opened.store).map_err(boxed)? {
                continue;
            }
            let what = format!("publish `{}` of checkpoint {}", complete.name(), complete.epoch);
            let error = "it is not there, and neither is what it was to be made of. If a rule of the store has removed uploads that were not completed, the records are \
                         lost; if somebody has taken the file, let them leave new ones for a checkpoint or two. To go on without it, put an empty file in its place";
            let error = lasting(&opened.store.place, &what, error);
            if resumed {
                return Err(Box::new(Fatal(error.into())));
            }
            // Long ago: its readers have taken it.
            tracing::debug!(%error, "of a savepoint, or an older checkpoint");
        }
        Ok(())
    }
}

impl<T, F: FileFormat<T>> StoreSink<T, F, F::File> {
    fn write(&mut self, record: &T, bucket: &str, now: Timestamp) -> Result<(), BoxError> {
        let Self { format, writing, encoded, opened: Some(opened), .. } = self else {
            return Err("the sink has not been opened".into());
        };
        encoded.clear();
        if !writing.contains_key(bucket) {
            let state = format.begin(encoded)?;
            let file = opened.new_file(bucket, self.epoch + 1, &self.suffix);
            writing.insert(bucket.to_owned(), Open { file, state, begun: now, written: now });
        }
        let Some(open) = writing.get_mut(bucket) else { return Ok(()) };
        format.write(&mut open.state, record, encoded)?;
        open.file.write(&opened.store, encoded).map_err(boxed)?;
        open.written = now;
        opened.metrics.bytes(encoded.len() as u64);
        if self.rolling.bytes.is_some_and(|bytes| open.file.bytes >= bytes)
            && let Some(full) = self.writing.remove(bucket)
        {
            self.finish(full, Epoch::MAX)?;
        }
        Ok(())
    }

    /// Ends a file. Of [`Epoch::MAX`], it is part of the next checkpoint, whichever number that has.
    fn finish(&mut self, open: Open<F::File>, epoch: Epoch) -> Result<(), BoxError> {
        let Open { mut file, state, .. } = open;
        let Some(opened) = &self.opened else { return Err("the sink has not been opened".into()) };
        self.encoded.clear();
        self.format.end(state, &mut self.encoded)?;
        file.write(&opened.store, &self.encoded).map_err(boxed)?;
        opened.metrics.bytes(self.encoded.len() as u64);
        self.pending.push(file.finish(&opened.store, epoch).map_err(boxed)?);
        Ok(())
    }

    /// Ends the largest files until what is left fits.
    fn bound_memory(&mut self) -> Result<(), BoxError> {
        while self.writing.values().map(|open| open.file.in_memory()).sum::<usize>() > IN_MEMORY {
            let largest = self.writing.iter().max_by_key(|(_, open)| open.file.in_memory());
            let Some(bucket) = largest.map(|(bucket, _)| bucket.clone()) else { break };
            if let Some(full) = self.writing.remove(&bucket) {
                self.finish(full, Epoch::MAX)?;
            }
        }
        Ok(())
    }

    /// Ends the files being written; they belong to `epoch`.
    fn close(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let files: Vec<Open<F::File>> = self.writing.drain().map(|(_, file)| file).collect();
        files.into_iter().try_for_each(|file| self.finish(file, epoch))?;
        // Those that were full before.
        self.pending.iter_mut().filter(|complete| complete.epoch > epoch).for_each(|full| full.epoch = epoch);
        self.epoch = epoch;
        Ok(())
    }
}

/// As the engine wants it.
fn boxed(error: std::io::Error) -> BoxError {
    match error.downcast::<crate::contract::ConnectorError>() {
        Ok(error) => error.boxed(),
        Err(error) => error.into(),
    }
}

impl Opened {
    fn new_file(&self, bucket: &str, epoch: Epoch, suffix: &str) -> Writing {
        let folder = bucket
            .split('/')
            .filter(|name| !name.is_empty())
            // As it is, where it can be: what it has in it may have been escaped by its maker.
            .fold(self.folder.clone(), |at, name| {
                at.join(PathPart::parse(name).unwrap_or_else(|_| PathPart::from(name)))
            });
        let name = format!("part-{}-{epoch}-{:016x}{suffix}", self.subtask, RunId::token());
        let hidden = format!(".{name}.{}.inprogress", self.run.name(&self.uid));
        Writing::new(folder.clone().join(name), folder.join(hidden))
    }

    /// Removes what earlier runs of this job left hidden. Whatever counts of it is visible by now, in all subtasks.
    fn remove_leftovers(&self, deep: bool) -> std::io::Result<()> {
        let store = &self.store;
        let hidden: Vec<Path> = store.request(&format!("list `{}`", self.folder), || async {
            let listed: Vec<object_store::ObjectMeta> = match deep {
                true => store.store.list(Some(&self.folder)).try_collect().await?,
                false => store.store.list_with_delimiter(Some(&self.folder)).await?.objects,
            };
            Ok(listed.into_iter().map(|file| file.location).collect())
        })?;
        for leftover in hidden.iter().filter(|path| self.is_leftover(path)) {
            store.request(&format!("remove `{leftover}`"), || async {
                match store.store.delete(leftover).await {
                    Err(object_store::Error::NotFound { .. }) => Ok(()),
                    deleted => deleted,
                }
            })?;
        }
        Ok(())
    }

    /// Whether a file is one of those that a former run of this very sink has left hidden, and this subtask is to remove it.
    fn is_leftover(&self, path: &Path) -> bool {
        let Some(name) = path.filename() else { return false };
        // HDFS is written by way of a file of yet another name.
        let name = name.split_once(".tmp.").and_then(|(name, _)| name.strip_prefix('.')).unwrap_or(name);
        let part = name.strip_suffix(".inprogress").and_then(|stem| stem.rsplit_once('.'));
        let Some((part, run)) = part.filter(|(part, _)| part.starts_with(".part-")) else { return false };
        let share = key_hash(part) % self.parallelism as u64;
        self.run.came_after(&self.uid, run) && share == self.subtask as u64
    }
}

impl<T, F, S> Drop for StoreSink<T, F, S> {
    fn drop(&mut self) {
        // What is pending may be part of a checkpoint; what is being written is not.
        self.writing.drain().for_each(|(_, open)| open.file.abort());
    }
}

impl<T, F: Clone, S> Clone for StoreSink<T, F, S> {
    /// A sink to the same folder that has written nothing yet.
    fn clone(&self) -> Self {
        let mut fresh = Self::in_folder(&self.address, self.format.clone(), self.suffix.clone());
        (fresh.bucket, fresh.rolling, fresh.store) = (self.bucket, self.rolling, self.store.clone());
        fresh
    }
}

impl<T, F, S> fmt::Debug for StoreSink<T, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSink")
            .field("folder", &without_credentials(&self.address))
            .finish_non_exhaustive()
    }
}

impl<T, F, S> Promise for StoreSink<T, F, S> {
    fn place(&self) -> String {
        without_credentials(&self.address).into_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "files become visible, whole, when their checkpoint is committed".to_owned()
    }
}

impl<T, F, S> Operator for StoreSink<T, F, S>
where
    T: Data,
    F: FileFormat<T, File = S>,
    S: Send + 'static,
{
    type In = T;
    type Out = ();

    fn identity(&self) -> String {
        without_credentials(&self.address).into_owned()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.epoch = context.restored_epoch;
        let metrics = ConnectorMetrics::of(&context.metrics);
        let store = match &self.store {
            Some(store) => store.clone(),
            None => Store::at(&self.address).map_err(boxed)?,
        };
        let asking = Asking { metrics: Some(metrics.clone()), cancelled: context.cancelled.clone() };
        let folder = store.key(FilePath::new(&self.address)).map_err(boxed)?;
        self.opened = Some(Opened {
            store: Store { asking, ..store },
            folder,
            subtask: context.operator.subtask,
            parallelism: context.parallelism,
            run: context.run.clone(),
            uid: context.operator.uid.clone(),
            restored: context.restored_epoch,
            metrics,
            clock: context.clock.clone(),
            leftovers: true,
        });
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("pending", &mut self.pending);
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let now = self.opened.as_ref().map_or(0, |opened| opened.clock.now());
        for record in batch.records.drain(..) {
            let bucket = self.bucket.map_or("", |bucket| bucket(&record.value));
            self.write(&record.value, bucket, now)?;
        }
        self.bound_memory()
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.writing.values().filter_map(|open| self.rolling.due(open.begun, open.written)).min()
    }

    fn processing_time(&mut self, now: Timestamp, _: &mut Output<()>) -> Result<(), BoxError> {
        let rolling = self.rolling;
        let is_due = |open: &Open<S>| rolling.due(open.begun, open.written).is_some_and(|due| due <= now);
        let old: Vec<Open<S>> = self.writing.extract_if(|_, open| is_due(open)).map(|(_, old)| old).collect();
        old.into_iter().try_for_each(|old| self.finish(old, Epoch::MAX))
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        if barrier.checkpoint || barrier.is_last() {
            self.close(barrier.epoch)?;
        }
        Ok(())
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        reach("before-publish");
        self.publish(epoch)?;
        if let Some(opened) =
            self.opened.as_mut().filter(|opened| opened.leftovers && epoch > opened.restored)
        {
            if matches!(opened.store.publishing, super::Publishing::Rename) {
                opened.remove_leftovers(self.bucket.is_some()).map_err(boxed)?;
            }
            opened.leftovers = false;
        }
        reach("published");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
