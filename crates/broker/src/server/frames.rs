//! Where requests begin and end: a length of four bytes, and that many bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes that are read at a time at least.
const AT_LEAST: usize = 16 * 1024;

/// A length that no request can have, or may have here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a request of {0} bytes was announced")]
pub(crate) struct WrongLength(i32);

/// How long the request at the front is, if that is known yet.
pub(crate) fn announced(input: &BytesMut, max: usize) -> Result<Option<usize>, WrongLength> {
    let Some(length) = input.get(..4).map(|mut length| length.get_i32()) else { return Ok(None) };
    match usize::try_from(length) {
        Ok(len) if len <= max => Ok(Some(len)),
        _ => Err(WrongLength(length)),
    }
}

/// Takes a complete request off the front.
pub(crate) fn take(input: &mut BytesMut, max: usize) -> Result<Option<Bytes>, WrongLength> {
    let Some(len) = announced(input, max)? else { return Ok(None) };
    if input.len() < 4 + len {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(len).freeze()))
}

/// Makes room for what the request at the front still lacks, which is not a long one.
pub(crate) fn make_room(input: &mut BytesMut, len: Option<usize>) {
    let missing = len.map_or(AT_LEAST, |len| (4 + len).saturating_sub(input.len()));
    input.reserve(missing.max(AT_LEAST));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_when_they_are_complete() {
        let mut input = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert_eq!(take(&mut input, 10), Ok(None));
        input.extend_from_slice(&[8, 0]);
        assert_eq!(take(&mut input, 10), Ok(Some(Bytes::from_static(&[7, 8]))));
        assert_eq!(take(&mut input, 10), Ok(None));
        for wrong in [11, i32::MAX, -1] {
            let mut input = BytesMut::from(&wrong.to_be_bytes()[..]);
            assert_eq!(take(&mut input, 10), Err(WrongLength(wrong)));
        }
    }
}
