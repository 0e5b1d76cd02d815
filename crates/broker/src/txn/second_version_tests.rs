//! Transactions of the second version: an epoch for each, and what clients may ask for twice.

use std::path::Path;

use kafka_protocol::ResponseError::{
    self, ConcurrentTransactions, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState,
    OutOfOrderSequenceNumber, ProducerFenced, TransactionAbortable,
};

use super::ending::LAST_EPOCH;
use super::transaction::{Part, Phase, ProducerKey, Transaction, Version};
use crate::config::{BrokerConfig, Storage};
use crate::faults::rules::Held;
use crate::group::classic::Identity;
use crate::group::offsets::Committed;
use crate::log::batch::{Marker, tests::plain_batch};
use crate::log::partition::{Bounds, Isolation, Origin};
use crate::state::State;

const TIMEOUT_MS: i64 = 10_000;

/// A broker's state with topic "t" of two partitions.
fn state(data: Option<&Path>) -> State {
    let storage = data.map_or(Storage::Memory, |data| Storage::Directory(data.to_owned()));
    let state = State::open(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    if state.topics.get("t").is_none() {
        state.create_topic("t", 2, Default::default()).unwrap();
    }
    state
}

fn init(state: &State, known: Option<ProducerKey>) -> Result<ProducerKey, ResponseError> {
    state.transactions.init(state, "x", TIMEOUT_MS, known)
}

/// Appends a record as a produce request does.
fn write(state: &State, producer: ProducerKey, partition: i32, sequence: i32) -> Result<(), ResponseError> {
    let place = ("t".to_owned(), partition);
    state.transactions.add(state, "x", producer, [Part::Partition(&place)])?;
    let topic = state.topics.get("t").unwrap();
    let batch = plain_batch(1, 0, (producer.id, producer.epoch, sequence), true);
    state.append(&topic, partition, (Origin::Client, &batch), Some("x"), Version::Two, 0).map(drop)
}

fn end(state: &State, producer: ProducerKey, marker: Marker) -> Result<ProducerKey, ResponseError> {
    state.transactions.end(state, "x", producer, marker, Version::Two)
}

fn now(state: &State) -> Transaction {
    state.transactions.get("x").unwrap()
}

fn next(producer: ProducerKey) -> ProducerKey {
    ProducerKey { epoch: producer.epoch + 1, ..producer }
}

fn bounds(state: &State, partition: i32) -> Bounds {
    state.topics.partition("t", partition).unwrap().1.bounds()
}

/// Gives out epochs until the last one is reached.
fn exhaust(state: &State, mut producer: ProducerKey) -> ProducerKey {
    while producer.epoch < LAST_EPOCH {
        producer = end(state, producer, Marker::Abort).unwrap();
    }
    producer
}

#[test]
fn every_transaction_has_an_epoch_of_its_own_and_counts_from_zero_in_it() {
    let state = state(None);
    let first = init(&state, None).unwrap();
    write(&state, first, 0, 0).unwrap();
    write(&state, first, 0, 1).unwrap();
    let second = end(&state, first, Marker::Commit).unwrap();
    assert_eq!(second, next(first));
    assert_eq!(write(&state, first, 0, 2), Err(ProducerFenced), "late records are not part of it");
    assert_eq!(write(&state, second, 0, 2), Err(OutOfOrderSequenceNumber));
    assert_eq!(write(&state, second, 1, 1), Err(OutOfOrderSequenceNumber), "nothing was lost before it");
    write(&state, second, 0, 0).unwrap();
    let third = end(&state, second, Marker::Abort).unwrap();
    assert_eq!(third, next(second));
    let read = state.topics.partition("t", 0).unwrap().1.read(3, 1 << 20, true, Isolation::ReadCommitted);
    let aborted: Vec<_> =
        read.unwrap().aborted.iter().map(|one| (one.first_offset, one.last_offset)).collect();
    assert_eq!(aborted, [(3, 4)]);
    assert_eq!(bounds(&state, 0), Bounds { start: 0, end: 5, last_stable: 5 });
}

/// The table of `ending`.
#[test]
fn what_may_be_asked_for_depends_on_how_the_last_transaction_ended() {
    for (last, outcomes) in [
        (None, [Err(ProducerFenced), Ok(1), Err(ProducerFenced), Err(InvalidTxnState)]),
        (Some(Marker::Abort), [Ok(0), Ok(1), Err(InvalidTxnState), Err(InvalidTxnState)]),
        (Some(Marker::Commit), [Err(InvalidTxnState), Ok(1), Ok(0), Err(InvalidTxnState)]),
    ] {
        for (n, wanted) in outcomes.into_iter().enumerate() {
            let state = state(None);
            let mut producer = end(&state, init(&state, None).unwrap(), Marker::Abort).unwrap();
            match last {
                None => producer = init(&state, None).unwrap(),
                Some(marker) => {
                    write(&state, producer, 0, 0).unwrap();
                    producer = end(&state, producer, marker).unwrap();
                }
            }
            let (again, marker) = (n % 2 == 0, if n < 2 { Marker::Abort } else { Marker::Commit });
            let asking = ProducerKey { epoch: producer.epoch - i16::from(again), ..producer };
            let ended = end(&state, asking, marker).map(|key| key.epoch - producer.epoch);
            assert_eq!(ended, wanted, "after {last:?}: {marker:?}, again: {again}");
        }
    }
}

#[test]
fn in_an_open_transaction_only_the_present_epoch_counts() {
    let state = state(None);
    let before = init(&state, None).unwrap();
    let producer = end(&state, before, Marker::Abort).unwrap();
    write(&state, producer, 0, 0).unwrap();
    for marker in [Marker::Commit, Marker::Abort] {
        assert_eq!(end(&state, before, marker), Err(ProducerFenced));
        assert_eq!(end(&state, next(producer), marker), Err(ProducerFenced));
        let other = ProducerKey { id: producer.id + 1, ..producer };
        assert_eq!(end(&state, other, marker), Err(InvalidProducerIdMapping));
    }
    assert_eq!(
        state.transactions.end(&state, "", producer, Marker::Abort, Version::Two),
        Err(ResponseError::InvalidRequest)
    );
    assert_eq!(end(&state, producer, Marker::Commit), Ok(next(producer)));
}

#[test]
fn after_the_last_epoch_comes_another_producer_id_and_the_end_may_be_asked_for_again() {
    for marker in [Marker::Commit, Marker::Abort] {
        let state = state(None);
        let last = exhaust(&state, init(&state, None).unwrap());
        write(&state, last, 0, 0).unwrap();
        let fresh = end(&state, last, marker).unwrap();
        assert!(fresh.id > last.id && fresh.epoch == 0);
        assert_eq!(end(&state, last, marker), Ok(fresh), "the answer was lost");
        assert_eq!(bounds(&state, 0), Bounds { start: 0, end: 2, last_stable: 2 });
        write(&state, fresh, 0, 0).unwrap();
        assert_eq!(end(&state, last, marker), Err(InvalidProducerIdMapping));
        let topic = state.topics.get("t").unwrap();
        let late = plain_batch(1, 0, (last.id, last.epoch, 1), true);
        let late = topic.partition(0).unwrap().append(&late, topic.config().rules(), 0);
        assert_eq!(late, Err(InvalidProducerEpoch), "the marker had an epoch that nobody was given");
    }
}

#[test]
fn a_producer_that_was_aborted_by_the_clock_goes_on_in_the_next_epoch() {
    let state = state(None);
    let producer = init(&state, None).unwrap();
    write(&state, producer, 0, 0).unwrap();
    state.transactions.tick(&state, state.clock.now_ms() + TIMEOUT_MS + 1);
    assert_eq!(now(&state).phase, Phase::CompleteAbort);
    assert_eq!(write(&state, producer, 0, 1), Err(ProducerFenced));
    assert_eq!(end(&state, producer, Marker::Commit), Err(InvalidTxnState), "it was not committed");
    let next = end(&state, producer, Marker::Abort).unwrap();
    write(&state, next, 0, 0).unwrap();
    // The same by asking who it is.
    state.transactions.tick(&state, state.clock.now_ms() + TIMEOUT_MS + 1);
    let after = init(&state, Some(next)).unwrap();
    assert_eq!((after.id, after.epoch), (next.id, next.epoch + 1));
    write(&state, after, 0, 0).unwrap();
}

#[test]
fn a_clock_that_aborts_in_the_last_epoch_begins_another_producer_id() {
    let state = state(None);
    let last = exhaust(&state, init(&state, None).unwrap());
    write(&state, last, 0, 0).unwrap();
    state.transactions.tick(&state, state.clock.now_ms() + TIMEOUT_MS + 1);
    let fresh = init(&state, Some(last)).unwrap();
    assert!(fresh.id > last.id && fresh.epoch == 0);
    assert_eq!(init(&state, Some(last)), Ok(fresh), "the answer was lost");
    assert_eq!(end(&state, last, Marker::Abort), Err(InvalidProducerIdMapping));
}

#[test]
fn a_client_of_the_first_version_and_one_of_the_second_take_turns() {
    let state = state(None);
    let place = ("t".to_owned(), 0);
    let old = init(&state, None).unwrap();
    let part = [Part::Partition(&place)];
    state.transactions.add(&state, "x", old, part).unwrap();
    let committed = state.transactions.end(&state, "x", old, Marker::Commit, Version::One);
    assert_eq!(committed, Ok(old), "its epoch is that of its producer");
    let new = init(&state, None).unwrap();
    assert_eq!(new, next(old));
    write(&state, new, 0, 0).unwrap();
    let new = end(&state, new, Marker::Commit).unwrap();
    let late = state.transactions.end(&state, "x", old, Marker::Commit, Version::One);
    assert_eq!(late, Err(ProducerFenced));
    let fenced = new;
    let old = init(&state, None).unwrap();
    assert_eq!(old, next(new));
    state.transactions.add(&state, "x", old, part).unwrap();
    state.transactions.end(&state, "x", old, Marker::Abort, Version::One).unwrap();
    assert_eq!(state.transactions.end(&state, "x", old, Marker::Abort, Version::One), Ok(old));
    let commit = state.transactions.end(&state, "x", old, Marker::Commit, Version::One);
    assert_eq!(commit, Err(InvalidTxnState));
    assert_eq!(end(&state, fenced, Marker::Abort), Err(ProducerFenced), "that was another's transaction");
}

#[test]
fn only_what_was_added_belongs_to_a_transaction() {
    let state = state(None);
    let producer = init(&state, None).unwrap();
    let within = |producer, partition| {
        let place = ("t".to_owned(), partition);
        state.transactions.within("x", producer, Part::Partition(&place), || Ok(()))
    };
    assert_eq!(within(producer, 0), Err(TransactionAbortable));
    write(&state, producer, 0, 0).unwrap();
    assert_eq!((within(producer, 0), within(producer, 1)), (Ok(()), Err(TransactionAbortable)));
    assert_eq!(within(next(producer), 0), Err(ProducerFenced));
    let second = end(&state, producer, Marker::Commit).unwrap();
    assert_eq!(within(second, 0), Err(TransactionAbortable));
}

fn hold(state: &State, place: Option<(String, i32)>) {
    state.faults.hold(Held { transactional_id: "x".to_owned(), place });
}

fn offsets_of_group(state: &State, producer: ProducerKey) {
    let who = Identity { member_id: Default::default(), instance_id: None, generation: -1 };
    state.transactions.add(state, "x", producer, [Part::Group("g")]).unwrap();
    let offsets = vec![("t".to_owned(), 0, Committed::new(5, -1, String::new(), 0))];
    state.transactions.commit_offsets(state, "x", producer, "g", &who, offsets).unwrap();
}

fn committed(state: &State) -> Option<i64> {
    let groups = state.groups.lock();
    groups.by_id.get("g")?.offsets.get(&("t".to_owned(), 0)).map(|committed| committed.offset)
}

/// The broker ends after every step that ending a transaction has, in turn, and is started again.
#[test]
fn a_crash_between_any_two_steps_of_an_end_changes_nothing() {
    let places = [None, Some(("t".to_owned(), 0)), Some(("t".to_owned(), 1))];
    for (marker, exhausted) in [(Marker::Commit, false), (Marker::Abort, false), (Marker::Commit, true)] {
        for held in [vec![0], vec![2], vec![1, 2], vec![]] {
            let data = tempfile::tempdir().unwrap();
            let before = state(Some(data.path()));
            let mut producer = init(&before, None).unwrap();
            if exhausted {
                producer = exhaust(&before, producer);
            }
            write(&before, producer, 0, 0).unwrap();
            write(&before, producer, 1, 0).unwrap();
            offsets_of_group(&before, producer);
            held.iter().for_each(|n| hold(&before, places[*n].clone()));
            let told = end(&before, producer, marker).unwrap();
            if !held.is_empty() {
                assert_eq!(write(&before, told, 0, 0), Err(ConcurrentTransactions));
                assert_eq!(end(&before, producer, marker), Err(ConcurrentTransactions));
                assert_eq!(init(&before, None), Err(ConcurrentTransactions));
            }
            drop(before);
            if held.is_empty() {
                // All but the last step, which says that it is complete.
                let path = data.path().join("transactions.journal");
                let text = std::fs::read_to_string(&path).unwrap();
                let lines: Vec<_> = text.split_inclusive('\n').collect();
                std::fs::write(&path, lines[..lines.len() - 1].concat()).unwrap();
            }
            let after = state(Some(data.path()));
            let case = format!("{marker:?}, exhausted: {exhausted}, held: {held:?}");
            for partition in 0..2 {
                let whole = Bounds { start: 0, end: 2, last_stable: 2 };
                assert_eq!(bounds(&after, partition), whole, "{case}");
            }
            assert_eq!(committed(&after), (marker == Marker::Commit).then_some(5), "{case}");
            assert_eq!(end(&after, producer, marker), Ok(told), "{case}");
            write(&after, told, 0, 0).unwrap();
            assert_eq!(end(&after, told, Marker::Commit), Ok(next(told)));
        }
    }
}

#[test]
fn a_crash_after_the_answer_keeps_epochs_and_sequences() {
    let data = tempfile::tempdir().unwrap();
    let before = state(Some(data.path()));
    let first = init(&before, None).unwrap();
    write(&before, first, 0, 0).unwrap();
    let second = end(&before, first, Marker::Commit).unwrap();
    write(&before, second, 0, 0).unwrap();
    drop(before);
    let after = state(Some(data.path()));
    assert_eq!(write(&after, first, 0, 1), Err(ProducerFenced));
    write(&after, second, 0, 1).unwrap();
    assert_eq!(end(&after, second, Marker::Commit), Ok(next(second)));
    drop(after);
    let again = state(Some(data.path()));
    assert_eq!(end(&again, second, Marker::Commit), Ok(next(second)), "the answer was lost");
}

/// As it was written before there was a second version.
#[test]
fn journals_of_earlier_brokers_are_understood() {
    let data = tempfile::tempdir().unwrap();
    drop(state(Some(data.path())));
    let lines = [
        r#"{"producer_ids":{"below":1001}}"#,
        r#"{"transaction":{"id":"x","producer_id":7,"epoch":3,"asked_in_epoch":2,"timeout_ms":60000,"phase":"Empty","started_ms":0}}"#,
        r#"{"transaction":{"id":"y","producer_id":8,"epoch":0,"timeout_ms":60000,"phase":"PrepareCommit","started_ms":5,"partitions":[["t",0]],"groups":["g"]}}"#,
    ];
    let lines = lines.map(|line| format!("{:08x} {line}\n", crc32c::crc32c(line.as_bytes())));
    std::fs::write(data.path().join("transactions.journal"), lines.concat()).unwrap();
    let state = state(Some(data.path()));
    let producer = ProducerKey { id: 7, epoch: 3 };
    assert_eq!(init(&state, Some(ProducerKey { epoch: 2, ..producer })), Ok(producer));
    assert_eq!(end(&state, producer, Marker::Abort), Ok(next(producer)));
    assert_eq!(state.transactions.get("y").unwrap().phase, Phase::CompleteCommit);
    assert!(state.transactions.new_producer_id().unwrap() >= 1001);
    let fresh = state.transactions.get("y").unwrap().updated_ms.unwrap();
    assert!(state.clock.now_ms() - fresh < 60_000, "it has not been idle since 1970");
}
