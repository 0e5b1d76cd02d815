//! Where event times come from, and how far behind the newest of them a record may still arrive (Flink's
//! `WatermarkStrategy`).

use std::time::Duration;

use super::Generate;
use super::generator::{Generator, WatermarkGenerator};
use crate::record::{Data, Record};
use crate::time::{MIN_WATERMARK, NO_TIMESTAMP, Timestamp, at_least_millis};

/// How a stream gets event times and watermarks.
///
/// ```
/// use std::time::Duration;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let strategy = WatermarkStrategy::<(u64, i64)>::for_bounded_out_of_orderness(Duration::from_secs(5))
///     .with_timestamp_assigner(|click, _| click.1)
///     .with_idleness(Duration::from_secs(60));
/// ```
pub struct WatermarkStrategy<T> {
    assigner: Option<Box<dyn TimestampAssigner<T>>>,
    /// How late a record may be, in milliseconds. `None`: there are no watermarks but the last.
    out_of_orderness: Option<i64>,
    idleness: Option<i64>,
    /// Makes watermarks in its own way.
    generator: Option<Box<dyn Generate<T>>>,
    /// The name of a group, and how far ahead of its slowest one may be, in milliseconds.
    alignment: Option<(String, i64)>,
}

impl<T> Clone for WatermarkStrategy<T> {
    fn clone(&self) -> Self {
        let assigner = self.assigner.as_ref().map(|assigner| assigner.boxed());
        let Self { out_of_orderness, idleness, alignment, .. } = self;
        let (generator, alignment) = (self.generator(), alignment.clone());
        Self { assigner, out_of_orderness: *out_of_orderness, idleness: *idleness, generator, alignment }
    }
}

impl<T> WatermarkStrategy<T> {
    /// The generator of a partition, if there is one.
    pub(crate) fn generator(&self) -> Option<Box<dyn Generate<T>>> {
        self.generator.as_ref().map(|generator| generator.boxed())
    }
}

impl<T: Data> WatermarkStrategy<T> {
    /// No watermarks until the end of the input. Records keep the times that the source gave them.
    pub fn no_watermarks() -> Self {
        Self { assigner: None, out_of_orderness: None, idleness: None, generator: None, alignment: None }
    }

    /// Times never fall within a partition of the source: the watermark follows the newest record at 1 ms.
    pub fn for_monotonous_timestamps() -> Self {
        Self::for_bounded_out_of_orderness(Duration::ZERO)
    }

    /// A record comes at most `bound` after a record with a later time, within a partition of the source.
    pub fn for_bounded_out_of_orderness(bound: Duration) -> Self {
        Self { out_of_orderness: Some(at_least_millis(bound)), ..Self::no_watermarks() }
    }

    /// Watermarks by a rule of one's own; see [`WatermarkGenerator`].
    pub fn for_generator(generator: impl WatermarkGenerator<T>) -> Self {
        Self { generator: Some(Box::new(Generator::new(generator))), ..Self::no_watermarks() }
    }

    /// Takes the event time out of the record: `assign(&record, time given by the source)`, in milliseconds
    /// since the epoch.
    #[must_use]
    pub fn with_timestamp_assigner<F>(mut self, assign: F) -> Self
    where
        F: Fn(&T, Timestamp) -> Timestamp + Clone + Send + 'static,
    {
        self.assigner = Some(Box::new(assign));
        self
    }

    /// A partition for which the source has had nothing for `timeout` does not hold the watermark back. It is not idle while it has
    /// records that have not been read, be it because of back-pressure or of a rate limit. A subtask of the source that has no
    /// partition is idle at once, with this or without.
    #[must_use]
    pub fn with_idleness(mut self, timeout: Duration) -> Self {
        self.idleness = Some(at_least_millis(timeout).max(1));
        self
    }

    /// The same event times, but no watermark before the end of the input: for jobs in batch mode.
    #[must_use]
    pub fn at_the_end_only(self) -> Self {
        Self { out_of_orderness: None, generator: None, idleness: None, alignment: None, ..self }
    }

    /// Lets a source run no further than `max_drift` ahead of the slowest of all sources of the job that name the same group (Flink's
    /// `withWatermarkAlignment`): a subtask whose watermark is, does not read until the others have come. Which are idle or have ended, are not
    /// waited for. It is of no effect in the middle of a stream, where nothing can be held back.
    #[must_use]
    pub fn with_alignment(mut self, group: &str, max_drift: Duration) -> Self {
        self.alignment = Some((group.to_owned(), at_least_millis(max_drift)));
        self
    }

    /// The time with nothing to be read after which a partition is idle, in milliseconds.
    pub(crate) fn idleness(&self) -> Option<i64> {
        self.idleness
    }

    /// Gives every record its time, and returns the newest.
    pub(crate) fn assign(&self, records: &mut [Record<T>]) -> Timestamp {
        match &self.assigner {
            Some(assigner) => assigner.assign(records),
            None if self.out_of_orderness.is_none() => NO_TIMESTAMP,
            None => records.iter().map(|record| record.timestamp).max().unwrap_or(NO_TIMESTAMP),
        }
    }

    /// The watermark that follows from the newest time of a partition.
    ///
    /// For a generator it is the watermark itself that is kept.
    pub(crate) fn watermark(&self, newest: Timestamp) -> Timestamp {
        match self.out_of_orderness {
            None if self.generator.is_some() => newest,
            Some(bound) if newest != NO_TIMESTAMP => newest.saturating_sub(bound).saturating_sub(1),
            _ => MIN_WATERMARK,
        }
    }

    /// Whether there are watermarks before the end.
    pub(crate) fn has_watermarks(&self) -> bool {
        self.out_of_orderness.is_some() || self.generator.is_some()
    }

    /// The group that it is aligned with, and how far ahead it may be, in milliseconds.
    pub(crate) fn alignment(&self) -> Option<(&str, i64)> {
        self.alignment.as_ref().map(|(group, drift)| (group.as_str(), *drift))
    }
}

/// Gives a slice of records their times: one virtual call a batch, around the user's inlined function.
pub(crate) trait TimestampAssigner<T>: Send {
    fn assign(&self, records: &mut [Record<T>]) -> Timestamp;
    fn boxed(&self) -> Box<dyn TimestampAssigner<T>>;
}

impl<T: Data, F: Fn(&T, Timestamp) -> Timestamp + Clone + Send + 'static> TimestampAssigner<T> for F {
    fn assign(&self, records: &mut [Record<T>]) -> Timestamp {
        let mut newest = NO_TIMESTAMP;
        for record in records {
            record.timestamp = self(&record.value, record.timestamp);
            newest = newest.max(record.timestamp);
        }
        newest
    }

    fn boxed(&self) -> Box<dyn TimestampAssigner<T>> {
        Box::new(self.clone())
    }
}
