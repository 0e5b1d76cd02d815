//! Long requests: each is read into a buffer of its own, which then serves another one, of whatever connection. Memory
//! that comes fresh from the system costs more than reading into it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes that are made room for before they have come, whatever length is announced, when so many have come before.
const AHEAD: usize = 256 * 1024;
/// The same of a request that has only begun.
const STEP: usize = 64 * 1024;
/// Buffers that wait for the next request.
const KEPT: usize = 4;
/// Bytes of such a buffer at most.
const LONGEST_KEPT: usize = 2 << 20;

/// Buffers that nobody uses at the moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    fn take(&self) -> Buffer {
        let bytes = self.spare().pop().unwrap_or_default();
        Buffer { bytes, home: self.clone() }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that goes home when it is dropped.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut spare = self.home.spare();
        if bytes.capacity() <= LONGEST_KEPT && spare.len() < KEPT {
            spare.push(bytes);
        }
    }
}

/// A long request that is being read.
#[derive(Debug)]
pub(super) struct LongRequest {
    buffer: Buffer,
    len: usize,
}

impl LongRequest {
    /// One of `len` bytes. `input` has its announcement and the first ones.
    pub(super) fn begin(buffers: &Buffers, len: usize, input: &mut BytesMut) -> Self {
        let mut buffer = buffers.take();
        buffer.bytes.extend_from_slice(&input[4..]);
        input.clear();
        Self { buffer, len }
    }

    /// How long it will be.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of it that have come.
    pub(super) fn received(&self) -> usize {
        self.buffer.bytes.len()
    }

    /// Bytes of it that there will be at most after the next read: hardly more than twice those that have come.
    pub(super) fn ahead(&self) -> usize {
        let received = self.received();
        self.len.min(received + received.clamp(STEP, AHEAD))
    }

    /// Room for what the next read may bring.
    pub(super) fn room(&mut self) -> Limit<&mut Vec<u8>> {
        let missing = self.ahead() - self.received();
        let bytes = &mut self.buffer.bytes;
        if bytes.len() == bytes.capacity() {
            bytes.reserve(missing.min(AHEAD));
        }
        bytes.limit(missing)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.buffer.bytes.len() == self.len
    }

    /// Its bytes; when all who have some of them are done, the buffer goes home.
    pub(super) fn finish(self) -> Bytes {
        Bytes::from_owner(self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_serves_the_next_request_when_nobody_has_a_slice_of_it() {
        let buffers = Buffers::default();
        let mut input = BytesMut::from(&[0, 0, 0, 6, 1, 2][..]);
        let mut request = LongRequest::begin(&buffers, 6, &mut input);
        assert!(input.is_empty() && !request.is_complete());
        request.room().put_slice(&[3, 4]);
        assert_eq!(request.room().remaining_mut(), 2);
        request.room().put_slice(&[5, 6]);
        assert!(request.is_complete());
        let bytes = request.finish();
        let slice = bytes.slice(2..);
        drop(bytes);
        assert_eq!(buffers.spare().len(), 0);
        assert_eq!(slice, [3, 4, 5, 6][..]);
        drop(slice);
        assert_eq!(buffers.spare().len(), 1);
        let next = LongRequest::begin(&buffers, 9, &mut BytesMut::from(&[0, 0, 0, 9][..]));
        assert!(buffers.spare().is_empty() && next.buffer.bytes.is_empty());
    }

    #[test]
    fn no_more_memory_is_taken_than_what_has_come_is_worth() {
        let mut request = LongRequest::begin(&Buffers::default(), 1 << 30, &mut BytesMut::from(&[0; 4][..]));
        request.room();
        assert!(request.buffer.bytes.capacity() <= AHEAD);
    }
}
