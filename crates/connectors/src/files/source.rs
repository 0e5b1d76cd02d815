//! Reads text files, a line a record.
//!
//! A file is divided into blocks of 32 MiB, which the subtasks read side by side. A line belongs to the block
//! that its first byte lies in. The position of a block is the offset of its next line; so a checkpoint can be
//! restored at any parallelism.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thalweg_dataflow::error::{BoxError, Fatal};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::positions::{Head, Known, byte_before, identity};
use super::watched::{Watch, Watched};

const BLOCK: u64 = 32 << 20;
const READ_SIZE: usize = 256 << 10;
/// A line must fit into memory; one above this is not text.
const LONGEST_LINE: usize = 64 << 20;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TextFileError {
    /// It cannot be opened or read.
    #[error("cannot read {path}: {error}; check that it exists and may be read")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is not UTF-8.
    #[error("{path}: the line at byte {offset} is not UTF-8; convert the file to UTF-8")]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
        /// Where its line begins.
        offset: u64,
    },
    /// A line does not end.
    #[error("{path}: the line at byte {offset} is longer than {LONGEST_LINE} bytes; it seems not to be text")]
    LineTooLong {
        /// Which file.
        path: PathBuf,
        /// Where its line begins.
        offset: u64,
    },
    /// Another file has taken its place since a checkpoint.
    #[error(
        "{path} is another file than when the checkpoint was taken: it begins otherwise. Give new files names of their own; to read what is \
         there now from its beginning, give the source another uid"
    )]
    Replaced {
        /// Which file.
        path: PathBuf,
    },
    /// More was written to a line that had been read already.
    #[error(
        "{path}: the line before byte {offset} was read when it was not complete; let files appear whole, by a rename, or write whole lines"
    )]
    Unfinished {
        /// Which file.
        path: PathBuf,
        /// Where the line seemed to end.
        offset: u64,
    },
    /// A file has become shorter since a checkpoint.
    #[error(
        "{path} is shorter than when the checkpoint was taken; files must not be changed while they are read"
    )]
    Shrunk {
        /// Which file.
        path: PathBuf,
    },
}

impl TextFileError {
    /// As the engine wants it: what a restart cannot mend is marked as such.
    pub(super) fn boxed(self) -> BoxError {
        match self {
            Self::Io { .. } => Box::new(self),
            _ => Box::new(Fatal(Box::new(self))),
        }
    }
}

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
        let watch = Watch::new(&self.watched);
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
    end: u64,
    /// Where the next line begins.
    next: u64,
    split: Option<SplitId>,
    open: Option<OpenFile>,
    done: bool,
}

struct OpenFile {
    file: File,
    buffer: Vec<u8>,
    /// What of the buffer has been handed out.
    taken: usize,
    at_end: bool,
}

