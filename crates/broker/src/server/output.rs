//! Answers that are still to be written. Records of a fetch stay in their files meanwhile, or in the memory of the log.

use bytes::BytesMut;

use crate::log::segment::Extent;

/// Bytes of records that are not worth being written by themselves.
pub(crate) const FEW: usize = 32 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// All but the records.
    bytes: BytesMut,
    /// Records, and the position in `bytes` that they go to; in order.
    records: Vec<(usize, Extent)>,
    /// Bytes of all records.
    records_len: usize,
}

/// How far an output had come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    bytes: usize,
    records: usize,
    records_len: usize,
}

/// What is written at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    Records(&'a Extent),
}

impl Output {
    /// Where bytes are added.
    pub(crate) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Adds records behind the bytes that are there.
    pub(crate) fn records(&mut self, records: Extent) {
        match &records {
            // They are there already, and in small pieces.
            Extent::Memory(batches) if records.len() < FEW * batches.len() => {
                self.bytes.reserve(records.len());
                batches.iter().for_each(|batch| self.bytes.extend_from_slice(batch));
            }
            _ => {
                self.records_len += records.len();
                self.records.push((self.bytes.len(), records));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.records_len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), records: self.records.len(), records_len: self.records_len }
    }

    /// Takes back what was added since.
    pub(crate) fn cut(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.records.truncate(mark.records);
        self.records_len = mark.records_len;
    }

    /// How many bytes were added since.
    pub(crate) fn len_since(&self, mark: Mark) -> usize {
        self.len() - mark.bytes - mark.records_len
    }

    /// Writes the number of bytes behind the four that were left for it at `mark`.
    pub(crate) fn put_length(&mut self, mark: Mark) {
        let len = (self.len_since(mark) - 4) as i32;
        self.bytes[mark.bytes..mark.bytes + 4].copy_from_slice(&len.to_be_bytes());
    }

    /// All of it, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let ends = self.records.iter().map(|(at, _)| *at).chain([self.bytes.len()]);
        let bytes = ends.scan(0, |from, end| {
            let piece = &self.bytes[*from..end];
            *from = end;
            Some(Piece::Bytes(piece))
        });
        let mut records = self.records.iter().map(|(_, records)| Piece::Records(records));
        bytes.flat_map(move |piece| [Some(piece), records.next()]).flatten()
    }

    /// Forgets what was written, and keeps no more memory than that.
    pub(crate) fn clear(&mut self, kept: usize) {
        self.bytes.clear();
        self.records.clear();
        self.records_len = 0;
        if self.bytes.capacity() > kept {
            self.bytes = BytesMut::new();
        }
    }
}
