//! Writes files, exactly once: text, a line a record, or records of another [format](super::format).
//!
//! Each subtask writes to a hidden file. At a checkpoint barrier it is synced and closed, and its names go
//! into the state; when the checkpoint is committed, it is renamed to a `part-` file, which readers see. After
//! a crash a checkpoint's files are renamed once more if need be.
//!
//! ```text
//! part-<subtask>-<epoch>-<token>                       what readers see
//! .part-<subtask>-<epoch>-<token>.<run>.inprogress     the same file, before that
//! .part-<subtask>-<epoch>-<token>.<run>.published      empty: it has been made visible, and whoever takes it away may
//! ```
//!
//! The token is a random number, and a file is created only if there is none of its name: jobs that write into one folder do not
//! meet, an instance that another one has replaced cannot touch that one's files, and nobody can put a link in the way. The run says
//! which job wrote the file, and which run of it; what former runs of the same job have left unfinished is removed at the first
//! commit, by when everything that counts is visible.
//!
//! - **State**: list, `pending`: the files of this and earlier epochs that are to be renamed.
//! - Without checkpoints, files become visible when the job ends.

mod parts;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::debug_hook::reach;
use thalweg_dataflow::error::{BoxError, Fallible, Fatal};
use thalweg_dataflow::hash::key_hash;
use thalweg_dataflow::operator::{Operator, OperatorContext, RunId};
use thalweg_dataflow::record::{Batch, Data};
use thalweg_dataflow::state::States;
use thalweg_dataflow::time::{TaskClock, Timestamp};

use self::parts::PartNames;
pub use self::parts::RollingPolicy;
use super::format::FileFormat;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FileSinkError {
    /// The file system refused.
    #[error("cannot {what} {path}: {error}; what earlier checkpoints published is untouched")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A file of a checkpoint is gone.
    #[error(
        "{hidden} is part of checkpoint {epoch}, and is gone: it was to be renamed to {visible}, which is not there either. Nothing of \
         Thalweg removes such a file; put it back, or, if its records can be done without, put an empty file in its place"
    )]
    Missing {
        /// The checkpoint.
        epoch: Epoch,
        /// Where it was.
        hidden: PathBuf,
        /// What it was to become.
        visible: PathBuf,
    },
    /// A bucket that is no folder inside of the sink's.
    #[error("the bucket `{bucket}` is no folder inside of {folder}: it must be relative, and must not go up")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// The folder of the sink.
        folder: PathBuf,
    },
    /// A checkpoint names a file that no sink has written.
    #[error(
        "checkpoint {epoch} names {path} as a file of this sink, which it is not; the checkpoint was tampered with"
    )]
    Foreign {
        /// The checkpoint.
        epoch: Epoch,
        /// The file.
        path: PathBuf,
    },
}

/// Writes each record as a line of text, or as its format says. See the [module](self).
///
/// `S` is what the format knows of a file that is being written.
pub struct FileSink<T, F, S = ()> {
    folder: PathBuf,
    format: F,
    bucket: Bucket<T>,
    rolling: RollingPolicy,
    names: PartNames,
    opened: Option<Opened>,
    /// By bucket.
    writing: HashMap<String, Writing<S>>,
    /// What the format has made of a record.
    encoded: Vec<u8>,
    epoch: Epoch,
    pending: Vec<Pending>,
    /// Of files that have been made visible, and that the next checkpoint will not speak of any more.
    receipts: Vec<PathBuf>,
    records: std::marker::PhantomData<fn(T)>,
}

/// The folder inside of the folder that a record goes into.
enum Bucket<T> {
    /// The folder itself.
    None,
    Part(fn(&T) -> &str),
    Made(Arc<dyn Fn(&T) -> String + Send + Sync>),
}

impl<T> Clone for Bucket<T> {
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Part(part) => Self::Part(*part),
            Self::Made(make) => Self::Made(make.clone()),
        }
    }
}

