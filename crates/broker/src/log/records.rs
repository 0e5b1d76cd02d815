//! Looking into a batch for the record of a time. The only place where records are looked at.
//!
//! Records of a compressed batch stay closed: the batch's own bounds answer for them, so the offset found may
//! be up to a batch too early. A consumer that starts there sees a few older records more, and none less.

use crate::log::batch::{BatchHeader, HEADER_LEN, varint};

/// A record's place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOffset {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

/// The first record of `batch`, from offset `start` on, whose timestamp is at least `timestamp`.
pub(crate) fn first_at_or_after(
    batch: &[u8],
    header: &BatchHeader,
    timestamp: i64,
    start: i64,
) -> Option<TimedOffset> {
    if header.max_timestamp < timestamp {
        return None;
    }
    if header.is_append_time() {
        return Some(TimedOffset { offset: header.base_offset.max(start), timestamp: header.max_timestamp });
    }
    if header.is_compressed() {
        let first = header.base_timestamp.max(timestamp).min(header.max_timestamp);
        return Some(TimedOffset { offset: header.base_offset.max(start), timestamp: first });
    }
    records(batch, header).find(|record| record.timestamp >= timestamp && record.offset >= start)
}

/// The first of the newest records of `batch`.
pub(crate) fn newest(batch: &[u8], header: &BatchHeader) -> TimedOffset {
    let last = TimedOffset { offset: header.last_offset(), timestamp: header.max_timestamp };
    if header.is_append_time() || header.is_compressed() {
        return last;
    }
    records(batch, header).find(|record| record.timestamp == header.max_timestamp).unwrap_or(last)
}

fn records<'a>(batch: &'a [u8], header: &BatchHeader) -> impl Iterator<Item = TimedOffset> + 'a {
    let mut at = batch.get(HEADER_LEN..header.len).unwrap_or_default();
    let (base_offset, base_timestamp) = (header.base_offset, header.base_timestamp);
    std::iter::from_fn(move || {
        let len = usize::try_from(varint(&mut at)?).ok()?;
        let (mut record, rest) = at.split_at_checked(len)?;
        at = rest;
        let (_attributes, fields) = record.split_first()?;
        record = fields;
        // Nobody has checked what a producer wrote here.
        let timestamp = base_timestamp.checked_add(varint(&mut record)?)?;
        Some(TimedOffset { offset: base_offset.checked_add(varint(&mut record)?)?, timestamp })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;

    #[test]
    fn finds_the_record_of_a_time() {
        let batch = plain_batch(5, 100, (-1, -1, -1), false);
        let header = BatchHeader::parse(&batch).unwrap();
        assert_eq!(
            first_at_or_after(&batch, &header, 103, 0),
            Some(TimedOffset { offset: 3, timestamp: 103 })
        );
        assert_eq!(first_at_or_after(&batch, &header, 0, 0), Some(TimedOffset { offset: 0, timestamp: 100 }));
        assert_eq!(first_at_or_after(&batch, &header, 105, 0), None);
        assert_eq!(first_at_or_after(&batch, &header, 0, 2), Some(TimedOffset { offset: 2, timestamp: 102 }));
        assert_eq!(newest(&batch, &header), TimedOffset { offset: 4, timestamp: 104 });
    }
}
