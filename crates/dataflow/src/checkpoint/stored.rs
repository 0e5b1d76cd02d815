//! A state file that is read: in memory or, if it is large and on the local file system, where it lies.
//!
//! What is large is looked through once, for its checksum, and its parts are read when they are wanted, each into the reader's own buffer. So a
//! restart needs no memory for the file beside that for the state, which would take longer to get than the reading itself.

use bytes::Bytes;

/// The bytes of a state file, and their checksum.
#[derive(Debug)]
pub(crate) struct Stored {
    at: At,
    length: u64,
    sum: u32,
}

#[derive(Debug)]
enum At {
    Memory(Bytes),
    #[cfg(unix)]
    Local(std::fs::File),
}

impl Stored {
    pub(crate) fn in_memory(bytes: Bytes) -> Self {
        let sum = crc32c::crc32c(&bytes);
        Self { length: bytes.len() as u64, sum, at: At::Memory(bytes) }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The checksum (CRC-32C) of all of it.
    pub(crate) fn sum(&self) -> u32 {
        self.sum
    }

    /// Whether it is in memory; else it keeps a file open.
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.at, At::Memory(_))
    }

    pub(super) fn into_bytes(self) -> std::io::Result<Bytes> {
        let mut buffer = Vec::new();
        match self.at {
            At::Memory(bytes) => Ok(bytes),
            #[cfg(unix)]
            At::Local(_) => {
                self.part(0, self.length, &mut buffer)?;
                Ok(buffer.into())
            }
        }
    }

    /// A part of it, if need be in this buffer.
    pub(crate) fn part<'b>(
        &'b self,
        offset: u64,
        length: u64,
        buffer: &'b mut Vec<u8>,
    ) -> std::io::Result<&'b [u8]> {
        let outside = || std::io::Error::other("a part lies outside of the file");
        let end = offset.checked_add(length).filter(|end| *end <= self.length).ok_or_else(outside)?;
        match &self.at {
            At::Memory(bytes) => bytes.get(offset as usize..end as usize).ok_or_else(outside),
            #[cfg(unix)]
            At::Local(file) => {
                buffer.resize(usize::try_from(length).map_err(std::io::Error::other)?, 0);
                std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)?;
                Ok(buffer)
            }
        }
    }
}

/// A large file is looked through by several threads, a piece at a time.
#[cfg(unix)]
const PIECE: u64 = 1 << 20;

#[cfg(unix)]
impl Stored {
    /// A file of the local file system, which stays open.
    pub(super) fn local(file: std::fs::File) -> std::io::Result<Self> {
        use std::os::unix::fs::FileExt;
        use std::sync::atomic::{AtomicU64, Ordering};

        let length = file.metadata()?.len();
        let next = AtomicU64::new(0);
        // Each thread remembers what it has found, piece by piece.
        let work = || {
            let (mut buffer, mut sums) = (Vec::new(), Vec::new());
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                let begin = piece.saturating_mul(PIECE);
                if begin >= length {
                    return Ok::<_, std::io::Error>(sums);
                }
                buffer.resize(PIECE.min(length - begin) as usize, 0);
                file.read_exact_at(&mut buffer, begin)?;
                sums.push((piece, crc32c::crc32c(&buffer), buffer.len()));
            }
        };
        let most = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8));
        let helpers = most.min((length / (4 * PIECE)) as usize).saturating_sub(1);
        let mut sums = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut sums = work()?;
            for helper in helpers {
                // A thread that panics has left its pieces unread.
                let gone = |_| Err(std::io::Error::other("a thread that read a piece of it has panicked"));
                sums.extend(helper.join().unwrap_or_else(gone)?);
            }
            Ok::<_, std::io::Error>(sums)
        })?;
        sums.sort_unstable();
        let sum = sums.iter().fold(0, |sum, (_, piece, length)| crc32c::crc32c_combine(sum, *piece, *length));
        Ok(Self { at: At::Local(file), length, sum })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_checksum_and_its_parts_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, 1000, 4 << 20, (4 << 20) + 1, 13_000_001] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| (n ^ (n >> 9)) as u8).collect();
            let path = folder.path().join(length.to_string());
            std::fs::write(&path, &bytes).unwrap();
            let local = Stored::local(std::fs::File::open(&path).unwrap()).unwrap();
            // It is of no matter to whoever has it open that it is removed.
            std::fs::remove_file(&path).unwrap();
            let memory = Stored::in_memory(bytes.clone().into());
            for stored in [&local, &memory] {
                assert_eq!((stored.length(), stored.sum()), (bytes.len() as u64, crc32c::crc32c(&bytes)));
                let mut buffer = Vec::new();
                for (offset, part) in [(0, length / 3), (length / 2, length - length / 2), (length, 0)] {
                    let expected = &bytes[offset as usize..(offset + part) as usize];
                    assert_eq!(stored.part(offset.into(), part.into(), &mut buffer).unwrap(), expected);
                }
                assert!(stored.part(1, length.into(), &mut buffer).is_err());
                assert!(stored.part(u64::MAX, 2, &mut buffer).is_err());
            }
        }
    }
}
