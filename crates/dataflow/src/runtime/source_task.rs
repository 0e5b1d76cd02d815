//! The task of a source: polls the reader, makes watermarks per split, and cuts the stream where the coordinator says.

use super::gate::{Gate, Mail, Mailbox, Next};
use super::task::{Drive, Report, Task, TaskLife};
use crate::barrier::Barrier;
use crate::collector::{Control, OperatorSnapshot};
use crate::error::{BoxError, Failure, panic_message};
use crate::operator::OperatorContext;
use crate::output::Output;
use crate::record::{Data, Origin};
use crate::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitState, Waker};
use crate::state::States;
use crate::time::{Clock, MAX_WATERMARK, NO_TIMESTAMP, Timestamp};
use crate::watermark::{Combined, WatermarkStrategy, Watermarks};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A source subtask.
pub(crate) struct SourceTask<S: Source> {
    pub(crate) source: Arc<S>,
    pub(crate) strategy: WatermarkStrategy<S::Item>,
    pub(crate) gate: Gate<()>,
    pub(crate) output: Output<S::Item>,
    pub(crate) context: OperatorContext,
    pub(crate) clock: Clock,
    pub(crate) job: Arc<str>,
}

/// What is known of the event time of each split.
struct Split {
    newest: Timestamp,
    active_at: Timestamp,
}

/// Of a source that is running.
struct Running<R: SourceReader> {
    reader: R,
    polled: SourceOutput<R::Item>,
    strategy: WatermarkStrategy<R::Item>,
    splits: Vec<Split>,
    watermarks: Watermarks,
    restored: Vec<SplitState<R::Position>>,
    context: OperatorContext,
    ended: bool,
}

impl<S: Source> Task for SourceTask<S>
where
    S::Item: Data,
{
    fn run(self: Box<Self>, life: TaskLife) -> Result<(), Failure> {
        let Self { source, strategy, gate, output, context, clock, job } = *self;
        let waker = gate.clone();
        let source_context = SourceContext {
            operator: context.operator.clone(),
            parallelism: context.parallelism,
            clock,
            metrics: context.metrics.clone(),
            waker: Waker::new(move || waker.wake()),
            job,
        };
        let restore = life.restore.clone();
        let mut drive = Drive::new(Box::new(SourceChain(output)), life);
        drive.open()?;
        let mut running = guard(&context, &Origin::default(), || {
            let mut restored: Vec<SplitState<<S::Reader as SourceReader>::Position>> = Vec::new();
            let mut states = States::opening(&context, restore.as_deref());
            states.union("splits", &mut restored);
            states.finish()?;
            let mut reader = source.reader(&source_context)?;
            let positions =
                || restored.iter().map(|split| (split.split.clone(), split.position.clone())).collect();
            reader.open(restore.is_some().then(positions))?;
            if context.restored_epoch > 0 {
                reader.committed(context.restored_epoch)?;
            }
            let (polled, splits, watermarks) = (SourceOutput::new(), Vec::new(), Watermarks::default());
            let context = context.clone();
            Ok(Running { reader, polled, strategy, splits, watermarks, restored, context, ended: false })
        })?;
        let mut status = SourceStatus::Ready;
        // A reader is polled at least once between two barriers, however close together they come: subtasks of one source
        // then do not drift apart by whole batches.
        let mut polled = false;
        loop {
            let next = match (gate.try_next(), status) {
                (Some(next), _) => Some(next),
                (None, SourceStatus::Ready) => None,
                (None, SourceStatus::Idle { until }) => {
                    let idle_at = running.next_idle();
                    Some(drive.wait(&gate, [until, idle_at].into_iter().flatten().min())?)
                }
                (None, SourceStatus::End) => Some(drive.wait(&gate, None)?),
            };
            match next {
                None => {
                    status = running.poll(&mut drive)?;
                    polled = true;
                    continue;
                }
                Some(Next::Mail(Mail::Barrier(barrier))) => {
                    if !std::mem::take(&mut polled) && status == SourceStatus::Ready {
                        status = running.poll(&mut drive)?;
                    }
                    running.barrier(barrier, &mut drive)?;
                    if barrier.is_last() {
                        // What is read after the last cut would be read again by whoever resumes from it.
                        status = SourceStatus::End;
                    } else if status != SourceStatus::End {
                        status = SourceStatus::Ready;
                    }
                }
                Some(Next::Mail(Mail::Finish)) => {
                    running.end(&mut drive)?;
                    status = SourceStatus::End;
                }
                Some(Next::Mail(Mail::Committed(epoch))) => {
                    guard(&context, &Origin::default(), || running.reader.committed(epoch))?;
                    if drive.committed(epoch)? {
                        return Ok(());
                    }
                }
                Some(Next::Cancelled) => return Err(Failure::Cancelled),
                Some(Next::Woken | Next::Timeout | Next::Event(..)) => {
                    running.advance_time(&mut drive)?;
                    if status != SourceStatus::End {
                        status = SourceStatus::Ready;
                    }
                }
            }
        }
    }
}

