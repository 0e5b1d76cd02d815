//! Where an operator puts its records: a buffer that is passed on a batch at a time.

use std::any::Any;
use std::marker::PhantomData;

use crate::collector::{Collector, Control, TaskContext};
use crate::error::Failure;
use crate::metrics::OperatorMetrics;
use crate::record::{BATCH_SIZE, Batch, Origin, Record};
use crate::time::Timestamp;

/// The output of one operator. Pushing is a move into a buffer; a full buffer is handed to the next operator,
/// which is the only virtual call, once in [`BATCH_SIZE`] records.
pub struct Output<T> {
    batch: Batch<T>,
    next: Box<dyn Collector<T>>,
    sides: Vec<Box<dyn SidePort>>,
    failure: Option<Failure>,
    pushed: u64,
    /// A watermark, or idleness, that the operator wants to be passed on after its records.
    event_time: Option<Control>,
    /// The last watermark that the operator has passed on in the middle of its records.
    passed: Option<Timestamp>,
    misread: Option<&'static str>,
}

impl<T: Send + 'static> Output<T> {
    pub(crate) fn new(next: Box<dyn Collector<T>>, sides: Vec<Box<dyn SidePort>>) -> Self {
        let batch = Batch::new();
        Self { batch, next, sides, failure: None, pushed: 0, event_time: None, passed: None, misread: None }
    }

    /// Hands on a record.
    #[inline]
    pub fn push(&mut self, value: T, timestamp: Timestamp) {
        self.batch.records.push(Record { value, timestamp });
        if self.batch.records.len() >= BATCH_SIZE {
            self.flush_main();
        }
    }

    /// Hands on a whole batch of records that keep their order and times. Cheaper than pushing one by one.
    pub fn push_batch(&mut self, records: &mut Vec<Record<T>>) {
        if self.batch.records.is_empty() {
            std::mem::swap(&mut self.batch.records, records);
        } else {
            self.batch.records.append(records);
        }
        if self.batch.records.len() >= BATCH_SIZE {
            self.flush_main();
        }
    }

    /// Hands a record to a side output. Where nobody reads that side output, the record is dropped.
    pub fn push_side<S: Send + 'static>(&mut self, tag: &OutputTag<S>, value: S, timestamp: Timestamp) {
        let Some(port) = self.sides.iter_mut().find(|side| side.tag() == tag.name) else { return };
        let Some(port) = port.as_any().downcast_mut::<TypedSidePort<S>>() else {
            self.misread = Some(tag.name);
            return;
        };
        port.batch.records.push(Record { value, timestamp });
        if port.batch.len() >= BATCH_SIZE {
            let result = port.next.batch(&mut port.batch);
            port.batch.records.clear();
            keep_first(&mut self.failure, result);
        }
    }

    /// Counts a record that is late, and hands it to the side output that there may be.
    pub(crate) fn push_late<S: Send + 'static>(
        &mut self,
        metrics: &OperatorMetrics,
        tag: Option<&OutputTag<S>>,
        value: S,
        timestamp: Timestamp,
    ) {
        metrics.late_records.add(1);
        match tag {
            Some(tag) => self.push_side(tag, value, timestamp),
            None => metrics.late_dropped.add(1),
        }
    }

    /// The side output, if there is one, that is read as another type than it is written as.
    pub(crate) fn misread(&self) -> Option<&'static str> {
        self.misread
    }

    /// Passes `watermark` on after what has been pushed, if it is above the last: for operators that make event time.
    pub fn push_watermark(&mut self, watermark: Timestamp) {
        self.event_time = Some(Control::Watermark(watermark));
    }

    /// Says, after what has been pushed, that no watermark is to be expected until the next one comes.
    pub fn push_idle(&mut self) {
        self.event_time = Some(Control::Idle);
    }

    /// Passes on what has been pushed, then `watermark`, at once: records that follow may be late by it. It must be above all that were passed on before.
    pub(crate) fn pass_watermark(&mut self, watermark: Timestamp) {
        self.pass_on();
        if self.failure.is_none() {
            let result = self.control(&Control::Watermark(watermark), &mut TaskContext::default());
            keep_first(&mut self.failure, result);
            self.passed = Some(watermark);
        }
    }

    pub(crate) fn take_passed(&mut self) -> Option<Timestamp> {
        self.passed.take()
    }

    pub(crate) fn take_event_time(&mut self) -> Option<Control> {
        self.event_time.take()
    }

    #[cold]
    fn flush_main(&mut self) {
        self.pushed += self.batch.len() as u64;
        if self.failure.is_none()
            && let Err(failure) = self.next.batch(&mut self.batch)
        {
            self.failure = Some(failure);
        }
        // After a failure the rest of the operator's output has nowhere to go; the job is about to be restored.
        self.batch.records.clear();
    }

    /// From here on, records stem from `origin`.
    pub(crate) fn set_origin(&mut self, origin: &Origin) {
        self.batch.origin.clone_from(origin);
        for side in &mut self.sides {
            side.set_origin(origin);
        }
    }

    /// Passes on what is buffered; a failure of it is told of later. For who is about to wait.
    pub(crate) fn pass_on(&mut self) {
        if !self.batch.is_empty() {
            self.flush_main();
        }
        for side in &mut self.sides {
            let result = side.flush();
            keep_first(&mut self.failure, result);
        }
    }

    /// Passes on what is buffered. Fails with the first failure of anything downstream since the last call.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.pass_on();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Passes on what is buffered, then `control`, on the main and on every side output.
    pub(crate) fn control(&mut self, control: &Control, task: &mut TaskContext) -> Result<(), Failure> {
        self.flush()?;
        self.next.control(control, task)?;
        self.sides.iter_mut().try_for_each(|side| side.control(control, task))
    }

    /// [`Collector::is_crowded`], of the main output.
    pub(crate) fn is_crowded(&self) -> bool {
        self.next.is_crowded()
    }

    /// Records pushed so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }
}

fn keep_first(slot: &mut Option<Failure>, result: Result<(), Failure>) {
    if let Err(failure) = result
        && slot.is_none()
    {
        *slot = Some(failure);
    }
}

/// Names a side output and the type of its records (Flink's `OutputTag`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTag<S> {
    name: &'static str,
    records: PhantomData<fn() -> S>,
}

impl<S> OutputTag<S> {
    /// A tag. Names must differ within one operator.
    pub const fn new(name: &'static str) -> Self {
        Self { name, records: PhantomData }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// A side output whose record type is forgotten.
pub(crate) trait SidePort: Send {
    fn tag(&self) -> &'static str;
    fn as_any(&mut self) -> &mut dyn Any;
    fn set_origin(&mut self, origin: &Origin);
    fn flush(&mut self) -> Result<(), Failure>;
    fn control(&mut self, control: &Control, task: &mut TaskContext) -> Result<(), Failure>;
}

pub(crate) struct TypedSidePort<S> {
    tag: &'static str,
    batch: Batch<S>,
    next: Box<dyn Collector<S>>,
}

impl<S> TypedSidePort<S> {
    pub(crate) fn new(tag: &'static str, next: Box<dyn Collector<S>>) -> Self {
        Self { tag, batch: Batch::default(), next }
    }
}

impl<S: Send + 'static> SidePort for TypedSidePort<S> {
    fn tag(&self) -> &'static str {
        self.tag
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn set_origin(&mut self, origin: &Origin) {
        self.batch.origin.clone_from(origin);
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let result = self.next.batch(&mut self.batch);
        self.batch.records.clear();
        result
    }

    fn control(&mut self, control: &Control, task: &mut TaskContext) -> Result<(), Failure> {
        self.next.control(control, task)
    }
}