impl<T> std::fmt::Debug for Bucket<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bucket")
    }
}

/// A file that is being written.
struct Writing<S> {
    /// What the format knows of it.
    state: S,
    writer: BufWriter<File>,
    bytes: u64,
    begun: Timestamp,
    written: Timestamp,
    pending: Pending,
}

/// Who is writing.
#[derive(Debug)]
struct Opened {
    subtask: usize,
    parallelism: usize,
    run: RunId,
    /// Tells the files of two sinks of one job apart.
    uid: Arc<str>,
    restored: Epoch,
    clock: TaskClock,
    /// Whether what former runs have left is still to be removed.
    leftovers: bool,
}

/// A file that is complete but not yet visible.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    epoch: Epoch,
    hidden: PathBuf,
    visible: PathBuf,
}

impl<T, F, S> std::fmt::Debug for FileSink<T, F, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSink").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl<T, F: Clone, S> Clone for FileSink<T, F, S> {
    /// A sink to the same folder that has written nothing yet.
    fn clone(&self) -> Self {
        let fresh = Self::in_folder(self.folder.clone(), self.format.clone());
        Self { bucket: self.bucket.clone(), rolling: self.rolling, names: self.names.clone(), ..fresh }
    }
}

impl<T, F> FileSink<T, F> {
    /// Writes what `format` makes of a record (it appends the line, without a line end) into `folder`, which is
    /// made if it is not there. It may return a `Result`; an error fails the job.
    ///
    /// ```
    /// use thalweg_connectors::files::FileSink;
    ///
    /// let sink = FileSink::new("counts", |(word, n): &(String, u64), line| line.extend(format!("{word} {n}").bytes()));
    /// # let _ = sink;
    /// ```
    pub fn new<R: Fallible>(folder: impl Into<PathBuf>, format: F) -> Self
    where
        F: FnMut(&T, &mut Vec<u8>) -> R,
    {
        Self::in_folder(folder.into(), format)
    }
}

impl<T, F: FileFormat<T>> FileSink<T, F, F::File> {
    /// Writes files of a [format](super::format), whatever is in them before, between and after the records (Flink's `FileSink.forBulkFormat`). If nothing else is said,
    /// their names end as the format has it.
    ///
    /// ```
    /// use thalweg_connectors::files::FileSink;
    /// use thalweg_connectors::files::format::JsonLinesFormat;
    ///
    /// let sink: FileSink<(String, u64), _, _> = FileSink::for_bulk_format("counts", JsonLinesFormat).roll_at(128 << 20);
    /// # let _ = sink;
    /// ```
    pub fn for_bulk_format(folder: impl Into<PathBuf>, format: F) -> Self {
        let suffix = format.suffix();
        let sink = Self::in_folder(folder.into(), format);
        Self { names: PartNames { suffix, ..sink.names.clone() }, ..sink }
    }
}

impl<T, F, S> FileSink<T, F, S> {
    fn in_folder(folder: PathBuf, format: F) -> Self {
        Self {
            folder,
            format,
            bucket: Bucket::None,
            rolling: RollingPolicy::default(),
            names: PartNames::default(),
            opened: None,
            writing: HashMap::new(),
            encoded: Vec::new(),
            epoch: 0,
            pending: Vec::new(),
            receipts: Vec::new(),
            records: std::marker::PhantomData,
        }
    }

    /// A record goes into the folder, inside of the folder, that `bucket` says: `dt=2020-01-01/hm=08:00`. It is made if it is not there.
    #[must_use]
    pub fn with_buckets(mut self, bucket: fn(&T) -> &str) -> Self {
        self.bucket = Bucket::Part(bucket);
        self
    }

