//! What a topic's settings say about its records.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::memory;
use common::wire::{NO_PRODUCER, Wire, batch};
use kafka_protocol::ResponseError;

#[test]
fn a_compacted_topic_refuses_records_without_keys_and_says_which() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    wire.create("t", &[("cleanup.policy", "compact")]);
    let refused = wire.produce("t", batch(&["a", "b"], NO_PRODUCER, false), None);
    assert_eq!(refused.error_code, ResponseError::InvalidRecord.code());
    let message = refused.error_message.unwrap();
    assert!(
        message.starts_with("One or more records have been rejected due to 2 record errors"),
        "{message}"
    );
    let wrong: Vec<_> = refused.record_errors.iter().map(|record| record.batch_index).collect();
    assert_eq!(wrong, [0, 1]);
    let why = refused.record_errors[0].batch_index_error_message.as_ref().unwrap();
    assert_eq!(why.as_str(), "Compacted topic cannot accept message without key in topic partition t-0.");
}

#[test]
fn records_that_are_too_old_are_refused() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    // The test's records are of 1970.
    wire.create("t", &[("message.timestamp.before.max.ms", "1000")]);
    let refused = wire.produce("t", batch(&["a"], NO_PRODUCER, false), None);
    assert_eq!(refused.error_code, ResponseError::InvalidTimestamp.code());
    assert_eq!(
        refused.error_message.unwrap().as_str(),
        "One or more records have been rejected due to invalid timestamp"
    );
}
