//! `train`: learns batches in parallel: each subtask its part, all parts merged at the barrier that closes the batch.
//!
//! - **Records** are accumulated into the subtask's part, under the model of the batch before.
//! - **Barriers** that close the batch hand the part in. The subtask that is the last to do so merges them, brings the model up to date
//!   and
//!   emits it, with the batch's time, before the barrier. The others find it there when they go on: one barrier is under way at a time,
//!   so
//!   by the time that the next one comes, every subtask has passed this one. Records that come in between are kept until the model
//!   is there. Watermarks wait for the barrier.
//! - **Bad records** are left out or fail the job, as [`BadRecordPolicy`] says.
//! - **State**: union, `model`: the model of the batch before, and `parts`: of each subtask the part of this one. Together they are the
//!   model, at
//!   whatever parallelism they are restored.
//!
//! Merging is exact (see [`Mergeable`]), so neither the order of records nor the parallelism changes a bit of the model.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{StateData, States};

use super::train_in_one::LatestModel;
use super::{BadRecordPolicy, ModelVersion};
use crate::Mergeable;

/// Where the subtasks of one attempt meet.
#[derive(Debug)]
struct Meeting<L, P> {
    /// Of the batch before, as each subtask sees it.
    model: Arc<L>,
    version: u64,
    parts: P,
    handed_in: usize,
}

type Shared<L, P> = Arc<Mutex<Option<Meeting<L, P>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the subtasks of the operator, so that those of one attempt meet: see
/// [`Stream::apply_with`](thalweg_dataflow::graph::Stream::apply_with).
pub struct MakeTrain<X, L: Mergeable<X>> {
    initial: L,
    interval: i64,
    bad: BadRecordPolicy,
    latest: LatestModel<L>,
    meeting: Mutex<Shared<L, L::Partial>>,
}

impl<X, L: Mergeable<X>> MakeTrain<X, L> {
    /// Trains `learner`, and shows what it has learnt in `latest`. The batch interval is in milliseconds.
    pub fn new(learner: L, interval: i64, bad: BadRecordPolicy, latest: LatestModel<L>) -> Self {
        Self { initial: learner, interval, bad, latest, meeting: Mutex::default() }
    }

    /// The operator of one subtask. The engine makes those of an attempt one after the other, the first one first.
    pub fn subtask(&self, subtask: usize) -> Train<X, L> {
        let mut meeting = lock(&self.meeting);
        if subtask == 0 {
            *meeting = Shared::default();
        }
        Train {
            initial: self.initial.clone(),
            interval: self.interval,
            bad: self.bad,
            latest: self.latest.clone(),
            meeting: meeting.clone(),
            model: Arc::new(self.initial.clone()),
            version: 0,
            part: L::Partial::default(),
            early: Vec::new(),
            closed: None,
            models: Vec::new(),
            parts: Vec::new(),
            subtask,
            parallelism: 1,
            metrics: None,
        }
    }
}

/// The operator. See the [module](self).
pub struct Train<X, L: Mergeable<X>> {
    initial: L,
    interval: i64,
    bad: BadRecordPolicy,
    latest: LatestModel<L>,
    meeting: Shared<L, L::Partial>,
    /// The model of the batch before the open one.
    model: Arc<L>,
    version: u64,
    part: L::Partial,
    /// Records of the open batch that came before its model was there.
    early: Vec<(X, L::Target)>,
    /// The part of the batch that was closed by the barrier at hand, and its model: as they are written down.
    closed: Option<(Arc<L>, u64, L::Partial)>,
    models: Vec<(u64, L)>,
    parts: Vec<L::Partial>,
    subtask: usize,
    parallelism: usize,
    metrics: Option<Arc<OperatorMetrics>>,
}

impl<X: StateData, L: Mergeable<X>> Train<X, L> {
    fn accumulate(&mut self, x: &X, y: &L::Target) -> Result<(), BoxError> {
        match self.model.accumulate(&mut self.part, x, y) {
            Ok(()) => Ok(()),
            Err(reason) => self.bad.decide(&reason, self.metrics.as_deref()),
        }
    }

