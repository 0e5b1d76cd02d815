//! What the broker counts, and how Prometheus gets it.
//!
//! Requests are counted with atomics, without a lock. What can be read off the state (sizes, offsets, groups) is not
//! counted but looked at when someone asks.

pub(crate) mod exposition;
pub(crate) mod http;
pub(crate) mod outcome;
pub(crate) mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use crate::log::batch::BatchHeader;
use crate::protocol::SUPPORTED;

/// Upper bounds of the latency histogram's buckets, in microseconds. What takes longer has no bucket of its own.
pub(crate) const BUCKETS_US: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// A number that goes up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of things that are there now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// Counts one more until the result is dropped.
    pub(crate) fn one_more(&self) -> OneMore<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        OneMore(self)
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See [`Gauge::one_more`].
#[derive(Debug)]
pub(crate) struct OneMore<'a>(&'a Gauge);

impl Drop for OneMore<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long requests of one API took.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// By bucket, those beyond all bounds last. Not cumulative, unlike what Prometheus is told.
    pub(crate) buckets: [Counter; BUCKETS_US.len() + 1],
    pub(crate) sum_us: Counter,
}

impl Latency {
    fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BUCKETS_US.partition_point(|bound| *bound < us)].add(1);
        self.sum_us.add(us);
    }
}

/// What went in and out of a topic.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: Counter,
    pub(crate) records_in: Counter,
    pub(crate) bytes_out: Counter,
}

impl Traffic {
    /// A batch was appended.
    pub(crate) fn produced(&self, batch: &[u8]) {
        self.bytes_in.add(batch.len() as u64);
        let records = BatchHeader::parse(batch).map_or(0, |header| header.record_count);
        self.records_in.add(u64::from(records.unsigned_abs()));
    }

    pub(crate) fn fetched(&self, bytes: usize) {
        self.bytes_out.add(bytes as u64);
    }
}

/// What compaction has done.
#[derive(Debug, Default)]
pub(crate) struct CleanerTotals {
    /// Rounds through one partition that came to their end.
    pub(crate) runs: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) bytes_written: Counter,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) requests_in_flight: Gauge,
    pub(crate) cleaner: CleanerTotals,
    /// In the order of [`SUPPORTED`].
    latencies: Vec<Latency>,
    /// By API and code. Errors are rare next to requests, so a lock will do.
    errors: Mutex<BTreeMap<(i16, i16), u64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            requests_in_flight: Gauge::default(),
            cleaner: CleanerTotals::default(),
            latencies: SUPPORTED.iter().map(|_| Latency::default()).collect(),
            errors: Mutex::default(),
        }
    }
}

impl Metrics {
    /// A request was answered, after the time it took.
    pub(crate) fn answered(&self, api: ApiKey, took: Duration) {
        let latencies = SUPPORTED.iter().zip(&self.latencies);
        if let Some((_, latency)) = latencies.into_iter().find(|((key, ..), _)| *key == api) {
            latency.note(took);
        }
    }

    /// An answer had this error in it.
    pub(crate) fn failed(&self, api: ApiKey, code: i16) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry((api as i16, code)).or_default() += 1;
    }

    /// Latencies of the APIs that were asked for.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (ApiKey, &Latency)> {
        let used = |latency: &&Latency| latency.buckets.iter().any(|bucket| bucket.get() > 0);
        let all = SUPPORTED.iter().zip(&self.latencies);
        all.filter(move |(_, latency)| used(latency)).map(|((key, ..), latency)| (*key, latency))
    }

    /// Errors by API and code.
    pub(crate) fn errors(&self) -> BTreeMap<(i16, i16), u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
