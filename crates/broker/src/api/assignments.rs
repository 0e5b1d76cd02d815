//! Replicas that clients assign to partitions by hand. There is one node, so there is one right answer.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::BrokerId;

use crate::error::Refusal;
use crate::protocol::NODE_ID;

/// Checks the replicas of one partition. Kafka looks at the brokers in order of their numbers.
pub(super) fn check(replicas: &[BrokerId]) -> Result<(), Refusal> {
    let invalid = |what: String| {
        let message = format!("The manual partition assignment includes {what}");
        Err((ResponseError::InvalidReplicaAssignment, message))
    };
    let mut brokers: Vec<i32> = replicas.iter().map(|broker| broker.0).collect();
    brokers.sort_unstable();
    if brokers.is_empty() {
        return invalid("an empty replica list.".to_owned());
    }
    for (n, broker) in brokers.iter().enumerate() {
        if *broker < 0 {
            return invalid(format!("an invalid broker id of {broker}."));
        }
        if *broker != NODE_ID {
            return invalid(format!("broker {broker}, but no such broker is registered."));
        }
        if n > 0 {
            return invalid(format!("the broker {broker} more than once."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_broker_once_is_right() {
        let check = |brokers: &[i32]| check(&brokers.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>());
        assert_eq!(check(&[NODE_ID]), Ok(()));
        for (brokers, end) in [
            (&[][..], "an empty replica list."),
            (&[1, 2], "broker 2, but no such broker is registered."),
            (&[1, -1], "an invalid broker id of -1."),
            (&[1, 1], "the broker 1 more than once."),
        ] {
            let (error, message) = check(brokers).unwrap_err();
            assert_eq!(error, ResponseError::InvalidReplicaAssignment);
            assert!(message.ends_with(end), "{message}");
        }
    }
}