    /// The same for a folder whose name is made (Flink's `BucketAssigner`). It must lie inside of the folder: what is absolute, or goes up, fails
    /// the job.
    ///
    /// ```
    /// use thalweg_connectors::files::FileSink;
    ///
    /// let sink = FileSink::new("clicks", |(user, _): &(String, i64), line| line.extend(user.bytes()))
    ///     .with_bucket_assigner(|(_, millis)| format!("day={}", millis.div_euclid(86_400_000)))
    ///     .with_part_names("clicks", ".txt");
    /// # let _ = sink;
    /// ```
    #[must_use]
    pub fn with_bucket_assigner(mut self, assign: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.bucket = Bucket::Made(Arc::new(assign));
        self
    }

    /// When files end before a checkpoint. Without this, they end with checkpoints alone.
    #[must_use]
    pub fn with_rolling_policy(mut self, policy: RollingPolicy) -> Self {
        self.rolling = policy;
        self
    }

    /// A file that has grown to so many bytes gets no more; what follows goes into another one.
    #[must_use]
    pub fn roll_at(mut self, bytes: u64) -> Self {
        self.rolling = self.rolling.with_max_part_size(bytes);
        self
    }

    /// What the names of the files begin and end with (Flink's `OutputFileConfig`): `part` and nothing, if nothing is said. Between them there are
    /// the number of the subtask, that of the checkpoint, and a number that no other file has.
    #[must_use]
    pub fn with_part_names(mut self, prefix: &str, suffix: &str) -> Self {
        self.names = PartNames { prefix: prefix.to_owned(), suffix: suffix.to_owned() };
        self
    }

