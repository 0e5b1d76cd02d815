//! DescribeTransactions: where transactional ids stand, and what is in their open transactions.
//!
//! The offsets of a group are in a transaction as what Kafka keeps them in: a partition of `__consumer_offsets`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName, TransactionalId,
};

use crate::api::Call;
use crate::api::proportion::once;
use crate::protocol::text;
use crate::txn::transaction::Transaction;

/// Kafka's topic of committed offsets, which is none here.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// How many partitions it has by default.
const OFFSETS_PARTITIONS: i32 = 50;

pub(super) fn handle(call: &Call<'_>, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut ids = request.transactional_ids;
    once(&mut ids, TransactionalId::clone);
    let states = ids.into_iter().map(|id| match call.state.transactions.get(&id) {
        Ok(transaction) => describe(id, &transaction),
        Err(error) => {
            let error = match error {
                ResponseError::InvalidProducerIdMapping => ResponseError::TransactionalIdNotFound,
                other => other,
            };
            TransactionState::default().with_transactional_id(id).with_error_code(error.code())
        }
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

fn describe(id: TransactionalId, transaction: &Transaction) -> TransactionState {
    let mut topics = BTreeMap::<&str, Vec<i32>>::new();
    for (topic, partition) in &transaction.partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    for group in &transaction.groups {
        let partitions = topics.entry(OFFSETS_TOPIC).or_default();
        partitions.push(partition_of_group(group));
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_unstable();
        partitions.dedup();
        TopicData::default().with_topic(TopicName(text(name))).with_partitions(partitions)
    });
    TransactionState::default()
        .with_transactional_id(id)
        .with_transaction_state(text(transaction.phase.name()))
        .with_transaction_timeout_ms(i32::try_from(transaction.timeout_ms).unwrap_or(i32::MAX))
        .with_transaction_start_time_ms(transaction.started_ms)
        .with_producer_id(ProducerId(transaction.producer_id))
        .with_producer_epoch(transaction.epoch)
        .with_topics(topics.collect())
}

/// Where Kafka would keep the offsets of a group: by the hash that Java has for strings.
fn partition_of_group(group: &str) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    (hash & i32::MAX) % OFFSETS_PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_where_kafka_keeps_them() {
        for (group, partition) in [("", 0), ("a", 47), ("readers", 28), ("a-group-with-a-long-name", 49)] {
            assert_eq!(partition_of_group(group), partition, "{group:?}");
        }
    }
}
