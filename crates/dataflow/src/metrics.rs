//! Counters of every operator and task: written once a batch, read by whoever wants to show them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::OperatorName;
use crate::state::Memory;
use crate::time::{MAX_WATERMARK, MIN_WATERMARK, Timestamp};

/// A number that only grows. One thread writes it, any may read it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one subtask of one operator.
#[derive(Debug)]
pub struct OperatorMetrics {
    /// Records handed to it.
    pub records_in: Counter,
    /// Records it handed on.
    pub records_out: Counter,
    /// Bytes read or written, where a source or sink knows.
    pub bytes: Counter,
    /// Records that came after the watermark had passed their window: always counted, never silent.
    pub late_records: Counter,
    /// Those of them that went to no side output, and so are lost.
    pub late_dropped: Counter,
    /// Records that could not be decoded and were skipped or set aside, where a source is told to.
    pub bad_records: Counter,
    /// Of a source: the records it had read at the last cut.
    at_cut: AtomicU64,
    watermark: AtomicI64,
    held_back_by: Mutex<Option<(Arc<str>, Timestamp)>>,
    gauges: Mutex<BTreeMap<&'static str, f64>>,
    counters: Mutex<BTreeMap<&'static str, Arc<Counter>>>,
    role: Role,
}

/// Where an operator stands in its job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Records come into the job here.
    Source,
    /// Records come from operators, and go on to others.
    #[default]
    Within,
    /// Records leave the job here.
    Sink,
}

impl Default for OperatorMetrics {
    fn default() -> Self {
        Self::of(Role::default())
    }
}

impl OperatorMetrics {
    pub(crate) fn of(role: Role) -> Self {
        Self {
            role,
            records_in: Counter::default(),
            records_out: Counter::default(),
            bytes: Counter::default(),
            late_records: Counter::default(),
            late_dropped: Counter::default(),
            bad_records: Counter::default(),
            at_cut: AtomicU64::new(0),
            watermark: AtomicI64::new(MIN_WATERMARK),
            held_back_by: Mutex::new(None),
            gauges: Mutex::default(),
            counters: Mutex::default(),
        }
    }

    /// The watermark it last forwarded.
    pub fn watermark(&self) -> Timestamp {
        self.watermark.load(Ordering::Relaxed)
    }

    pub(crate) fn set_watermark(&self, watermark: Timestamp) {
        self.watermark.store(watermark, Ordering::Relaxed);
    }

    /// The stream is cut here, by the source that this is of.
    pub(crate) fn mark_cut(&self) {
        self.at_cut.store(self.records_out.get(), Ordering::Relaxed);
    }

    /// The records that the source had read at the last cut that it has passed.
    pub(crate) fn at_cut(&self) -> u64 {
        self.at_cut.load(Ordering::Relaxed)
    }

    /// Sets a number of the operator's own, such as the accuracy of its model. It costs a lock: once a barrier, not once a record.
    pub fn set_gauge(&self, name: &'static str, value: f64) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }

    /// The operator's own numbers, as they were last set.
    pub fn gauges(&self) -> BTreeMap<&'static str, f64> {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A counter of the operator's own, to be taken once, in `open`, and added to as often as one likes. The same name is the same counter.
    pub fn counter(&self, name: &'static str) -> Arc<Counter> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().clone()
    }

    /// The operator's own counters.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().map(|(name, counter)| (*name, counter.get())).collect()
    }

    /// For a source: the split (partition, file) whose watermark is the lowest, and so holds the job's back.
    pub fn held_back_by(&self) -> Option<Arc<str>> {
        self.held_back().map(|(split, _)| split)
    }

