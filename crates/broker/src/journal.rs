//! A file of small facts, one a line, each with its CRC. What offsets and transactions are rebuilt from.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Appends entries of one type. In memory it forgets them.
#[derive(Debug)]
pub(crate) struct Journal<E> {
    file: Option<File>,
    len: u64,
    entries: PhantomData<fn(E)>,
}

impl<E: Serialize + DeserializeOwned> Journal<E> {
    /// A journal that keeps nothing.
    pub(crate) fn in_memory() -> Self {
        Self { file: None, len: 0, entries: PhantomData }
    }

    /// Hands every whole entry of the file to `apply`, cuts off a torn end, and goes on behind it.
    pub(crate) fn open(path: &Path, mut apply: impl FnMut(E)) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = std::fs::read(path)?;
        let mut len = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(entry) = decode(line) else { break };
            apply(entry);
            len += line.len();
        }
        if len < bytes.len() {
            tracing::warn!(path = %path.display(), bytes = bytes.len() - len, "cut off an incomplete end of the journal");
            file.set_len(len as u64)?;
        }
        Ok(Self { file: Some(file), len: len as u64, entries: PhantomData })
    }

    /// Replaces the file by one that holds only `entries`.
    pub(crate) fn rewrite(&mut self, path: &Path, entries: impl Iterator<Item = E>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for entry in entries {
            encode(&mut bytes, &entry)?;
        }
        self.file = Some(replace(path, &bytes)?);
        self.len = bytes.len() as u64;
        Ok(())
    }

    /// Adds an entry. On an error it is not there, and the journal can be used on.
    pub(crate) fn append(&mut self, entry: &E) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut line = Vec::with_capacity(256);
        encode(&mut line, entry)?;
        if let Err(error) = file.write_all_at(&line, self.len) {
            let _ = file.set_len(self.len);
            return Err(error);
        }
        self.len += line.len() as u64;
        Ok(())
    }
}

/// Writes a file so that at every moment either the old or the new content is there, and returns it open.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let next = path.with_extension("next");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&next)?;
    file.write_all(content)?;
    file.sync_data()?;
    std::fs::rename(&next, path)?;
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
        journal.rewrite(&path, [9].into_iter()).unwrap();
        journal.append(&10).unwrap();
        assert_eq!(read(&path).0, [9, 10]);
    }
}
