//! Records of a compressed batch. The only place in the broker where they are unpacked.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::compression::{Decompressor, Gzip, Lz4, Snappy, Zstd};

use crate::local::LocalError;

/// Unpacks what the attributes of a batch say; plain records are returned as they are.
pub(super) fn decompress(attributes: i16, mut packed: Bytes) -> Result<Bytes, LocalError> {
    let unpacked = match attributes & 0x7 {
        0 => return Ok(packed),
        1 => Gzip::decompress(&mut packed, |bytes| Ok(std::mem::take(bytes))),
        2 => Snappy::decompress(&mut packed, |bytes| Ok(std::mem::take(bytes))),
        3 => Lz4::decompress(&mut packed, |bytes| Ok(std::mem::take(bytes))),
        4 => Zstd::decompress(&mut packed, |bytes| Ok(std::mem::take(bytes))),
        other => {
            let what = format!("no codec has the number {other}");
            return Err(LocalError::new(ResponseError::UnsupportedCompressionType, what));
        }
    };
    unpacked.map_err(|error| LocalError::new(ResponseError::CorruptMessage, error.to_string()))
}
