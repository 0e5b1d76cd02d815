//! The header of a record batch: all the broker ever looks at.
//!
//! A batch (format 2, the only one since Kafka 0.11) is 61 bytes of header followed by records that may be
//! compressed. It is stored as it came; only the base offset and the leader epoch are written into it, which
//! its CRC does not cover.

#[cfg(any(test, fuzzing))]
use bytes::Bytes;
use bytes::{Buf, BufMut};

/// Bytes before the first record.
pub(crate) const HEADER_LEN: usize = 61;
/// Bytes before the part that `batch_length` counts.
const LENGTH_END: usize = 12;
/// Bytes before the part that the CRC covers.
const CRC_END: usize = 21;

/// The bits that say how the records are compressed.
const CODEC: i16 = 7;
const TIMESTAMP_TYPE: i16 = 1 << 3;
/// The bit that says that a batch belongs to a transaction.
pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// The bit that says that compaction has made the base timestamp a delete horizon (KIP-534).
const DELETE_HORIZON: i16 = 1 << 6;

/// Why bytes are not a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadBatch {
    /// Fewer bytes than the batch says it has.
    Short,
    /// A format older than 2.
    OldFormat,
    /// Lengths or counts that contradict each other.
    Malformed,
    /// The CRC does not fit.
    Corrupt,
}