    fn held_back(&self) -> Option<(Arc<str>, Timestamp)> {
        self.held_back_by.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_held_back_by(&self, split: Option<(Arc<str>, Timestamp)>) {
        *self.held_back_by.lock().unwrap_or_else(PoisonError::into_inner) = split;
    }
}

/// How one task (a thread) spends its time, in microseconds.
#[derive(Debug, Default)]
pub struct TaskMetrics {
    /// Waiting for input.
    pub idle_micros: Counter,
    /// Waiting for room on an edge.
    pub back_pressured_micros: Counter,
    /// All the time since it started, as of the last batch.
    pub total_micros: Counter,
}

impl TaskMetrics {
    /// The time spent computing, in microseconds.
    pub fn busy_micros(&self) -> u64 {
        self.total_micros.get().saturating_sub(self.idle_micros.get() + self.back_pressured_micros.get())
    }
}

/// All counters of one attempt of a job.
#[derive(Clone, Debug, Default)]
pub struct JobMetrics {
    /// One entry for each subtask of each operator.
    pub operators: Vec<(OperatorName, Arc<OperatorMetrics>)>,
    /// One entry for each task: the name of its first operator, and its times.
    pub tasks: Vec<(OperatorName, Arc<TaskMetrics>)>,
    /// What keyed state takes, and how many of its entries are on disk; `None` if nobody bounds it.
    pub memory: Option<Memory>,
}

/// What a job has done since its last restart, in a few numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Records that its sources have read.
    pub records_in: u64,
    /// Records that its sinks were handed.
    pub records_out: u64,
    /// Records that came after the watermark had passed their window.
    pub late: u64,
    /// Records that could not be decoded, and were passed over.
    pub skipped: u64,
    /// Records that its sources have still to read, as far as they know.
    pub lag: Option<u64>,
    /// How far event time has come (milliseconds): the lowest watermark that has got to a sink. `None` if there is none (yet), or
    /// the input has ended.
    pub watermark: Option<Timestamp>,
}

/// How far event time has come at one subtask of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorWatermark {
    /// Whose.
    pub operator: OperatorName,
    /// The watermark it last passed on (milliseconds).
    pub watermark: Timestamp,
    /// Of a source: the split that is behind all others, and since when (processing time, milliseconds) it has been.
    pub held_back_by: Option<(Arc<str>, Timestamp)>,
}

impl std::fmt::Display for OperatorWatermark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operator, watermark, held_back_by } = self;
        match *watermark {
            MIN_WATERMARK => write!(f, "{operator}: no watermark yet"),
            MAX_WATERMARK => write!(f, "{operator}: its input has ended"),
            watermark => write!(f, "{operator}: watermark {watermark}"),
        }?;
        match held_back_by {
            Some((split, since)) => write!(f, ", held back by {split} since {since}"),
            None => Ok(()),
        }
    }
}

impl JobMetrics {
    /// How far event time has come, operator by operator.
    pub fn watermarks(&self) -> Vec<OperatorWatermark> {
        let operators = self.operators.iter().map(|(operator, metrics)| OperatorWatermark {
            operator: operator.clone(),
            watermark: metrics.watermark(),
            held_back_by: metrics.held_back(),
        });
        operators.collect()
    }

    /// What the job has done, in all.
    pub fn totals(&self) -> Totals {
        let (mut totals, mut lag) = (Totals::default(), None);
        let mut watermark = MAX_WATERMARK;
        for (_, metrics) in &self.operators {
            totals.late += metrics.late_records.get();
            totals.skipped += metrics.bad_records.get();
            match metrics.role {
                Role::Source => {
                    totals.records_in += metrics.records_in.get();
                    // Kafka's sources, and whoever does as they do, tell what is left of each subtask's part.
                    if let Some(left) = metrics.gauges().get("lag") {
                        lag = Some(lag.unwrap_or(0.0) + left.max(0.0));
                    }
                }
                Role::Sink => {
                    totals.records_out += metrics.records_in.get();
                    // A subtask that nothing has come to has none.
                    let at = metrics.watermark();
                    watermark = watermark.min(if at == MIN_WATERMARK { MAX_WATERMARK } else { at });
                }
                Role::Within => {}
            }
        }
        totals.lag = lag.map(|lag| lag as u64);
        totals.watermark = Some(watermark).filter(|at| *at < MAX_WATERMARK);
        totals
    }

    /// A counter summed over the subtasks of the operator with this name or uid.
    pub fn sum(&self, operator: &str, counter: impl Fn(&OperatorMetrics) -> u64) -> u64 {
        let of_operator =
            self.operators.iter().filter(|(name, _)| &*name.name == operator || &*name.uid == operator);
        of_operator.map(|(_, metrics)| counter(metrics)).sum()
    }
}
