//! A source whose records are mapped a poll at a time, before they enter the stream.
//!
//! For who makes larger records out of many, such as columns out of rows: splits, their watermarks, idleness and positions are those of
//! the source underneath, and all that is at hand of a split is mapped together.
//!
//! ```
//! use thalweg_dataflow::graph::StreamGraph;
//! use thalweg_dataflow::record::Record;
//! use thalweg_dataflow::runtime::{JobConfig, run};
//! use thalweg_dataflow::source::{CollectionSource, MappedSource};
//! use thalweg_dataflow::watermark::WatermarkStrategy;
//!
//! let numbers = CollectionSource::new((0..10_000_i64).collect());
//! let sums = MappedSource::new(numbers, |records: Vec<Record<i64>>| {
//!     let sum = records.iter().map(|record| record.value).sum::<i64>();
//!     Ok(vec![Record { value: (records.len(), sum), timestamp: 0 }])
//! });
//! let graph = StreamGraph::new();
//! let (sender, seen) = std::sync::mpsc::channel();
//! graph.source("sums", sums, WatermarkStrategy::no_watermarks()).map("send", move |sum| sender.send(sum));
//! run(&graph, JobConfig::new("sums"))?;
//! let (counts, sums): (Vec<usize>, Vec<i64>) = seen.try_iter().unzip();
//! assert!(counts.len() < 100);
//! assert_eq!((counts.iter().sum(), sums.iter().sum()), (10_000, 49_995_000));
//! # Ok::<(), thalweg_dataflow::error::JobError>(())
//! ```

use std::any::Any;

use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitInfo};
use crate::barrier::{Barrier, Epoch};
use crate::error::BoxError;
use crate::record::{BATCH_SIZE, Record};

/// A source whose records are mapped a poll at a time. The page says what it does.
pub struct MappedSource<S, F> {
    source: S,
    map: F,
}

impl<S, F> MappedSource<S, F> {
    /// What `source` reads in a poll, as `map` makes it of that.
    pub fn new(source: S, map: F) -> Self {
        Self { source, map }
    }
}

impl<S, F, U> Source for MappedSource<S, F>
where
    S: Source,
    F: FnMut(Vec<Record<S::Item>>) -> Result<Vec<Record<U>>, BoxError> + Clone + Send + Sync + 'static,
    U: Send + 'static,
{
    type Item = U;
    type Reader = MappedReader<S::Reader, F, U>;

    fn identity(&self) -> String {
        self.source.identity()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        let (reader, map) = (self.source.reader(context)?, self.map.clone());
        Ok(MappedReader { reader, map, read: SourceOutput::new(), made: std::marker::PhantomData })
    }
}

/// Maps what another reader reads.
pub struct MappedReader<R: SourceReader, F, U> {
    reader: R,
    map: F,
    read: SourceOutput<R::Item>,
    made: std::marker::PhantomData<fn() -> U>,
}

impl<R, F, U> SourceReader for MappedReader<R, F, U>
where
    R: SourceReader,
    F: FnMut(Vec<Record<R::Item>>) -> Result<Vec<Record<U>>, BoxError> + Send + 'static,
    U: Send + 'static,
{
    type Item = U;
    type Position = R::Position;

    fn open(&mut self, restored: Option<Vec<(String, R::Position)>>) -> Result<(), BoxError> {
        self.reader.open(restored)
    }

    fn poll(&mut self, output: &mut SourceOutput<U>) -> Result<SourceStatus, BoxError> {
        // How many of the larger records are wanted says nothing of these.
        self.read.begin(BATCH_SIZE);
        let status = self.reader.poll(&mut self.read)?;
        for (index, split) in self.read.splits.iter().enumerate() {
            let SplitInfo { name, identity, finished, found } = split;
            let (finished, found) = (*finished, *found);
            match output.splits.get_mut(index) {
                Some(known) => (known.finished, known.found) = (finished, found),
                None => {
                    let (name, identity) = (name.clone(), identity.clone());
                    output.splits.push(SplitInfo { name, identity, finished, found });
                }
            }
        }
        output.current = self.read.current;
        output.batch.origin.clone_from(&self.read.batch.origin);
        let records = self.read.take();
        if !records.is_empty() {
            output.batch.records.extend((self.map)(records)?);
        }
        Ok(status)
    }

    fn positions(&mut self) -> Vec<(String, R::Position)> {
        self.reader.positions()
    }

    fn barrier(&mut self, barrier: &Barrier) {
        self.reader.barrier(barrier);
    }

    fn note(&mut self, epoch: Epoch) -> Option<Box<dyn Any + Send>> {
        self.reader.note(epoch)
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        self.reader.committed(epoch)
    }
}
