//! What becomes of the records. librdkafka reports only those that could not be delivered.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::client::{Heard, in_words};

/// Counts failures, and says where in the input the record was.
pub(super) struct Deliveries {
    heard: Heard,
    /// What a record is called: a line, if it is one.
    unit: &'static str,
    /// The inputs, and how many records there were before each.
    inputs: Mutex<Vec<(usize, PathBuf)>>,
    failed: AtomicU64,
    quiet: bool,
}

impl Deliveries {
    pub(super) fn new(heard: Heard, unit: &'static str, quiet: bool) -> Self {
        Self { heard, unit, inputs: Mutex::default(), failed: AtomicU64::new(0), quiet }
    }

    /// Records from the next one on come from this file.
    pub(super) fn begin(&self, before: usize, file: PathBuf) {
        self.inputs().push((before, file));
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The record of this number, counted from 1 over all inputs, has not been written.
    pub(super) fn report(&self, number: usize, reason: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        eprintln!("{}: not written: {reason}", self.place(number));
    }

    fn place(&self, number: usize) -> String {
        let inputs = self.inputs();
        let input = inputs.iter().rev().find(|(before, _)| *before < number);
        match input {
            Some((before, file)) if file != Path::new("-") => {
                format!("{}: {} {}", file.display(), self.unit, number - before)
            }
            Some((before, _)) => format!("{} {}", self.unit, number - before),
            None => format!("{} {number}", self.unit),
        }
    }

    fn inputs(&self) -> MutexGuard<'_, Vec<(usize, PathBuf)>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: Level, facility: &str, message: &str) {
        self.heard.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(Code::AllBrokersDown) && !self.quiet {
            eprintln!("no connection to Kafka; trying again");
        }
        self.heard.error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The number of the record.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if let Err((error, _)) = result {
            let reason = error.rdkafka_error_code().map_or_else(|| error.to_string(), in_words);
            self.report(number, &reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_named_by_its_file_and_line() {
        let deliveries = Deliveries::new(Heard::default(), "line", false);
        deliveries.begin(0, "-".into());
        deliveries.begin(3, "empty".into());
        deliveries.begin(3, "words.txt".into());
        assert_eq!(deliveries.place(3), "line 3");
        assert_eq!(deliveries.place(4), "words.txt: line 1");
        assert_eq!(deliveries.place(10), "words.txt: line 7");
    }
}
