//! Follows a file that grows, as `tail -F` does, over its rotation.
//!
//! One subtask reads. A line that is not complete waits for its end. When the file is renamed and another one takes its place (`logrotate`'s default), the old one is read to
//! its end first; when it is emptied in place (`copytruncate`), reading begins at its start.
//!
//! - **Guarantee**: exactly once, over rotations by renaming. The position is an offset, and how the file begins; a job that comes back looks for the file that begins so, under its
//!   name and beside it under names that begin with its name (`app.log.1`, `app.log-20261129`), reads the rest of it, then those that were written after it. Rotated files must
//!   therefore stay, uncompressed, for as long as the job may be down (`delaycompress`); one that is not to be found is told, and never passed over.
//! - With `copytruncate`, what was written between the last look and the emptying is lost, as by any other reader.
//! - **Failure**: a file that is not there (yet) is waited for.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::error::{BoxError, Fatal};
use thalweg_dataflow::hash::key_hash;
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::{NO_TIMESTAMP, millis};

use super::error::{LONGEST_LINE, TextFileError, io as failed};
use crate::contract::{ConnectorMetrics, Guarantee, Promise};

/// So much of a file says which one it is.
const HEAD: usize = 1024;

/// So much is read at once.
const READ_SIZE: usize = 64 << 10;

/// The lines of a file that grows, for ever. See the [module](self).
///
/// ```
/// use std::time::Duration;
///
/// use thalweg_connectors::files::TailSource;
///
/// let log = TailSource::new("/var/log/app.log").look_every(Duration::from_millis(200));
/// # let _ = log;
/// ```
#[derive(Clone, Debug)]
pub struct TailSource {
    path: PathBuf,
    every: Duration,
    from_end: bool,
}

impl TailSource {
    /// Reads what is in the file, then what is added.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every: Duration::from_millis(500), from_end: false }
    }

    /// How often to look for more. Default: every half a second.
    #[must_use]
    pub fn look_every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// A job that begins anew passes over what is in the file when it starts.
    #[must_use]
    pub fn new_lines_only(mut self) -> Self {
        self.from_end = true;
        self
    }
}

impl Promise for TailSource {
    fn place(&self) -> String {
        format!("the file {}", self.path.display())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "rotated files are found by how they begin, as long as they are kept".to_owned()
    }
}

impl Source for TailSource {
    type Item = String;
    type Reader = TailReader;

    fn identity(&self) -> String {
        format!("tail {}", self.path.display())
    }

    fn reader(&self, context: &SourceContext) -> Result<TailReader, BoxError> {
        Ok(TailReader {
            source: context.owns(0).then(|| self.clone()),
            metrics: ConnectorMetrics::of(&context.metrics),
            context: context.clone(),
            current: None,
            next: Vec::new(),
            position: TailPosition::default(),
            split: None,
        })
    }
}

/// Where in which file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailPosition {
    /// Where the next line begins.
    offset: u64,
    /// How the file begins: so many bytes, and their hash.
    head_length: u64,
    head_hash: u64,
}

/// Follows the file.
pub struct TailReader {
    /// `None` where another subtask does.
    source: Option<TailSource>,
    metrics: ConnectorMetrics,
    context: SourceContext,
    current: Option<Open>,
    /// Files that come after the current one, the last first.
    next: Vec<PathBuf>,
    position: TailPosition,
    split: Option<SplitId>,
}

struct Open {
    file: File,
    path: PathBuf,
    /// Which file it is for the system.
    id: (u64, u64),
    buffer: Vec<u8>,
    /// Where the buffer begins, in the file.
    offset: u64,
    /// The first bytes of it.
    head: Vec<u8>,
}

impl Open {
    fn at(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut head = Vec::new();
        (&file).take(HEAD as u64).read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(offset))?;
        let (path, id) = (path.to_owned(), (metadata.dev(), metadata.ino()));
        Ok(Self { file, path, id, buffer: Vec::new(), offset, head })
    }

    /// Reads more; `false` if there is none at present.
    fn fill(&mut self) -> io::Result<bool> {
        let length = self.buffer.len();
        self.buffer.resize(length + READ_SIZE, 0);
        let read = self.file.read(&mut self.buffer[length..]);
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }

    /// Takes a line that has so many bytes with its end.
    fn take(&mut self, length: usize) -> Vec<u8> {
        let line: Vec<u8> = self.buffer.drain(..length).collect();
        // As far as the file was there when it was opened, its head is known.
        let (from, to) = (self.head.len() as u64, (self.offset + length as u64).min(HEAD as u64));
        if from < to {
            self.head.extend_from_slice(&line[(from - self.offset) as usize..(to - self.offset) as usize]);
        }
        self.offset += length as u64;
        line
    }

    fn position(&self) -> TailPosition {
        let (head_length, head_hash) = (self.head.len() as u64, key_hash(&self.head[..]));
        TailPosition { offset: self.offset, head_length, head_hash }
    }
}

impl TailPosition {
    /// Whether a file is the one that it is about.
    fn is_in(&self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        if file.metadata()?.len() < self.offset.max(self.head_length) {
            return Ok(false);
        }
        let mut head = Vec::new();
        file.take(self.head_length).read_to_end(&mut head)?;
        Ok(head.len() as u64 == self.head_length && key_hash(&head[..]) == self.head_hash)
    }
}

/// The file and those that it has been rotated to, the oldest first, with when they were written last.
fn generations(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_one = entry.file_name().as_encoded_bytes().starts_with(name.as_encoded_bytes());
        // One that has just been renamed again is found under its next name.
        if let (true, Ok(metadata)) = (is_one, entry.metadata())
            && metadata.is_file()
        {
            // What has its name is the newest, whatever the clock says.
            found.push((entry.path() == path, metadata.modified()?, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, _, path)| path).collect())
}

