//! A source that makes its records: a function of a number that counts up, at a rate if need be (Flink's `DataGeneratorSource`).
//!
//! Subtask i of n makes the numbers i, i + n, i + 2n …, each a split of its own; so one subtask makes them in order. The position is
//! the next number. A checkpoint keeps the splits as they were: restored at a higher parallelism, the subtasks that there were not have
//! nothing to make, at a lower one some make the numbers of several.
//!
//! - **Watermarks** are made as for any source. While the rate holds a split back, it does not count as idle.
//! - **After a restore** the same numbers are made again that came after the checkpoint: with a function that depends on nothing else,
//!   the same records.
//!
//! ```
//! use thalweg_dataflow::source::DataGeneratorSource;
//!
//! let readings = DataGeneratorSource::new(|n| format!("sensor-{}", n % 3), 1_000).rate_per_second(500.0);
//! # let _ = readings;
//! ```

use std::marker::PhantomData;

use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use crate::error::BoxError;
use crate::record::Data;
use crate::time::{NO_TIMESTAMP, Timestamp};

/// Makes records of the numbers from 0 (or another) on.
#[derive(Clone, Debug)]
pub struct DataGeneratorSource<T, G> {
    generate: G,
    first: u64,
    /// How many there are.
    count: u64,
    per_second: Option<f64>,
    items: PhantomData<fn() -> T>,
}

impl<T, G: Fn(u64) -> T> DataGeneratorSource<T, G> {
    /// Makes `count` records, of the numbers 0 to `count` − 1, then ends; `u64::MAX` goes on for ever. `generate` is to depend on
    /// the number only, so that a restart makes the same records.
    pub fn new(generate: G, count: u64) -> Self {
        Self { generate, first: 0, count, per_second: None, items: PhantomData }
    }

    /// Begins with another number than 0.
    #[must_use]
    pub fn starting_at(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// Makes no more than so many records a second, all subtasks together. Default: as many as are taken.
    #[must_use]
    pub fn rate_per_second(mut self, records: f64) -> Self {
        self.per_second = Some(records);
        self
    }
}

impl<T, G> Source for DataGeneratorSource<T, G>
where
    T: Data,
    G: Fn(u64) -> T + Clone + Send + Sync + 'static,
{
    type Item = T;
    type Reader = DataGeneratorReader<T, G>;

    fn identity(&self) -> String {
        super::items::<T>()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        if let Some(rate) = self.per_second.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            return Err(
                format!("a rate of {rate} records a second cannot be kept; give a number above 0").into()
            );
        }
        let end = self.first.saturating_add(self.count);
        Ok(DataGeneratorReader {
            source: self.clone(),
            context: context.clone(),
            end,
            splits: Vec::new(),
            began: None,
            made: 0,
        })
    }
}

/// Makes the records of one subtask.
pub struct DataGeneratorReader<T, G> {
    source: DataGeneratorSource<T, G>,
    context: SourceContext,
    end: u64,
    splits: Vec<Split>,
    /// Since when the rate is kept, and how many records there have been since.
    began: Option<Timestamp>,
    made: u64,
}

/// Every `step`th number.
struct Split {
    name: String,
    step: u64,
    next: u64,
    id: Option<SplitId>,
}

impl Split {
    fn new(remainder: u64, step: u64, next: u64) -> Self {
        Self { name: format!("{remainder} of {step}"), step, next, id: None }
    }

    /// The remainder and the step.
    fn parse(name: &str) -> Option<(u64, u64)> {
        let (remainder, step) = name.split_once(" of ")?;
        let (remainder, step) = (remainder.parse().ok()?, step.parse().ok()?);
        (remainder < step).then_some((remainder, step))
    }
}

impl<T, G> DataGeneratorReader<T, G> {
    /// How many records the rate allows now, of so many that are wanted, and when the next one is due if it allows none.
    fn allowed(&mut self, wanted: usize, now: Timestamp) -> Result<usize, Timestamp> {
        let Some(per_second) = self.source.per_second else { return Ok(wanted) };
        // Each split has its share, and a split has a subtask of its own when the job begins.
        let splits: f64 = self.splits.iter().map(|split| 1.0 / split.step as f64).sum();
        let per_ms = per_second * splits / 1e3;
        let began = *self.began.get_or_insert(now);
        let due = ((now - began).max(0) as f64).mul_add(per_ms, 1.0) as u64;
        match due.saturating_sub(self.made) {
            0 => Err(began + ((self.made as f64 / per_ms).ceil() as i64).max(1)),
            // Whoever was held up for long does not make up for all of it at once.
            allowed => Ok((allowed as usize).min(wanted)),
        }
    }
}

impl<T, G> SourceReader for DataGeneratorReader<T, G>
where
    T: Data,
    G: Fn(u64) -> T + Clone + Send + Sync + 'static,
{
    type Item = T;
    /// The next number of the split.
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        let (subtask, parallelism) = (self.context.operator.subtask as u64, self.context.parallelism as u64);
        let Some(restored) = restored.filter(|splits| !splits.is_empty()) else {
            self.splits = vec![Split::new(subtask, parallelism, self.source.first.saturating_add(subtask))];
            return Ok(());
        };
        for (name, next) in restored {
            let Some((remainder, step)) = Split::parse(&name) else {
                return Err(format!(
                    "the checkpoint has positions of another source, `{name}`; give the source a uid"
                )
                .into());
            };
            if self.context.owns(remainder as usize) {
                self.splits.push(Split::new(remainder, step, next));
            }
        }
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        for split in &mut self.splits {
            if split.id.is_none() {
                let id = output.add_split(&split.name);
                split.id = Some(id);
                if split.next >= self.end {
                    output.finish_split(id);
                }
            }
        }
        // The one that is behind, so that several in one subtask are made in about the order of their numbers.
        let Some(behind) = (0..self.splits.len())
            .filter(|index| self.splits[*index].next < self.end)
            .min_by_key(|index| self.splits[*index].next)
        else {
            return Ok(SourceStatus::End);
        };
        let allowed = self.allowed(output.room(), self.context.clock.now());
        let (end, split) = (self.end, &mut self.splits[behind]);
        let Some(id) = split.id else { return Ok(SourceStatus::Ready) };
        let allowed = match allowed {
            Ok(allowed) => allowed,
            Err(due) => {
                self.splits.iter().filter_map(|split| split.id).for_each(|id| output.hold_back(id));
                return Ok(SourceStatus::Idle { until: Some(due) });
            }
        };
        let first = split.next;
        let numbers = (first..end).step_by(split.step as usize).take(allowed);
        let mut made = 0;
        for number in numbers {
            output.push((self.source.generate)(number), NO_TIMESTAMP);
            made += 1;
        }
        self.made += made;
        split.next = first.saturating_add(made.saturating_mul(split.step));
        if made > 0 {
            output.origin(id, first, split.next - split.step.min(split.next));
        }
        if split.next >= end {
            output.finish_split(id);
        }
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.splits.iter().map(|split| (split.name.clone(), split.next)).collect()
    }
}

#[cfg(test)]
mod tests;
