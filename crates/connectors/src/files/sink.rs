//! Writes text files, a line a record, exactly once.
//!
//! Each subtask writes to a hidden file. At a checkpoint barrier it is synced and closed, and its name goes
//! into the state; when the checkpoint is committed, it is renamed to a `part-` file, which readers see. After
//! a crash a checkpoint's files are renamed once more if need be, and hidden files that belong to none are
//! removed.
//!
//! - **State**: union, `pending`: the files of this and earlier epochs that are to be renamed.
//! - Without checkpoints, files become visible when the job ends.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Data};
use thalweg_dataflow::state::States;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}: {error}; what earlier checkpoints published is untouched")]
pub struct FileSinkError {
    what: &'static str,
    path: PathBuf,
    error: std::io::Error,
}

/// Writes each record as a line of text. See the [module](self).
#[derive(Debug)]
pub struct FileSink<T, F> {
    folder: PathBuf,
    format: F,
    subtask: usize,
    writing: Option<(BufWriter<File>, PathBuf)>,
    files: u64,
    epoch: Epoch,
    pending: Vec<Pending>,
    records: std::marker::PhantomData<fn(T)>,
}

/// A file that is complete but not yet visible.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    epoch: Epoch,
    hidden: PathBuf,
    visible: PathBuf,
}

impl<T, F: Clone> Clone for FileSink<T, F> {
    /// A sink to the same folder that has written nothing yet.
    fn clone(&self) -> Self {
        Self::new(self.folder.clone(), self.format.clone())
    }
}

impl<T, F> FileSink<T, F> {
    /// Writes what `format` makes of a record (it appends the line, without a line end) into `folder`, which is
    /// made if it is not there.
    pub fn new(folder: impl Into<PathBuf>, format: F) -> Self {
        Self {
            folder: folder.into(),
            format,
            subtask: 0,
            writing: None,
            files: 0,
            epoch: 0,
            pending: Vec::new(),
            records: std::marker::PhantomData,
        }
    }

    fn writer(&mut self) -> Result<&mut BufWriter<File>, FileSinkError> {
        if self.writing.is_none() {
            self.files += 1;
            let name = format!("part-{}-{}-{}", self.subtask, self.epoch + 1, self.files);
            let hidden = self.folder.join(format!(".{name}.inprogress"));
            let file = File::create(&hidden).map_err(failed("create", &hidden))?;
            self.writing = Some((BufWriter::with_capacity(64 << 10, file), self.folder.join(name)));
        }
        match &mut self.writing {
            Some((writer, _)) => Ok(writer),
            None => unreachable!("just opened"),
        }
    }

    /// Removes what an earlier run left unfinished: hidden files of epochs after the restored one. Each subtask
    /// looks after its own, and those of subtasks that there are no more.
    fn remove_orphans(&self, context: &OperatorContext) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(stem) = name.strip_prefix(".part-").and_then(|name| name.strip_suffix(".inprogress"))
            else {
                continue;
            };
            let mut numbers = stem.split('-').map(str::parse::<u64>);
            if let (Some(Ok(subtask)), Some(Ok(epoch))) = (numbers.next(), numbers.next())
                && subtask as usize % context.parallelism == self.subtask
                && epoch > context.restored_epoch
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Closes the file being written; it belongs to `epoch`.
    fn close(&mut self, epoch: Epoch) -> Result<(), FileSinkError> {
        if let Some((writer, visible)) = self.writing.take() {
            let hidden = hidden_name(&visible);
            let file = writer.into_inner().map_err(|error| failed("write", &hidden)(error.into_error()))?;
            file.sync_all().map_err(failed("sync", &hidden))?;
            self.pending.push(Pending { epoch, hidden, visible });
        }
        self.epoch = epoch;
        Ok(())
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileSinkError {
    let path = path.to_owned();
    move |error| FileSinkError { what, path, error }
}

fn hidden_name(visible: &Path) -> PathBuf {
    let name = visible.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    visible.with_file_name(format!(".{name}.inprogress"))
}

impl<T, F> Operator for FileSink<T, F>
where
    T: Data,
    F: FnMut(&T, &mut Vec<u8>) + Send + 'static,
{
    type In = T;
    type Out = ();

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.subtask = context.operator.subtask;
        self.epoch = context.restored_epoch;
        fs::create_dir_all(&self.folder).map_err(failed("create", &self.folder))?;
        self.remove_orphans(context).map_err(failed("clean up", &self.folder))?;
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("pending", &mut self.pending);
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let mut line = Vec::with_capacity(256);
        for record in batch.records.drain(..) {
            line.clear();
            (self.format)(&record.value, &mut line);
            line.push(b'\n');
            let path = self.folder.clone();
            self.writer()?.write_all(&line).map_err(failed("write to", &path))?;
        }
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        if barrier.checkpoint || barrier.is_last() {
            self.close(barrier.epoch)?;
        }
        Ok(())
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        for pending in self.pending.extract_if(.., |pending| pending.epoch <= epoch) {
            match fs::rename(&pending.hidden, &pending.visible) {
                Ok(()) => {}
                // Renamed before the crash that we are recovering from.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && pending.visible.exists() => {}
                Err(error) => return Err(failed("publish", &pending.visible)(error).into()),
            }
        }
        if let Ok(folder) = File::open(&self.folder) {
            folder.sync_all().map_err(failed("sync", &self.folder))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thalweg_dataflow::checkpoint::CheckpointStorage;
    use thalweg_dataflow::graph::StreamGraph;
    use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy, run};
    use thalweg_dataflow::source::CollectionSource;
    use thalweg_dataflow::watermark::WatermarkStrategy;

    use super::*;
    use crate::files::source::TextFileSource;

    #[test]
    fn every_record_is_written_once_through_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out");
        let storage = CheckpointStorage::local(folder.path().join("checkpoints")).unwrap();
        let graph = StreamGraph::new();
        let mut seen = 0;
        let crash = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let numbers = graph.source(
            "numbers",
            CollectionSource::new((0..50_000).collect()),
            WatermarkStrategy::no_watermarks(),
        );
        let numbers = numbers.map("crash", move |n: i32| {
            seen += 1;
            if seen % 100 == 0 {
                std::thread::sleep(Duration::from_micros(300));
            }
            assert!(seen != 10_000 || !crash.swap(false, std::sync::atomic::Ordering::SeqCst), "injected");
            n
        });
        numbers.apply(
            "write",
            FileSink::new(&output, |n: &i32, line: &mut Vec<u8>| line.extend(n.to_string().bytes())),
        );
        let config = JobConfig {
            parallelism: 2,
            checkpoint: Some(CheckpointConfig::new(Duration::from_millis(10), storage)),
            restart: Some(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO }),
            ..JobConfig::new("files")
        };
        let result = run(&graph, config).unwrap();
        assert!(result.restarts == 1 && result.epoch > 2, "{} {}", result.restarts, result.epoch);
        let hidden = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
        assert_eq!(fs::read_dir(&output).unwrap().filter(|entry| hidden(entry.as_ref().unwrap())).count(), 0);
        // Read back through our own source, which passes over hidden files.
        let graph = StreamGraph::new();
        let (sender, lines) = std::sync::mpsc::channel();
        let source = graph.source("lines", TextFileSource::new(&output), WatermarkStrategy::no_watermarks());
        source.map("collect", move |line| sender.send(line.parse::<i32>().unwrap()));
        run(&graph, JobConfig::new("read")).unwrap();
        let mut lines: Vec<i32> = lines.try_iter().collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..50_000).collect::<Vec<_>>());
    }
}
