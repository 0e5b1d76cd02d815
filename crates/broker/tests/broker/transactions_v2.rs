//! Transactions of the second version, said over the wire: Produce 12, TxnOffsetCommit 5, EndTxn 5.

use std::time::Duration;

use crate::common::wire::{
    NO_PRODUCER, Wire, api_versions, batch, name, patient_fetch, produce_request, transactional_id,
};
use crate::common::{PATIENCE, memory, transactional};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, GroupId, InitProducerIdRequest, ProduceRequest, ProducerId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::producer::{BaseRecord, Producer};
use thalweg_broker::Broker;

/// Producer id and epoch.
type Key = (i64, i16);

struct Client {
    wire: Wire,
}

impl Client {
    fn new(broker: &Broker) -> Self {
        Self { wire: Wire::connect(broker) }
    }

    /// The error code of a record that is produced in that version.
    fn produce(&mut self, version: i16, key: Key, partition: i32, sequence: i32) -> i16 {
        let records = batch(&["v"], (key.0, key.1, sequence), true);
        let mut request = produce_request("t", records, Some("x"));
        request.topic_data[0].partition_data[0].index = partition;
        self.wire.call(version, &request).responses[0].partition_responses[0].error_code
    }

    fn end(&mut self, version: i16, key: Key, committed: bool) -> Result<Key, i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional_id("x"))
            .with_producer_id(ProducerId(key.0))
            .with_producer_epoch(key.1)
            .with_committed(committed);
        let response = self.wire.call(version, &request);
        match response.error_code {
            0 => Ok((response.producer_id.0, response.producer_epoch)),
            code => {
                if version >= 5 {
                    assert_eq!((response.producer_id.0, response.producer_epoch), (-1, -1));
                }
                Err(code)
            }
        }
    }

    /// The error code of an offset that is committed in the transaction.
    fn commit_offset(&mut self, version: i16, key: Key) -> i16 {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(5);
        let topic =
            TxnOffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(transactional_id("x"))
            .with_group_id(GroupId(StrBytes::from_static_str("g")))
            .with_producer_id(ProducerId(key.0))
            .with_producer_epoch(key.1)
            .with_topics(vec![topic]);
        self.wire.call(version, &request).topics[0].partitions[0].error_code
    }

    /// Last stable offset and end of partition 0.
    fn bounds(&mut self) -> (i64, i64) {
        let fetched = self.wire.call(11, &patient_fetch("t", 0, true).with_max_wait_ms(0));
        let partition = &fetched.responses[0].partitions[0];
        (partition.last_stable_offset, partition.high_watermark)
    }
}

fn next(key: Key) -> Key {
    (key.0, key.1 + 1)
}

fn broker() -> Broker {
    let broker = memory();
    broker.create_topic("t", 2).unwrap();
    broker
}

#[test]
fn clients_are_told_that_they_may_speak_it() {
    let broker = broker();
    let mut wire = Wire::connect(&broker);
    for version in [3, 4] {
        let response = wire.call(version, &api_versions());
        let finalized = response.finalized_features.iter().find(|one| &*one.name == "transaction.version");
        assert_eq!(finalized.map(|one| (one.min_version_level, one.max_version_level)), Some((2, 2)));
        let supported = response.supported_features.iter().find(|one| &*one.name == "transaction.version");
        // A version of 0 cannot be said before.
        assert_eq!(supported.map(|one| (one.min_version, one.max_version)), (version >= 4).then_some((0, 2)));
    }
}

#[test]
fn producing_and_committing_offsets_begin_a_transaction_and_every_end_answers_the_next_epoch() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let key = client.wire.init("x");
    assert_eq!(client.produce(12, key, 0, 0), 0);
    assert_eq!(client.commit_offset(5, key), 0);
    assert_eq!(client.bounds(), (0, 1));
    let second = client.end(5, key, true).unwrap();
    assert_eq!((second, client.bounds()), (next(key), (2, 2)));
    assert_eq!(client.end(5, key, true), Ok(second), "asked again");
    assert_eq!(client.produce(12, key, 0, 1), ResponseError::InvalidProducerEpoch.code());
    assert_eq!(client.commit_offset(5, key), ResponseError::InvalidProducerEpoch.code());
    // Only offsets this time.
    assert_eq!(client.commit_offset(5, second), 0);
    let third = client.end(5, second, false).unwrap();
    assert_eq!((third, client.bounds()), (next(second), (2, 2)));
    assert_eq!(client.end(5, third, true), Err(ResponseError::InvalidTxnState.code()), "nothing was begun");
    assert_eq!(client.end(5, third, false), Ok(next(third)), "that may be aborted all the same");
}

