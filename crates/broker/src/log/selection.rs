//! Which batches a reader gets. They are found with the marks of the index and the headers of few batches, so that
//! records can be sent without having been read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::batch::{BatchHeader, HEADER_LEN};
use crate::log::segment::{Extent, Segment};

/// Bytes read at a time to look at headers.
const GLANCE: usize = 8 * 1024;

/// What a reader asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// From the batch that holds this offset on.
    pub(crate) from: i64,
    /// To the last batch that begins before this offset.
    pub(crate) end: i64,
    /// As many batches as fit into it.
    pub(crate) max_bytes: usize,
    /// Whether the first batch comes even if it does not.
    pub(crate) at_least_one: bool,
}

/// Whole batches of one segment.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) extent: Extent,
    /// Their offsets are all before it.
    pub(crate) end: i64,
}

/// What one segment has of what is wanted; in a file it is still to be looked for, without the partition's lock.
#[derive(Debug)]
pub(super) enum Candidates {
    Memory(Option<Selected>),
    File(Window),
}

/// The part of a file that has what is wanted, if anything has.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<File>,
    size: u64,
    /// One past the last offset.
    next_offset: i64,
    /// The mark at or before the first batch wanted.
    first: (u64, i64),
    /// A mark at or before the end that the limits set.
    last: (u64, i64),
}

impl Candidates {
    pub(super) fn of(segment: &Segment, wanted: &Wanted) -> io::Result<Self> {
        let first = segment.mark_before(|_, offset| offset <= wanted.from);
        let Some(file) = segment.open()? else {
            return Ok(Self::Memory(pick(segment.batches_from(first.0), wanted)));
        };
        let most = first.0.saturating_add(wanted.max_bytes as u64);
        let last = segment.mark_before(|position, offset| position <= most && offset <= wanted.end);
        let next_offset = segment.summary().next_offset;
        Ok(Self::File(Window { file, size: segment.size(), next_offset, first, last }))
    }

    /// `None` if the segment has nothing of it; no batches if the first one is too long, or too late.
    pub(super) fn select(self, wanted: &Wanted) -> io::Result<Option<Selected>> {
        match self {
            Self::Memory(selected) => Ok(selected),
            Self::File(window) => window.select(wanted),
        }
    }
}

impl Window {
    fn select(self, wanted: &Wanted) -> io::Result<Option<Selected>> {
        let mut headers = Headers { file: &self.file, size: self.size, bytes: Vec::new(), position: 0 };
        let (mut start, base_offset) = self.first;
        if base_offset != wanted.from {
            loop {
                let Some(header) = headers.at(start)? else { return Ok(None) };
                if header.last_offset() >= wanted.from {
                    break;
                }
                start += header.len as u64;
            }
        }
        let most = start.saturating_add(wanted.max_bytes as u64);
        let (mut stop, mut end) = (self.size, self.next_offset);
        if wanted.end < self.next_offset || self.size > most {
            (stop, end) = if self.last.0 > start { self.last } else { (start, wanted.from) };
            while let Some(header) = headers.at(stop)? {
                let after = stop + header.len as u64;
                let fits = after <= most || (stop == start && wanted.at_least_one);
                if header.base_offset >= wanted.end || !fits || after > self.size {
                    break;
                }
                (stop, end) = (after, header.last_offset() + 1);
            }
        }
        let len = stop.saturating_sub(start) as usize;
        let extent = Extent::File { file: self.file, position: start, len };
        Ok((start < self.size).then_some(Selected { extent, end }))
    }
}

/// The headers of a file.
struct Headers<'a> {
    file: &'a File,
    size: u64,
    /// What was read last, and where it stands.
    bytes: Vec<u8>,
    position: u64,
}

impl Headers<'_> {
    /// The header at `position`; none at the end, or where there is none.
    fn at(&mut self, position: u64) -> io::Result<Option<BatchHeader>> {
        let read = |position: u64, at: u64| usize::try_from(position.checked_sub(at)?).ok();
        let known = read(position, self.position).filter(|skip| skip + HEADER_LEN <= self.bytes.len());
        let skip = match known {
            Some(skip) => skip,
            None => {
                self.bytes.resize(self.size.saturating_sub(position).min(GLANCE as u64) as usize, 0);
                self.file.read_exact_at(&mut self.bytes, position)?;
                self.position = position;
                0
            }
        };
        Ok(BatchHeader::parse(&self.bytes[skip..]).ok())
    }
}

