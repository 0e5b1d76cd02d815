//! What is read, in pieces: from files or standard input on a thread of its own, so that Ctrl-C is heard while a
//! read waits, then cut into records at their delimiters.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Context;
use memchr::memmem::Finder;

/// Bytes of a read.
const BLOCK: usize = 256 << 10;

/// Reads that may wait to be used.
const BLOCKS: usize = 4;

/// What comes from the thread that reads.
pub(super) enum Piece {
    /// The next file begins.
    Begin(PathBuf),
    Bytes(Vec<u8>),
}

/// Reads all files, one after the other. The channel ends behind the last one, or behind an error.
pub(super) fn read(files: Vec<PathBuf>) -> Receiver<anyhow::Result<Piece>> {
    let (sender, receiver) = sync_channel(BLOCKS);
    std::thread::spawn(move || {
        if let Err(error) = read_into(files, &sender) {
            // Nobody listens any more if that fails.
            let _ = sender.send(Err(error));
        }
    });
    receiver
}

fn read_into(files: Vec<PathBuf>, sender: &SyncSender<anyhow::Result<Piece>>) -> anyhow::Result<()> {
    for file in files {
        let mut from: Box<dyn Read> = if file == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(&file).with_context(|| format!("cannot open {}", file.display()))?)
        };
        let name = file.clone();
        if sender.send(Ok(Piece::Begin(file))).is_err() {
            return Ok(());
        }
        loop {
            let mut block = vec![0; BLOCK];
            let length = from.read(&mut block).with_context(|| format!("cannot read {}", name.display()))?;
            block.truncate(length);
            if length == 0 {
                break;
            }
            if sender.send(Ok(Piece::Bytes(block))).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Cuts a stream of bytes into records. An empty delimiter is nowhere: all of an input is one record.
pub(super) struct Splitter {
    finder: Finder<'static>,
    /// Behind the last delimiter.
    rest: Vec<u8>,
    /// How many bytes of `rest` are known to hold no delimiter's beginning.
    searched: usize,
}

impl Splitter {
    pub(super) fn new(delimiter: &[u8]) -> Self {
        Self { finder: Finder::new(delimiter).into_owned(), rest: Vec::new(), searched: 0 }
    }

    /// Takes more bytes, and hands out each record that is complete with them.
    pub(super) fn feed<E>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rest.extend_from_slice(bytes);
        let mut begin = 0;
        let mut from = self.searched;
        let length = self.finder.needle().len();
        if length == 0 {
            return Ok(());
        }
        while let Some(at) = self.finder.find(&self.rest[from..]) {
            each(&self.rest[begin..from + at])?;
            begin = from + at + length;
            from = begin;
        }
        self.rest.drain(..begin);
        self.searched = self.rest.len().saturating_sub(length - 1);
        Ok(())
    }

    /// Hands out the last record, if no delimiter ended it.
    pub(super) fn finish<E>(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let last = std::mem::take(&mut self.rest);
        self.searched = 0;
        if last.is_empty() { Ok(()) } else { each(&last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(delimiter: &str, pieces: &[&str]) -> Vec<String> {
        let mut splitter = Splitter::new(delimiter.as_bytes());
        let mut records = Vec::new();
        let mut each = |record: &[u8]| {
            records.push(String::from_utf8(record.to_vec()).unwrap());
            Ok::<_, ()>(())
        };
        pieces.iter().for_each(|piece| splitter.feed(piece.as_bytes(), &mut each).unwrap());
        splitter.finish(&mut each).unwrap();
        records
    }

    #[test]
    fn records_are_the_same_wherever_a_read_ends() {
        let whole = "one;;two;three;;;;five";
        let expected = ["one", "two;three", "", "five"];
        assert_eq!(split(";;", &[whole]), expected);
        for at in 0..whole.len() {
            assert_eq!(split(";;", &[&whole[..at], &whole[at..]]), expected, "at {at}");
        }
        let bytes: Vec<_> = whole.split("").collect();
        assert_eq!(split(";;", &bytes), expected);
    }

    #[test]
    fn the_last_record_needs_no_delimiter_and_none_follows_one() {
        assert_eq!(split("\n", &["a\nb"]), ["a", "b"]);
        assert_eq!(split("\n", &["a\nb\n"]), ["a", "b"]);
        assert_eq!(split("\n", &["\n"]), [""]);
        assert!(split("\n", &[]).is_empty());
        assert_eq!(split("", &["a\n", "b"]), ["a\nb"]);
    }
}
