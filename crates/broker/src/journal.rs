//! A file of small facts, one a line, each with its CRC. What offsets and transactions are rebuilt from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::owner_only;

/// Bytes that a journal may have grown by before it is worth rewriting.
const GROWN: u64 = 4 << 20;

/// Appends entries of one type. In memory it forgets them.
#[derive(Debug)]
pub(crate) struct Journal<E> {
    kept: Option<Kept>,
    entries: PhantomData<fn(E)>,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    file: File,
    len: u64,
    /// Its length when it was rewritten, or 0 since nobody knows.
    shortest: u64,
    /// What a test wants to be true.
    is_full: bool,
}

impl<E: Serialize + DeserializeOwned> Journal<E> {
    /// A journal that keeps nothing.
    pub(crate) fn in_memory() -> Self {
        Self { kept: None, entries: PhantomData }
    }

    /// Hands every whole entry of the file to `apply`, cuts off a torn end, and goes on behind it.
    pub(crate) fn open(path: &Path, apply: impl FnMut(E)) -> io::Result<Self> {
        let file = owner_only::read_write().create(true).truncate(false).open(path)?;
        let whole = file.metadata()?.len();
        let len = replay(Stretch { file: &file, at: 0, end: whole }, apply)?;
        if len < whole {
            tracing::warn!(path = %path.display(), bytes = whole - len, "cut off an incomplete end of the journal");
            file.set_len(len)?;
        }
        let kept = Kept { path: path.to_owned(), file, len, shortest: 0, is_full: false };
        Ok(Self { kept: Some(kept), entries: PhantomData })
    }

    /// The same for a journal in which every change was forced to disk, so that nothing but the last line can be torn.
    /// Anything else that is wrong is damage, and an error: what follows it would be lost.
    pub(crate) fn open_whole(path: &Path, apply: impl FnMut(E)) -> io::Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        for (n, line) in lines.enumerate().filter(|(_, line)| line.ends_with(b"\n")) {
            if decode::<E>(line).is_none() {
                let reason = format!(
                    "line {} is damaged; put a copy of the file back, or remove that line and lose what it says",
                    n + 1
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        Self::open(path, apply)
    }

    /// Whether it has become so long that writing down the outcome alone is worth it.
    pub(crate) fn is_long(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.len > 2 * kept.shortest + GROWN)
    }

    /// Replaces the file by one that holds only `entries`.
    pub(crate) fn rewrite(&mut self, entries: impl Iterator<Item = E>) -> io::Result<()> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let mut len = 0;
        let file = replace_with(&kept.path, |file| {
            let mut line = Vec::new();
            for entry in entries {
                line.clear();
                encode(&mut line, &entry)?;
                file.write_all(&line)?;
                len += line.len() as u64;
            }
            Ok(())
        })?;
        (kept.file, kept.len, kept.shortest) = (file, len, len);
        Ok(())
    }

    /// Adds an entry. On an error it is not there, and the journal can be used on.
    pub(crate) fn append(&mut self, entry: &E) -> io::Result<()> {
        self.append_all(std::slice::from_ref(entry))
    }

    /// Adds entries, all of them or, on an error, none.
    pub(crate) fn append_all(&mut self, entries: &[E]) -> io::Result<()> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let mut lines = Vec::with_capacity(256 * entries.len());
        for entry in entries {
            encode(&mut lines, entry)?;
        }
        if kept.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Err(error) = kept.file.write_all_at(&lines, kept.len) {
            let _ = kept.file.set_len(kept.len);
            return Err(error);
        }
        kept.len += lines.len() as u64;
        Ok(())
    }

    /// Adds an entry and forces it to disk. On an error it is not there.
    pub(crate) fn append_durably(&mut self, entry: &E) -> io::Result<()> {
        let Some(before) = self.kept.as_ref().map(|kept| kept.len) else { return Ok(()) };
        self.append(entry)?;
        let Some(kept) = &mut self.kept else { return Ok(()) };
        kept.file.sync_data().inspect_err(|_| {
            let _ = kept.file.set_len(before);
            kept.len = before;
        })
    }

    /// Hands everything that is in it to `apply` once more.
    pub(crate) fn read(&self, apply: impl FnMut(E)) -> io::Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        replay(Stretch { file: &kept.file, at: 0, end: kept.len }, apply).map(drop)
    }

    /// Lets everything that is to be added fail for want of space; not possible in memory.
    pub(crate) fn set_full(&mut self, full: bool) -> bool {
        self.kept.as_mut().map(|kept| kept.is_full = full).is_some()
    }
}