    /// Opens the hidden file of a bucket.
    fn create(&self, bucket: &str) -> Result<(BufWriter<File>, Pending), FileSinkError> {
        let (epoch, token) = (self.epoch + 1, RunId::token());
        let (subtask, run) = match &self.opened {
            Some(opened) => (opened.subtask, opened.run_name()),
            None => (0, String::new()),
        };
        let folder = match bucket.is_empty() {
            true => self.folder.clone(),
            false => self.folder.join(bucket),
        };
        if !bucket.is_empty() {
            if !Path::new(bucket).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(FileSinkError::Bucket { bucket: bucket.to_owned(), folder: self.folder.clone() });
            }
            fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        }
        let PartNames { prefix, suffix } = &self.names;
        let name = format!("{prefix}-{subtask}-{epoch}-{token:016x}{suffix}");
        let hidden = folder.join(format!(".{name}.{run}.inprogress"));
        let file = OpenOptions::new().write(true).create_new(true).open(&hidden);
        let file = file.map_err(failed("create", &hidden))?;
        let pending = Pending { epoch, hidden, visible: folder.join(name) };
        Ok((BufWriter::with_capacity(64 << 10, file), pending))
    }

    /// The folder, and those in it that this run has written into.
    fn folders(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders = vec![self.folder.clone()];
        let mut next = 0;
        while !matches!(self.bucket, Bucket::None) && next < folders.len() {
            for entry in fs::read_dir(&folders[next])? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                }
            }
            next += 1;
        }
        Ok(folders)
    }

    /// Removes what earlier runs of this job left unfinished. Whatever counts of it is visible by now, in all subtasks.
    fn remove_leftovers(&self, opened: &Opened) -> io::Result<()> {
        for folder in self.folders()? {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if opened.is_leftover(&path) && !self.receipts.contains(&path) {
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

impl<T, F: FileFormat<T>> FileSink<T, F, F::File> {
    /// The file of a bucket, which is begun if there is none.
    fn begin_if_none(&mut self, bucket: &str) -> Result<(), BoxError> {
        if self.writing.contains_key(bucket) {
            return Ok(());
        }
        let now = self.opened.as_ref().map_or(0, |opened| opened.clock.now());
        let (writer, pending) = self.create(bucket)?;
        self.encoded.clear();
        let state = self.format.begin(&mut self.encoded)?;
        let mut writing = Writing { state, writer, bytes: 0, begun: now, written: now, pending };
        writing.put(&self.encoded)?;
        self.writing.insert(bucket.to_owned(), writing);
        Ok(())
    }

    fn write(&mut self, record: &T, bucket: &str, now: Timestamp) -> Result<(), BoxError> {
        self.begin_if_none(bucket)?;
        let Self { format, writing, encoded, .. } = self;
        let Some(file) = writing.get_mut(bucket) else { unreachable!("just begun") };
        encoded.clear();
        format.write(&mut file.state, record, encoded)?;
        file.put(encoded)?;
        file.written = now;
        if self.rolling.bytes.is_some_and(|bytes| file.bytes >= bytes)
            && let Some(full) = self.writing.remove(bucket)
        {
            self.finish(full, Epoch::MAX)?;
        }
        Ok(())
    }

    /// Ends a file. Of [`Epoch::MAX`], it is part of the next checkpoint, whichever number that has.
    fn finish(&mut self, file: Writing<F::File>, epoch: Epoch) -> Result<(), BoxError> {
        let Writing { state, writer, bytes, begun, written, pending } = file;
        self.encoded.clear();
        self.format.end(state, &mut self.encoded)?;
        let mut file = Writing { state: (), writer, bytes, begun, written, pending };
        file.put(&self.encoded)?;
        self.pending.push(Pending { epoch, ..file.finish()? });
        Ok(())
    }

    /// Ends the files being written; they belong to `epoch`.
    fn close(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let files: Vec<Writing<F::File>> = self.writing.drain().map(|(_, file)| file).collect();
        files.into_iter().try_for_each(|file| self.finish(file, epoch))?;
        // Those that were full before.
        self.pending.iter_mut().filter(|pending| pending.epoch > epoch).for_each(|full| full.epoch = epoch);
        self.epoch = epoch;
        Ok(())
    }
}

impl<S> Writing<S> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), FileSinkError> {
        self.bytes += bytes.len() as u64;
        self.writer.write_all(bytes).map_err(failed("write to", &self.pending.hidden))
    }

    /// Writes down the last of it.
    fn finish(self) -> Result<Pending, FileSinkError> {
        let hidden = &self.pending.hidden;
        let file = self.writer.into_inner().map_err(|error| failed("write", hidden)(error.into_error()))?;
        file.sync_all().map_err(failed("sync", hidden))?;
        Ok(self.pending)
    }
}

impl Opened {
    fn run_name(&self) -> String {
        self.run.name(&self.uid)
    }

    /// Whether a file is one of those that a former run of this very sink has left hidden, and this subtask is to remove it.
    fn is_leftover(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
        let Some((stem, _)) = name.rsplit_once('.').filter(|(_, kind)| KINDS.contains(kind)) else {
            return false;
        };
        let Some((part, run)) = stem.rsplit_once('.').filter(|(part, _)| part.starts_with('.')) else {
            return false;
        };
        let share = key_hash(part) % self.parallelism as u64;
        self.run.came_after(&self.uid, run) && share == self.subtask as u64
    }
}

/// What the names of hidden files end with.
const KINDS: [&str; 2] = ["inprogress", "published"];

impl Pending {
    /// Whether it was written by such a sink: no checkpoint makes it rename anything else.
    fn check(&self) -> Result<(), FileSinkError> {
        let name =
            |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let (hidden, visible) = (name(&self.hidden), name(&self.visible));
        let fits = self.hidden.parent() == self.visible.parent()
            && !visible.is_empty()
            && !visible.starts_with('.')
            && hidden.starts_with(&format!(".{visible}."))
            && hidden.ends_with(".inprogress");
        if fits {
            Ok(())
        } else {
            Err(FileSinkError::Foreign { epoch: self.epoch, path: self.hidden.clone() })
        }
    }

    /// Makes the file visible, once; returns its receipt. Whoever reads it may take it away at any time after.
    fn publish(&self) -> Result<PathBuf, FileSinkError> {
        self.check()?;
        let receipt = self.hidden.with_extension("published");
        if self.hidden.try_exists().map_err(failed("look for", &self.hidden))? {
            match OpenOptions::new().write(true).create_new(true).open(&receipt) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("create", &receipt)(error));
                }
                _ => {}
            }
            match fs::rename(&self.hidden, &self.visible) {
                Ok(()) => return Ok(receipt),
                // By an instance that has replaced this one, or is about to notice that it was replaced.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("publish", &self.visible)(error)),
            }
        }
        if receipt.exists() || self.visible.exists() {
            return Ok(receipt);
        }
        let Self { epoch, hidden, visible } = self.clone();
        Err(FileSinkError::Missing { epoch, hidden, visible })
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileSinkError {
    let path = path.to_owned();
    move |error| FileSinkError::Io { what, path, error }
}

