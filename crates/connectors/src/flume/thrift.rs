//! Thrift's compact protocol in frames, as far as Flume's `ThriftSourceProtocol` goes.
//!
//! ```text
//! frame      length: 4 bytes, message
//! message    0x82, kind and version, sequence number, name, a structure: the arguments, or the result
//! ```

use std::io::{self, Read};

use super::FlumeEvent;
use super::server::{Request, malformed, read_bytes, read_number, read_varint, take, text, zigzag};

const COMPACT: u8 = 0x82;
/// The first byte of Thrift's other protocol.
const BINARY: u8 = 0x80;

/// Kinds of messages, with the version of the protocol.
const CALL: u8 = 1 << 5 | 1;
const REPLY: u8 = 2 << 5 | 1;
const EXCEPTION: u8 = 3 << 5 | 1;

/// Kinds of values.
const STOP: u8 = 0;
const BOOLS: [u8; 2] = [1, 2];
const BYTE: u8 = 3;
const INTEGERS: [u8; 3] = [4, 5, 6];
const DOUBLE: u8 = 7;
const BYTES: u8 = 8;
const LISTS: [u8; 2] = [9, 10];
const MAP: u8 = 11;
const STRUCTURE: u8 = 12;

/// Structures in structures are followed so deep.
const DEEPEST: u32 = 16;

/// The next request; `None` at the end of the connection.
pub(super) fn next(from: &mut impl Read) -> io::Result<Option<Request>> {
    let Some(length) = read_number(from)? else { return Ok(None) };
    let message = read_bytes(from, length as usize)?;
    let (events, body) = request(&message)?;
    let mut answer = (body.len() as u32).to_be_bytes().to_vec();
    answer.extend(body);
    Ok(Some(Request { events, answer }))
}

fn request(mut from: &[u8]) -> io::Result<(Vec<FlumeEvent>, Vec<u8>)> {
    let from = &mut from;
    match take(from, 2)? {
        [COMPACT, CALL] => {}
        [BINARY, _] => {
            return Err(malformed(
                "it speaks Thrift's binary protocol; set `protocol = compact` for its sink",
            ));
        }
        _ => return Err(malformed("it does not speak Thrift's compact protocol")),
    }
    let sequence = read_varint(from)?;
    let name = bytes(from)?;
    let mut events = Vec::new();
    match name {
        b"append" => fields(from, |from, id, kind| match (id, kind) {
            (1, STRUCTURE) => {
                events.push(event(from)?);
                Ok(())
            }
            _ => skip(from, kind, 0),
        })?,
        b"appendBatch" => fields(from, |from, id, kind| match (id, kind) {
            (1, kind) if LISTS.contains(&kind) => list(from, |from, kind| {
                if kind != STRUCTURE {
                    return Err(malformed("a batch is not one of events"));
                }
                events.push(event(from)?);
                Ok(())
            }),
            _ => skip(from, kind, 0),
        })?,
        name => return Ok((events, unknown(sequence, name))),
    }
    let mut answer = vec![COMPACT, REPLY];
    write_varint(&mut answer, sequence);
    write_bytes(&mut answer, name);
    // Field 0, an integer: status OK, which is 0.
    answer.extend([INTEGERS[1], 0, 0, STOP]);
    Ok((events, answer))
}

/// A call of `appendBatch`, in its frame.
pub(super) fn append_batch(sequence: u64, events: &[FlumeEvent]) -> Vec<u8> {
    let mut call = vec![0; 4];
    call.extend([COMPACT, CALL]);
    write_varint(&mut call, sequence);
    write_bytes(&mut call, b"appendBatch");
    // Field 1, a list of structures.
    call.push(1 << 4 | LISTS[0]);
    match events.len() {
        few @ 0..15 => call.push((few as u8) << 4 | STRUCTURE),
        many => {
            call.push(15 << 4 | STRUCTURE);
            write_varint(&mut call, many as u64);
        }
    }
    for event in events {
        // Field 1, a map from text to text; field 2, bytes.
        call.push(1 << 4 | MAP);
        write_varint(&mut call, event.headers.len() as u64);
        if !event.headers.is_empty() {
            call.push(BYTES << 4 | BYTES);
        }
        for (name, value) in &event.headers {
            write_bytes(&mut call, name.as_bytes());
            write_bytes(&mut call, value.as_bytes());
        }
        call.push(1 << 4 | BYTES);
        write_bytes(&mut call, &event.body);
        call.push(STOP);
    }
    call.push(STOP);
    let length = (call.len() - 4) as u32;
    call[..4].copy_from_slice(&length.to_be_bytes());
    call
}

