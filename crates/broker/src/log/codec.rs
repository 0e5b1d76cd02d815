//! Opening and closing the records of compressed batches.
//!
//! Nobody else in the broker expands anything. What a few bytes claim to be is not believed: [`reader`] hands records out
//! piece by piece, in a buffer of fixed size, and neither it nor [`expand`] goes beyond [`MAX_EXPANDED`].

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use bytes::{BufMut, BytesMut};
use flate2::bufread::MultiGzDecoder;
use kafka_protocol::compression::{Compressor, Lz4, Snappy};

use crate::log::batch::{BatchHeader, HEADER_LEN};

/// Bytes that the records of one batch may be expanded to. What takes more is refused when it is produced, and is an error
/// for whoever reads it in this process.
pub(crate) const MAX_EXPANDED: usize = 128 << 20;
/// Bytes of expanded records that are in memory while they are read piece by piece.
const PIECE: usize = 64 << 10;
/// What snappy streams of Java clients begin with; a version and a compatible version follow.
const XERIAL: &[u8; 8] = b"\x82SNAPPY\x00";
const XERIAL_LEN: usize = 16;
/// What snappy makes of a byte at most: three bytes can stand for 64 others.
const SNAPPY_RATIO: usize = 22;

/// The records of a batch, piece by piece: expanded if need be. The error of what goes beyond [`MAX_EXPANDED`] is
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge).
pub(crate) fn reader<'a>(batch: &'a [u8], header: &BatchHeader) -> io::Result<Box<dyn BufRead + 'a>> {
    let records = batch.get(HEADER_LEN..header.len).unwrap_or_default();
    let expanding: Box<dyn Read + 'a> = match header.codec() {
        0 => return Ok(Box::new(records)),
        1 => Box::new(MultiGzDecoder::new(records)),
        2 => Box::new(Unsnap::new(records)),
        3 => Box::new(lz4::Decoder::new(records)?),
        4 => Box::new(zstd::stream::read::Decoder::with_buffer(records)?),
        _ => return Err(invalid("no codec has that number")),
    };
    Ok(Box::new(BufReader::with_capacity(PIECE, Bounded { expanding, left: MAX_EXPANDED })))
}

/// The records of a batch, expanded if need be, all of them at once.
pub(crate) fn expand<'a>(batch: &'a [u8], header: &BatchHeader) -> io::Result<Cow<'a, [u8]>> {
    if header.codec() == 0 {
        return Ok(Cow::Borrowed(batch.get(HEADER_LEN..header.len).unwrap_or_default()));
    }
    let mut out = Vec::new();
    reader(batch, header)?.read_to_end(&mut out)?;
    Ok(Cow::Owned(out))
}

/// Compresses records with the codec of `header`, at that level of it or at its usual one.
pub(crate) fn compress(records: &[u8], header: &BatchHeader, level: Option<i32>) -> io::Result<BytesMut> {
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
            let level = level.and_then(|level| u32::try_from(level).ok());
            let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            io::Write::write_all(&mut encoder, records)?;
            Ok(encoder.finish()?[..].into())
        }
        2 => with::<Snappy>(records),
        3 => match level.and_then(|level| u32::try_from(level).ok()) {
            None => with::<Lz4>(records),
            Some(level) => {
                let mut builder = lz4::EncoderBuilder::new();
                // As those of Kafka's clients are; not all read others.
                builder
                    .level(level)
                    .block_mode(lz4::BlockMode::Independent)
                    .block_size(lz4::BlockSize::Max64KB);
                let mut encoder = builder.build(Vec::new())?;
                io::Write::write_all(&mut encoder, records)?;
                let (out, finished) = encoder.finish();
                finished?;
                Ok(out[..].into())
            }
        },
        4 => Ok(zstd::stream::encode_all(records, level.unwrap_or(0))?[..].into()),
        _ => Err(invalid("no codec has that number")),
    }
}

/// Ends with an error where a stream goes on for too long.
struct Bounded<R> {
    expanding: R,
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.expanding.read(buffer)?;
        let too_long =
            || io::Error::new(io::ErrorKind::FileTooLarge, "the records are too long when expanded");
        self.left = self.left.checked_sub(count).ok_or_else(too_long)?;
        Ok(count)
    }
}

/// One raw block of snappy, or the stream of blocks that Java clients write.
struct Unsnap<'a> {
    rest: &'a [u8],
    is_stream: bool,
    block: Vec<u8>,
    /// How much of the block has been handed out.
    at: usize,
}

impl<'a> Unsnap<'a> {
    fn new(records: &'a [u8]) -> Self {
        let is_stream = records.starts_with(XERIAL);
        let rest = if is_stream { records.get(XERIAL_LEN..).unwrap_or_default() } else { records };
        Self { rest, is_stream, block: Vec::new(), at: 0 }
    }

    /// Expands the next block, if there is one.
    fn next(&mut self) -> io::Result<bool> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        let block = if self.is_stream {
            let short = || invalid("a snappy block is cut off");
            let (len, after) = self.rest.split_first_chunk().ok_or_else(short)?;
            let (block, after) =
                after.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(short)?;
            self.rest = after;
            block
        } else {
            std::mem::take(&mut self.rest)
        };
        let claimed = snap::raw::decompress_len(block).map_err(io::Error::other)?;
        if claimed > SNAPPY_RATIO.saturating_mul(block.len()) {
            return Err(invalid("a snappy block claims to be longer than it can be"));
        }
        if claimed > MAX_EXPANDED {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the records are too long when expanded",
            ));
        }
        self.block.resize(claimed, 0);
        snap::raw::Decoder::new().decompress(block, &mut self.block).map_err(io::Error::other)?;
        self.at = 0;
        Ok(true)
    }
}

impl Read for Unsnap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = (&self.block[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
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
            let compressed = compress(&records, &batch(codec, &[]).1, None).unwrap();
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
