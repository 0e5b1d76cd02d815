//! What somebody who cannot read a batch wants to know of it.

use kafka_protocol::ResponseError;

use crate::log::batch::BatchHeader;
use crate::log::scan::{Progress, Scan};

/// A record batch as it is stored and sent; see [`inspect_batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedBatch {
    /// The first offset.
    pub base_offset: i64,
    /// The last one.
    pub last_offset: i64,
    /// Whether its records can be decoded, and if not, why.
    pub readable: Result<(), String>,
}

/// Looks into the record batch at the beginning of `bytes`, expanding it piece by piece and no further than the broker would.
///
/// # Errors
/// [`CorruptMessage`](ResponseError::CorruptMessage) if there is no whole header of a batch (format 2), so that it cannot be told
/// where it ends.
///
/// # Examples
/// ```
/// let short = thalweg_broker::inspect_batch(b"no batch");
/// assert!(short.is_err());
/// ```
pub fn inspect_batch(bytes: &[u8]) -> Result<InspectedBatch, ResponseError> {
    let header = BatchHeader::parse(bytes).map_err(|_| ResponseError::CorruptMessage)?;
    Ok(InspectedBatch {
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        readable: read(bytes, &header),
    })
}

fn read(bytes: &[u8], header: &BatchHeader) -> Result<(), String> {
    let batch = bytes.get(..header.len).ok_or("it is cut off")?;
    BatchHeader::verify(batch).map_err(|_| "its checksum is wrong")?;
    let mut count = 0;
    let scanned = Scan::open(batch, header).and_then(|mut scan| {
        scan.some(u64::MAX, |_| {
            count += 1;
            count <= header.record_count
        })
    });
    match scanned {
        Err(error) => Err(error.to_string()),
        Ok(Progress::End) if count == header.record_count => Ok(()),
        Ok(_) => Err(format!("it has not {} records, as it says", header.record_count)),
    }
}