    /// Takes over the model of the batch before, if it is there by now, and works off what has waited for it.
    fn catch_up(&mut self) -> Result<bool, BoxError> {
        if let Some((_, closed, _)) = &self.closed {
            let meeting = lock(&self.meeting);
            match &*meeting {
                Some(meeting) if meeting.version > *closed => {
                    (self.model, self.version) = (meeting.model.clone(), meeting.version);
                }
                _ => return Ok(false),
            }
            drop(meeting);
            self.closed = None;
            for (x, y) in std::mem::take(&mut self.early) {
                self.accumulate(&x, &y)?;
            }
        }
        Ok(true)
    }
}

impl<X: StateData, L: Mergeable<X>> Operator for Train<X, L> {
    type In = (X, L::Target);
    type Out = ModelVersion<(), L>;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.subtask = context.operator.subtask;
        self.parallelism = context.parallelism;
        self.metrics = Some(context.metrics.clone());
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        let opening = states.epoch().is_none();
        if !opening {
            let open = (self.model.clone(), self.version, self.part.clone());
            let (model, version, part) = self.closed.clone().unwrap_or(open);
            self.models = if self.subtask == 0 { vec![(version, (*model).clone())] } else { Vec::new() };
            self.parts = vec![part];
        }
        states.union("model", &mut self.models);
        states.union("parts", &mut self.parts);
        // Whether the batch of the parts was closed by the barrier of the checkpoint.
        let mut closed = if opening { Vec::new() } else { vec![self.closed.is_some()] };
        states.union("closed", &mut closed);
        if opening {
            let restored = self.models.pop().unwrap_or_else(|| (0, self.initial.clone()));
            let (mut version, mut model) = restored;
            self.part = L::Partial::default();
            if closed.first() == Some(&true) {
                let mut whole = L::Partial::default();
                self.parts.iter().for_each(|part| L::merge(&mut whole, part));
                model.update(&whole);
                version += 1;
            } else if self.subtask == 0 {
                self.parts.iter().for_each(|part| L::merge(&mut self.part, part));
            }
            if self.subtask == 0 {
                *lock(&self.latest) = (version, model.clone());
            }
            (self.model, self.version, self.closed) = (Arc::new(model), version, None);
            self.early.clear();
        }
        self.models.clear();
        self.parts.clear();
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        if !self.catch_up()? {
            self.early.extend(batch.records.drain(..).map(|record| record.value));
            return Ok(());
        }
        for record in batch.records.drain(..) {
            let (x, y) = record.value;
            self.accumulate(&x, &y)?;
        }
        Ok(())
    }

    fn batch_interval(&self) -> Option<i64> {
        Some(self.interval)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<Self::Out>) -> Result<(), BoxError> {
        if !self.catch_up()? {
            return Err("a barrier came before all subtasks had passed the one before (a bug in Thalweg, please report it)".into());
        }
        if !barrier.closes_batch(self.interval) {
            return Ok(());
        }
        let part = std::mem::take(&mut self.part);
        let mut meeting = lock(&self.meeting);
        let meeting = meeting.get_or_insert_with(|| Meeting {
            model: self.model.clone(),
            version: self.version,
            parts: L::Partial::default(),
            handed_in: 0,
        });
        L::merge(&mut meeting.parts, &part);
        meeting.handed_in += 1;
        self.closed = Some((self.model.clone(), self.version, part));
        if meeting.handed_in == self.parallelism {
            let mut model = (*meeting.model).clone();
            model.update(&std::mem::take(&mut meeting.parts));
            meeting.handed_in = 0;
            meeting.version += 1;
            *lock(&self.latest) = (meeting.version, model.clone());
            meeting.model = Arc::new(model.clone());
            output.push(ModelVersion { key: (), version: meeting.version, model }, barrier.time);
        }
        Ok(())
    }
}
