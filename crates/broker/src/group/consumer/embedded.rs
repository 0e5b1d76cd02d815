//! What consumers carry in the classic protocol, which is a protocol of its own that the broker need not know as
//! long as all members of a group speak it: subscriptions when they join, assignments when they sync.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, Message, StrBytes};

use crate::group::consumer::Partitions;
use crate::group::consumer::subscription::Catalog;
use crate::protocol::lengths::Wary;

/// The name of the protocol.
pub(crate) const CONSUMER: &str = "consumer";

/// What a consumer says when it joins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) topics: BTreeSet<String>,
    /// What it reads, of topics that there are.
    pub(crate) owned: Partitions,
    pub(crate) rack_id: Option<String>,
}

/// Reads a subscription; `None` if it is none.
pub(crate) fn subscription(bytes: &Bytes, catalog: &impl Catalog) -> Option<Subscribed> {
    let decoded: ConsumerProtocolSubscription = decode(bytes)?;
    let owned = decoded.owned_partitions.iter();
    Some(Subscribed {
        topics: decoded.topics.iter().map(ToString::to_string).collect(),
        owned: by_id(owned.map(|owned| (&*owned.topic.0, &*owned.partitions)), catalog),
        rack_id: decoded.rack_id.map(|rack| rack.to_string()),
    })
}

/// Reads an assignment, and whether there is more in it, which only the assignor of the members understands.
/// Nothing at all is an assignment without partitions.
pub(crate) fn assignment(bytes: &Bytes, catalog: &impl Catalog) -> Option<(Partitions, bool)> {
    if bytes.is_empty() {
        return Some((Partitions::new(), false));
    }
    let decoded: ConsumerProtocolAssignment = decode(bytes)?;
    let assigned = decoded.assigned_partitions.iter();
    let partitions = by_id(assigned.map(|assigned| (&*assigned.topic.0, &*assigned.partitions)), catalog);
    Some((partitions, decoded.user_data.is_some_and(|data| !data.is_empty())))
}

/// Writes an assignment for a consumer that has subscribed with this metadata. Topics that are no more are left out.
pub(crate) fn encode_assignment(partitions: &Partitions, metadata: &Bytes, catalog: &impl Catalog) -> Bytes {
    let version = version(metadata).unwrap_or(0);
    let assigned = partitions.iter().filter_map(|(id, partitions)| {
        let topic = TopicName(StrBytes::from_string(catalog.name(*id)?));
        let partitions = partitions.iter().copied().collect();
        Some(TopicPartition::default().with_topic(topic).with_partitions(partitions))
    });
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(assigned.collect());
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    match assignment.encode(&mut bytes, version) {
        Ok(()) => bytes.freeze(),
        // Names of topics are short enough for every version.
        Err(_) => Bytes::new(),
    }
}

/// The version that a message is in; one that is newer than we know can be read like the newest.
fn version(bytes: &Bytes) -> Option<i16> {
    let version = (&bytes[..]).try_get_i16().ok()?;
    (version >= 0).then(|| version.min(ConsumerProtocolSubscription::VERSIONS.max))
}

fn decode<M: Decodable>(bytes: &Bytes) -> Option<M> {
    let version = version(bytes)?;
    let mut rest = bytes.slice(2..);
    M::decode(&mut Wary::new(rest.clone()), version).ok()?;
    M::decode(&mut rest, version).ok()
}

fn by_id<'a>(named: impl Iterator<Item = (&'a str, &'a [i32])>, catalog: &impl Catalog) -> Partitions {
    let mut partitions = Partitions::new();
    for (name, indexes) in named.filter(|(_, indexes)| !indexes.is_empty()) {
        if let Some((id, _)) = catalog.find(name) {
            partitions.entry(id).or_default().extend(indexes);
        }
    }
    partitions
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::group::consumer::tests::Shelf;

    #[test]
    fn assignments_are_written_as_consumers_read_them() {
        let mut shelf = Shelf::default();
        shelf.put("t", 1, 3);
        let share = Partitions::from([(Uuid::from_u128(1), [0, 2].into()), (Uuid::from_u128(9), [0].into())]);
        let metadata = Bytes::from_static(&[0, 1]);
        let bytes = encode_assignment(&share, &metadata, &shelf);
        let expected =
            [0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(&bytes[..], expected, "version, one topic with two partitions, no more");
        let read = Partitions::from([(Uuid::from_u128(1), [0, 2].into())]);
        assert_eq!(assignment(&bytes, &shelf), Some((read.clone(), false)));
        let mut more = BytesMut::from(&bytes[..bytes.len() - 4]);
        more.put_slice(&[0, 0, 0, 1, 7]);
        assert_eq!(assignment(&more.freeze(), &shelf), Some((read, true)));
        assert_eq!(assignment(&Bytes::new(), &shelf), Some((Partitions::new(), false)));
    }

    #[test]
    fn subscriptions_of_every_version_are_read_and_nonsense_is_not() {
        let mut shelf = Shelf::default();
        shelf.put("t", 1, 3);
        for version in 0..=4 {
            let mut bytes = BytesMut::new();
            bytes.put_i16(version);
            bytes.put_slice(&[0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff]);
            if version >= 1 {
                bytes.put_slice(&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 2]);
            }
            if version >= 2 {
                bytes.put_i32(5);
            }
            if version >= 3 {
                bytes.put_slice(&[0, 1, b'r']);
            }
            let bytes = bytes.freeze();
            let read = subscription(&bytes, &shelf).unwrap();
            let owned = Partitions::from([(Uuid::from_u128(1), [2].into())]);
            let expected = Subscribed {
                topics: ["t".to_owned()].into(),
                owned: if version >= 1 { owned } else { Partitions::new() },
                rack_id: (version >= 3).then(|| "r".to_owned()),
            };
            assert_eq!(read, expected, "version {version}");
            assert_eq!(subscription(&bytes.slice(..bytes.len() - 1), &shelf), None);
        }
        let lie = Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(subscription(&lie, &shelf), None, "it claims two billion topics");
        assert_eq!(subscription(&Bytes::from_static(&[0xff, 0xff]), &shelf), None);
    }
}
