//! Reading and writing files in ways that the standard library has no stable words for.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSlice;
use std::os::unix::fs::FileExt;

use rustix::buffer::spare_capacity;

/// Writes two pieces, one behind the other, at once where the system can do that.
pub(crate) fn write_all_at(file: &File, [first, second]: [&[u8]; 2], position: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    let written = rustix::io::retry_on_intr(|| {
        rustix::io::pwritev(file, &[IoSlice::new(first), IoSlice::new(second)], position)
    })?;
    #[cfg(not(target_os = "linux"))]
    let written = 0;
    // The rest of a write that was cut short, by a disk that is nearly full or by a signal.
    if written < first.len() {
        file.write_all_at(&first[written..], position + written as u64)?;
    }
    let written = written.saturating_sub(first.len());
    file.write_all_at(&second[written..], position + (first.len() + written) as u64)
}

/// Reads `len` bytes into memory that was not filled with zeros before: that takes nearly as long as reading.
pub(crate) fn read_at(file: &File, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = position + bytes.len() as u64;
        if rustix::io::retry_on_intr(|| rustix::io::pread(file, spare_capacity(&mut bytes), at))? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pieces_become_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        write_all_at(&file, [b"he", b"ader"], 0).unwrap();
        write_all_at(&file, [b"", b"records"], 6).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"headerrecords");
    }

    #[test]
    fn what_is_read_is_all_or_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"headerrecords").unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(read_at(&file, 6, 4).unwrap(), b"reco");
        assert_eq!(read_at(&file, 6, 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