/// Reads the answer to that call.
pub(super) fn answered(sequence: u64, from: &mut impl Read) -> io::Result<()> {
    let length = read_number(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let answer = read_bytes(from, length as usize)?;
    let from = &mut &answer[..];
    let kind = match take(from, 2)? {
        [COMPACT, kind] => *kind,
        _ => {
            return Err(malformed(
                "it does not speak Thrift's compact protocol; set `protocol = compact` for its source",
            ));
        }
    };
    if read_varint(from)? != sequence {
        return Err(malformed("it answers another call"));
    }
    bytes(from)?;
    let (mut status, mut said) = (None, String::new());
    fields(from, |from, id, kind| match (id, kind) {
        (0, kind) if INTEGERS.contains(&kind) => {
            status = Some(zigzag(read_varint(from)?));
            Ok(())
        }
        (1, BYTES) => {
            said = text(bytes(from)?);
            Ok(())
        }
        _ => skip(from, kind, 0),
    })?;
    match (kind, status) {
        (REPLY, Some(0)) => Ok(()),
        (REPLY, Some(1)) => {
            Err(io::Error::other("it has failed to take the events; its channel may be full"))
        }
        (REPLY, _) => Err(io::Error::other("it has refused the events")),
        _ => Err(malformed(&format!("it says: {said}"))),
    }
}

/// What is answered to a call of what there is not.
fn unknown(sequence: u64, name: &[u8]) -> Vec<u8> {
    let mut answer = vec![COMPACT, EXCEPTION];
    write_varint(&mut answer, sequence);
    write_bytes(&mut answer, name);
    answer.push(1 << 4 | BYTES);
    write_bytes(
        &mut answer,
        format!("there is no `{}` here, but append and appendBatch", text(name)).as_bytes(),
    );
    // Field 2: UNKNOWN_METHOD, which is 1, zigzagged.
    answer.extend([1 << 4 | INTEGERS[1], 2, STOP]);
    answer
}

fn event(from: &mut &[u8]) -> io::Result<FlumeEvent> {
    let mut event = FlumeEvent::default();
    fields(from, |from, id, kind| {
        match (id, kind) {
            (1, MAP) => map(from, |from, (key, value)| {
                if (key, value) != (BYTES, BYTES) {
                    return Err(malformed("the headers of an event are no text"));
                }
                let name = text(bytes(from)?);
                event.headers.insert(name, text(bytes(from)?));
                Ok(())
            })?,
            (2, BYTES) => event.body = bytes(from)?.to_vec(),
            _ => skip(from, kind, 0)?,
        }
        Ok(())
    })?;
    Ok(event)
}

/// The fields of a structure: for each its number and kind.
fn fields(from: &mut &[u8], mut field: impl FnMut(&mut &[u8], i64, u8) -> io::Result<()>) -> io::Result<()> {
    let mut id = 0_i64;
    loop {
        let (kind, delta) = split(from)?;
        if kind == STOP {
            return Ok(());
        }
        id = match delta {
            0 => zigzag(read_varint(from)?),
            delta => id.saturating_add(i64::from(delta)),
        };
        field(from, id, kind)?;
    }
}

fn list(from: &mut &[u8], mut item: impl FnMut(&mut &[u8], u8) -> io::Result<()>) -> io::Result<()> {
    let (kind, count) = split(from)?;
    let count = if count == 15 { read_varint(from)? } else { u64::from(count) };
    // Every item takes at least a byte.
    (0..count).try_for_each(|_| item(from, kind))
}

fn map(from: &mut &[u8], mut entry: impl FnMut(&mut &[u8], (u8, u8)) -> io::Result<()>) -> io::Result<()> {
    let count = read_varint(from)?;
    if count == 0 {
        return Ok(());
    }
    let (value, key) = split(from)?;
    (0..count).try_for_each(|_| entry(from, (key, value)))
}

/// The lower and the upper half of a byte.
fn split(from: &mut &[u8]) -> io::Result<(u8, u8)> {
    let byte = take(from, 1)?[0];
    Ok((byte & 15, byte >> 4))
}

fn bytes<'a>(from: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let length = read_varint(from)?;
    take(from, length)
}

/// Passes over a value that nobody knows.
fn skip(from: &mut &[u8], kind: u8, depth: u32) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(malformed("it is nested too deep"));
    }
    match kind {
        kind if BOOLS.contains(&kind) => Ok(()),
        BYTE => take(from, 1).map(drop),
        kind if INTEGERS.contains(&kind) => read_varint(from).map(drop),
        DOUBLE => take(from, 8).map(drop),
        BYTES => bytes(from).map(drop),
        kind if LISTS.contains(&kind) => list(from, |from, kind| skip_item(from, kind, depth)),
        MAP => map(from, |from, (key, value)| {
            skip_item(from, key, depth)?;
            skip_item(from, value, depth)
        }),
        STRUCTURE => fields(from, |from, _, kind| skip(from, kind, depth + 1)),
        _ => Err(malformed("it has a value of no kind")),
    }
}

/// In a collection a truth value takes a byte.
fn skip_item(from: &mut &[u8], kind: u8, depth: u32) -> io::Result<()> {
    match BOOLS.contains(&kind) {
        true => take(from, 1).map(drop),
        false => skip(from, kind, depth + 1),
    }
}

fn write_varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn write_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}
