//! A sink that collects in memory, exactly once: what it shows is what has been committed, whatever crashed in between.
//!
//! - **Records** are kept back until their epoch is committed.
//! - **State**: list, `pending`: the records of epochs that are not known to be committed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{StateData, States};

/// What has been collected and committed. It lives outside of the job, as a database would.
#[derive(Clone, Debug)]
pub struct Collected<T>(Arc<Mutex<Published<T>>>);

#[derive(Debug)]
struct Published<T> {
    records: Vec<T>,
    /// The parts that have been published, so that publishing again after a restore changes nothing.
    parts: HashSet<(Epoch, usize)>,
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Published { records: Vec::new(), parts: HashSet::new() })))
    }
}

impl<T> Collected<T> {
    /// Takes what is there.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).records)
    }

    /// The number of records that are there.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).records.len()
    }

    /// Whether none are there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The sink. See the [module](self).
#[derive(Clone, Debug)]
pub struct CollectSink<T> {
    collected: Collected<T>,
    subtask: usize,
    current: Vec<T>,
    pending: Vec<Part<T>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part<T> {
    epoch: Epoch,
    subtask: usize,
    records: Vec<T>,
}

impl<T> CollectSink<T> {
    /// Collects into `collected`.
    pub fn new(collected: Collected<T>) -> Self {
        Self { collected, subtask: 0, current: Vec::new(), pending: Vec::new() }
    }
}

impl<T: StateData> Operator for CollectSink<T> {
    type In = T;
    type Out = ();

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.subtask = context.operator.subtask;
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("pending", &mut self.pending);
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        self.current.extend(batch.records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        if !self.current.is_empty() {
            let records = std::mem::take(&mut self.current);
            self.pending.push(Part { epoch: barrier.epoch, subtask: self.subtask, records });
        }
        Ok(())
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let mut published = self.collected.0.lock().unwrap_or_else(PoisonError::into_inner);
        for part in self.pending.extract_if(.., |part| part.epoch <= epoch) {
            if published.parts.insert((part.epoch, part.subtask)) {
                published.records.extend(part.records);
            }
        }
        Ok(())
    }
}
