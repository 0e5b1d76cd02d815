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

#[inline]
fn put_long(buffer: &mut Vec<u8>, mut value: u64) {
    let mut bytes = [0; 10];
    let mut length = 0;
    while value >= 0x80 && length < 9 {
        bytes[length] = value as u8 | 0x80;
        value >>= 7;
        length += 1;
    }
    bytes[length] = value as u8;
    // Ten bytes are copied in one go, however many are wanted.
    let end = buffer.len() + length + 1;
    buffer.extend_from_slice(&bytes);
    buffer.truncate(end);
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
    let Some(ahead) = bytes.first_chunk::<10>() else { return take_last(bytes) };
    let mut value = 0;
    for index in 0..10 {
        let byte = ahead[index];
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            // The tenth byte has room for one bit only.
            if index == 9 && byte > 1 {
                break;
            }
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(out_of_range())
}

/// Near the end of the bytes.
#[cold]
fn take_last(bytes: &mut &[u8]) -> Result<u64, Error> {
    let (mut value, mut shift) = (0, 0);
    for (index, &byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
        shift += 7;
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
