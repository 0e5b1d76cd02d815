//! Looks at the lengths in a request before it is decoded.
//!
//! The generated decoders make room for as many elements as an array claims to have before they read the first
//! one, so a few bytes that claim two billion would end the process. Kafka refuses an array that is longer than
//! the bytes that remain, and so do we: the request is decoded once from a view in which no number can claim
//! more than one more than that, and the result is thrown away. An array that lied comes to an end there, because
//! no element is shorter than a byte.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::buf::ByteBuf;

/// A view of a request in which lengths cannot lie. Other numbers may be wrong in it.
#[derive(Debug)]
pub(crate) struct Wary {
    bytes: Bytes,
    /// The compact length that is being read, and how many of its bits are there.
    length: (u64, u32),
}

impl Wary {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, length: (0, 0) }
    }
}

impl Buf for Wary {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    /// Might be the length of an array, or any other number.
    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let value = self.bytes.try_get_i32()?;
        // One more, so that an array at the very end that claims to have elements is found out as well.
        Ok(value.min(i32::try_from(self.bytes.len() + 1).unwrap_or(i32::MAX)))
    }

    /// Might be a piece of a compact length, which is one more than it says.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        let (value, bits) = self.length;
        let value = value | u64::from(byte & 0x7f) << bits.min(56);
        let available = self.bytes.len();
        if value > available as u64 + 1 {
            return Err(TryGetError { requested: usize::try_from(value).unwrap_or(usize::MAX), available });
        }
        self.length = if byte & 0x80 == 0 { (0, 0) } else { (value, bits + 7) };
        Ok(byte)
    }
}

impl ByteBuf for Wary {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.peek_bytes(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.get_bytes(size)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    use kafka_protocol::messages::{FetchRequest, MetadataRequest, TopicName};
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;
    use crate::protocol::text;

    fn request(version: i16) -> Bytes {
        let topic = |name| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let topics = ["a", &"b".repeat(200)].map(topic).to_vec();
        let mut bytes = BytesMut::new();
        MetadataRequest::default().with_topics(Some(topics)).encode(&mut bytes, version).unwrap();
        bytes.freeze()
    }

    #[test]
    fn an_honest_request_passes() {
        for version in 0..=12 {
            let bytes = request(version);
            assert!(MetadataRequest::decode(&mut Wary::new(bytes), version).is_ok(), "version {version}");
        }
    }

    #[test]
    fn an_array_at_the_end_that_claims_elements_is_refused() {
        let version = 7;
        let mut bytes = BytesMut::new();
        FetchRequest::default().encode(&mut bytes, version).unwrap();
        assert!(FetchRequest::decode(&mut Wary::new(bytes.clone().freeze()), version).is_ok());
        let end = bytes.len();
        (&mut bytes[end - 4..]).put_i32(i32::MAX);
        assert!(FetchRequest::decode(&mut Wary::new(bytes.freeze()), version).is_err());
    }

    #[test]
    fn an_array_that_claims_billions_is_refused_before_there_is_room_for_it() {
        let mut fixed = BytesMut::from(&request(1)[..]);
        (&mut fixed[..4]).put_i32(i32::MAX);
        assert!(MetadataRequest::decode(&mut Wary::new(fixed.freeze()), 1).is_err());
        let mut compact = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 0x0f][..]);
        compact.extend_from_slice(&request(9)[1..]);
        assert!(MetadataRequest::decode(&mut Wary::new(compact.freeze()), 9).is_err());
    }
}
