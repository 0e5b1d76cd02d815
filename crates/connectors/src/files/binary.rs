//! Reads binary files, a record of so many bytes each (Spark's `binaryRecordsStream`).
//!
//! A file is one split, whose position is the number of its next record.

use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::error::{TextFileError, io};
use super::positions::identity;
use super::system::{Entry, FileSystem};
use super::watched::{Watch, Watched};

/// A file, or all files of a folder but those whose names begin with `.` or `_`, as records of the same length.
///
/// ```
/// use thalweg_connectors::files::BinaryRecordsSource;
///
/// let readings = BinaryRecordsSource::new("readings/", 16);
/// # let _ = readings;
/// ```
#[derive(Clone, Debug)]
pub struct BinaryRecordsSource {
    watched: Watched,
    length: usize,
}

impl BinaryRecordsSource {
    /// Reads what is there, `length` bytes a record, then ends.
    pub fn new(path: impl Into<PathBuf>, length: usize) -> Self {
        Self { watched: Watched::new(path.into()), length }
    }

    /// Reads what is there, then looks for new files in the folder every so often, for ever. A file is to appear whole, by a rename.
    #[must_use]
    pub fn monitor_continuously(mut self, every: Duration) -> Self {
        self.watched.every = Some(every);
        self
    }

    /// Passes over the files that are there now, when this is called.
    #[must_use]
    pub fn new_files_only(mut self) -> Self {
        self.watched.pass_over_present();
        self
    }
}

impl Source for BinaryRecordsSource {
    type Item = Vec<u8>;
    type Reader = BinaryRecordsReader;

    fn identity(&self) -> String {
        format!("{}, {} bytes a record", self.watched.path.display(), self.length)
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        if self.length == 0 {
            return Err("records of 0 bytes cannot be read; give the length of a record".into());
        }
        Ok(BinaryRecordsReader {
            length: self.length,
            context: context.clone(),
            watch: Watch::new(&self.watched).map_err(TextFileError::boxed)?,
            files: Vec::new(),
        })
    }
}

/// Reads the files of one subtask.
pub struct BinaryRecordsReader {
    length: usize,
    context: SourceContext,
    watch: Watch,
    files: Vec<OneFile>,
}

/// A file of which `next` of `records` are to be read next.
struct OneFile {
    path: PathBuf,
    /// What its position is kept under.
    identity: String,
    records: u64,
    next: u64,
    split: Option<SplitId>,
    open: Option<BufReader<Box<dyn Read + Send>>>,
}

impl BinaryRecordsReader {
    fn discover(&mut self) -> Result<(), BoxError> {
        for Entry { path, length: bytes, .. } in self.watch.new_files().map_err(TextFileError::boxed)? {
            let name = path.display().to_string();
            let known = self.watch.restored.take(&name, str::is_empty);
            if !self.context.owns_part(&name, 0) {
                continue;
            }
            let length = self.length as u64;
            let passed_over = self.watch.is_passed_over(&path);
            if bytes % length != 0 && !passed_over {
                return Err(format!(
                    "{name} has {bytes} bytes, which is no whole number of records of {length}; give the right length, and let files \
                     appear whole, by a rename"
                )
                .into());
            }
            let records = bytes / length;
            let restored = known.next.get(&name).copied();
            // Of what is passed over nothing is ever read.
            let head = match passed_over {
                true => None,
                false => {
                    let read = restored.unwrap_or(0).saturating_mul(length);
                    Some(known.check(&*self.watch.files, &path, bytes, read).map_err(TextFileError::boxed)?)
                }
            };
            let next = restored.unwrap_or(if passed_over { records } else { 0 });
            let identity = identity(&name, head);
            self.files.push(OneFile { path, identity, records, next, split: None, open: None });
        }
        Ok(())
    }
}

impl OneFile {
    fn read(
        &mut self,
        files: &dyn FileSystem,
        length: usize,
        output: &mut SourceOutput<Vec<u8>>,
    ) -> Result<(), TextFileError> {
        let failed = |error| io(&self.path, error);
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let file = files.open(&self.path, self.next * length as u64).map_err(failed)?;
                none.insert(BufReader::with_capacity(256 << 10, file))
            }
        };
        while output.room() > 0 && self.next < self.records {
            let mut record = vec![0; length];
            open.read_exact(&mut record).map_err(failed)?;
            output.push(record, NO_TIMESTAMP);
            output.weigh(length);
            self.next += 1;
        }
        if self.next == self.records {
            self.open = None;
        }
        Ok(())
    }
}

impl SourceReader for BinaryRecordsReader {
    type Item = Vec<u8>;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        self.watch.open(restored);
        self.discover()
    }

    fn poll(&mut self, output: &mut SourceOutput<Vec<u8>>) -> Result<SourceStatus, BoxError> {
        if self.watch.is_due(self.context.clock.now()) {
            self.discover()?;
        }
        let Some(file) = self.files.iter_mut().find(|file| file.next < file.records) else {
            return Ok(self.watch.at_end());
        };
        let split = *file
            .split
            .get_or_insert_with(|| output.add_split_as(&file.path.display().to_string(), &file.identity));
        let first = file.next;
        file.read(&*self.watch.files, self.length, output).map_err(TextFileError::boxed)?;
        output.origin(split, first, file.next - 1);
        self.context.metrics.bytes.add((file.next - first) * self.length as u64);
        if file.next == file.records {
            output.finish_split(split);
        }
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        let carried = self.watch.restored.carried(|name| self.context.owns_part(name, 0));
        self.files.iter().map(|file| (file.identity.clone(), file.next)).chain(carried).collect()
    }
}
