//! What the leader of a group has given to a member: bytes to the broker, known to clients only.

use crate::cluster::TopicPartition;

/// Reads Kafka's ConsumerProtocolAssignment: a version, then topics with their partitions. Bytes that are something
/// else, as in groups that are no consumers', are none.
pub(super) fn partitions(bytes: &[u8]) -> Vec<TopicPartition> {
    read(bytes).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    let mut rest = bytes;
    let mut assigned = Vec::new();
    let _version = i16::from_be_bytes(take(&mut rest)?);
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let topic = std::str::from_utf8(name).ok()?;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            assigned.push((topic.to_owned(), i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    Some(assigned)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_partitions_are_read_and_other_bytes_are_none() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x02\0\x02bc\0\0\0\x01\0\0\0\x07\xff\xff\xff\xff";
        let expected = [("a".to_owned(), 0), ("a".to_owned(), 2), ("bc".to_owned(), 7)];
        assert_eq!(partitions(bytes), expected);
        for length in 0..bytes.len() - 4 {
            assert!(partitions(&bytes[..length]).is_empty(), "{length}");
        }
        assert!(partitions(b"\0\0\x7f\xff\xff\xff\xff\xff").is_empty());
    }
}
