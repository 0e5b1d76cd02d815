//! Reads text files, a line a record.
//!
//! A file is divided into blocks of 32 MiB, which the subtasks read side by side. A line belongs to the block
//! that its first byte lies in. The position of a block is the offset of its next line; so a checkpoint can be
//! restored at any parallelism. A [compressed](Compression) file is one block. A byte order mark of UTF-8 is not part of the text.
//!
//! - **Guarantee**: exactly once. A file is not to be changed once it is there, but may grow by whole lines while the job is down; one that became another is
//!   told from the one that was read by its first 4 KiB, and refused.
//! - **Where**: on this machine, or in any [file system](super::system): `s3://…`, `hdfs://…`.

use std::io::{self, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::compression::Compression;
use super::error::{LONGEST_LINE, TextFileError, io};
use super::positions::{Head, Known, READ, byte_before, identity};
use super::system::{Entry, FileSystem};
use super::watched::{Watch, Watched};

const BLOCK: u64 = 32 << 20;
const READ_SIZE: usize = 256 << 10;

/// A file, or all files of a folder, as lines without their line ends.
///
/// Names that begin with `.` or `_` are passed over, as the field does: they are files that are still being written.
///
/// `L` is what a line becomes: a `String`, or a [`LineOf`] that knows its file.
#[derive(Debug)]
pub struct TextFileSource<L = String> {
    watched: Watched,
    lines: PhantomData<fn() -> L>,
}

/// What a line of a file becomes.
pub trait Line: Send + 'static {
    /// The line, without its end, of that file.
    fn of(file: &Arc<Path>, line: &str) -> Self;
}

impl Line for String {
    fn of(_: &Arc<Path>, line: &str) -> Self {
        line.to_owned()
    }
}

/// A line, and the file that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineOf {
    /// The file.
    pub file: Arc<Path>,
    /// The line, without its end.
    pub line: String,
}

impl Line for LineOf {
    fn of(file: &Arc<Path>, line: &str) -> Self {
        Self { file: file.clone(), line: line.to_owned() }
    }
}

impl<L> Clone for TextFileSource<L> {
    fn clone(&self) -> Self {
        Self { watched: self.watched.clone(), lines: PhantomData }
    }
}

impl TextFileSource {
    /// Reads what is there, then ends.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { watched: Watched::new(path.into()), lines: PhantomData }
    }
}

impl<L> TextFileSource<L> {
    /// Each line comes with its file.
    #[must_use]
    pub fn with_files(self) -> TextFileSource<LineOf> {
        TextFileSource { watched: self.watched, lines: PhantomData }
    }

    /// Files in folders of the folder are read, too, at any depth.
    #[must_use]
    pub fn recursively(mut self) -> Self {
        self.watched.recursive = true;
        self
    }

    /// Reads what is there, then looks for new files in the folder every so often, for ever. A file is to
    /// appear whole, by a rename.
    #[must_use]
    pub fn monitor_continuously(mut self, every: Duration) -> Self {
        self.watched.every = Some(every);
        self
    }

    /// Files that appear together are read in the order in which they were written last, the oldest first. Without this they are read
    /// by name. Subtasks read side by side, so it is an order within each.
    #[must_use]
    pub fn sorted_by_time(mut self) -> Self {
        self.watched.by_time = true;
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

    /// Passes over the files that are there now, when this is called; they are part of the first checkpoint, and so stay passed over.
    /// A job that begins at a checkpoint reads what has come since that was taken.
    #[must_use]
    pub fn new_files_only(mut self) -> Self {
        self.watched.pass_over_present();
        self
    }
}

impl<L: Line> Source for TextFileSource<L> {
    type Item = L;
    type Reader = TextFileReader<L>;

    fn identity(&self) -> String {
        self.watched.path.display().to_string()
    }

