//! How fast sources read: a limit that follows what the job can do (Spark's `spark.streaming.backpressure.enabled`).
//!
//! Bounded edges hold sources back in any case, so nothing grows without end. What they do not do is to keep batches short: a source reads as much
//! as the edges take, and results come later and later after their time. With a [`PidRate`], a source reads as many records a second as a batch can
//! be worked on in its interval, by Spark's formula: after each batch
//!
//! ```text
//! error      = rate − records a second of computing
//! historical = scheduling delay × records a second of computing ÷ batch interval
//! rate       = rate − proportional × error − integral × historical − derivative × change of error
//! ```
//!
//! Where Spark takes how long the batch took, here stands how long the busiest task computed for it, as work is spread over the interval.

use std::sync::{Arc, Mutex, PoisonError};

use crate::time::Timestamp;

/// How the limit follows (Spark's `PIDRateEstimator`, with its defaults).
///
/// ```
/// use thalweg_dataflow::runtime::PidRate;
///
/// let pid = PidRate { initial_rate: Some(10_000.0), ..PidRate::default() };
/// # let _ = pid;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PidRate {
    /// The weight of the error (`spark.streaming.backpressure.pid.proportional`). Default: 1.
    pub proportional: f64,
    /// The weight of what lies waiting (`…pid.integral`). Default: 0.2.
    pub integral: f64,
    /// The weight of the change of the error (`…pid.derived`). Default: 0.
    pub derivative: f64,
    /// No limit is lower, in records a second (`…pid.minRate`). Default: 100.
    pub min_rate: f64,
    /// The limit before the first batch is through (`…initialRate`), in records a second. Default: none.
    pub initial_rate: Option<f64>,
}

impl Default for PidRate {
    fn default() -> Self {
        Self { proportional: 1.0, integral: 0.2, derivative: 0.0, min_rate: 100.0, initial_rate: None }
    }
}

/// What a batch took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// When it was through (milliseconds).
    pub(crate) at: Timestamp,
    pub(crate) records: u64,
    /// So long was computed (milliseconds).
    pub(crate) processing: f64,
    /// So long after its time it was begun (milliseconds).
    pub(crate) scheduling: f64,
}

/// The estimator of one source.
#[derive(Clone, Debug)]
pub(crate) struct Estimator {
    pid: PidRate,
    /// Milliseconds.
    interval: f64,
    first: bool,
    time: Timestamp,
    rate: f64,
    error: f64,
}

impl Estimator {
    pub(crate) fn new(pid: PidRate, interval: i64) -> Self {
        Self { pid, interval: interval.max(1) as f64, first: true, time: 0, rate: 0.0, error: 0.0 }
    }

    /// The limit after this batch, in records a second, if it says anything about that.
    pub(crate) fn after(&mut self, Took { at, records, processing, scheduling }: Took) -> Option<f64> {
        if at <= self.time || records == 0 || processing <= 0.0 {
            return None;
        }
        let since = (at - self.time) as f64 / 1000.0;
        let processing_rate = records as f64 / processing * 1000.0;
        self.time = at;
        if self.first {
            (self.first, self.rate, self.error) = (false, processing_rate, 0.0);
            return None;
        }
        let PidRate { proportional, integral, derivative, min_rate, .. } = self.pid;
        let error = self.rate - processing_rate;
        let historical = scheduling * processing_rate / self.interval;
        let change = (error - self.error) / since;
        let rate = self.rate - proportional * error - integral * historical - derivative * change;
        (self.rate, self.error) = (rate.max(min_rate), error);
        Some(self.rate)
    }
}

/// The limit of one source, which its subtasks share. What was not used is saved up for a tenth of a second.
#[derive(Debug, Default)]
pub(crate) struct SourceRate(Mutex<Bucket>);

#[derive(Debug, Default)]
struct Bucket {
    per_ms: Option<f64>,
    allowed: f64,
    since: Timestamp,
}

const SAVED_MS: f64 = 100.0;

