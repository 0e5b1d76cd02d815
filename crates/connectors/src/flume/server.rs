//! Accepts agents, and acknowledges what they send when it has been committed.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Stopped, Store};
use thalweg_dataflow::tell;

use super::{FlumeEvent, FlumeReceiver, avro, thrift};
use crate::contract::{ConnectorError, Failure, Place};
use crate::socket::{Connection, TICK};

/// No request may be longer, so that an agent that speaks another protocol is noticed.
pub(super) const LONGEST: usize = 64 << 20;

/// So many agents may be connected at once.
const AGENTS: usize = 64;

/// What agents speak.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    Avro,
    Thrift,
}

/// What an agent has sent, and what it is answered when that has been committed.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) events: Vec<FlumeEvent>,
    pub(super) answer: Vec<u8>,
}

pub(super) fn serve(receiver: &FlumeReceiver, store: &Store<FlumeEvent>) -> Result<(), BoxError> {
    let (host, port) = (receiver.host.as_str(), receiver.port);
    let place = Place::new("Flume", &receiver.address());
    let listen = || {
        let listener = TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let listener = listen().map_err(|error: io::Error| {
        ConnectorError::once(&place, "listen for agents", Failure::passing(error))
    })?;
    let agents = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        while !store.is_stopped() {
            match listener.accept() {
                Ok((stream, agent)) if agents.fetch_add(1, Ordering::SeqCst) < AGENTS => {
                    let agents = &agents;
                    scope.spawn(move || {
                        if let Err(error) = talk(stream, receiver, store)
                            && !is_stopped(&error)
                        {
                            tell::warn(format_args!(
                                "Flume's agent at {agent}: {error}; its connection is closed"
                            ));
                        }
                        agents.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                Ok((_, agent)) => {
                    agents.fetch_sub(1, Ordering::SeqCst);
                    refuse(agent);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => drop(store.wait(TICK)),
                // An agent that was gone before it was accepted.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    return Err(
                        ConnectorError::once(&place, "accept an agent", Failure::passing(error)).into()
                    );
                }
            }
        }
        Ok(())
    })
}

fn refuse(agent: SocketAddr) {
    tell::warn(format_args!("Flume's agent at {agent} is turned away: {AGENTS} are connected already"));
}

/// That the job is over is no error of an agent's.
fn is_stopped(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
}

/// Talks to one agent until it goes.
fn talk(stream: TcpStream, receiver: &FlumeReceiver, store: &Store<FlumeEvent>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::with_capacity(64 << 10, Connection { stream, store });
    let mut avro = avro::Session::default();
    loop {
        let request = match receiver.protocol {
            Protocol::Avro => avro.next(&mut requests)?,
            Protocol::Thrift => thrift::next(&mut requests)?,
        };
        let Some(request) = request else { return Ok(()) };
        let stored = match receiver.at_once {
            true => request.events.into_iter().try_for_each(|event| store.store(event)),
            false => store.store_reliably(request.events),
        };
        stored.map_err(io::Error::other)?;
        answers.write_all(&request.answer)?;
    }
}

/// Reads four bytes, as a number that comes first in what follows it; `None` at the end of the connection.
pub(super) fn read_number(from: &mut impl Read) -> io::Result<Option<u32>> {
    let mut number = [0; 4];
    if from.read(&mut number[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut number[1..])?;
    Ok(Some(u32::from_be_bytes(number)))
}

/// Reads so many bytes.
pub(super) fn read_bytes(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    if length > LONGEST {
        return Err(malformed(&format!("it announces {length} bytes; it seems to speak another protocol")));
    }
    let mut bytes = Vec::new();
    if from.take(length as u64).read_to_end(&mut bytes)? < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// A number of seven bits a byte, the lowest first, in at most ten bytes.
pub(super) fn read_varint(from: &mut &[u8]) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = from.split_first().ok_or_else(|| malformed("it is cut short"))?;
        *from = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(malformed("a number has no end"))
}

pub(super) fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The next so many bytes.
pub(super) fn take<'a>(from: &mut &'a [u8], length: u64) -> io::Result<&'a [u8]> {
    let (taken, rest) = usize::try_from(length)
        .ok()
        .and_then(|length| from.split_at_checked(length))
        .ok_or_else(|| malformed("it is cut short"))?;
    *from = rest;
    Ok(taken)
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