/// A decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub(crate) len: usize,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the beginning of `bytes`; the records need not be there.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadBatch> {
        if bytes.len() < HEADER_LEN {
            return Err(BadBatch::Short);
        }
        let mut at = bytes;
        let base_offset = at.get_i64();
        let length = at.get_i32();
        let _leader_epoch = at.get_i32();
        let magic = at.get_i8();
        let _crc = at.get_u32();
        if magic != 2 {
            return Err(if (0..2).contains(&magic) { BadBatch::OldFormat } else { BadBatch::Malformed });
        }
        let header = Self {
            base_offset,
            len: usize::try_from(length).map_err(|_| BadBatch::Malformed)? + LENGTH_END,
            attributes: at.get_i16(),
            last_offset_delta: at.get_i32(),
            base_timestamp: at.get_i64(),
            max_timestamp: at.get_i64(),
            producer_id: at.get_i64(),
            producer_epoch: at.get_i16(),
            base_sequence: at.get_i32(),
            record_count: at.get_i32(),
        };
        let in_range =
            base_offset.checked_add(i64::from(header.last_offset_delta)).is_some_and(|last| last < i64::MAX);
        if header.len < HEADER_LEN || header.last_offset_delta < 0 || header.record_count < 0 || !in_range {
            return Err(BadBatch::Malformed);
        }
        Ok(header)
    }

    /// Reads the header and checks that the whole batch is there and unharmed.
    pub(crate) fn verify(bytes: &[u8]) -> Result<Self, BadBatch> {
        let header = Self::parse(bytes)?;
        let batch = bytes.get(..header.len).ok_or(BadBatch::Short)?;
        if crc32c::crc32c(&batch[CRC_END..]) != stored_crc(batch) {
            return Err(BadBatch::Corrupt);
        }
        Ok(header)
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// From when on compaction drops the marks of deleted keys in it, or the marker that it is: milliseconds since 1970.
    pub(crate) fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Sets what [`delete_horizon_ms`](Self::delete_horizon_ms) says. The times of the records have to be written anew.
    pub(crate) fn set_delete_horizon(&mut self, at_ms: i64) {
        self.attributes |= DELETE_HORIZON;
        self.base_timestamp = at_ms;
    }

    /// Makes it the header of a batch without records, which keeps its place, its producer and its time.
    pub(crate) fn empty(&mut self) {
        self.attributes &= TIMESTAMP_TYPE | TRANSACTIONAL | CONTROL;
        self.base_timestamp = -1;
        self.record_count = 0;
        self.len = HEADER_LEN;
    }

    /// The number of the codec that the records are compressed with, or 0.
    pub(crate) fn codec(&self) -> i16 {
        self.attributes & CODEC
    }

    /// Says that the records are compressed with another codec, which they have to be then.
    pub(crate) fn set_codec(&mut self, codec: i16) {
        self.attributes = self.attributes & !CODEC | codec;
    }

    /// Whether all records have the time of their appending, which is then `max_timestamp`.
    pub(crate) fn is_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE != 0
    }

    /// Whether a producer with an id, hence with sequence numbers, wrote it.
    pub(crate) fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record. Sequence numbers wrap to 0 after `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        add_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// `sequence + delta`, wrapping to 0 after `i32::MAX` as producers do it.
pub(crate) fn add_sequence(sequence: i32, delta: i32) -> i32 {
    sequence.checked_add(delta).unwrap_or_else(|| sequence.wrapping_add(delta).wrapping_sub(i32::MIN))
}

fn stored_crc(batch: &[u8]) -> u32 {
    (&batch[17..CRC_END]).get_u32()
}

/// A batch as it is stored: its header anew, its records where they are. So the records of a request are not copied
/// before they are written.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    header: [u8; HEADER_LEN],
    records: &'a [u8],
}

impl<'a> Placed<'a> {
    /// Writes the place in the log into the header. The CRC stays right. `None` if the bytes are no whole header.
    pub(crate) fn at(base_offset: i64, batch: &'a [u8]) -> Option<Self> {
        let (&header, records) = batch.split_first_chunk()?;
        let mut placed = Self { header, records };
        (&mut placed.header[0..8]).put_i64(base_offset);
        (&mut placed.header[12..16]).put_i32(0);
        Some(placed)
    }

    /// Has it say the newest time that `header` says, if it says another. Then the CRC is computed anew.
    pub(crate) fn correct(&mut self, header: &BatchHeader) {
        if (&self.header[35..43]).get_i64() != header.max_timestamp {
            (&mut self.header[35..43]).put_i64(header.max_timestamp);
            self.seal();
        }
    }

    /// Gives all records the time of their appending. The CRC is computed anew.
    pub(crate) fn stamp(&mut self, header: &mut BatchHeader, now_ms: i64) {
        header.attributes |= TIMESTAMP_TYPE;
        header.max_timestamp = now_ms;
        (&mut self.header[21..23]).put_i16(header.attributes);
        (&mut self.header[35..43]).put_i64(now_ms);
        self.seal();
    }

    fn seal(&mut self) {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&self.header[CRC_END..]), self.records);
        (&mut self.header[17..CRC_END]).put_u32(crc);
    }

    /// Its bytes: the first, and those behind them.
    pub(crate) fn pieces(&self) -> [&[u8]; 2] {
        [&self.header, self.records]
    }
}

/// What a marker says about a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Abort,
    Commit,
}

/// The end of a transaction, as a partition is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) marker: Marker,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// How often the coordinator that tells has changed.
    pub(crate) coordinator_epoch: i32,
    /// Whether the epoch is the next transaction's, as in the second version of transactions, and not that of the
    /// records.
    pub(crate) is_bumped: bool,
}

/// The control batch that ends a transaction on a partition. Its base offset is still to be placed.
pub(crate) fn marker_batch(end: &End, now_ms: i64) -> Vec<u8> {
    // One record: length, attributes, timestamp delta, offset delta, key (version, type), value (version,
    // coordinator epoch), headers.
    let kind = match end.marker {
        Marker::Abort => 0,
        Marker::Commit => 1,
    };
    let mut batch = vec![0; HEADER_LEN];
    batch.put_slice(&[2 * 16, 0, 0, 0, 2 * 4, 0, 0, 0, kind, 2 * 6, 0, 0]);
    batch.put_i32(end.coordinator_epoch);
    batch.put_u8(0);
    let header = NewBatch {
        attributes: TRANSACTIONAL | CONTROL,
        count: 1,
        base_timestamp: now_ms,
        max_timestamp: now_ms,
        producer_id: end.producer_id,
        producer_epoch: end.epoch,
        base_sequence: -1,
    };
    seal(&mut batch, &header);
    batch
}

/// What the header of a batch that is written here says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewBatch {
    pub(crate) attributes: i16,
    pub(crate) count: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

/// Writes the header into the first [`HEADER_LEN`] bytes; records follow. Its base offset is still to be placed.
pub(crate) fn seal(batch: &mut [u8], header: &NewBatch) {
    let header = BatchHeader {
        base_offset: 0,
        len: batch.len(),
        attributes: header.attributes,
        last_offset_delta: header.count - 1,
        base_timestamp: header.base_timestamp,
        max_timestamp: header.max_timestamp,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        record_count: header.count,
    };
    write_header(batch, &header);
}

/// Writes the header of a whole batch into its first [`HEADER_LEN`] bytes, with the CRC of what follows.
pub(crate) fn write_header(batch: &mut [u8], header: &BatchHeader) {
    let length = (batch.len() - LENGTH_END) as i32;
    let mut at = &mut batch[..HEADER_LEN];
    at.put_i64(header.base_offset);
    at.put_i32(length);
    at.put_i32(0);
    at.put_i8(2);
    at.put_u32(0);
    at.put_i16(header.attributes);
    at.put_i32(header.last_offset_delta);
    at.put_i64(header.base_timestamp);
    at.put_i64(header.max_timestamp);
    at.put_i64(header.producer_id);
    at.put_i16(header.producer_epoch);
    at.put_i32(header.base_sequence);
    at.put_i32(header.record_count);
    let crc = crc32c::crc32c(&batch[CRC_END..]);
    (&mut batch[17..CRC_END]).put_u32(crc);
}

/// Whether a control batch says commit; `None` if it is another kind of control batch.
pub(crate) fn marker_of(batch: &[u8]) -> Option<Marker> {
    match behind_key_len(batch)?.get(2..4)? {
        [0, 0] => Some(Marker::Abort),
        [0, 1] => Some(Marker::Commit),
        _ => None,
    }
}

/// The coordinator's epoch in a marker.
pub(crate) fn coordinator_epoch_of(batch: &[u8]) -> Option<i32> {
    let mut value = behind_key_len(batch)?.get(4..)?;
    varint(&mut value)?;
    value.get(2..)?.split_first_chunk().map(|(epoch, _)| i32::from_be_bytes(*epoch))
}

/// What comes in a control batch from its record's key on.
fn behind_key_len(batch: &[u8]) -> Option<&[u8]> {
    let mut record = batch.get(HEADER_LEN..)?;
    for _ in 0..5 {
        // Record length, attributes, timestamp delta, offset delta, key length: all but the attributes are
        // varints, and those are one byte.
        varint(&mut record)?;
    }
    Some(record)
}

/// Reads a zig-zag varint.
pub(crate) fn varint(at: &mut &[u8]) -> Option<i64> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = at.split_first()?;
        *at = rest;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    None
}

/// Writes a zig-zag varint.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        bytes.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    bytes.push(raw as u8);
}

/// How many bytes it takes.
pub(crate) fn varint_len(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// Walks over the complete batches at the beginning of `bytes`: header and position of each.
#[cfg(any(test, fuzzing))]
pub(crate) fn walk(bytes: &Bytes) -> impl Iterator<Item = (BatchHeader, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = BatchHeader::parse(&bytes[at..]).ok()?;
        let position = at;
        at = at.checked_add(header.len).filter(|end| *end <= bytes.len())?;
        Some((header, position))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `count` uncompressed records without keys, a millisecond apart from `timestamp` on.
    pub(crate) fn plain_batch(
        count: i32,
        timestamp: i64,
        producer: (i64, i16, i32),
        transactional: bool,
    ) -> Vec<u8> {
        let mut batch = Vec::new();
        batch.put_i64(0);
        batch.put_i32(0);
        batch.put_i32(-1);
        batch.put_i8(2);
        batch.put_u32(0);
        batch.put_i16(if transactional { TRANSACTIONAL } else { 0 });
        batch.put_i32(count - 1);
        batch.put_i64(timestamp);
        batch.put_i64(timestamp + i64::from(count) - 1);
        batch.put_i64(producer.0);
        batch.put_i16(producer.1);
        batch.put_i32(producer.2);
        batch.put_i32(count);
        for n in 0..i64::from(count) {
            put_varint(&mut batch, 5 + 2 * varint_len(n) as i64);
            batch.push(0);
            put_varint(&mut batch, n);
            put_varint(&mut batch, n);
            batch.put_slice(&[1, 2, b'v', 0]);
        }
        let len = batch.len() as i32 - 12;
        (&mut batch[8..12]).put_i32(len);
        let crc = crc32c::crc32c(&batch[CRC_END..]);
        (&mut batch[17..21]).put_u32(crc);
        batch
    }

    /// The end of a transaction in the first version.
    pub(crate) fn end(marker: Marker, producer_id: i64, epoch: i16) -> End {
        End { marker, producer_id, epoch, coordinator_epoch: 0, is_bumped: false }
    }

    #[test]
    fn placing_a_batch_keeps_its_crc() {
        let batch = plain_batch(3, 1_000, (-1, -1, -1), false);
        let placed = Placed::at(77, &batch).unwrap().pieces().concat();
        let header = BatchHeader::verify(&placed).unwrap();
        assert_eq!((header.base_offset, header.last_offset(), header.max_timestamp), (77, 79, 1_002));
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut batch = plain_batch(3, 1_000, (-1, -1, -1), false);
        *batch.last_mut().unwrap() ^= 1;
        assert_eq!(BatchHeader::verify(&batch), Err(BadBatch::Corrupt));
        assert_eq!(BatchHeader::verify(&batch[..batch.len() - 1]), Err(BadBatch::Short));
    }

    #[test]
    fn stamping_renews_the_crc() {
        let batch = plain_batch(1, 1_000, (-1, -1, -1), false);
        let mut header = BatchHeader::parse(&batch).unwrap();
        let mut placed = Placed::at(0, &batch).unwrap();
        placed.stamp(&mut header, 5_000);
        assert_eq!(BatchHeader::verify(&placed.pieces().concat()), Ok(header));
        assert!(header.is_append_time() && header.max_timestamp == 5_000);
    }

    #[test]
    fn markers_are_read_back() {
        for marker in [Marker::Abort, Marker::Commit] {
            let end = End { marker, producer_id: 9, epoch: 3, coordinator_epoch: 70_000, is_bumped: false };
            let batch = marker_batch(&end, 1);
            let header = BatchHeader::verify(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!(marker_of(&batch), Some(marker));
            assert_eq!(coordinator_epoch_of(&batch), Some(70_000));
        }
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(add_sequence(i32::MAX, 1), 0);
        assert_eq!(add_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(add_sequence(5, 3), 8);
    }

    #[test]
    fn walking_stops_at_a_torn_batch() {
        let mut bytes = plain_batch(2, 0, (-1, -1, -1), false);
        let one = bytes.len();
        bytes.extend(plain_batch(1, 0, (-1, -1, -1), false));
        bytes.truncate(bytes.len() - 1);
        let found: Vec<_> = walk(&Bytes::from(bytes)).map(|(header, at)| (header.len, at)).collect();
        assert_eq!(found, [(one, 0)]);
    }
}