/// Picks what is wanted from batches in memory, which are in order.
fn pick<'a>(batches: impl Iterator<Item = &'a Bytes>, wanted: &Wanted) -> Option<Selected> {
    let (mut picked, mut len, mut end, mut more) = (Vec::new(), 0, wanted.from, false);
    for batch in batches {
        let Ok(header) = BatchHeader::parse(batch) else { break };
        if header.last_offset() < wanted.from {
            continue;
        }
        let fits = len + batch.len() <= wanted.max_bytes || (picked.is_empty() && wanted.at_least_one);
        if header.base_offset >= wanted.end || !fits {
            more = true;
            break;
        }
        len += batch.len();
        end = header.last_offset() + 1;
        picked.push(batch.clone());
    }
    (more || !picked.is_empty()).then_some(Selected { extent: Extent::Memory(picked), end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::Placed;
    use crate::log::batch::tests::plain_batch;

    /// Segments of the same batches, some short and some long; the second in a file that is open, the third in a file
    /// that is closed.
    fn segments(directory: &std::path::Path) -> (Vec<BatchHeader>, [Segment; 3]) {
        let file = || Segment::in_file(directory, 100, None).unwrap();
        let mut segments = [Segment::in_memory(100), file(), file()];
        let (mut headers, mut next) = (Vec::new(), 100);
        for n in 0..2_000 {
            let count = if n % 97 == 0 { 9_000 } else { 1 + n % 7 };
            let bytes = plain_batch(count, 0, (-1, -1, -1), false);
            let mut header = BatchHeader::parse(&bytes).unwrap();
            // Compaction leaves gaps.
            header.base_offset = next + i64::from(n % 13 == 0) * 5;
            next = header.last_offset() + 1;
            let placed = Placed::at(header.base_offset, &bytes).unwrap();
            for segment in &mut segments {
                segment.append(&header, placed.pieces()).unwrap();
            }
            headers.push(header);
        }
        segments[2].close();
        (headers, segments)
    }

    /// First and last offset of what is right.
    fn expected(headers: &[BatchHeader], wanted: &Wanted) -> Option<(i64, i64)> {
        let from = headers.iter().filter(|header| header.last_offset() >= wanted.from);
        let (mut len, mut picked) = (0, None::<(i64, i64)>);
        for header in from.take_while(|header| header.base_offset < wanted.end) {
            len += header.len;
            if len > wanted.max_bytes && !(picked.is_none() && wanted.at_least_one) {
                break;
            }
            let first = picked.map_or(header.base_offset, |(first, _)| first);
            picked = Some((first, header.last_offset()));
        }
        picked
    }

    #[test]
    fn the_same_is_selected_in_memory_and_from_files_whatever_the_limits() {
        let directory = tempfile::tempdir().unwrap();
        let (headers, segments) = segments(directory.path());
        let next = headers.last().unwrap().last_offset() + 1;
        for n in 0..400 {
            let from = 100 + (next - 100) * (n * 7919 % 400) / 400;
            let end = [next, next + 1, from + 1, from + 40, from + 9_000][(n % 5) as usize];
            let max_bytes = [0, 100, 1_000, 70_000, 400_000, usize::MAX][(n % 6) as usize];
            let wanted = Wanted { from, end, max_bytes, at_least_one: n % 7 != 0 };
            for segment in &segments {
                let found = Candidates::of(segment, &wanted).unwrap().select(&wanted).unwrap();
                let found = found.filter(|selected| selected.extent.len() > 0);
                let found = found.map(|Selected { extent, end }| {
                    let len = extent.len();
                    let bytes = extent.load().unwrap();
                    let batches: Vec<_> = crate::log::batch::walk(&bytes).map(|(header, _)| header).collect();
                    assert_eq!(batches.iter().map(|header| header.len).sum::<usize>(), len, "whole batches");
                    let last = batches.last().unwrap().last_offset();
                    assert!(last < end, "{last} {end}");
                    (batches[0].base_offset, last)
                });
                assert_eq!(found, expected(&headers, &wanted), "{wanted:?}");
            }
        }
    }
}
