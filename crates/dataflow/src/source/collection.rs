//! A source that reads a collection in memory: for examples, tests and benchmarks.
//!
//! Item i is part of split `i % 8`, whatever the parallelism, so that a checkpoint can be restored at another one.

use std::sync::Arc;

use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use crate::error::BoxError;
use crate::record::{BATCH_SIZE, Data};
use crate::time::{NO_TIMESTAMP, Timestamp};

const SPLITS: usize = 8;

/// Reads a collection once, then ends.
#[derive(Clone, Debug)]
pub struct CollectionSource<T> {
    items: Arc<Vec<(T, Timestamp)>>,
}

impl<T> CollectionSource<T> {
    /// Items without event times.
    pub fn new(items: Vec<T>) -> Self {
        Self::with_timestamps(items.into_iter().map(|item| (item, NO_TIMESTAMP)).collect())
    }

    /// Items with event times, in milliseconds.
    pub fn with_timestamps(items: Vec<(T, Timestamp)>) -> Self {
        Self { items: Arc::new(items) }
    }
}

impl<T: Data + Sync> Source for CollectionSource<T> {
    type Item = T;
    type Reader = CollectionReader<T>;

    fn identity(&self) -> String {
        super::items::<T>()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        let mine = (0..SPLITS).filter(|split| context.owns(*split)).collect();
        Ok(CollectionReader { items: self.items.clone(), mine, splits: Vec::new(), turn: 0 })
    }
}

/// Reads the splits of one subtask.
pub struct CollectionReader<T> {
    items: Arc<Vec<(T, Timestamp)>>,
    mine: Vec<usize>,
    splits: Vec<Split>,
    turn: usize,
}

struct Split {
    number: usize,
    /// The index, in the whole collection, of the next item.
    next: usize,
    id: Option<SplitId>,
}

impl<T: Data + Sync> SourceReader for CollectionReader<T> {
    type Item = T;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        let restored = restored.unwrap_or_default();
        let position = |number: usize| {
            let known = restored.iter().find(|(split, _)| *split == name(number));
            known.map_or(number, |(_, next)| *next as usize)
        };
        self.splits =
            self.mine.iter().map(|&number| Split { number, next: position(number), id: None }).collect();
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        for split in &mut self.splits {
            split.id.get_or_insert_with(|| output.add_split(&name(split.number)));
        }
        for _ in 0..self.splits.len() {
            self.turn = (self.turn + 1) % self.splits.len();
            let split = &mut self.splits[self.turn];
            let Some(id) = split.id else { continue };
            if split.next >= self.items.len() {
                output.finish_split(id);
                continue;
            }
            let first = split.next;
            for (item, timestamp) in self.items[first..].iter().step_by(SPLITS).take(BATCH_SIZE) {
                output.push(item.clone(), *timestamp);
                split.next += SPLITS;
            }
            output.origin(id, first as u64, (split.next - SPLITS) as u64);
            return Ok(SourceStatus::Ready);
        }
        Ok(SourceStatus::End)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.splits.iter().map(|split| (name(split.number), split.next as u64)).collect()
    }
}

fn name(split: usize) -> String {
    format!("items {split} of every {SPLITS}")
}
