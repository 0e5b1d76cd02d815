//! Opening and closing the records of compressed batches.
//!
//! Hardly anything needs that: batches are kept as they come. It is done to find the record of a time, to see whether
//! the records for a compacted topic have keys, and to compact.

use std::borrow::Cow;
use std::io::{self, Read};

use bytes::{BufMut, BytesMut};
use kafka_protocol::compression::{Compressor, Lz4, Snappy};

use crate::log::batch::{BatchHeader, HEADER_LEN};

/// Bytes that the records of one batch may be expanded to: a few bytes can claim to be terabytes.
const MAX_EXPANDED: usize = 128 << 20;
/// What snappy streams of Java clients begin with; a version and a compatible version follow.
const XERIAL: &[u8; 8] = b"\x82SNAPPY\x00";
const XERIAL_LEN: usize = 16;

/// The records of a batch, expanded if need be.
pub(crate) fn expand<'a>(batch: &'a [u8], header: &BatchHeader) -> io::Result<Cow<'a, [u8]>> {
    let records = batch.get(HEADER_LEN..header.len).unwrap_or_default();
    Ok(match header.codec() {
        0 => return Ok(Cow::Borrowed(records)),
        1 => bounded(flate2::read::MultiGzDecoder::new(records))?,
        2 => unsnap(records)?,
        3 => bounded(lz4::Decoder::new(records)?)?,
        4 => bounded(zstd::stream::read::Decoder::new(records)?)?,
        _ => return Err(invalid("no codec has that number")),
    }
    .into())
}

/// Compresses records as those of `header` are.
pub(crate) fn compress(records: &[u8], header: &BatchHeader) -> io::Result<BytesMut> {
    fn with<C: Compressor<BytesMut, BufMut = BytesMut>>(records: &[u8]) -> io::Result<BytesMut> {
        let mut out = BytesMut::new();
        let fill = |buffer: &mut BytesMut| {
            buffer.put_slice(records);
            Ok(())
        };
        C::compress(&mut out, fill).map_err(io::Error::other)?;
        Ok(out)
    }
    match header.codec() {
        0 => Ok(records.into()),
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            io::Write::write_all(&mut encoder, records)?;
            Ok(encoder.finish()?[..].into())
        }
        2 => with::<Snappy>(records),
        3 => with::<Lz4>(records),
        4 => Ok(zstd::stream::encode_all(records, 0)?[..].into()),
        _ => Err(invalid("no codec has that number")),
    }
}

fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(MAX_EXPANDED as u64 + 1).read_to_end(&mut out)?;
    if out.len() > MAX_EXPANDED { Err(invalid("the records are too long")) } else { Ok(out) }
}

/// One raw block, or the stream of blocks that Java clients write.
fn unsnap(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if !records.starts_with(XERIAL) {
        unsnap_block(records, &mut out)?;
        return Ok(out);
    }
    let mut rest = records.get(XERIAL_LEN..).unwrap_or_default();
    while !rest.is_empty() {
        let short = || invalid("a snappy block is cut off");
        let (len, after) = rest.split_first_chunk().ok_or_else(short)?;
        let (block, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(short)?;
        unsnap_block(block, &mut out)?;
        rest = after;
    }
    Ok(out)
}

fn unsnap_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let before = out.len();
    let len = before + snap::raw::decompress_len(block).map_err(io::Error::other)?;
    if len > MAX_EXPANDED {
        return Err(invalid("the records are too long"));
    }
    out.resize(len, 0);
    snap::raw::Decoder::new().decompress(block, &mut out[before..]).map_err(io::Error::other)?;
    Ok(())
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;

    /// A batch of that codec whose records are these bytes.
    fn batch(codec: i16, records: &[u8]) -> (Vec<u8>, BatchHeader) {
        let mut bytes = plain_batch(1, 0, (-1, -1, -1), false);
        bytes.truncate(HEADER_LEN);
        bytes.extend_from_slice(records);
        let mut header = BatchHeader::parse(&bytes).unwrap();
        (header.attributes, header.len) = (codec, bytes.len());
        (bytes, header)
    }

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let records: Vec<u8> = (0..100_000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        for codec in 0..=4 {
            let compressed = compress(&records, &batch(codec, &[]).1).unwrap();
            assert!(codec == 0 || compressed.len() < records.len());
            let (bytes, header) = batch(codec, &compressed);
            assert_eq!(expand(&bytes, &header).unwrap(), &records[..], "codec {codec}");
        }
    }

    #[test]
    fn a_block_without_a_frame_is_read_too() {
        let raw = snap::raw::Encoder::new().compress_vec(b"records").unwrap();
        let (bytes, header) = batch(2, &raw);
        assert_eq!(expand(&bytes, &header).unwrap(), &b"records"[..]);
    }

    #[test]
    fn what_is_no_stream_or_expands_without_end_is_refused() {
        let zeros = vec![0; MAX_EXPANDED + 1];
        for codec in 1..=4 {
            let (bytes, header) = batch(codec, b"\x82SNAPPY\x00no stream at all");
            assert!(expand(&bytes, &header).is_err(), "codec {codec}");
        }
        let bomb = zstd::stream::encode_all(&zeros[..], 0).unwrap();
        assert!(bomb.len() < 100_000);
        let (bytes, header) = batch(4, &bomb);
        assert!(expand(&bytes, &header).is_err());
        // The length of a raw snappy block: four gigabytes.
        let (bytes, header) = batch(2, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(expand(&bytes, &header).is_err());
    }
}
