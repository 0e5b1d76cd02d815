//! A file of small facts, one a line, each with its CRC. What offsets and transactions are rebuilt from.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

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
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = std::fs::read(path)?;
        let len = replay(&bytes, apply);
        if len < bytes.len() {
            tracing::warn!(path = %path.display(), bytes = bytes.len() - len, "cut off an incomplete end of the journal");
            file.set_len(len as u64)?;
        }
        let kept = Kept { path: path.to_owned(), file, len: len as u64, shortest: 0, is_full: false };
        Ok(Self { kept: Some(kept), entries: PhantomData })
    }

    /// Whether it has become so long that writing down the outcome alone is worth it.
    pub(crate) fn is_long(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.len > 2 * kept.shortest + GROWN)
    }

    /// Replaces the file by one that holds only `entries`.
    pub(crate) fn rewrite(&mut self, entries: impl Iterator<Item = E>) -> io::Result<()> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let mut bytes = Vec::new();
        for entry in entries {
            encode(&mut bytes, &entry)?;
        }
        kept.file = replace(&kept.path, &bytes)?;
        (kept.len, kept.shortest) = (bytes.len() as u64, bytes.len() as u64);
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

    /// Hands everything that is in it to `apply` once more.
    pub(crate) fn read(&self, apply: impl FnMut(E)) -> io::Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let mut bytes = vec![0; usize::try_from(kept.len).unwrap_or(usize::MAX)];
        kept.file.read_exact_at(&mut bytes, 0)?;
        replay(&bytes, apply);
        Ok(())
    }

    /// Lets everything that is to be added fail for want of space; not possible in memory.
    pub(crate) fn set_full(&mut self, full: bool) -> bool {
        self.kept.as_mut().map(|kept| kept.is_full = full).is_some()
    }
}

/// Hands every whole entry to `apply`; returns how many bytes they take.
fn replay<E: DeserializeOwned>(bytes: &[u8], mut apply: impl FnMut(E)) -> usize {
    let mut len = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(entry) = decode(line) else { break };
        apply(entry);
        len += line.len();
    }
    len
}

/// Writes a file so that at every moment either the old or the new content is there, and returns it open.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let next = path.with_extension("next");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&next)?;
    let replaced =
        file.write_all(content).and_then(|()| file.sync_data()).and_then(|()| std::fs::rename(&next, path));
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