impl TailReader {
    /// Opens the file that is to be read next, if there is one.
    fn open_next(&mut self, path: &Path) -> io::Result<bool> {
        let next = self.next.pop().unwrap_or_else(|| path.to_owned());
        match Open::at(&next, 0) {
            Ok(open) => self.current = Some(open),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Hands on the complete lines that are in the buffer, or all there is at the end of a file.
    fn lines(
        open: &mut Open,
        is_whole: bool,
        output: &mut SourceOutput<String>,
    ) -> Result<(), TextFileError> {
        while output.room() > 0 && !open.buffer.is_empty() {
            let length = match memchr::memchr(b'\n', &open.buffer) {
                Some(end) => end + 1,
                None if is_whole => open.buffer.len(),
                None if open.buffer.len() > LONGEST_LINE => {
                    return Err(TextFileError::LineTooLong { path: open.path.clone(), offset: open.offset });
                }
                None => break,
            };
            let offset = open.offset;
            let line = open.take(length);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = std::str::from_utf8(line)
                .map_err(|_| TextFileError::NotUtf8 { path: open.path.clone(), offset })?;
            output.push(line.to_owned(), NO_TIMESTAMP);
            output.weigh(length);
        }
        Ok(())
    }

    /// What has become of the file that has been read to its end: whether another one follows, or it begins anew.
    fn is_over(&mut self, path: &Path) -> io::Result<bool> {
        let Some(open) = &mut self.current else { return Ok(false) };
        if !self.next.is_empty() {
            return Ok(true);
        }
        let now = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            now => now?,
        };
        if (now.dev(), now.ino()) == open.id {
            if now.len() < open.offset + open.buffer.len() as u64 {
                // Emptied in place.
                *open = Open::at(path, 0)?;
            }
            return Ok(false);
        }
        // It was rotated, perhaps more than once since the last look.
        let generations = generations(path)?;
        let ids: Vec<Option<(u64, u64)>> = generations
            .iter()
            .map(|path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino())))
            .collect();
        let own = ids.iter().position(|id| *id == Some(open.id));
        self.next = match own {
            Some(own) => generations[own + 1..].iter().rev().cloned().collect(),
            // It was removed.
            None => vec![path.to_owned()],
        };
        Ok(!self.next.is_empty())
    }
}

impl SourceReader for TailReader {
    type Item = String;
    type Position = TailPosition;

    fn open(&mut self, restored: Option<Vec<(String, TailPosition)>>) -> Result<(), BoxError> {
        let Some(source) = &self.source else { return Ok(()) };
        let path = &source.path;
        let io = |error| failed(path, error);
        let Some((_, position)) = restored.iter().flatten().next() else {
            if source.from_end && restored.is_none() {
                let length = match fs::metadata(path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    metadata => metadata.map_err(io)?.len(),
                };
                self.current = Some(Open::at(path, length).map_err(io)?);
            }
            return Ok(());
        };
        self.position = *position;
        if position.offset == 0 && position.head_length == 0 {
            return Ok(());
        }
        let generations = generations(path).map_err(io)?;
        // The newest of those that begin so: nothing tells apart files that begin alike.
        for (index, generation) in generations.iter().enumerate().rev() {
            if position.is_in(generation).map_err(io)? {
                self.current = Some(Open::at(generation, position.offset).map_err(io)?);
                self.next = generations[index + 1..].iter().rev().cloned().collect();
                return Ok(());
            }
        }
        let error = format!(
            "{}: the file that was read when the checkpoint was taken is neither there nor among those that it was rotated to ({} beside it begin with its name): \
             put it back; or, if its lines can be done without, give the source another uid, to read what is there now from its beginning",
            path.display(),
            generations.len()
        );
        Err(Box::new(Fatal(error.into())))
    }

    fn poll(&mut self, output: &mut SourceOutput<String>) -> Result<SourceStatus, BoxError> {
        let Some(source) = self.source.clone() else { return Ok(SourceStatus::End) };
        let path = &source.path;
        let io = |error| failed(path, error);
        let split = *self.split.get_or_insert_with(|| output.add_split(&path.display().to_string()));
        let idle = SourceStatus::Idle { until: Some(self.context.clock.now() + millis(source.every)) };
        if self.current.is_none() && !self.open_next(path).map_err(io)? {
            return Ok(idle);
        }
        let Some(open) = &mut self.current else { return Ok(idle) };
        let first = open.offset;
        Self::lines(open, false, output).map_err(TextFileError::boxed)?;
        let mut more = true;
        while output.room() > 0 && more {
            more = open.fill().map_err(io)?;
            Self::lines(open, false, output).map_err(TextFileError::boxed)?;
        }
        if !more && output.is_empty() && self.is_over(path).map_err(io)? {
            let Some(open) = &mut self.current else { return Ok(idle) };
            // What was written before it was renamed, and after it was last read.
            while open.fill().map_err(io)? {}
            Self::lines(open, true, output).map_err(TextFileError::boxed)?;
            self.metrics.bytes(open.offset - first);
            if open.buffer.is_empty() {
                self.open_next(path).map_err(io)?;
            }
            return Ok(SourceStatus::Ready);
        }
        let Some(open) = &self.current else { return Ok(idle) };
        if output.is_empty() {
            return Ok(idle);
        }
        self.metrics.bytes(open.offset - first);
        output.origin(split, first, open.offset);
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, TailPosition)> {
        let Some(source) = &self.source else { return Vec::new() };
        if let Some(open) = &self.current {
            self.position = open.position();
        }
        vec![(source.path.display().to_string(), self.position)]
    }
}