impl SourceRate {
    pub(crate) fn new(per_second: Option<f64>) -> Arc<Self> {
        let rate = Self::default();
        rate.set(per_second);
        Arc::new(rate)
    }

    fn with<R>(&self, with: impl FnOnce(&mut Bucket) -> R) -> R {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on so many records a second.
    pub(crate) fn set(&self, per_second: Option<f64>) {
        self.with(|bucket| bucket.per_ms = per_second.map(|rate| rate.max(1.0) / 1000.0));
    }

    /// Takes up to so many records; `Err` says when there is one to be had, if there is none.
    pub(crate) fn take(&self, most: usize, now: Timestamp) -> Result<usize, Timestamp> {
        self.with(|bucket| {
            let Some(per_ms) = bucket.per_ms else { return Ok(most) };
            let passed = now.saturating_sub(bucket.since).max(0) as f64;
            bucket.since = now;
            bucket.allowed = (bucket.allowed + passed * per_ms).min((per_ms * SAVED_MS).max(1.0));
            if bucket.allowed < 1.0 {
                let missing = ((1.0 - bucket.allowed) / per_ms).ceil();
                return Err(now.saturating_add((missing as i64).max(1)));
            }
            let taken = most.min(bucket.allowed as usize);
            bucket.allowed -= taken as f64;
            Ok(taken)
        })
    }

    /// Of what was taken so much was not used; more than that, if it is negative.
    pub(crate) fn give_back(&self, records: i64) {
        self.with(|bucket| {
            if bucket.per_ms.is_some() {
                bucket.allowed += records as f64;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(at: i64, records: u64, processing: f64, scheduling: f64) -> Took {
        Took { at, records, processing, scheduling }
    }

    #[test]
    fn the_rate_is_what_spark_computes() {
        // The cases of Spark's own formula, worked out by hand: 1000 records in 2 s, in batches of 1 s.
        let mut pid = Estimator::new(PidRate::default(), 1_000);
        assert_eq!(pid.after(took(1_000, 0, 10.0, 0.0)), None, "an empty batch says nothing");
        assert_eq!(pid.after(took(2_000, 1_000, 2_000.0, 0.0)), None, "the first is what is compared with");
        // error = 500 - 500; historical = 1000 * 500 / 1000 = 500; rate = 500 - 0.2 * 500.
        assert_eq!(pid.after(took(4_000, 1_000, 2_000.0, 1_000.0)), Some(400.0));
        // error = 400 - 800: up at once.
        assert_eq!(pid.after(took(5_000, 400, 500.0, 0.0)), Some(800.0));
        // Never below the least.
        assert_eq!(pid.after(took(6_000, 10, 1_000.0, 9_000.0)), Some(100.0));
        assert_eq!(pid.after(took(6_000, 10, 1_000.0, 0.0)), None, "no time has passed");
    }

    #[test]
    fn the_derivative_counts_the_change_of_the_error_by_the_second() {
        let mut pid = Estimator::new(PidRate { derivative: 0.5, integral: 0.0, ..PidRate::default() }, 1_000);
        assert_eq!(pid.after(took(1_000, 1_000, 1_000.0, 0.0)), None);
        // error = 1000 - 500 = 500; change = 500 / 2 s; rate = 1000 - 500 - 0.5 * 250.
        assert_eq!(pid.after(took(3_000, 500, 1_000.0, 0.0)), Some(375.0));
    }

    #[test]
    fn a_second_sees_what_is_allowed_whoever_asks() {
        let rate = SourceRate::new(Some(1_000.0));
        let (mut read, mut now) = (0, 1_000);
        while now < 2_000 {
            match rate.take(64, now) {
                Ok(taken) => {
                    // Every other is not used.
                    let used = if now % 2 == 0 { taken } else { 0 };
                    rate.give_back((taken - used) as i64);
                    read += used;
                    now += 1;
                }
                Err(at) => now = at,
            }
        }
        assert!((900..=1_100).contains(&read), "{read}");
        rate.set(None);
        assert_eq!(rate.take(64, now), Ok(64));
    }
}
