//! Numbers of variable length (LEB128; signed ones folded by zigzag), as they lie in values.

use super::error::Error;

#[inline(always)]
pub(super) fn put(buffer: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        buffer.push(value as u8);
    } else {
        put_long(buffer, value);
    }
}

/// Without a loop, whose end nobody can predict: numbers have a different length each.
#[inline(never)]
fn put_long(buffer: &mut Vec<u8>, value: u64) {
    if value >> 56 != 0 {
        return put_longest(buffer, value);
    }
    let length = (70 - value.leading_zeros() as usize) / 7;
    let more = MORE & ((1 << (8 * (length - 1))) - 1);
    // Eight bytes are copied in one go, however many are wanted.
    let end = buffer.len() + length;
    buffer.extend_from_slice(&(spread(value) | more).to_le_bytes());
    buffer.truncate(end);
}

/// In each byte the bit that says that there is another.
const MORE: u64 = 0x8080_8080_8080_8080;

/// Of 56 bits, seven to each byte.
#[inline(always)]
fn spread(value: u64) -> u64 {
    let value = (value & 0x0fff_ffff) | ((value & 0x00ff_ffff_f000_0000) << 4);
    let value = (value & 0x0000_3fff_0000_3fff) | ((value & 0x0fff_c000_0fff_c000) << 2);
    (value & 0x007f_007f_007f_007f) | ((value & 0x3f80_3f80_3f80_3f80) << 1)
}

/// The other way round.
#[inline(always)]
fn gather(value: u64) -> u64 {
    let value = (value & 0x007f_007f_007f_007f) | ((value & 0x7f00_7f00_7f00_7f00) >> 1);
    let value = (value & 0x0000_3fff_0000_3fff) | ((value & 0x3fff_0000_3fff_0000) >> 2);
    (value & 0x0fff_ffff) | ((value & 0x0fff_ffff_0000_0000) >> 4)
}

/// Nine or ten bytes.
#[inline(never)]
fn put_longest(buffer: &mut Vec<u8>, value: u64) {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&(spread(value & ((1 << 56) - 1)) | MORE).to_le_bytes());
    let rest = value >> 56;
    bytes[8] = rest as u8;
    let mut length = 9;
    if rest >= 0x80 {
        bytes[9] = 1;
        length = 10;
    }
    buffer.extend_from_slice(&bytes[..length]);
}

pub(super) fn put_u128(buffer: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

#[inline(always)]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline(always)]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(super) fn zigzag_128(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)) as u128
}

pub(super) fn unzigzag_128(value: u128) -> i128 {
    (value >> 1) as i128 ^ -((value & 1) as i128)
}

/// Takes a number from the front of `bytes`.
#[inline(always)]
pub(super) fn take(bytes: &mut &[u8]) -> Result<u64, Error> {
    match **bytes {
        [byte, ref rest @ ..] if byte < 0x80 => {
            *bytes = rest;
            Ok(u64::from(byte))
        }
        _ => take_long(bytes),
    }
}

#[inline]
fn take_long(bytes: &mut &[u8]) -> Result<u64, Error> {
    let Some(ahead) = bytes.first_chunk::<8>() else { return take_slowly(bytes) };
    let ahead = u64::from_le_bytes(*ahead);
    let ends = !ahead & MORE;
    if ends == 0 {
        return take_slowly(bytes);
    }
    let length = ends.trailing_zeros() / 8 + 1;
    *bytes = &bytes[length as usize..];
    Ok(gather(ahead & (u64::MAX >> (64 - 8 * length)) & !MORE))
}

/// Near the end of the bytes, or more than eight of them.
#[inline(never)]
fn take_slowly(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        // The tenth byte has room for one bit only.
        if index > 9 || (index == 9 && byte > 1) {
            return Err(out_of_range());
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(cut_short())
}

pub(super) fn take_u128(bytes: &mut &[u8]) -> Result<u128, Error> {
    let (mut value, mut shift) = (0_u128, 0);
    for (index, &byte) in bytes.iter().enumerate() {
        // The nineteenth byte has room for two bits.
        if shift == 126 && byte > 3 {
            return Err(Error::new("damaged: a number is out of range"));
        }
        value |= u128::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
        shift += 7;
    }
    Err(cut_short())
}

#[cold]
pub(super) fn cut_short() -> Error {
    Error::new("damaged: it is cut short")
}

#[cold]
fn out_of_range() -> Error {
    Error::new("damaged: a number is out of range")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A byte at a time.
    fn naive(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    proptest! {
        #[test]
        fn numbers_of_every_length_are_written_as_leb128_and_come_back(
            value: u64,
            shift in 0_u32..64,
            after in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            for value in [value >> shift, u64::MAX >> shift, 1 << shift, (1 << shift) - 1] {
                let mut bytes = vec![7];
                put(&mut bytes, value);
                prop_assert_eq!(&bytes[1..], &naive(value)[..]);
                bytes.extend(&after);
                let mut left = &bytes[1..];
                prop_assert_eq!(take(&mut left).unwrap(), value);
                prop_assert_eq!(left, &after[..]);
                prop_assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_too_large_is_damaged() {
        let refused = |bytes: &[u8], why: &str| {
            let error = take(&mut &*bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{bytes:?}: {error}");
        };
        refused(&[], "cut short");
        refused(&[0x80; 5], "cut short");
        refused(&[0x80; 9], "cut short");
        refused(&[0xff; 20], "out of range");
        refused(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], "out of range");
    }
}
