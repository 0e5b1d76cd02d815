//! The task of a source: polls the reader, makes watermarks per split, and cuts the stream where the coordinator says.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::gate::{BEGINNING, Gate, Mail, Mailbox, Next, Pace};
use super::rate::SourceRate;
use super::task::{Drive, Report, Task, TaskLife};
use crate::barrier::Barrier;
use crate::collector::{Control, OperatorSnapshot};
use crate::error::{BoxError, Failure, panic_message};
use crate::operator::OperatorContext;
use crate::output::Output;
use crate::record::{Data, Origin};
use crate::source::{
    Found, SPLITS, Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitState, Waker,
};
use crate::state::States;
use crate::time::{Clock, MAX_WATERMARK, NO_TIMESTAMP, Timestamp};
use crate::watermark::{Combined, Generate, Member, Said, WatermarkStrategy, Watermarks};

/// A source subtask.
pub(crate) struct SourceTask<S: Source> {
    pub(crate) source: Arc<S>,
    pub(crate) strategy: WatermarkStrategy<S::Item>,
    pub(crate) gate: Gate<()>,
    pub(crate) output: Output<S::Item>,
    pub(crate) context: OperatorContext,
    pub(crate) clock: Clock,
    pub(crate) job: Arc<str>,
    /// How often, in milliseconds, it is told to operators behind how far the source has caught up with the outside.
    pub(crate) caught_up_every: Option<i64>,
    /// How fast it may read, with the other subtasks of the source.
    pub(crate) rate: Arc<SourceRate>,
    /// The group of sources that wait for each other, if the strategy names one.
    pub(crate) alignment: Option<Member>,
}

/// So often (milliseconds) a source that is ahead of others looks whether they have come.
const LOOK_AT_OTHERS: i64 = 10;

/// What is known of each split.
struct Split<T> {
    newest: Timestamp,
    /// What makes its watermarks, if that is one of the user's.
    generator: Option<Box<dyn Generate<T>>>,
    /// When the outside last had nothing for it.
    caught_up: Timestamp,
    /// Whether, and for how long, the outside has had nothing for it, whenever it was asked.
    quiet: Option<Quiet>,
}

/// The outside has nothing for a split.
#[derive(Clone, Copy)]
struct Quiet {
    /// For so many milliseconds.
    long: i64,
    /// When it was last asked.
    asked: Timestamp,
}

impl Quiet {
    /// Asked once more. What lies between two questions counts for half of the timeout at the most: while we could not ask (an operator
    /// was slow, the process was stopped, the clock was set), a client that reads ahead may not have been able to read.
    fn again(before: Option<Self>, now: Timestamp, timeout: i64) -> Self {
        let long = before.map_or(0, |Self { long, asked }| {
            long.saturating_add(now.saturating_sub(asked).clamp(0, longest_wait(timeout)))
        });
        Self { long, asked: now }
    }
}

/// For idleness a reader is asked so often.
fn longest_wait(timeout: i64) -> i64 {
    (timeout / 2).max(1)
}

/// Of a source that is running.
struct Running<R: SourceReader> {
    reader: R,
    polled: SourceOutput<R::Item>,
    /// How many records make a batch, by the time that the chain takes for them.
    pace: Pace,
    batch: usize,
    strategy: WatermarkStrategy<R::Item>,
    splits: Vec<Split<R::Item>>,
    watermarks: Watermarks,
    /// The split that holds the watermark back, as it was last shown.
    held_back_by: Option<usize>,
    /// What the checkpoint knew of the event time of each split.
    restored: HashMap<String, Timestamp>,
    context: OperatorContext,
    /// How often, and until when, it has been said how far the source has caught up.
    caught_up_every: Option<i64>,
    caught_up: Timestamp,
    rate: Arc<SourceRate>,
    alignment: Option<Member>,
    /// It does not read until then, as it has read enough or is ahead of others.
    held_until: Option<Timestamp>,
    ended: bool,
}

