//! Reading a partition's files at start: what is whole is kept, a torn end is cut off.
//!
//! A crash can leave the last batch of the last file incomplete, so there every CRC is checked. Earlier files
//! were finished before the next was begun; there the headers are enough.

use std::fs;
use std::io;
use std::path::Path;

use crate::log::batch::{BatchHeader, marker_of};
use crate::log::producers::Producers;
use crate::log::segment::{Segment, base_offset_of};
use crate::log::start_offset;

/// What a partition's folder holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// In order of offsets; never empty.
    pub(crate) segments: Vec<Segment>,
    pub(crate) producers: Producers,
    pub(crate) start_offset: i64,
    pub(crate) next_offset: i64,
    /// Bytes of a torn end that were cut off.
    pub(crate) cut: u64,
}

/// Reads the folder, creating it and its first file where there is none.
pub(crate) fn recover(directory: &Path) -> io::Result<Recovered> {
    fs::create_dir_all(directory)?;
    let mut bases = Vec::new();
    for entry in fs::read_dir(directory)? {
        bases.extend(entry?.file_name().to_str().and_then(base_offset_of));
    }
    bases.sort_unstable();
    if bases.is_empty() {
        bases.push(0);
    }
    let start_offset = start_offset::load(directory)?.max(bases[0]);
    let mut recovered = Recovered {
        segments: Vec::new(),
        producers: Producers::default(),
        start_offset,
        next_offset: bases[0],
        cut: 0,
    };
    let last = bases.len() - 1;
    for (n, base) in bases.into_iter().enumerate() {
        recovered.next_offset = recovered.next_offset.max(base);
        let mut segment = Segment::in_file(directory, base)?;
        recovered.cut +=
            replay(&mut segment, &mut recovered.producers, &mut recovered.next_offset, n == last)?;
        recovered.segments.push(segment);
    }
    recovered.producers.forget_aborted_before(start_offset);
    Ok(recovered)
}

/// Feeds the batches of a file to the index and to `producers`; returns how many bytes had to be cut off.
fn replay(segment: &mut Segment, producers: &mut Producers, next: &mut i64, check: bool) -> io::Result<u64> {
    let mut batches = segment.whole_file()?.batches();
    while let Some((header, batch)) = batches.next()? {
        if header.base_offset < *next || (check && BatchHeader::verify(&batch).is_err()) {
            break;
        }
        segment.note(&header);
        *next = header.last_offset() + 1;
        observe(producers, &header, &batch);
    }
    segment.cut_file()
}

fn observe(producers: &mut Producers, header: &BatchHeader, batch: &[u8]) {
    if !header.has_producer() {
        return;
    }
    if !header.is_control() {
        producers.appended(header);
    } else if let Some(marker) = marker_of(batch) {
        producers.ended(marker, header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::{place, tests::plain_batch};

    #[test]
    fn a_torn_end_is_cut_off_and_the_rest_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = Vec::new();
        for n in 0..3 {
            let mut batch = plain_batch(2, 0, (7, 0, 2 * n), false);
            place(&mut batch, i64::from(2 * n));
            file.extend(batch);
        }
        let path = directory.path().join("00000000000000000000.log");
        let whole = file.len() / 3;
        for torn in [1, 30, whole - 1] {
            fs::write(&path, &file[..file.len() - torn]).unwrap();
            let recovered = recover(directory.path()).unwrap();
            assert_eq!((recovered.next_offset, recovered.cut), (4, (whole - torn) as u64));
            assert_eq!(fs::metadata(&path).unwrap().len(), 2 * whole as u64);
        }
        // A bit flipped in the last batch costs that batch.
        let mut flipped = file.clone();
        flipped[2 * whole + 70] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(recover(directory.path()).unwrap().next_offset, 4);
    }
}