    fn reader(&self, context: &SourceContext) -> Result<TextFileReader<L>, BoxError> {
        let watch = Watch::new(&self.watched).map_err(TextFileError::boxed)?;
        Ok(TextFileReader { context: context.clone(), watch, blocks: Vec::new(), lines: PhantomData })
    }
}

/// Reads the blocks of one subtask.
pub struct TextFileReader<L = String> {
    lines: PhantomData<fn() -> L>,
    context: SourceContext,
    watch: Watch,
    /// Blocks of this subtask, in the order of discovery; the first unfinished one is read.
    blocks: Vec<Block>,
}

/// One block of a file.
struct Block {
    name: String,
    /// What its position is kept under.
    identity: String,
    path: Arc<Path>,
    compression: Compression,
    /// Where the last line begins before, if it is not compressed.
    end: u64,
    /// Where the next line begins.
    next: u64,
    split: Option<SplitId>,
    open: Option<OpenFile>,
    done: bool,
}

struct OpenFile {
    file: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of the buffer has been handed out.
    taken: usize,
    at_end: bool,
}

impl<L> TextFileReader<L> {
    fn discover(&mut self) -> Result<(), TextFileError> {
        for Entry { path, length, .. } in self.watch.new_files()? {
            let file = path.display().to_string();
            let known = self.watch.restored.take(&file, |rest| block_start(rest).is_some());
            let passed_over = self.watch.is_passed_over(&path);
            let compression = self.watch.compression(&path);
            let (blocks, file_ends) = match compression {
                Compression::None => (length.div_ceil(BLOCK), length),
                // An empty file is no text that is compressed.
                _ => (length.min(1), READ),
            };
            let own = (0..blocks).filter(|index| self.context.owns_part(&file, *index as usize));
            let own: Vec<u64> = own.collect();
            if own.is_empty() && known.next.is_empty() {
                continue;
            }
            // Of what is passed over nothing is ever read.
            let head = match (passed_over, compression) {
                (true, _) => None,
                (false, Compression::None) => Some(check(&*self.watch.files, &known, &path, length)?),
                // Its positions are none of the file.
                (false, _) => Some(known.check(&*self.watch.files, &path, length, 0)?),
            };
            for index in own {
                let start = index * BLOCK;
                let end =
                    if compression == Compression::None { file_ends.min(start + BLOCK) } else { file_ends };
                let name = format!("{file}@{start}");
                let known = known.next.get(&name).copied().or(passed_over.then_some(end));
                let next = known.unwrap_or(start);
                let (path, done) = (Arc::from(path.as_path()), known.is_some() && next >= end);
                let identity = identity(&name, head);
                let (split, open) = (None, None);
                self.blocks.push(Block { name, identity, path, compression, end, next, split, open, done });
            }
        }
        Ok(())
    }
}

/// Where the block begins whose name is that of its file, and then this.
fn block_start(rest: &str) -> Option<u64> {
    rest.strip_prefix('@')?.parse().ok()
}

/// Makes sure that a file is the one that is known, and returns how it begins.
fn check(files: &dyn FileSystem, known: &Known, path: &Path, length: u64) -> Result<Head, TextFileError> {
    let read = known.next.values().copied().max().unwrap_or(0);
    let head = known.check(files, path, length, read)?;
    // Whether all of it had been read, and the last line of it has become longer. A block may end within a line.
    if read < length && !read.is_multiple_of(BLOCK) && byte_before(files, path, read)? != b'\n' {
        return Err(TextFileError::Unfinished { path: path.to_owned(), offset: read });
    }
    Ok(head)
}

impl<L: Line> SourceReader for TextFileReader<L> {
    type Item = L;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        self.watch.open(restored);
        self.discover().map_err(TextFileError::boxed)
    }

    fn poll(&mut self, output: &mut SourceOutput<L>) -> Result<SourceStatus, BoxError> {
        if self.watch.is_due(self.context.clock.now()) {
            self.discover().map_err(TextFileError::boxed)?;
        }
        let Some(block) = self.blocks.iter_mut().find(|block| !block.done) else {
            return Ok(self.watch.at_end());
        };
        let split = *block.split.get_or_insert_with(|| output.add_split_as(&block.name, &block.identity));
        let first = block.next;
        block.read(&*self.watch.files, output).map_err(TextFileError::boxed)?;
        output.origin(split, first, block.next);
        self.context.metrics.bytes.add(block.next - first);
        if block.done {
            // How long a compressed file is, is known now.
            block.next = block.end;
            output.finish_split(split);
        }
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        let is_own = |name: &str| {
            let part =
                name.rsplit_once('@').and_then(|(file, start)| Some((file, start.parse::<u64>().ok()?)));
            part.is_some_and(|(file, start)| self.context.owns_part(file, (start / BLOCK) as usize))
        };
        let position =
            |block: &Block| (block.identity.clone(), if block.done { block.end } else { block.next });
        self.blocks.iter().map(position).chain(self.watch.restored.carried(is_own)).collect()
    }
}

