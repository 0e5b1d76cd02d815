//! `compression.type`: batches that their producer has compressed in another way are compressed anew before they are
//! appended, as Kafka does it. A batch that already has the codec is kept as it is, whatever its level.

use std::io;

use crate::log::batch::{BatchHeader, HEADER_LEN, write_header};
use crate::log::codec::{compress, expand};

/// How the batches of a topic are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compression {
    /// Kafka's number of the codec: 0 is none.
    pub(crate) codec: i16,
    /// None where the codec has none, or where its own default is wanted.
    pub(crate) level: Option<i32>,
}

/// The batch as the topic wants it; none if it is so already.
pub(super) fn recompress(
    batch: &[u8],
    header: &BatchHeader,
    wanted: Option<Compression>,
) -> io::Result<Option<(BatchHeader, Vec<u8>)>> {
    let Some(wanted) = wanted.filter(|wanted| wanted.codec != header.codec()) else { return Ok(None) };
    let records = expand(batch, header)?;
    let mut header = *header;
    header.set_codec(wanted.codec);
    let records = compress(&records, &header, wanted.level)?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + records.len());
    bytes.resize(HEADER_LEN, 0);
    bytes.extend_from_slice(&records);
    header.len = bytes.len();
    write_header(&mut bytes, &header);
    Ok(Some((header, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;

    #[test]
    fn a_batch_goes_from_every_codec_to_every_other_and_stays_what_it_was() {
        let original = plain_batch(50, 7, (9, 1, 3), true);
        let header = BatchHeader::verify(&original).unwrap();
        for from in 0..=4 {
            let wanted = |codec| Some(Compression { codec, level: None });
            let first = recompress(&original, &header, wanted(from)).unwrap();
            assert_eq!(first.is_none(), from == 0);
            let (first_header, first) = first.unwrap_or((header, original.clone()));
            for to in 0..=4 {
                let Some((_, bytes)) = recompress(&first, &first_header, wanted(to)).unwrap() else {
                    assert_eq!(from, to);
                    continue;
                };
                let found = BatchHeader::verify(&bytes).unwrap();
                assert_eq!((found.codec(), found.len), (to, bytes.len()));
                assert!(found.is_transactional());
                let same = BatchHeader { attributes: header.attributes, len: header.len, ..found };
                assert_eq!(same, header, "nothing else has changed");
                let of = |bytes: &[u8], header| expand(bytes, header).unwrap().into_owned();
                assert_eq!(of(&bytes, &found), of(&original, &header));
            }
        }
    }

    #[test]
    fn levels_are_obeyed() {
        let mut original = plain_batch(1, 0, (-1, -1, -1), false);
        original.truncate(HEADER_LEN);
        // Words in an order that has no period.
        let mut state = 1u32;
        for _ in 0..50_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let words = ["river ", "bed ", "where ", "the ", "water ", "runs ", "deepest, ", "and fastest. "];
            original.extend_from_slice(words[(state >> 29) as usize].as_bytes());
        }
        let mut header = BatchHeader::parse(&original).unwrap();
        header.len = original.len();
        for (codec, low, high) in [(1, 1, 9), (3, 1, 17), (4, -100, 22)] {
            let len = |level| {
                let wanted = Compression { codec, level: Some(level) };
                recompress(&original, &header, Some(wanted)).unwrap().unwrap().1.len()
            };
            assert!(len(low) > len(high), "codec {codec}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_an_error() {
        let mut batch = plain_batch(1, 0, (-1, -1, -1), false);
        let mut header = BatchHeader::parse(&batch).unwrap();
        header.set_codec(1);
        write_header(&mut batch, &header);
        assert!(recompress(&batch, &header, Some(Compression { codec: 0, level: None })).is_err());
    }
}