#[test]
fn what_was_not_added_is_refused_in_the_words_of_each_version() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let key = client.wire.init("x");
    assert_eq!(client.produce(10, key, 0, 0), ResponseError::InvalidTxnState.code());
    assert_eq!(client.produce(11, key, 0, 0), ResponseError::TransactionAbortable.code());
    assert_eq!(client.commit_offset(3, key), ResponseError::InvalidTxnState.code());
    assert_eq!(client.commit_offset(4, key), ResponseError::TransactionAbortable.code());
    assert_eq!(client.produce(12, key, 0, 0), 0);
    assert_eq!(client.produce(11, key, 0, 1), 0, "it is in the transaction now");
    for (producer, fenced) in [
        (next(key), ResponseError::InvalidProducerEpoch),
        ((key.0 + 1, 0), ResponseError::InvalidProducerIdMapping),
    ] {
        for version in [11, 12] {
            assert_eq!(client.produce(version, producer, 1, 0), fenced.code(), "version {version}");
        }
    }
    assert_eq!(client.end(5, next(key), true), Err(ResponseError::ProducerFenced.code()));
    assert_eq!(client.end(1, next(key), true), Err(ResponseError::InvalidProducerEpoch.code()));
}

#[test]
fn records_of_a_transaction_without_its_id_or_of_two_producers_are_refused_whole() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let key = client.wire.init("x");
    let request = |id: Option<&str>, second: (i64, i16, i32), is_transactional| {
        let mut request = produce_request("t", batch(&["v"], (key.0, key.1, 0), true), id);
        let records = Some(batch(&["v"], second, is_transactional));
        let other = PartitionProduceData::default().with_index(1).with_records(records);
        request.topic_data[0].partition_data.push(other);
        request
    };
    let codes = |response: &kafka_protocol::messages::ProduceResponse| {
        response.responses[0].partition_responses.iter().map(|one| one.error_code).collect::<Vec<_>>()
    };
    let unnamed = client.wire.call(12, &request(None, NO_PRODUCER, false));
    assert_eq!(codes(&unnamed), [ResponseError::TransactionalIdAuthorizationFailed.code(); 2]);
    let mixed = client.wire.call(12, &request(Some("x"), (key.0 + 1, 0, 0), true));
    assert_eq!(codes(&mixed), [ResponseError::InvalidProducerIdMapping.code(); 2]);
    let plain = client.wire.call(12, &request(Some("x"), NO_PRODUCER, false));
    assert_eq!(codes(&plain), [0, 0]);
}

#[test]
fn topics_are_named_by_their_ids_from_version_13_on() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let key = client.wire.init("x");
    let id = client.wire.topic_id("t");
    let request = |id, sequence| {
        let records = Some(batch(&["v"], (key.0, key.1, sequence), true));
        let partition = PartitionProduceData::default().with_index(0).with_records(records);
        let topic = TopicProduceData::default().with_topic_id(id).with_partition_data(vec![partition]);
        ProduceRequest::default()
            .with_acks(-1)
            .with_transactional_id(Some(transactional_id("x")))
            .with_topic_data(vec![topic])
    };
    let response = client.wire.call(13, &request(id, 0)).responses.remove(0);
    assert_eq!((response.topic_id, response.partition_responses[0].error_code), (id, 0));
    let response = client.wire.call(13, &request(uuid::Uuid::nil(), 1)).responses.remove(0);
    assert_eq!(response.partition_responses[0].error_code, ResponseError::UnknownTopicId.code());
    assert_eq!(client.end(5, key, true), Ok(next(key)));
    assert_eq!(client.bounds(), (2, 2));
}