impl Block {
    /// Reads up to a batch of lines.
    fn read<L: Line>(
        &mut self,
        files: &dyn FileSystem,
        output: &mut SourceOutput<L>,
    ) -> Result<(), TextFileError> {
        if self.open.is_none() {
            self.open = Some(self.open_at_line(files)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        while output.room() > 0 {
            if self.next >= self.end {
                self.done = true;
                self.open = None;
                return Ok(());
            }
            let rest = &open.buffer[open.taken..];
            let (line, length) = match memchr::memchr(b'\n', rest) {
                Some(at) => (&rest[..at], at + 1),
                None if open.at_end && rest.is_empty() && self.compression != Compression::None => {
                    self.end = self.next;
                    continue;
                }
                None if open.at_end && rest.is_empty() => {
                    return Err(TextFileError::Shrunk { path: self.path.to_path_buf() });
                }
                None if open.at_end => (rest, rest.len()),
                None if rest.len() > LONGEST_LINE => {
                    return Err(TextFileError::LineTooLong {
                        path: self.path.to_path_buf(),
                        offset: self.next,
                    });
                }
                None => {
                    let filled = open.fill();
                    filled.map_err(|error| unreadable(&self.path, self.compression, self.next, error))?;
                    continue;
                }
            };
            let line = if self.next == 0 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = std::str::from_utf8(line)
                .map_err(|_| TextFileError::NotUtf8 { path: self.path.to_path_buf(), offset: self.next })?;
            output.push(L::of(&self.path, line), NO_TIMESTAMP);
            output.weigh(line.len());
            open.taken += length;
            self.next += length as u64;
        }
        Ok(())
    }

    /// Opens the file where the next line of this block begins.
    fn open_at_line(&mut self, files: &dyn FileSystem) -> Result<OpenFile, TextFileError> {
        let failed = |error| io(&self.path, error);
        if self.compression != Compression::None {
            let file = files.open(&self.path, 0).map_err(failed)?;
            let unreadable = |error| unreadable(&self.path, self.compression, 0, error);
            let mut file = self.compression.open(file).map_err(unreadable)?;
            io::copy(&mut file.by_ref().take(self.next), &mut io::sink()).map_err(unreadable)?;
            return Ok(OpenFile { file, buffer: Vec::new(), taken: 0, at_end: false });
        }
        // At the start of a block, unless a line has been read from it, the line before it may reach in: it
        // begins after the first line end at or behind the byte before the block.
        let at_start = self.next.is_multiple_of(BLOCK) && self.next > 0;
        let from = if at_start { self.next - 1 } else { self.next };
        let file = files.open(&self.path, from).map_err(failed)?;
        let mut open = OpenFile { file, buffer: Vec::new(), taken: 0, at_end: false };
        if at_start {
            let mut skipped = from;
            loop {
                let rest = &open.buffer[open.taken..];
                let line_end = memchr::memchr(b'\n', rest);
                let length = line_end.map_or(rest.len(), |at| at + 1);
                open.taken += length;
                skipped += length as u64;
                if line_end.is_some() || open.at_end || skipped >= self.end {
                    break;
                }
                open.fill().map_err(failed)?;
            }
            self.next = skipped;
        }
        Ok(open)
    }
}

/// What a file may begin with that is text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file that is compressed may be damaged, or be something else.
fn unreadable(path: &Path, compression: Compression, offset: u64, error: io::Error) -> TextFileError {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof, Unsupported};
    let of_its_bytes =
        matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof | Unsupported);
    let of_the_store = error.get_ref().is_some_and(|inner| inner.is::<crate::contract::ConnectorError>());
    if compression == Compression::None || of_the_store || !of_its_bytes {
        return self::io(path, error);
    }
    TextFileError::Compressed { path: path.to_owned(), compression, offset, error }
}

impl OpenFile {
    /// Reads more behind what has not been taken yet.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + READ_SIZE, 0);
        let read = self.file.read(&mut self.buffer[length..])?;
        self.buffer.truncate(length + read);
        self.at_end = read == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
