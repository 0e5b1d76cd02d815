//! Avro's RPC over Netty, as far as Flume's `AvroSourceProtocol` goes.
//!
//! ```text
//! frame      serial: 4 bytes, n: 4 bytes, n × (length: 4 bytes, bytes); the bytes together are the message
//! request    handshake, once a connection; metadata; name; argument
//! answer     handshake, once a connection; metadata; whether it is an error; status
//! ```
//!
//! The protocol has never changed; so the handshake is answered with "we have the same", whatever hash the agent sends.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::FlumeEvent;
use super::server::{LONGEST, Request, malformed, read_bytes, read_number, read_varint, take, text, zigzag};

/// A connection.
#[derive(Default)]
pub(super) struct Session {
    knows_us: bool,
}

impl Session {
    /// The next request; `None` at the end.
    pub(super) fn next(&mut self, from: &mut impl Read) -> io::Result<Option<Request>> {
        let Some(serial) = read_number(from)? else { return Ok(None) };
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let parts = read_number(from)?.ok_or_else(cut)?;
        let mut message = Vec::new();
        for _ in 0..parts {
            let length = read_number(from)?.ok_or_else(cut)? as usize;
            message.extend(read_bytes(from, length)?);
            if message.len() > LONGEST {
                return Err(malformed("a request is too long; it seems to speak another protocol"));
            }
        }
        let (events, body) = self.request(&message)?;
        let mut answer = serial.to_be_bytes().to_vec();
        answer.extend(1_u32.to_be_bytes());
        answer.extend((body.len() as u32).to_be_bytes());
        answer.extend(body);
        Ok(Some(Request { events, answer }))
    }

    /// What is in a request, and what is answered when that is done.
    fn request(&mut self, mut from: &[u8]) -> io::Result<(Vec<FlumeEvent>, Vec<u8>)> {
        let from = &mut from;
        let mut answer = Vec::new();
        if !std::mem::replace(&mut self.knows_us, true) {
            handshake(from)?;
            // The same protocol on both sides; no protocol, no hash, no metadata of ours.
            answer.extend([0, 0, 0, 0]);
        }
        map(from, |from| bytes(from).map(drop))?;
        let name = text(bytes(from)?);
        let events = match name.as_str() {
            // A handshake alone.
            "" => return Ok((Vec::new(), answer)),
            "append" => vec![event(from)?],
            "appendBatch" => {
                let mut events = Vec::new();
                blocks(from, |from| {
                    events.push(event(from)?);
                    Ok(())
                })?;
                events
            }
            name => {
                return Err(malformed(&format!("it calls `{name}`, which is not of Flume's avro source")));
            }
        };
        if !from.is_empty() {
            return Err(malformed("there is more behind its request"));
        }
        // No metadata, no error, status OK.
        answer.extend([0, 0, 0]);
        Ok((events, answer))
    }
}

/// The client's hash, its protocol if it sends that, ours as it supposes, metadata.
fn handshake(from: &mut &[u8]) -> io::Result<()> {
    take(from, 16)?;
    if is_there(from)? {
        bytes(from)?;
    }
    take(from, 16)?;
    if is_there(from)? {
        map(from, |from| bytes(from).map(drop))?;
    }
    Ok(())
}

/// Of a union with null, which comes first.
fn is_there(from: &mut &[u8]) -> io::Result<bool> {
    match long(from)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(malformed("its handshake is none; it seems to speak another protocol")),
    }
}

pub(super) fn event(from: &mut &[u8]) -> io::Result<FlumeEvent> {
    let mut headers = BTreeMap::new();
    blocks(from, |from| {
        let name = text(bytes(from)?);
        headers.insert(name, text(bytes(from)?));
        Ok(())
    })?;
    Ok(FlumeEvent { headers, body: bytes(from)?.to_vec() })
}

pub(super) fn long(from: &mut &[u8]) -> io::Result<i64> {
    read_varint(from).map(zigzag)
}

pub(super) fn bytes<'a>(from: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let length = u64::try_from(long(from)?).map_err(|_| malformed("a length is below zero"))?;
    take(from, length)
}

/// A map whose values nobody wants.
pub(super) fn map(from: &mut &[u8], mut value: impl FnMut(&mut &[u8]) -> io::Result<()>) -> io::Result<()> {
    blocks(from, |from| {
        bytes(from)?;
        value(from)
    })
}

/// The items of an array or a map: blocks, each with its number of items, until one has none.
pub(super) fn blocks(from: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> io::Result<()>) -> io::Result<()> {
    loop {
        let count = long(from)?;
        if count == 0 {
            return Ok(());
        }
        // One that is below zero is followed by the length of the block.
        if count < 0 {
            long(from)?;
        }
        for _ in 0..count.unsigned_abs() {
            // Each takes at least a byte, so that a count that is a lie ends soon.
            item(from)?;
        }
    }
}
