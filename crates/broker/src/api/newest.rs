//! Versions of Kafka's requests that the `kafka-protocol` crate does not know yet.
//!
//! They differ from the version before in a field or two, so a request is rewritten into that version before it is
//! decoded, and the response to it out of that version once it is encoded. A topic's id stands, as text, where the
//! version before has the topic's name.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, TopicName};
use uuid::Uuid;

use crate::api::{Call, Refused, malformed};
use crate::protocol::text;

/// A piece of a message, as the flexible versions have it.
#[derive(Debug)]
enum Piece {
    /// Numbers, one after the other, of so many bytes.
    Numbers(usize),
    /// A string, or none.
    Text,
    /// The id of a topic; in the version before, its name.
    Topic,
    /// A number of one byte that the version before does not have; it is 0.
    New,
    /// As many of these as are there.
    Array(&'static [Piece]),
    /// Fields that may be left out.
    Tags,
    /// A number of one byte that the version before does not have, and the fields behind it that may be left out. It
    /// becomes one of them, [`NUMBER`].
    NumberAndTags,
}

use Piece::{Array, New, NumberAndTags, Numbers, Tags, Text, Topic};

/// The tag of what was no field that may be left out. It comes last, so that it counts and not one that a client sends.
pub(super) const NUMBER: i32 = 0;

/// From here on, topics have ids and not names in OffsetCommit and OffsetFetch.
const OFFSETS_BY_ID: i16 = 10;

const COMMIT: &[Piece] =
    &[Text, Numbers(4), Text, Text, Array(&[Topic, Array(&[Numbers(4 + 8 + 4), Text, Tags]), Tags]), Tags];
const COMMITTED: &[Piece] = &[Numbers(4), Array(&[Topic, Array(&[Numbers(4 + 2), Tags]), Tags]), Tags];
const FETCH: &[Piece] =
    &[Array(&[Text, Text, Numbers(4), Array(&[Topic, Array(&[Numbers(4)]), Tags]), Tags]), Numbers(1), Tags];
const FETCHED: &[Piece] = &[
    Numbers(4),
    Array(&[
        Text,
        Array(&[Topic, Array(&[Numbers(4 + 8 + 4), Text, Numbers(2), Tags]), Tags]),
        Numbers(2),
        Tags,
    ]),
    Tags,
];
const MARKERS: &[Piece] = &[
    Array(&[Numbers(8 + 2 + 1), Array(&[Text, Array(&[Numbers(4)]), Tags]), Numbers(4), NumberAndTags]),
    Tags,
];
const DIRS: &[Piece] = &[
    Numbers(4 + 2),
    Array(&[
        Numbers(2),
        Text,
        Array(&[Text, Array(&[Numbers(4 + 8 + 8 + 1), Tags]), Tags]),
        Numbers(8 + 8),
        New,
        Tags,
    ]),
    Tags,
];

/// Request and response of a version that is one more than the crate knows. What is the same is `None`.
struct Layout {
    version: i16,
    request: Option<&'static [Piece]>,
    response: Option<&'static [Piece]>,
}

fn layout(key: ApiKey, version: i16) -> Option<Layout> {
    let layout = match key {
        ApiKey::ListOffsets => Layout { version: 11, request: None, response: None },
        ApiKey::OffsetCommit => {
            Layout { version: OFFSETS_BY_ID, request: Some(COMMIT), response: Some(COMMITTED) }
        }
        ApiKey::OffsetFetch => {
            Layout { version: OFFSETS_BY_ID, request: Some(FETCH), response: Some(FETCHED) }
        }
        ApiKey::WriteTxnMarkers => Layout { version: 2, request: Some(MARKERS), response: None },
        ApiKey::DescribeLogDirs => Layout { version: 5, request: None, response: Some(DIRS) },
        _ => return None,
    };
    (layout.version == version).then_some(layout)
}

/// The version that the crate takes this one for.
pub(super) fn known(key: ApiKey, version: i16) -> i16 {
    version - i16::from(layout(key, version).is_some())
}

/// The body of a request, in the version that the crate takes it for.
pub(super) fn request(key: ApiKey, version: i16, body: Bytes) -> Result<Bytes, Refused> {
    let Some(pieces) = layout(key, version).and_then(|layout| layout.request) else { return Ok(body) };
    let mut rewriting = Rewriting { from: &body, to: BytesMut::with_capacity(body.len() * 2), back: false };
    rewriting
        .pieces(pieces)
        .ok_or_else(|| malformed("it ends too early, or has a string of another kind"))?;
    rewriting.to.put_slice(rewriting.from);
    Ok(rewriting.to.freeze())
}

/// Rewrites the body of a response, which stands at the end of `out` in the version that the crate knows.
pub(super) fn response(key: ApiKey, version: i16, out: &mut BytesMut, body: usize) -> Result<(), Refused> {
    let Some(pieces) = layout(key, version).and_then(|layout| layout.response) else { return Ok(()) };
    let known = out.split_off(body);
    let mut rewriting = Rewriting { from: &known, to: BytesMut::with_capacity(known.len()), back: true };
    rewriting
        .pieces(pieces)
        .ok_or_else(|| Refused::Unanswerable("a topic's name is not an id".to_owned()))?;
    out.unsplit(rewriting.to);
    Ok(())
}

/// What an answer with offsets calls a topic: in the newest version its id. `None` if it is no more and has none.
pub(super) fn name_shown(call: &Call<'_>, name: &str) -> Option<TopicName> {
    if call.version < OFFSETS_BY_ID {
        return Some(TopicName(text(name)));
    }
    Some(TopicName(text(&call.state.topics.get(name)?.id.to_string())))
}

/// The name of the topic that a request for offsets means. `None` if it gives an id that no topic has.
pub(super) fn topic_name(call: &Call<'_>, given: &TopicName) -> Option<String> {
    if call.version < OFFSETS_BY_ID {
        return Some(given.to_string());
    }
    let id = Uuid::parse_str(given).ok()?;
    Some(call.state.topics.get_by_id(id)?.name.clone())
}

/// Copies a message, changing what has to be. `None` if it is not what it should be.
struct Rewriting<'a> {
    from: &'a [u8],
    to: BytesMut,
    /// Out of the version that the crate knows, and not into it.
    back: bool,
}

