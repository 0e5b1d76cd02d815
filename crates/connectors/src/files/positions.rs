//! What a checkpoint holds of files, and whether they are still the files that it is about.
//!
//! A position is kept under the name of its part of a file and the beginning of that file: `path@start#length-hash`. So a file that
//! took the place of another while the job was down is told from it. Positions of files that are not seen are carried on: a
//! folder that is away for one restart must not be read anew at the next. Checkpoints of before have the names only.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use thalweg_dataflow::hash::key_hash;

use super::error::{TextFileError, io};
use super::system::FileSystem;

/// What the end, and the position, of a file is that has been read and whose length nobody knows before: a compressed one in bytes,
/// any in records.
pub(super) const READ: u64 = u64::MAX;

/// So much of a file says which one it is.
const HEAD: u64 = 4096;

/// How a file begins: so many bytes of it, and their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    length: u64,
    hash: u64,
}

impl Head {
    /// Of the first `length` bytes, or as many as count.
    pub(super) fn of(files: &dyn FileSystem, path: &Path, length: u64) -> Result<Self, TextFileError> {
        let bytes = files.range(path, 0, length.min(HEAD)).map_err(|error| io(path, error))?;
        Ok(Self { length: bytes.len() as u64, hash: key_hash(&bytes[..]) })
    }

    fn parse(text: &str) -> Option<Self> {
        let (length, hash) = text.split_once('-')?;
        Some(Self { length: length.parse().ok()?, hash: u64::from_str_radix(hash, 16).ok()? })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.length, self.hash)
    }
}

/// The name that a position is kept under.
pub(super) fn identity(part: &str, head: Option<Head>) -> String {
    head.map_or_else(|| part.to_owned(), |head| format!("{part}#{head}"))
}

/// Positions of a checkpoint whose files have not been seen since.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<String, (Option<Head>, u64)>);

/// What is known of one file.
#[derive(Debug, Default)]
pub(super) struct Known {
    head: Option<Head>,
    /// Of each of its parts, by its name.
    pub(super) next: BTreeMap<String, u64>,
}

impl Positions {
    pub(super) fn new(restored: Vec<(String, u64)>) -> Self {
        let part = |(name, next): (String, u64)| match name
            .rsplit_once('#')
            .and_then(|(part, head)| Some((part.to_owned(), Head::parse(head)?)))
        {
            Some((part, head)) => (part, (Some(head), next)),
            None => (name, (None, next)),
        };
        Self(restored.into_iter().map(part).collect())
    }

    /// Takes out what is known of a file, all of whose parts begin with its name, and then as `is_part` says.
    pub(super) fn take(&mut self, file: &str, is_part: impl Fn(&str) -> bool) -> Known {
        let parts = self.0.range(file.to_owned()..).take_while(|(name, _)| name.starts_with(file));
        let parts = parts.filter(|(name, _)| is_part(&name[file.len()..]));
        let names: Vec<String> = parts.map(|(name, _)| name.clone()).collect();
        let mut known = Known::default();
        for name in names {
            let Some((head, next)) = self.0.remove(&name) else { continue };
            known.head = known.head.or(head);
            known.next.insert(name, next);
        }
        known
    }

    /// What is left, to be kept on: that of which `is_own` says so.
    pub(super) fn carried(&self, is_own: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, u64)> {
        let own = self.0.iter().filter(move |(name, _)| is_own(name));
        own.map(|(name, (head, next))| (identity(name, *head), *next))
    }
}

impl Known {
    /// Makes sure that a file of this length is the one that is known. `read` is how many bytes of it have been read, at the most.
    /// Returns how it begins.
    pub(super) fn check(
        &self,
        files: &dyn FileSystem,
        path: &Path,
        length: u64,
        read: u64,
    ) -> Result<Head, TextFileError> {
        let path_of = || path.to_owned();
        if read > length || self.head.is_some_and(|head| head.length > length) {
            return Err(TextFileError::Shrunk { path: path_of() });
        }
        let known = self.head.map(|head| Ok((head, Head::of(files, path, head.length)?))).transpose()?;
        match known {
            Some((known, present)) if known != present => Err(TextFileError::Replaced { path: path_of() }),
            // The name that it is kept under stays the same as it grows.
            Some((known, _)) => Ok(known),
            None => Head::of(files, path, length),
        }
    }
}

/// The byte before `offset`.
pub(super) fn byte_before(files: &dyn FileSystem, path: &Path, offset: u64) -> Result<u8, TextFileError> {
    let mut byte = [0];
    let read = files.open(path, offset - 1).and_then(|mut file| file.read_exact(&mut byte));
    read.map_err(|error| io(path, error))?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_with_and_without_a_beginning() {
        let head = Head { length: 12, hash: 0xabc };
        let named = |part: &str, head| (identity(part, head), 7);
        let mut positions = Positions::new(vec![
            named("dir/a.txt@0", Some(head)),
            named("dir/a.txt@33554432", Some(head)),
            named("dir/a.txt.old@0", None),
            named("dir/a#b@0", None),
        ]);
        let is_block = |rest: &str| rest.starts_with('@');
        let known = positions.take("dir/a.txt", is_block);
        assert_eq!(known.head, Some(head));
        assert_eq!(known.next.into_keys().collect::<Vec<_>>(), ["dir/a.txt@0", "dir/a.txt@33554432"]);
        let rest: Vec<_> = positions.carried(|_| true).collect();
        assert_eq!(rest, [named("dir/a#b@0", None), named("dir/a.txt.old@0", None)]);
        assert_eq!(positions.take("dir/a#b", is_block).next.len(), 1);
    }
}