/// A part of a file, read without moving the place where others read and write.
struct Stretch<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Hands every whole entry to `apply`, one after the other; returns how many bytes they take. One line is in memory at a time.
fn replay<E: DeserializeOwned>(stretch: Stretch<'_>, mut apply: impl FnMut(E)) -> io::Result<u64> {
    let mut lines = BufReader::with_capacity(64 << 10, stretch);
    let (mut line, mut len) = (Vec::new(), 0);
    while lines.read_until(b'\n', &mut line)? > 0 {
        let Some(entry) = decode(&line) else { break };
        apply(entry);
        len += line.len() as u64;
        line.clear();
        // One long line is no reason to keep room for another.
        line.shrink_to(64 << 10);
    }
    Ok(len)
}

/// Writes a file so that at every moment either the old or the new content is there, and returns it open.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    replace_with(path, |file| file.write_all(content))
}

/// The same, for content that is written piece by piece.
fn replace_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<File> {
    let next = path.with_extension("next");
    let file = owner_only::read_write().create(true).truncate(true).open(&next)?;
    let mut writer = BufWriter::with_capacity(64 << 10, &file);
    let written = write(&mut writer).and_then(|()| writer.flush());
    // What could not be written is not tried once more.
    drop(writer.into_parts());
    let replaced = written.and_then(|()| file.sync_data()).and_then(|()| std::fs::rename(&next, path));
    if let Err(error) = replaced {
        // On a full disk, what could be written of it is in the way of others.
        let _ = std::fs::remove_file(&next);
        return Err(error);
    }
    Ok(file)
}

fn encode<E: Serialize>(bytes: &mut Vec<u8>, entry: &E) -> io::Result<()> {
    let json = serde_json::to_vec(entry)?;
    write!(bytes, "{:08x} ", crc32c::crc32c(&json))?;
    bytes.extend_from_slice(&json);
    bytes.push(b'\n');
    Ok(())
}

fn decode<E: DeserializeOwned>(line: &[u8]) -> Option<E> {
    let (crc, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc.strip_suffix(b" ")?).ok()?, 16).ok()?;
    if crc32c::crc32c(json) != crc {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> (Vec<u32>, Journal<u32>) {
        let mut entries = Vec::new();
        let journal = Journal::open(path, |entry| entries.push(entry)).unwrap();
        (entries, journal)
    }

    #[test]
    fn a_torn_line_is_cut_off_and_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("j");
        let (_, mut journal) = read(&path);
        for n in 1..=3 {
            journal.append(&n).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let (entries, mut journal) = read(&path);
        assert_eq!(entries, [1, 2]);
        journal.append(&4).unwrap();
        assert_eq!(read(&path).0, [1, 2, 4]);
        journal.rewrite([9].into_iter()).unwrap();
        journal.append(&10).unwrap();
        assert_eq!(read(&path).0, [9, 10]);
    }

    #[test]
    fn a_line_is_in_memory_at_a_time_whatever_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("j");
        let mut journal = Journal::open(&path, |_: String| {}).unwrap();
        let entries = [0, 1, 65_535, 65_536, 300_000, 3].map(|len| "x".repeat(len));
        journal.append_all(&entries).unwrap();
        let read = |journal: &Journal<String>| {
            let mut read = Vec::new();
            journal.read(|entry| read.push(entry)).unwrap();
            read
        };
        assert_eq!(read(&journal), entries);
        let mut again = Vec::new();
        drop(Journal::open(&path, |entry: String| again.push(entry)).unwrap());
        assert_eq!(again, entries);
        journal.rewrite(entries.iter().cloned().rev()).unwrap();
        journal.append(&"behind".to_owned()).unwrap();
        let mut expected: Vec<String> = entries.into_iter().rev().collect();
        expected.push("behind".to_owned());
        assert_eq!(read(&journal), expected);
    }

    #[test]
    fn a_journal_is_long_when_most_of_it_is_history() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&directory.path().join("j"), |_: String| {}).unwrap();
        let entry = "x".repeat(1 << 20);
        for _ in 0..3 {
            journal.append(&entry).unwrap();
            assert!(!journal.is_long());
        }
        journal.append(&entry).unwrap();
        assert!(journal.is_long());
        journal.rewrite(std::iter::once(entry)).unwrap();
        assert!(!journal.is_long());
    }
}