#[test]
fn several_transactions_are_added_to_or_looked_at_in_one_request() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let (x, y) = (client.wire.init("x"), client.wire.init("y"));
    let part = |id: &str, key: Key, partitions: Vec<i32>, verify_only| {
        let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(partitions);
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(transactional_id(id))
            .with_producer_id(ProducerId(key.0))
            .with_producer_epoch(key.1)
            .with_verify_only(verify_only)
            .with_topics(vec![topic])
    };
    let mut call = |transactions| {
        let request = AddPartitionsToTxnRequest::default().with_transactions(transactions);
        let results = client.wire.call(5, &request).results_by_transaction;
        let codes = results.iter().map(|result| {
            let partitions = &result.topic_results[0].results_by_partition;
            partitions.iter().map(|one| one.partition_error_code).collect::<Vec<_>>()
        });
        codes.collect::<Vec<_>>()
    };
    let abortable = ResponseError::TransactionAbortable.code();
    assert_eq!(call(vec![part("x", x, vec![0], true)]), [[abortable]]);
    let (unknown, fenced) =
        (ResponseError::UnknownTopicOrPartition.code(), ResponseError::ProducerFenced.code());
    let not_attempted = ResponseError::OperationNotAttempted.code();
    let added = call(vec![part("x", x, vec![0], false), part("y", y, vec![1, 2], false)]);
    assert_eq!(added, [vec![0], vec![not_attempted, unknown]]);
    let seen = call(vec![part("x", x, vec![0, 1], true), part("y", next(y), vec![0], true)]);
    assert_eq!(seen, [vec![0, abortable], vec![fenced]]);
}

#[test]
fn a_producer_that_is_told_nothing_asks_who_it_is_and_goes_on() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let key = client.wire.init("x");
    assert_eq!(client.produce(12, key, 0, 0), 0);
    broker.faults().advance_clock(Duration::from_secs(61));
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional_id("x")))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(key.0))
        .with_producer_epoch(key.1);
    let response = client.wire.call(5, &init);
    assert_eq!((response.error_code, response.producer_epoch), (0, key.1 + 1));
    assert_eq!(client.wire.call(5, &init).producer_epoch, key.1 + 1);
    assert_eq!(client.produce(12, next(key), 0, 0), 0);
    let half = init.with_producer_epoch(-1);
    assert_eq!(client.wire.call(5, &half).error_code, ResponseError::InvalidRequest.code());
}

#[test]
fn held_markers_keep_the_next_transaction_waiting_in_its_new_epoch() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let key = client.wire.init("x");
    assert_eq!(client.produce(12, key, 0, 0), 0);
    broker.faults().hold_markers("x", None);
    let second = client.end(5, key, true).unwrap();
    assert_eq!((second, client.bounds()), (next(key), (0, 1)));
    let concurrent = ResponseError::ConcurrentTransactions.code();
    assert_eq!(client.produce(12, second, 0, 0), concurrent);
    assert_eq!(client.commit_offset(5, second), concurrent);
    assert_eq!(client.end(5, key, true), Err(concurrent));
    assert_eq!(client.produce(11, key, 0, 1), ResponseError::InvalidProducerEpoch.code());
    broker.faults().release_markers("x");
    assert_eq!(client.bounds(), (2, 2));
    assert_eq!(client.end(5, key, true), Ok(second));
    assert_eq!(client.produce(12, second, 0, 0), 0);
}

#[test]
fn a_client_of_the_first_version_takes_over_and_is_taken_over() {
    let broker = broker();
    let mut client = Client::new(&broker);
    let key = client.wire.init("x");
    assert_eq!(client.produce(12, key, 0, 0), 0);
    let old = transactional(&broker, "x");
    assert_eq!(client.end(5, key, true), Err(ResponseError::ProducerFenced.code()));
    for value in ["a", "b"] {
        old.begin_transaction().unwrap();
        old.send(BaseRecord::<(), str>::to("t").partition(0).payload(value))
            .map_err(|(error, _)| error)
            .unwrap();
        old.commit_transaction(PATIENCE).unwrap();
    }
    let key = client.wire.init("x");
    assert_eq!(client.produce(12, key, 0, 0), 0);
    assert_eq!(client.end(5, key, true), Ok(next(key)));
    // Aborted: a record and its marker; then three times a record and its marker.
    assert_eq!(client.bounds(), (8, 8));
}