impl<R: SourceReader> Running<R>
where
    R::Item: Data,
{
    fn poll(&mut self, drive: &mut Drive<R::Item>) -> Result<SourceStatus, Failure> {
        drive.tick()?;
        let now = self.context.clock.now();
        let Self { reader, polled, strategy, .. } = self;
        let (status, newest) = guard(&self.context, &polled.batch.origin.clone(), || {
            let status = reader.poll(polled)?;
            Ok((status, strategy.assign(&mut polled.batch.records)))
        })?;
        self.meet_splits(now);
        if !self.polled.is_empty() {
            let records = self.polled.len() as u64;
            self.context.metrics.records_in.add(records);
            self.context.metrics.records_out.add(records);
            if let Some(split) = self.polled.current {
                let known = &mut self.splits[split.0];
                known.newest = known.newest.max(newest);
                known.active_at = now;
                if self.strategy.has_watermarks() {
                    self.watermarks.advance(split.0, self.strategy.watermark(known.newest));
                }
            }
            drive.chain.batch(&mut self.polled.batch)?;
        }
        for index in 0..self.splits.len() {
            if self.polled.splits[index].finished {
                self.watermarks.advance(index, MAX_WATERMARK);
            }
        }
        if status == SourceStatus::End {
            self.end(drive)?;
        } else {
            self.advance_time(drive)?;
        }
        Ok(status)
    }

    /// Takes note of splits that the reader has announced, with what the checkpoint knew of them.
    fn meet_splits(&mut self, now: Timestamp) {
        for info in &self.polled.splits[self.splits.len()..] {
            let restored = self.restored.iter().find(|split| *split.split == *info.name);
            let newest = restored.map_or(NO_TIMESTAMP, |split| split.newest);
            let index = self.watermarks.add();
            if newest != NO_TIMESTAMP {
                self.watermarks.advance(index, self.strategy.watermark(newest));
            }
            self.splits.push(Split { newest, active_at: now });
        }
    }

    /// When the next split becomes idle, unless a record comes.
    fn next_idle(&self) -> Option<Timestamp> {
        let timeout = self.strategy.idleness()?;
        let now = self.context.clock.now();
        self.splits.iter().map(|split| split.active_at + timeout).filter(|at| *at > now).min()
    }

    /// Marks splits as idle, and passes the combined watermark on if it is news.
    fn advance_time(&mut self, drive: &mut Drive<R::Item>) -> Result<(), Failure> {
        if self.ended || !self.strategy.has_watermarks() {
            return Ok(());
        }
        if let Some(timeout) = self.strategy.idleness() {
            let now = self.context.clock.now();
            for (index, split) in self.splits.iter().enumerate() {
                if now >= split.active_at + timeout && !self.polled.splits[index].finished {
                    self.watermarks.set_idle(index);
                }
            }
        }
        match self.watermarks.news() {
            // Only the end says that there is nothing more: a reader may yet discover another split.
            None | Some(Combined::Watermark(MAX_WATERMARK)) => Ok(()),
            Some(Combined::Watermark(watermark)) => {
                let lowest = self.watermarks.lowest().map(|index| self.polled.splits[index].name.clone());
                self.context.metrics.set_held_back_by(lowest);
                self.context.metrics.set_watermark(watermark);
                drive.control(&Control::Watermark(watermark))
            }
            Some(Combined::Idle) => drive.control(&Control::Idle),
        }
    }

    fn end(&mut self, drive: &mut Drive<R::Item>) -> Result<(), Failure> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        self.context.metrics.set_held_back_by(None);
        self.context.metrics.set_watermark(MAX_WATERMARK);
        drive.control(&Control::Watermark(MAX_WATERMARK))?;
        drive.control(&Control::End)?;
        drive.flush()?;
        (drive.life.report)(Report::InputEnded);
        Ok(())
    }

    fn barrier(&mut self, barrier: Barrier, drive: &mut Drive<R::Item>) -> Result<(), Failure> {
        if barrier.checkpoint {
            let mut splits: Vec<SplitState<R::Position>> = self
                .reader
                .positions()
                .into_iter()
                .map(|(split, position)| SplitState {
                    newest: self.newest_of(&split),
                    ..SplitState::new(split, position)
                })
                .collect();
            let mut states = States::snapshotting(barrier.epoch);
            states.union("splits", &mut splits);
            let uid = self.context.operator.uid.clone();
            drive.context.snapshots.push(OperatorSnapshot { uid, states: states.into_snapshots() });
            drive.context.notes.extend(self.reader.note(barrier.epoch));
        }
        self.reader.barrier(&barrier);
        drive.barrier(barrier)
    }

    fn newest_of(&self, name: &str) -> Timestamp {
        let index = self.polled.splits.iter().position(|split| *split.name == *name);
        index.and_then(|index| self.splits.get(index)).map_or(NO_TIMESTAMP, |split| split.newest)
    }
}

/// Calls the reader, and turns errors and panics into a failure with the source's name.
fn guard<T>(
    context: &OperatorContext,
    origin: &Origin,
    call: impl FnOnce() -> Result<T, BoxError>,
) -> Result<T, Failure> {
    let (operator, origin) = (context.operator.clone(), origin.clone());
    // After a panic the reader is dropped with the task and never called again.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::Returned { operator, origin, error }),
        Err(panic) => Err(Failure::Panicked { operator, origin, message: panic_message(&*panic) }),
    }
}

/// The output of a source as the first link of its chain.
struct SourceChain<T>(Output<T>);

impl<T: Send + 'static> crate::collector::Collector<T> for SourceChain<T> {
    fn batch(&mut self, batch: &mut crate::record::Batch<T>) -> Result<(), Failure> {
        self.0.set_origin(&batch.origin);
        self.0.push_batch(&mut batch.records);
        let result = self.0.flush();
        batch.records.clear();
        result
    }

    fn control(
        &mut self,
        control: &Control,
        task: &mut crate::collector::TaskContext,
    ) -> Result<(), Failure> {
        self.0.control(control, task)
    }
}
