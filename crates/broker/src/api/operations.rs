//! What a client may do with a thing, as bits that some answers carry. Nobody keeps a list of what is allowed, so it
//! is everything that can be done with such a thing at all.

const READ: u8 = 3;
const WRITE: u8 = 4;
const CREATE: u8 = 5;
const DELETE: u8 = 6;
const ALTER: u8 = 7;
const DESCRIBE: u8 = 8;
const CLUSTER_ACTION: u8 = 9;
const DESCRIBE_CONFIGS: u8 = 10;
const ALTER_CONFIGS: u8 = 11;
const IDEMPOTENT_WRITE: u8 = 12;

/// What can be done with the cluster; the number for "unknown" if the client has not asked.
pub(super) fn cluster(asked: bool) -> i32 {
    const ALL: [u8; 7] =
        [CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE];
    bits(asked, &ALL)
}

/// What can be done with a topic.
pub(super) fn topic(asked: bool) -> i32 {
    const ALL: [u8; 8] = [READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS];
    bits(asked, &ALL)
}

/// What can be done with a group.
pub(super) fn group(asked: bool) -> i32 {
    bits(asked, &[READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS])
}

fn bits(asked: bool, operations: &[u8]) -> i32 {
    if !asked {
        return i32::MIN;
    }
    operations.iter().fold(0, |bits, operation| bits | 1 << operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_those_of_kafka() {
        assert_eq!((cluster(true), topic(true)), (8_096, 3_576));
        assert_eq!((cluster(false), topic(false), group(false)), (i32::MIN, i32::MIN, i32::MIN));
    }
}
