//! One client: requests are read one after the other and answered in that order.
//!
//! Answers are collected for as long as complete requests are at hand, and then written together. A client that
//! sends what is no request, or announces one that is too long, is disconnected.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::{self, Call, Frame, Refused};
use crate::server::endpoint::Endpoint;
use crate::state::State;

/// Bytes of answers that are collected at most.
const COLLECTED: usize = 256 * 1024;
/// Bytes that are made room for before they have come, whatever length is announced.
const AHEAD: usize = 256 * 1024;
/// Bytes of a buffer that is kept for the next answer.
const KEPT: usize = 1 << 20;

/// Why a connection was closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("a request of {0} bytes was announced")]
    Length(i32),
}

/// Answers requests until the client goes or misbehaves.
pub(crate) async fn serve(
    state: &State,
    listener: &Endpoint,
    mut stream: TcpStream,
    peer: SocketAddr,
) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let mut input = BytesMut::with_capacity(16 * 1024);
    let mut output = BytesMut::new();
    loop {
        let answered =
            answer_all((state, listener), &mut stream, (local, peer), &mut input, &mut output).await;
        // Also if the connection is about to be closed: what was done before is acknowledged.
        flush(&mut stream, &mut output).await?;
        if let Err(Closed::Refused(Refused::Silenced)) = answered {
            return swallow(&mut stream, input).await;
        }
        answered?;
        input.reserve(missing(&input).min(AHEAD));
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Answers the complete requests of the input.
async fn answer_all(
    (state, listener): (&State, &Endpoint),
    stream: &mut TcpStream,
    (local, peer): (SocketAddr, SocketAddr),
    input: &mut BytesMut,
    output: &mut BytesMut,
) -> Result<(), Closed> {
    while let Some(bytes) = take_frame(input, state.settings.broker().max_request_bytes)? {
        let frame = Frame::parse(bytes)?;
        if frame.may_wait() || state.faults.any() || output.len() > COLLECTED {
            flush(stream, output).await?;
        }
        let client_id = frame.client_id.clone();
        let call = Call { state, version: frame.version, client_id, peer: peer.ip(), local, listener };
        api::answer(&call, frame, output).await?;
    }
    Ok(())
}

/// Reads on, does nothing and says nothing, until the client gives up.
async fn swallow(stream: &mut TcpStream, mut input: BytesMut) -> Result<(), Closed> {
    loop {
        input.clear();
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Takes a complete request off the front.
fn take_frame(input: &mut BytesMut, max: usize) -> Result<Option<Bytes>, Closed> {
    let Some(announced) = announced(input) else { return Ok(None) };
    let len = usize::try_from(announced).ok().filter(|len| *len <= max).ok_or(Closed::Length(announced))?;
    if input.len() < 4 + len {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(len).freeze()))
}

fn announced(input: &BytesMut) -> Option<i32> {
    input.get(..4).map(|mut length| length.get_i32())
}

/// How many bytes the request at the front still lacks, or some if none is there.
fn missing(input: &BytesMut) -> usize {
    let len = announced(input).and_then(|len| usize::try_from(len).ok()).unwrap_or(16 * 1024);
    (4 + len).saturating_sub(input.len()).max(16 * 1024)
}

async fn flush(stream: &mut TcpStream, output: &mut BytesMut) -> io::Result<()> {
    if output.is_empty() {
        return Ok(());
    }
    stream.write_all(output).await?;
    output.clear();
    if output.capacity() > KEPT {
        *output = BytesMut::new();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_when_they_are_complete() {
        let mut input = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert!(take_frame(&mut input, 10).unwrap().is_none());
        input.extend_from_slice(&[8, 0]);
        assert_eq!(take_frame(&mut input, 10).unwrap().unwrap()[..], [7, 8]);
        assert!(take_frame(&mut input, 10).unwrap().is_none());
        let mut huge = BytesMut::from(&i32::MAX.to_be_bytes()[..]);
        assert!(matches!(take_frame(&mut huge, 10), Err(Closed::Length(i32::MAX))));
        let mut negative = BytesMut::from(&(-1i32).to_be_bytes()[..]);
        assert!(matches!(take_frame(&mut negative, 10), Err(Closed::Length(-1))));
    }
}
