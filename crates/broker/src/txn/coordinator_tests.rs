//! Transactions that meet trouble: full disks, silent producers, epochs that run out.

use std::path::Path;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::ResponseError::{
    ConcurrentTransactions, CoordinatorNotAvailable, InvalidProducerIdMapping, InvalidTxnState,
    ProducerFenced,
};

use super::ending::LAST_EPOCH;
use super::transaction::{Part, ProducerKey, Transaction, Version};
use crate::config::{BrokerConfig, Storage};
use crate::log::batch::{Marker, tests::plain_batch};
use crate::log::partition::{Bounds, Isolation};
use crate::settings::topic::TopicConfig;
use crate::state::State;

const TIMEOUT_MS: i64 = 10_000;

/// A broker's state with topic "t", each batch of which gets a file of its own if there are files.
fn state(data: Option<&Path>) -> State {
    let storage = data.map_or(Storage::Memory, |data| Storage::Directory(data.to_owned()));
    let state = State::open(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    let config = TopicConfig::new(
        [("internal.segment.bytes".to_owned(), "1".to_owned())].into(),
        &state.settings.broker(),
    )
    .unwrap();
    state.topics.create("t", 1, config).unwrap();
    state
}

fn init(state: &State, known: Option<ProducerKey>) -> ProducerKey {
    state.transactions.init(state, "x", TIMEOUT_MS, known).unwrap()
}

/// Begins a transaction and writes a record.
fn write(state: &State, producer: ProducerKey) {
    let (topic, partition) = state.topics.partition("t", 0).unwrap();
    state.transactions.add(state, "x", producer, [Part::Partition(&("t".to_owned(), 0))]).unwrap();
    let batch = plain_batch(1, 0, (producer.id, producer.epoch, 0), true);
    partition.append(&batch, topic.config().rules(), 0).unwrap();
}

fn end(
    state: &State,
    producer: ProducerKey,
    marker: Marker,
    version: Version,
) -> Result<ProducerKey, ResponseError> {
    state.transactions.end(state, "x", producer, marker, version)
}

fn bounds(state: &State) -> Bounds {
    state.topics.partition("t", 0).unwrap().1.bounds()
}

/// A folder where the next file should be is as bad as a full disk, and can be taken away again.
#[test]
fn a_marker_that_cannot_be_written_is_written_later() {
    let data = tempfile::tempdir().unwrap();
    let state = state(Some(data.path()));
    let producer = init(&state, None);
    write(&state, producer);
    let obstacle = data.path().join("topics/t-0/00000000000000000001.log");
    std::fs::create_dir(&obstacle).unwrap();
    let end = || end(&state, producer, Marker::Commit, Version::One);
    assert_eq!(end(), Err(CoordinatorNotAvailable));
    assert_eq!(end(), Err(CoordinatorNotAvailable));
    assert_eq!(bounds(&state), Bounds { start: 0, end: 1, last_stable: 0 });
    let more = state.transactions.add(&state, "x", producer, [Part::Group("g")]);
    assert_eq!(more, Err(ConcurrentTransactions));
    assert!(state.transactions.tick(&state, 0).is_some(), "it asks to be called again");
    std::fs::remove_dir(&obstacle).unwrap();
    state.transactions.tick(&state, 0);
    assert_eq!(bounds(&state), Bounds { start: 0, end: 2, last_stable: 2 });
    assert_eq!(end(), Ok(producer));
    assert_eq!(bounds(&state).end, 2, "there is one marker");
    let abort = state.transactions.end(&state, "x", producer, Marker::Abort, Version::One);
    assert_eq!(abort, Err(InvalidTxnState), "it was decided");
}

#[test]
fn a_transaction_is_aborted_at_its_deadline_and_not_before() {
    let state = state(None);
    let producer = init(&state, None);
    let begun = state.clock.now_ms();
    write(&state, producer);
    let deadline = state.transactions.tick(&state, begun).unwrap();
    assert!((begun + TIMEOUT_MS..begun + TIMEOUT_MS + 5_000).contains(&deadline), "{}", deadline - begun);
    assert_eq!(state.transactions.tick(&state, deadline - 1), Some(deadline));
    assert_eq!(bounds(&state).last_stable, 0);
    state.transactions.tick(&state, deadline);
    assert_eq!(bounds(&state).last_stable, 2);
    let read = state.topics.partition("t", 0).unwrap().1.read(0, 1 << 20, true, Isolation::ReadCommitted);
    assert_eq!(read.unwrap().aborted.len(), 1);
    assert_eq!(end(&state, producer, Marker::Commit, Version::One), Err(ProducerFenced));
    assert_eq!(end(&state, producer, Marker::Commit, Version::Two), Err(InvalidTxnState));
    let next = ProducerKey { epoch: producer.epoch + 1, ..producer };
    assert_eq!(end(&state, producer, Marker::Abort, Version::Two), Ok(next), "which is what has happened");
}

#[test]
fn a_new_producer_aborts_what_the_one_before_left_open() {
    let state = state(None);
    let first = init(&state, None);
    write(&state, first);
    let second = init(&state, None);
    // One epoch for fencing the first, one for the second.
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 2));
    assert_eq!(bounds(&state), Bounds { start: 0, end: 2, last_stable: 2 });
    let fenced = state.transactions.init(&state, "x", TIMEOUT_MS, Some(first));
    assert_eq!(fenced, Err(ProducerFenced));
    assert_eq!(end(&state, first, Marker::Abort, Version::Two), Err(ProducerFenced));
}

