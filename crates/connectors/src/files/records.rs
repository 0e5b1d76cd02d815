//! Reads files whose records are not lines: from the beginning of each to its end (Flink's `FileSource` of a `StreamFormat`).
//!
//! A file is one split, read by one subtask; its position is how many of its records were handed on. After a restart it is read again up to there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_dataflow::error::{BoxError, Fatal};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::compression::Compression;
use super::error::{TextFileError, io};
use super::format::{FileToRead, StreamFormat, StreamReader};
use super::positions::{READ, identity};
use super::system::{Entry, FileSystem};
use super::watched::{Watch, Watched};
use crate::contract::{Guarantee, Promise, without_credentials};

/// A file, or all files of a folder but those whose names begin with `.` or `_`, of this machine or of a [store](crate::store), as records of a format.
///
/// A file that is compressed is known by the end of its name, as [`Compression`] has it.
///
/// ```
/// use thalweg_connectors::files::FileSource;
/// use thalweg_connectors::files::format::CsvReaderFormat;
///
/// let rows = FileSource::for_record_stream_format(CsvReaderFormat::<(String, u64)>::new(), "counts/*.csv");
/// # let _ = rows;
/// ```
#[derive(Clone)]
pub struct FileSource<F> {
    watched: Watched,
    format: F,
}

impl<F: StreamFormat> FileSource<F> {
    /// Reads what is there, then ends.
    pub fn for_record_stream_format(format: F, path: impl Into<PathBuf>) -> Self {
        Self { watched: Watched::new(path.into()), format }
    }

    /// Files in folders of the folder are read, too, at any depth.
    #[must_use]
    pub fn recursively(mut self) -> Self {
        self.watched.recursive = true;
        self
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

    /// The files are compressed like that, whatever their names end with.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.watched.compression = Some(compression);
        self
    }

    /// The path is one in `files`, which is not found by its scheme.
    #[must_use]
    pub fn on(mut self, files: impl FileSystem) -> Self {
        self.watched.on(Arc::new(files));
        self
    }
}

impl<F> fmt::Debug for FileSource<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.watched.path.to_string_lossy();
        f.debug_struct("FileSource").field("path", &without_credentials(&path)).finish_non_exhaustive()
    }
}

impl<F: StreamFormat> Promise for FileSource<F> {
    fn place(&self) -> String {
        without_credentials(&self.watched.path.to_string_lossy()).into_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "files can be read again from any position, as long as they are not changed".to_owned()
    }
}

impl<F: StreamFormat> Source for FileSource<F> {
    type Item = F::Item;
    type Reader = FileSourceReader<F>;

    fn identity(&self) -> String {
        format!("{}, {}", without_credentials(&self.watched.path.to_string_lossy()), self.format.name())
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        Ok(FileSourceReader {
            format: self.format.clone(),
            context: context.clone(),
            watch: Watch::new(&self.watched).map_err(TextFileError::boxed)?,
            files: Vec::new(),
        })
    }
}

/// Reads the files of one subtask.
pub struct FileSourceReader<F: StreamFormat> {
    format: F,
    context: SourceContext,
    watch: Watch,
    files: Vec<OneFile<F::Reader>>,
}

/// A file of which record `next` is to be read next.
struct OneFile<R> {
    path: PathBuf,
    /// What its position is kept under.
    identity: String,
    length: u64,
    compression: Compression,
    next: u64,
    split: Option<SplitId>,
    open: Option<R>,
}

impl<F: StreamFormat> FileSourceReader<F> {
    fn discover(&mut self) -> Result<(), TextFileError> {
        for Entry { path, length, .. } in self.watch.new_files()? {
            let name = path.display().to_string();
            let known = self.watch.restored.take(&name, str::is_empty);
            if !self.context.owns_part(&name, 0) {
                continue;
            }
            let passed_over = self.watch.is_passed_over(&path);
            let next = known.next.get(&name).copied().unwrap_or(if passed_over { READ } else { 0 });
            // Of what is passed over nothing is ever read.
            let head = match passed_over {
                true => None,
                false => Some(known.check(&*self.watch.files, &path, length, 0)?),
            };
            let identity = identity(&name, head);
            let compression = self.watch.compression(&path);
            // An empty file is in no format, and has no records in any.
            let next = if length == 0 { READ } else { next };
            self.files.push(OneFile { path, identity, length, compression, next, split: None, open: None });
        }
        Ok(())
    }
}

impl<R: StreamReader> OneFile<R> {
    fn read<F: StreamFormat<Item = R::Item, Reader = R>>(
        &mut self,
        files: &Arc<dyn FileSystem>,
        format: &F,
        output: &mut SourceOutput<R::Item>,
    ) -> Result<(u64, usize), BoxError> {
        self.try_read(files, format, output).map_err(|error| {
            let record = self.next;
            let of_its_bytes =
                matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof);
            let path = self.path.display();
            match of_its_bytes {
                // A restart cannot mend it.
                true => Box::new(Fatal(
                    format!("{path}: record {record} cannot be read as {}: {error}", format.name()).into(),
                )),
                false => io(&self.path, error).boxed(),
            }
        })
    }

    fn try_read<F: StreamFormat<Item = R::Item, Reader = R>>(
        &mut self,
        files: &Arc<dyn FileSystem>,
        format: &F,
        output: &mut SourceOutput<R::Item>,
    ) -> std::io::Result<(u64, usize)> {
        let Self { path, length, compression, open, .. } = self;
        let open = match open {
            Some(open) => open,
            none => {
                let (files, path) = (files.clone(), path.clone());
                let file = FileToRead { files, path, length: *length, compression: *compression };
                let mut open = format.open_file(file)?;
                for _ in 0..self.next {
                    if !open.skip()? {
                        break;
                    }
                }
                none.insert(open)
            }
        };
        let (mut records, mut bytes) = (0, 0);
        while output.room() > 0 {
            let Some((record, length)) = open.read()? else {
                (self.next, self.open) = (READ, None);
                break;
            };
            output.push(record, NO_TIMESTAMP);
            output.weigh(length);
            bytes += length;
            records += 1;
            self.next += 1;
        }
        Ok((records, bytes))
    }
}

impl<F: StreamFormat> SourceReader for FileSourceReader<F> {
    type Item = F::Item;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        self.watch.open(restored);
        self.discover().map_err(TextFileError::boxed)
    }

    fn poll(&mut self, output: &mut SourceOutput<F::Item>) -> Result<SourceStatus, BoxError> {
        if self.watch.is_due(self.context.clock.now()) {
            self.discover().map_err(TextFileError::boxed)?;
        }
        let Some(file) = self.files.iter_mut().find(|file| file.next != READ) else {
            return Ok(self.watch.at_end());
        };
        let split = *file
            .split
            .get_or_insert_with(|| output.add_split_as(&file.path.display().to_string(), &file.identity));
        let first = file.next;
        let (records, bytes) = file.read(&self.watch.files, &self.format, output)?;
        output.origin(split, first, (first + records).saturating_sub(1));
        self.context.metrics.bytes.add(bytes as u64);
        if file.next == READ {
            output.finish_split(split);
        }
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        let carried = self.watch.restored.carried(|name| self.context.owns_part(name, 0));
        self.files.iter().map(|file| (file.identity.clone(), file.next)).chain(carried).collect()
    }
}