impl<'a> Rewriting<'a> {
    fn pieces(&mut self, pieces: &[Piece]) -> Option<()> {
        for piece in pieces {
            match piece {
                Numbers(size) => self.copy(*size)?,
                Text => {
                    let len = self.varint()?;
                    self.copy((len as usize).saturating_sub(1))?;
                }
                Topic if self.back => {
                    let len = varint(&mut self.from)?;
                    let name = std::str::from_utf8(self.take((len as usize).checked_sub(1)?)?).ok()?;
                    self.to.put_slice(Uuid::parse_str(name).ok()?.as_bytes());
                }
                Topic => {
                    let id = Uuid::from_slice(self.take(16)?).ok()?.to_string();
                    put_varint(&mut self.to, id.len() as u32 + 1);
                    self.to.put_slice(id.as_bytes());
                }
                New => self.to.put_u8(0),
                Array(element) => {
                    for _ in 1..self.varint()? {
                        self.pieces(element)?;
                    }
                }
                Tags => {
                    let count = self.varint()?;
                    self.tags(count)?;
                }
                NumberAndTags => {
                    let number = self.from.try_get_u8().ok()?;
                    let count = varint(&mut self.from)?;
                    put_varint(&mut self.to, count.checked_add(1)?);
                    self.tags(count)?;
                    self.to.put_slice(&[NUMBER as u8, 1, number]);
                }
            }
        }
        Some(())
    }

    fn tags(&mut self, count: u32) -> Option<()> {
        for _ in 0..count {
            self.varint()?;
            let size = self.varint()?;
            self.copy(size as usize)?;
        }
        Some(())
    }

    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        self.from.split_off(..size)
    }

    fn copy(&mut self, size: usize) -> Option<()> {
        let bytes = self.take(size)?;
        self.to.put_slice(bytes);
        Some(())
    }

    fn varint(&mut self) -> Option<u32> {
        let value = varint(&mut self.from)?;
        put_varint(&mut self.to, value);
        Some(value)
    }
}

fn varint(from: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

fn put_varint(to: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        to.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use kafka_protocol::messages::{GroupId, OffsetCommitRequest};
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;

    /// A commit of two topics, in the version that the crate knows, and the bytes of the one after it.
    fn commit() -> (OffsetCommitRequest, Bytes) {
        let topic = |id: u128| {
            let partition = OffsetCommitRequestPartition::default()
                .with_committed_offset(7)
                .with_committed_metadata(Some(text(&"m".repeat(200))));
            OffsetCommitRequestTopic::default()
                .with_name(TopicName(text(&Uuid::from_u128(id).to_string())))
                .with_partitions(vec![partition.clone(), partition.with_committed_metadata(None)])
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_topics(vec![topic(1), topic(u128::MAX)]);
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes, 9).unwrap();
        let mut rewriting = Rewriting { from: &bytes, to: BytesMut::new(), back: true };
        rewriting.pieces(COMMIT).unwrap();
        assert!(rewriting.from.is_empty());
        (request, rewriting.to.freeze())
    }

    #[test]
    fn ids_stand_where_names_did() {
        let (request, bytes) = commit();
        let mut known = super::request(ApiKey::OffsetCommit, 10, bytes).unwrap();
        assert_eq!(OffsetCommitRequest::decode(&mut known, 9).unwrap(), request);
    }

    #[test]
    fn a_request_that_ends_too_early_or_claims_too_much_is_refused() {
        let (_, bytes) = commit();
        for len in 0..bytes.len() {
            assert!(super::request(ApiKey::OffsetCommit, 10, bytes.slice(..len)).is_err(), "{len} bytes");
        }
        for (index, _) in bytes.iter().enumerate() {
            let mut changed = BytesMut::from(&bytes[..]);
            changed[index] = 0xff;
            // Whatever comes of it, it ends, and takes no more room than it has.
            if let Ok(known) = super::request(ApiKey::OffsetCommit, 10, changed.freeze()) {
                assert!(known.len() <= 4 * bytes.len());
            }
        }
    }

    #[test]
    fn other_versions_stay_as_they_are() {
        let bytes = Bytes::from_static(b"anything");
        assert_eq!(super::request(ApiKey::OffsetCommit, 9, bytes.clone()).unwrap(), bytes);
        assert_eq!(super::request(ApiKey::ListOffsets, 11, bytes.clone()).unwrap(), bytes);
        assert_eq!((known(ApiKey::ListOffsets, 11), known(ApiKey::ListOffsets, 10)), (10, 10));
        assert_eq!((known(ApiKey::Fetch, 18), known(ApiKey::DescribeLogDirs, 5)), (18, 4));
    }
}