#[test]
fn a_producer_that_asks_twice_for_its_next_epoch_gets_the_same() {
    let state = state(None);
    let producer = init(&state, None);
    let next = init(&state, Some(producer));
    assert_eq!(next.epoch, producer.epoch + 1);
    assert_eq!(init(&state, Some(producer)), next);
    write(&state, next);
    let late = state.transactions.init(&state, "x", TIMEOUT_MS, Some(producer));
    assert_eq!(late, Err(ProducerFenced), "it has used the new one");
}

#[test]
fn after_the_last_epoch_comes_another_producer_id() {
    let state = state(None);
    let mut producer = init(&state, None);
    let first = producer.id;
    while producer.epoch < LAST_EPOCH {
        producer = init(&state, None);
        assert_eq!(producer.id, first);
    }
    write(&state, producer);
    let next = init(&state, None);
    // Fencing has used up the last epoch, so it is the second of another id.
    assert_eq!((next.id > first, next.epoch), (true, 1));
    assert_eq!(bounds(&state).last_stable, 2);
    let old = state.transactions.add(&state, "x", producer, [Part::Group("g")]);
    assert_eq!(old, Err(InvalidProducerIdMapping));
}

#[test]
fn transactional_ids_that_nobody_uses_are_forgotten_and_open_ones_are_not() {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);
    let data = tempfile::tempdir().unwrap();
    let state = state(Some(data.path()));
    let used = init(&state, None);
    let idle = state.transactions.init(&state, "idle", TIMEOUT_MS, None).unwrap();
    write(&state, used);
    let known =
        |state: &State| state.transactions.list(|_| true).into_iter().map(|one| one.id).collect::<Vec<_>>();
    state.clock.advance(WEEK - Duration::from_secs(60));
    state.tick();
    assert_eq!(known(&state), ["idle", "x"]);
    // What was open has been aborted meanwhile, which is a sign of life.
    state.clock.advance(Duration::from_secs(3_660));
    state.tick();
    assert_eq!(known(&state), ["x"]);
    let gone = state.transactions.add(&state, "idle", idle, [Part::Group("g")]);
    assert_eq!(gone, Err(InvalidProducerIdMapping));
    drop(state);
    let storage = Storage::Directory(data.path().to_owned());
    let state = State::open(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    assert_eq!(known(&state), ["x"]);
    let back = state.transactions.init(&state, "idle", TIMEOUT_MS, Some(idle)).unwrap();
    assert_ne!(back.id, idle.id);
}

#[test]
fn timeouts_longer_than_the_broker_allows_are_refused() {
    let given = [("transaction.max.timeout.ms".to_owned(), "5000".to_owned())].into();
    let config = BrokerConfig { properties: given, ..BrokerConfig::default() };
    let state = State::open(config).unwrap();
    let init = |timeout_ms| state.transactions.init(&state, "x", timeout_ms, None).map(drop);
    assert_eq!(init(5_001), Err(ResponseError::InvalidTransactionTimeout));
    assert_eq!(init(0), Err(ResponseError::InvalidTransactionTimeout));
    assert_eq!(init(5_000), Ok(()));
}

#[test]
fn nobody_is_in_charge_of_an_id_that_could_not_be_given_out() {
    let unowned = Transaction::new("x", 0);
    assert_eq!(unowned.check(unowned.key()), Err(InvalidProducerIdMapping));
}