impl<T, F, S> Operator for FileSink<T, F, S>
where
    T: Data,
    F: FileFormat<T, File = S>,
    S: Send + 'static,
{
    type In = T;
    type Out = ();

    fn identity(&self) -> String {
        self.folder.display().to_string()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.names.check()?;
        self.epoch = context.restored_epoch;
        fs::create_dir_all(&self.folder).map_err(failed("create", &self.folder))?;
        self.opened = Some(Opened {
            subtask: context.operator.subtask,
            parallelism: context.parallelism,
            run: context.run.clone(),
            uid: context.operator.uid.clone(),
            restored: context.restored_epoch,
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
            let made;
            let bucket = match &self.bucket {
                Bucket::None => "",
                Bucket::Part(part) => part(&record.value),
                Bucket::Made(make) => {
                    made = make(&record.value);
                    &made
                }
            };
            self.write(&record.value, bucket, now)?;
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Timestamp> {
        let due =
            self.writing.values().filter_map(|writing| self.rolling.due(writing.begun, writing.written));
        due.min()
    }

    fn processing_time(&mut self, now: Timestamp, _: &mut Output<()>) -> Result<(), BoxError> {
        let rolling = self.rolling;
        let is_due =
            |writing: &Writing<S>| rolling.due(writing.begun, writing.written).is_some_and(|due| due <= now);
        let old: Vec<Writing<S>> =
            self.writing.extract_if(|_, writing| is_due(writing)).map(|(_, old)| old).collect();
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
        // The checkpoint that has just been completed does not speak of the files before it.
        let receipts = std::mem::take(&mut self.receipts);
        let resumed = self.opened.as_ref().is_none_or(|opened| opened.run.resumed || epoch > opened.restored);
        for pending in self.pending.extract_if(.., |pending| pending.epoch <= epoch) {
            match pending.publish() {
                Ok(receipt) => self.receipts.push(receipt),
                // Long ago: its readers have taken it.
                Err(error @ FileSinkError::Missing { .. }) if !resumed => {
                    tracing::debug!(%error, "of a savepoint, or an older checkpoint");
                }
                Err(error @ (FileSinkError::Missing { .. } | FileSinkError::Foreign { .. })) => {
                    return Err(Box::new(Fatal(error.into())));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut folders: Vec<&Path> = self.receipts.iter().filter_map(|receipt| receipt.parent()).collect();
        folders.sort_unstable();
        folders.dedup();
        folders.push(&self.folder);
        for path in folders {
            if let Ok(folder) = File::open(path) {
                folder.sync_all().map_err(failed("sync", path))?;
            }
        }
        for receipt in receipts {
            // One that cannot be removed is of no consequence.
            let _ = fs::remove_file(receipt);
        }
        if let Some(opened) =
            self.opened.as_ref().filter(|opened| opened.leftovers && epoch > opened.restored)
        {
            self.remove_leftovers(opened).map_err(failed("clean up", &self.folder))?;
            self.opened.iter_mut().for_each(|opened| opened.leftovers = false);
        }
        reach("published");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
