//! Who listens is told of batches, outputs and receivers, in order; and a context shows how far it is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Receiver, Store};
use thalweg_dstream::{
    BatchInfo, BatchStarted, OutputOperation, ReceiverInfo, StreamingContext, StreamingListener,
};

#[derive(Clone, Default)]
struct Told {
    batches: Arc<Mutex<Vec<BatchInfo>>>,
    all: Arc<Mutex<Vec<String>>>,
}

impl Told {
    fn say(&self, text: String) {
        self.all.lock().unwrap().push(text);
    }
}

impl StreamingListener for Told {
    fn on_streaming_started(&mut self, restarts: u32) {
        self.say(format!("started {restarts}"));
    }

    fn on_batch_started(&mut self, batch: &BatchStarted) {
        self.say(format!("batch {}", batch.batch_time));
    }

    fn on_batch_completed(&mut self, batch: &BatchInfo) {
        self.batches.lock().unwrap().push(*batch);
        self.say(format!("done {}", batch.batch_time));
    }

    fn on_output_operation_started(&mut self, operation: &OutputOperation) {
        self.say(format!("{} of {}", operation.name, operation.batch_time));
    }

    fn on_output_operation_completed(&mut self, operation: &OutputOperation) {
        let how = operation.failure.clone().unwrap_or_else(|| "well".to_owned());
        assert!(operation.duration.is_some());
        self.say(format!("{} of {} went {how}", operation.name, operation.batch_time));
    }

    fn on_receiver_started(&mut self, receiver: &ReceiverInfo) {
        self.say(format!("{} receives", receiver.name));
    }

    fn on_receiver_stopped(&mut self, receiver: &ReceiverInfo) {
        self.say(format!("{} has stopped", receiver.name));
    }
}

#[derive(Clone)]
struct Three;

impl Receiver for Three {
    type Item = u8;

    fn receive(&mut self, store: &Store<u8>) -> Result<(), BoxError> {
        Ok((0..3).try_for_each(|n| store.store(n))?)
    }
}

/// One that cannot bear anything, which is no reason not to tell the others.
struct Panics;

impl StreamingListener for Panics {
    fn on_streaming_started(&mut self, _: u32) {
        panic!("as asked for");
    }
}

#[test]
fn all_that_happens_is_told_in_its_order() {
    let told = Told::default();
    let ssc = StreamingContext::new("told", Duration::from_millis(20));
    ssc.add_streaming_listener(Panics).add_streaming_listener(told.clone());
    let numbers = ssc.queue_stream(vec![vec![1_u8, 2], vec![3, 4, 5]]).union(&ssc.receiver_stream(Three));
    numbers.foreach_rdd(|_, _| ());
    assert!(ssc.progress().is_none() && ssc.metrics().is_none());
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let (batches, all) = (told.batches.lock().unwrap(), told.all.lock().unwrap());
    assert_eq!(all[0], "started 0");
    assert_eq!(batches.iter().map(|batch| batch.num_records).sum::<u64>(), 8);
    assert!(batches.iter().map(|batch| batch.batch_time).is_sorted());
    assert!(batches.iter().all(|batch| batch.total_delay() >= batch.processing_delay()), "{batches:?}");
    let place = |text: String| {
        all.iter().position(|told| *told == text).unwrap_or_else(|| panic!("no {text} in {all:?}"))
    };
    for BatchInfo { batch_time, .. } in batches.iter() {
        let places = [
            place(format!("batch {batch_time}")),
            place(format!("foreach-rdd of {batch_time}")),
            place(format!("foreach-rdd of {batch_time} went well")),
            place(format!("done {batch_time}")),
        ];
        assert!(places.is_sorted(), "{all:?}");
    }
    assert!(place("receiver receives".to_owned()) < place("receiver has stopped".to_owned()));
    let progress = ssc.progress().unwrap();
    assert_eq!(progress.batch_time, batches.last().unwrap().batch_time);
    assert_eq!(ssc.metrics().unwrap().sum("queue", |queue| queue.records_out.get()), 5);
}

#[test]
fn an_output_that_fails_is_told_with_its_reason() {
    let told = Told::default();
    let ssc = StreamingContext::new("fails", Duration::from_millis(20));
    ssc.add_streaming_listener(told.clone());
    ssc.queue_stream(vec![vec![1]]).try_foreach_rdd(|rdd, _| {
        let n: u8 = if rdd.is_empty() { 0 } else { "many".parse()? };
        assert_eq!(n, 0);
        Ok(())
    });
    ssc.start().unwrap();
    ssc.await_termination().unwrap_err();
    let all = told.all.lock().unwrap();
    assert!(all.iter().any(|told| told.ends_with("went invalid digit found in string")), "{all:?}");
}