impl<S: Source> Task for SourceTask<S>
where
    S::Item: Data,
{
    fn run(self: Box<Self>, life: TaskLife) -> Result<(), Failure> {
        let Self { source, strategy, gate, output, context, clock, job, caught_up_every, rate, alignment } =
            *self;
        let waker = gate.clone();
        let source_context = SourceContext {
            operator: context.operator.clone(),
            parallelism: context.parallelism,
            clock,
            metrics: context.metrics.clone(),
            waker: Waker::new(move || waker.wake()),
            job,
            queued_bytes: context.queued_bytes,
        };
        let mut drive = Drive::new(Box::new(SourceChain(output)), source_context.waker.clone(), life);
        drive.open()?;
        let restore = drive.life.restore.take();
        let mut running = guard(&context, &Origin::default(), || {
            let mut restored: Vec<SplitState<<S::Reader as SourceReader>::Position>> = Vec::new();
            let mut states = States::opening(&context, restore.as_deref());
            states.union(SPLITS, &mut restored);
            states.finish()?;
            let mut reader = source.reader(&source_context)?;
            let positions =
                || restored.iter().map(|split| (split.split.clone(), split.position.clone())).collect();
            // A source that the checkpoint does not know begins as one of a fresh job does.
            let known = restore.as_ref().is_some_and(|restore| restore.knows(&context.operator.uid));
            reader.open(known.then(positions))?;
            if context.restored_epoch > 0 {
                reader.committed(context.restored_epoch)?;
            }
            Ok(Running {
                reader,
                polled: SourceOutput::new(),
                pace: Pace::default(),
                batch: BEGINNING,
                strategy,
                splits: Vec::new(),
                watermarks: Watermarks::default(),
                held_back_by: None,
                restored: restored.into_iter().map(|split| (split.split, split.newest)).collect(),
                context: context.clone(),
                caught_up_every,
                caught_up: context.clock.now(),
                rate,
                alignment,
                held_until: None,
                ended: false,
            })
        })?;
        drop(restore);
        let mut status = SourceStatus::Ready;
        // A reader is polled at least once between two barriers, however close together they come: subtasks of one source
        // then do not drift apart by whole batches.
        let mut polled = false;
        // After the last barrier nothing may follow it: whoever resumes from it would see that again.
        let mut over = false;
        loop {
            let next = match (gate.try_next(), status) {
                (Some(next), _) => Some(next),
                (None, SourceStatus::Ready) => None,
                (None, SourceStatus::Idle { until }) => {
                    let (idle_at, caught_up_at) = (running.next_idle(), running.next_caught_up());
                    // One that does not read is not idle, and has not caught up.
                    let until = match running.held_until {
                        Some(held) => Some(held),
                        None => [until, idle_at, caught_up_at].into_iter().flatten().min(),
                    };
                    Some(drive.wait(&gate, until)?)
                }
                (None, SourceStatus::End) => Some(drive.wait(&gate, None)?),
            };
            if let Some(Next::Woken) = next {
                drive.woken()?;
            }
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
                        (status, over) = (SourceStatus::End, true);
                    } else if status != SourceStatus::End {
                        status = SourceStatus::Ready;
                    }
                }
                Some(Next::Mail(Mail::Finish)) if !over => {
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
                Some(Next::Woken | Next::Timeout) if status != SourceStatus::End => {
                    status = SourceStatus::Ready;
                }
                // Nothing writes to the gate of a source; and one that has ended only waits for barriers and commits.
                Some(
                    Next::Woken
                    | Next::Timeout
                    | Next::Event(..)
                    | Next::Recovered
                    | Next::Overtaken(..)
                    | Next::Mail(Mail::Finish),
                ) => {}
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
        if drive.life.overtakes && drive.chain.is_crowded() {
            // Each barrier would let one batch more through, and there would be no end to what is under way.
            let until = now.saturating_add(LOOK_AT_OTHERS);
            self.held_until = Some(until);
            return Ok(SourceStatus::Idle { until: Some(until) });
        }
        let most = match self.may_read(now) {
            Ok(most) => most,
            Err(until) => {
                self.held_until = Some(until);
                return Ok(SourceStatus::Idle { until: Some(until) });
            }
        };
        self.held_until = None;
        let Self { reader, polled, strategy, .. } = self;
        polled.begin(most);
        let status = guard(&self.context, &Origin::default(), || reader.poll(polled))?;
        polled.end();
        let SourceOutput { batch, .. } = polled;
        let newest = guard(&self.context, &batch.origin, || Ok(strategy.assign(&mut batch.records)))?;
        self.rate.give_back(most as i64 - batch.len() as i64);
        self.meet_splits(now);
        self.look_for_idle(status, now);
        if !self.polled.is_empty() {
            let records = self.polled.len() as u64;
            self.context.metrics.records_in.add(records);
            self.context.metrics.records_out.add(records);
            self.make_watermarks(drive)?;
            if let Some(split) = self.polled.current
                && self.splits[split.0].generator.is_none()
            {
                let known = &mut self.splits[split.0];
                known.newest = known.newest.max(newest);
                if self.strategy.has_watermarks() {
                    self.watermarks.advance(split.0, self.strategy.watermark(known.newest));
                }
            }
            // Its generator may have had all of them handed on.
            if !self.polled.is_empty() {
                let (records, since) = (self.polled.len(), Instant::now());
                drive.chain.batch(&mut self.polled.batch)?;
                if let Some((batch, _)) = self.pace.limits(records, since.elapsed()) {
                    self.batch = batch;
                }
            }
        }
        for index in 0..self.splits.len() {
            if self.polled.splits[index].finished {
                self.watermarks.finish(index);
            }
        }
        if status == SourceStatus::End {
            self.end(drive)?;
        } else {
            self.advance_time(drive)?;
            self.say_caught_up(status, now, drive)?;
        }
        Ok(status)
    }

    /// How many records it may read now; `Err` says when to ask again.
    fn may_read(&mut self, now: Timestamp) -> Result<usize, Timestamp> {
        if self.alignment.as_ref().is_some_and(Member::is_ahead) {
            return Err(now.saturating_add(LOOK_AT_OTHERS));
        }
        self.rate.take(self.batch, now)
    }

    /// Hands on what has been polled up to the last watermark that the generator of its split makes of it, each right behind its record.
    fn make_watermarks(&mut self, drive: &mut Drive<R::Item>) -> Result<(), Failure> {
        let Some(index) = self.polled.current.map(|split| split.0) else { return Ok(()) };
        let Some(mut generator) = self.splits[index].generator.take() else { return Ok(()) };
        loop {
            let batch = &mut self.polled.batch;
            let next = guard(&self.context, &batch.origin, || Ok(generator.next(&batch.records, 0)))?;
            let Some(Said { until, watermark, idle }) = next else { break };
            if until > 0 {
                let rest = batch.records.split_off(until);
                drive.chain.batch(batch)?;
                batch.records = rest;
            }
            self.splits[index].newest = self.splits[index].newest.max(watermark);
            self.watermarks.advance(index, watermark);
            if idle {
                self.watermarks.set_idle(index);
            }
            self.advance_time(drive)?;
        }
        if !generator.is_idle() {
            // It has records, so it is not idle, whether or not there was a watermark among them, unless it says so itself.
            self.watermarks.advance(index, self.splits[index].newest);
        }
        self.splits[index].generator = Some(generator);
        Ok(())
    }

    /// Takes note of splits that the reader has announced, with what the checkpoint knew of them.
    fn meet_splits(&mut self, now: Timestamp) {
        for info in &self.polled.splits[self.splits.len()..] {
            // By its name it was kept before it had an identity.
            let restored = self.restored.get(&*info.identity).or_else(|| self.restored.get(&*info.name));
            let newest = restored.copied().unwrap_or(NO_TIMESTAMP);
            let index = self.watermarks.add();
            if newest != NO_TIMESTAMP {
                self.watermarks.advance(index, self.strategy.watermark(newest));
            }
            let generator = self.strategy.generator();
            self.splits.push(Split { newest, generator, caught_up: now, quiet: None });
        }
    }

    /// Takes note of splits for which the outside had nothing in this poll, and marks those as idle for which it has had nothing for
    /// long enough. A split that was not asked stays as it is.
    fn look_for_idle(&mut self, status: SourceStatus, now: Timestamp) {
        let timeout = self.strategy.idleness();
        if timeout.is_none() && self.caught_up_every.is_none() {
            return;
        }
        let read = self.polled.current.filter(|_| !self.polled.is_empty()).map(|split| split.0);
        for (index, (split, info)) in self.splits.iter_mut().zip(&self.polled.splits).enumerate() {
            let had_nothing = match info.found {
                _ if info.finished => continue,
                _ if read == Some(index) => false,
                Found::Held => false,
                Found::Nothing => true,
                Found::Unsaid if matches!(status, SourceStatus::Idle { .. }) => true,
                Found::Unsaid => continue,
            };
            if !had_nothing {
                split.quiet = None;
                continue;
            }
            split.caught_up = now;
            if let Some(timeout) = timeout {
                let quiet = Quiet::again(split.quiet, now, timeout);
                split.quiet = Some(quiet);
                if quiet.long >= timeout {
                    self.watermarks.set_idle(index);
                }
            }
        }
    }

    /// When the reader is to be asked again, for the sake of idleness.
    fn next_idle(&self) -> Option<Timestamp> {
        let timeout = self.strategy.idleness()?;
        let quiet = self.splits.iter().filter_map(|split| split.quiet).filter(|quiet| quiet.long < timeout);
        quiet
            .map(|Quiet { long, asked }| asked.saturating_add((timeout - long).min(longest_wait(timeout))))
            .min()
    }

    /// When it is to be said next how far the source has caught up.
    fn next_caught_up(&self) -> Option<Timestamp> {
        self.caught_up_every.map(|every| self.caught_up.saturating_add(every))
    }

    /// Says how far the source has caught up with the outside, if somebody wants to know, and if it is time.
    fn say_caught_up(
        &mut self,
        status: SourceStatus,
        now: Timestamp,
        drive: &mut Drive<R::Item>,
    ) -> Result<(), Failure> {
        let Some(every) = self.caught_up_every else { return Ok(()) };
        let splits = self.splits.iter().zip(&self.polled.splits);
        let unfinished = splits.filter(|(_, info)| !info.finished).map(|(split, _)| split.caught_up);
        let at = match unfinished.min() {
            Some(least) => least,
            None if matches!(status, SourceStatus::Idle { .. }) => now,
            None => return Ok(()),
        };
        if at < self.caught_up.saturating_add(every) && at >= self.caught_up {
            return Ok(());
        }
        // A clock that was set back: it is as if nothing had been said before.
        self.caught_up = at;
        drive.control(&Control::CaughtUp(at))
    }

    /// Passes the combined watermark on if it is news.
    fn advance_time(&mut self, drive: &mut Drive<R::Item>) -> Result<(), Failure> {
        if self.ended || !self.strategy.has_watermarks() {
            return Ok(());
        }
        self.show_lowest();
        while let Some(news) = self.watermarks.news() {
            match news {
                Combined::Watermark(watermark) => {
                    self.alignment.iter().for_each(|member| member.reached(watermark));
                    self.context.metrics.set_watermark(watermark);
                    drive.control(&Control::Watermark(watermark))?;
                }
                Combined::Idle => {
                    self.alignment.iter().for_each(|member| member.reached(MAX_WATERMARK));
                    drive.control(&Control::Idle)?;
                }
            }
        }
        Ok(())
    }

    /// Shows which split holds the watermark back, also while there is none at all.
    fn show_lowest(&mut self) {
        let lowest = self.watermarks.lowest();
        if lowest != self.held_back_by {
            self.held_back_by = lowest;
            let now = self.context.clock.now();
            let split = lowest.map(|index| (self.polled.splits[index].name.clone(), now));
            self.context.metrics.set_held_back_by(split);
        }
    }

    fn end(&mut self, drive: &mut Drive<R::Item>) -> Result<(), Failure> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        self.alignment = None;
        self.context.metrics.set_held_back_by(None);
        self.context.metrics.set_watermark(MAX_WATERMARK);
        drive.control(&Control::Watermark(MAX_WATERMARK))?;
        drive.control(&Control::End)?;
        drive.flush()?;
        (drive.life.report)(Report::InputEnded);
        Ok(())
    }

    fn barrier(&mut self, barrier: Barrier, drive: &mut Drive<R::Item>) -> Result<(), Failure> {
        self.context.metrics.mark_cut();
        let (context, origin) = (self.context.clone(), Origin::default());
        guard(&context, &origin, || {
            self.reader.barrier(&barrier);
            Ok(())
        })?;
        if barrier.checkpoint {
            let known = self.polled.splits.iter().zip(&self.splits);
            let newest: HashMap<&str, Timestamp> =
                known.map(|(info, split)| (&*info.identity, split.newest)).collect();
            let restored = &self.restored;
            let reader = &mut self.reader;
            let snapshot = guard(&context, &origin, || {
                let of_split = |(split, position): (String, R::Position)| {
                    // One that is not read at present is kept as it was.
                    let newest = newest.get(split.as_str()).or_else(|| restored.get(&split));
                    let newest = newest.copied().unwrap_or(NO_TIMESTAMP);
                    SplitState { split, position, newest }
                };
                let mut splits: Vec<SplitState<R::Position>> =
                    reader.positions().into_iter().map(of_split).collect();
                let mut states = States::snapshotting(barrier.epoch, false);
                states.union(SPLITS, &mut splits);
                Ok((states.into_snapshots(), reader.note(barrier.epoch)))
            });
            let (states, note) = snapshot?;
            drive.context.snapshots.push(OperatorSnapshot { uid: context.operator.uid.clone(), states });
            drive.context.notes.extend(note);
        }
        drive.barrier(barrier)
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

    fn is_crowded(&self) -> bool {
        self.0.is_crowded()
    }
}
