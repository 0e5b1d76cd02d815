//! A source that reads a collection in memory: for examples, tests and benchmarks.
//!
//! Whoever wants its order reads it as one split ([`CollectionSource`]). [`ParallelCollectionSource`] divides it among the subtasks: item i
//! is part of split `i % 8`, whatever the parallelism, so that a checkpoint can be restored at another one.

use std::sync::Arc;

use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use crate::error::BoxError;
use crate::record::Data;
use crate::time::{NO_TIMESTAMP, Timestamp};

/// So many splits a collection has that is read in parallel.
const SPLITS: usize = 8;

/// Reads a collection once, in its order, then ends. It is one split, which one subtask reads.
#[derive(Clone, Debug)]
pub struct CollectionSource<T> {
    items: Arc<Vec<(T, Timestamp)>>,
}

/// Reads a collection once, in as many subtasks as there are up to eight, then ends. There is no order between them.
#[derive(Clone, Debug)]
pub struct ParallelCollectionSource<T> {
    items: Arc<Vec<(T, Timestamp)>>,
}

impl<T> CollectionSource<T> {
    /// Items without event times.
    pub fn new(items: Vec<T>) -> Self {
        Self::with_timestamps(untimed(items))
    }

    /// Items with event times, in milliseconds.
    pub fn with_timestamps(items: Vec<(T, Timestamp)>) -> Self {
        Self { items: Arc::new(items) }
    }
}

impl<T> ParallelCollectionSource<T> {
    /// Items without event times.
    pub fn new(items: Vec<T>) -> Self {
        Self::with_timestamps(untimed(items))
    }

    /// Items with event times, in milliseconds.
    pub fn with_timestamps(items: Vec<(T, Timestamp)>) -> Self {
        Self { items: Arc::new(items) }
    }
}

fn untimed<T>(items: Vec<T>) -> Vec<(T, Timestamp)> {
    items.into_iter().map(|item| (item, NO_TIMESTAMP)).collect()
}

impl<T: Data + Sync> Source for CollectionSource<T> {
    type Item = T;
    type Reader = CollectionReader<T>;

    fn identity(&self) -> String {
        super::items::<T>()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        Ok(CollectionReader::new(&self.items, context, 1))
    }
}

impl<T: Data + Sync> Source for ParallelCollectionSource<T> {
    type Item = T;
    type Reader = CollectionReader<T>;

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        Ok(CollectionReader::new(&self.items, context, SPLITS))
    }
}

/// Reads the splits of one subtask.
pub struct CollectionReader<T> {
    items: Arc<Vec<(T, Timestamp)>>,
    /// Of how many splits there are, the numbers of those that it reads.
    of: usize,
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

impl<T> CollectionReader<T> {
    fn new(items: &Arc<Vec<(T, Timestamp)>>, context: &SourceContext, of: usize) -> Self {
        let mine = (0..of).filter(|split| context.owns(*split)).collect();
        Self { items: items.clone(), of, mine, splits: Vec::new(), turn: 0 }
    }

    fn name(&self, split: usize) -> String {
        if self.of == 1 { "items".to_owned() } else { format!("items {split} of every {}", self.of) }
    }
}

impl<T: Data + Sync> SourceReader for CollectionReader<T> {
    type Item = T;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        let restored = restored.unwrap_or_default();
        let names: Vec<String> = (0..self.of).map(|split| self.name(split)).collect();
        if let Some((other, _)) = restored.iter().find(|(split, _)| !names.contains(split)) {
            return Err(format!(
                "the checkpoint was taken while the collection was read as `{other}` and others, and it is to be read as `{}` now: its \
                 items would be read again; read it as it was read then (in order, or in parallel), or start from nothing",
                names[0]
            )
            .into());
        }
        let position = |number: usize| {
            let known = restored.iter().find(|(split, _)| *split == names[number]);
            known.map_or(number, |(_, next)| *next as usize)
        };
        self.splits =
            self.mine.iter().map(|&number| Split { number, next: position(number), id: None }).collect();
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        for index in 0..self.splits.len() {
            if self.splits[index].id.is_none() {
                let name = self.name(self.splits[index].number);
                self.splits[index].id = Some(output.add_split(&name));
            }
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
            for (item, timestamp) in self.items[first..].iter().step_by(self.of).take(output.room()) {
                output.push(item.clone(), *timestamp);
                split.next += self.of;
            }
            output.origin(id, first as u64, (split.next - self.of) as u64);
            return Ok(SourceStatus::Ready);
        }
        Ok(SourceStatus::End)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.splits.iter().map(|split| (self.name(split.number), split.next as u64)).collect()
    }
}