impl<L> TextFileReader<L> {
    fn discover(&mut self) -> Result<(), TextFileError> {
        for path in self.watch.new_files()? {
            let length = std::fs::metadata(&path).map_err(|error| io(&path, error))?.len();
            let file = path.display().to_string();
            let known = self.watch.restored.take(&file, |rest| block_start(rest).is_some());
            let passed_over = self.watch.is_passed_over(&path);
            let own =
                (0..length.div_ceil(BLOCK)).filter(|index| self.context.owns_part(&file, *index as usize));
            let own: Vec<u64> = own.collect();
            if own.is_empty() && known.next.is_empty() {
                continue;
            }
            // Of what is passed over nothing is ever read.
            let head = if passed_over { None } else { Some(check(&known, &path, length)?) };
            for index in own {
                let (start, end) = (index * BLOCK, length.min((index + 1) * BLOCK));
                let name = format!("{file}@{start}");
                let known = known.next.get(&name).copied().or(passed_over.then_some(end));
                let next = known.unwrap_or(start);
                let (path, done) = (Arc::from(path.as_path()), known.is_some() && next >= end);
                let identity = identity(&name, head);
                self.blocks.push(Block { name, identity, path, end, next, split: None, open: None, done });
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
fn check(known: &Known, path: &Path, length: u64) -> Result<Head, TextFileError> {
    let read = known.next.values().copied().max().unwrap_or(0);
    let head = known.check(path, length, read)?;
    // Whether all of it had been read, and the last line of it has become longer. A block may end within a line.
    if read < length && !read.is_multiple_of(BLOCK) && byte_before(path, read)? != b'\n' {
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
        block.read(output).map_err(TextFileError::boxed)?;
        output.origin(split, first, block.next);
        self.context.metrics.bytes.add(block.next - first);
        if block.done {
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
    fn read<L: Line>(&mut self, output: &mut SourceOutput<L>) -> Result<(), TextFileError> {
        if self.open.is_none() {
            self.open = Some(self.open_at_line()?);
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
                    open.fill().map_err(|error| io(&self.path, error))?;
                    continue;
                }
            };
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
    fn open_at_line(&mut self) -> Result<OpenFile, TextFileError> {
        let failed = |error| io(&self.path, error);
        let mut file = File::open(&self.path).map_err(failed)?;
        // At the start of a block, unless a line has been read from it, the line before it may reach in: it
        // begins after the first line end at or behind the byte before the block.
        let at_start = self.next.is_multiple_of(BLOCK) && self.next > 0;
        let from = if at_start { self.next - 1 } else { self.next };
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
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

impl OpenFile {
    /// Reads more behind what has not been taken yet.
    fn fill(&mut self) -> std::io::Result<()> {
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

pub(super) fn io(path: &Path, error: std::io::Error) -> TextFileError {
    TextFileError::Io { path: path.to_owned(), error }
}

/// The file itself, or the files of the folder, sorted.
pub(super) fn files(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, TextFileError> {
    let metadata = std::fs::metadata(path).map_err(|error| io(path, error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| io(path, error))? {
        let entry = entry.map_err(|error| io(path, error))?;
        let hidden = entry.file_name().to_string_lossy().starts_with(['.', '_']);
        if hidden {
            continue;
        }
        match entry.path() {
            path if path.is_file() => files.push(path),
            path if recursive && path.is_dir() => files.extend(self::files(&path, true)?),
            _ => {}
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use thalweg_dataflow::checkpoint::CheckpointStorage;
    use thalweg_dataflow::graph::StreamGraph;
    use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, run};
    use thalweg_dataflow::watermark::WatermarkStrategy;

    use super::*;

    fn read(path: &Path, parallelism: usize) -> Result<Vec<String>, String> {
        let graph = StreamGraph::new();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = lines.clone();
        let source = graph.source("lines", TextFileSource::new(path), WatermarkStrategy::no_watermarks());
        let _ = source.map("collect", move |line| sink.lock().unwrap().push(line));
        run(&graph, JobConfig { parallelism, ..JobConfig::new("files") })
            .map_err(|error| error.to_string())?;
        Ok(std::mem::take(&mut *lines.lock().unwrap()))
    }

    #[test]
    fn every_line_of_every_block_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        // Lines of odd length, so that blocks end within lines; and one that ends exactly with a block.
        let mut text = String::new();
        for i in 0_u64.. {
            text.push_str(&format!("line {i} {}\n", "x".repeat((i % 977) as usize)));
            if text.len() as u64 > BLOCK - 1000 {
                text.push_str(&"y".repeat(BLOCK as usize - text.len() - 1));
                text.push('\n');
                break;
            }
        }
        assert_eq!(text.len() as u64, BLOCK);
        text.push_str("behind the block\r\nno line end");
        std::fs::write(folder.path().join("a.txt"), &text).unwrap();
        std::fs::write(folder.path().join("_temporary"), "not to be read\n").unwrap();
        let expected: Vec<&str> = text.lines().collect();
        for parallelism in [1, 2] {
            let mut lines = read(folder.path(), parallelism).unwrap();
            let mut expected = expected.clone();
            if parallelism > 1 {
                lines.sort();
                expected.sort();
            }
            assert_eq!(lines.len(), expected.len());
            assert!(lines == expected);
        }
    }

    #[test]
    fn a_line_may_be_longer_than_a_block() {
        let folder = tempfile::tempdir().unwrap();
        let long = "z".repeat(BLOCK as usize + 100);
        std::fs::write(folder.path().join("a.txt"), format!("{long}\nshort\n")).unwrap();
        let mut lines = read(folder.path(), 2).unwrap();
        lines.sort_by_key(String::len);
        assert!(lines[0] == "short" && lines[1] == long && lines.len() == 2);
    }

    /// The lines that are read by a job that goes on from its checkpoint.
    fn go_on(path: &Path, checkpoints: &Path, parallelism: usize) -> Result<Vec<String>, String> {
        let graph = StreamGraph::new();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = lines.clone();
        let source = graph.source("lines", TextFileSource::new(path), WatermarkStrategy::no_watermarks());
        let _ = source.map("collect", move |line| sink.lock().unwrap().push(line));
        let storage = CheckpointStorage::local(checkpoints).unwrap();
        let checkpoint = CheckpointConfig::new(Duration::from_millis(20), storage);
        let config = JobConfig { parallelism, checkpoint: Some(checkpoint), ..JobConfig::new("files") };
        run(&graph, config).map_err(|error| error.to_string())?;
        let mut lines = std::mem::take(&mut *lines.lock().unwrap());
        lines.sort();
        Ok(lines)
    }

    #[test]
    fn a_file_that_took_the_place_of_another_is_told_from_it() {
        let (folder, checkpoints) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, other) = (folder.path().join("a.txt"), folder.path().join("b.txt"));
        let go_on = |parallelism| go_on(folder.path(), checkpoints.path(), parallelism);
        std::fs::write(&path, "one\ntwo\n").unwrap();
        std::fs::write(&other, "other\n").unwrap();
        assert_eq!(go_on(1).unwrap(), ["one", "other", "two"]);
        // What is added is read.
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(go_on(2).unwrap(), ["three"]);
        for (anew, why) in [
            ("ONE\ntwo\nthree\nfour\n", "is another file than when the checkpoint was taken"),
            ("one\n", "is shorter than when the checkpoint was taken"),
            ("", "is shorter than when the checkpoint was taken"),
        ] {
            std::fs::write(&path, anew).unwrap();
            let error = go_on(2).unwrap_err();
            assert!(error.contains(why) && error.contains("a.txt"), "{error}");
        }
        // A file that is away for one restart is not read anew at the next.
        std::fs::remove_file(&path).unwrap();
        assert_eq!(go_on(2).unwrap(), [""; 0]);
        assert_eq!(go_on(1).unwrap(), [""; 0]);
        std::fs::write(&path, "one\ntwo\nthree\nfour").unwrap();
        assert_eq!(go_on(2).unwrap(), ["four"]);
        std::fs::write(&path, "one\ntwo\nthree\nfourteen\n").unwrap();
        let error = go_on(1).unwrap_err();
        assert!(error.contains("the line before byte 18 was read when it was not complete"), "{error}");
    }

    #[test]
    fn errors_name_the_file_and_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere");
        assert!(read(&missing, 1).unwrap_err().contains("nowhere"));
        std::fs::write(folder.path().join("bytes"), b"fine\n\xff\xfe\n").unwrap();
        let error = read(folder.path(), 1).unwrap_err();
        assert!(error.contains("line at byte 5 is not UTF-8"), "{error}");
    }
}
