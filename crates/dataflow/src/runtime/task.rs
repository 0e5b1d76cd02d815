//! The task: a thread that drives a chain of operators with what comes through its gate.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::{Event, Gate, Mail, Mailbox, Next, Pace};
use super::under_way::{Codec, Playback, Taken, UnderWay};
use crate::barrier::{Barrier, Epoch};
use crate::checkpoint::{Aligner, Restore};
use crate::collector::{Collector, Control, OperatorSnapshot, TaskContext};
use crate::error::Failure;
use crate::metrics::TaskMetrics;
use crate::record::{Batch, Origin};
use crate::source::Waker;
use crate::time::{Clock, TaskClock, Timestamp};
use crate::watermark::{Combined, Watermarks};

/// A task, ready to be run on a thread of its own.
pub(crate) trait Task: Send {
    fn run(self: Box<Self>, life: TaskLife) -> Result<(), Failure>;
}

/// What a task tells the coordinator.
pub(crate) enum Report {
    /// A source has no more input.
    InputEnded,
    /// The task has passed a barrier, and shared its state if that was a checkpoint.
    Passed { epoch: Epoch, snapshots: Vec<OperatorSnapshot>, notes: Vec<Box<dyn Any + Send>> },
    /// The task is over.
    Stopped(Result<(), Failure>),
}

/// What a task needs to live.
pub(crate) struct TaskLife {
    pub(crate) clock: Clock,
    pub(crate) task_clock: TaskClock,
    pub(crate) metrics: Arc<TaskMetrics>,
    pub(crate) buffer_timeout: Duration,
    /// Whether barriers are to overtake records, where they may.
    pub(crate) overtakes: bool,
    pub(crate) restore: Option<Arc<Restore>>,
    pub(crate) report: Box<dyn Fn(Report) + Send>,
}

/// What tasks with and without input have in common: time, timers, flushing, passing barriers on.
pub(crate) struct Drive<T> {
    pub(crate) chain: Box<dyn Collector<T>>,
    pub(crate) context: TaskContext,
    pub(crate) life: TaskLife,
    started: Instant,
    flushed: Instant,
    timers_fired: Timestamp,
    accounted: Duration,
    /// The last barrier, once passed: the task ends when it is committed.
    last: Option<Epoch>,
}

impl<T> Drive<T> {
    pub(crate) fn new(chain: Box<dyn Collector<T>>, waker: Waker, life: TaskLife) -> Self {
        let context = TaskContext { restore: life.restore.clone(), waker, ..TaskContext::default() };
        let now = Instant::now();
        Self {
            chain,
            context,
            life,
            started: now,
            flushed: now,
            timers_fired: Timestamp::MIN,
            accounted: Duration::ZERO,
            last: None,
        }
    }

    pub(crate) fn control(&mut self, control: &Control) -> Result<(), Failure> {
        self.chain.control(control, &mut self.context)
    }

    pub(crate) fn open(&mut self) -> Result<(), Failure> {
        self.life.task_clock.set(self.life.clock.now());
        self.control(&Control::Open)?;
        self.context.restore = None;
        self.fire_timers(self.life.clock.now())
    }

    /// Called between batches: reads the clock, fires timers, and flushes what has been lying about for too long.
    pub(crate) fn tick(&mut self) -> Result<(), Failure> {
        let now = self.life.clock.now();
        self.life.task_clock.set(now);
        // Once a millisecond is as fine as timers are, and spares a busy chain the walk.
        if now != self.timers_fired {
            self.fire_timers(now)?;
            if self.flushed.elapsed() >= self.life.buffer_timeout {
                self.flush()?;
            }
            self.account();
        }
        Ok(())
    }

    /// Somebody has called the waker.
    pub(crate) fn woken(&mut self) -> Result<(), Failure> {
        // After the last barrier nothing may be emitted any more.
        if self.last.is_some() { Ok(()) } else { self.control(&Control::Woken) }
    }

    fn fire_timers(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.timers_fired = now;
        if self.last.is_some() {
            // What a timer emits after the last barrier would be emitted again by whoever resumes from it.
            self.context.next_timer = None;
            return Ok(());
        }
        self.context.next_timer = None;
        self.control(&Control::ProcessingTime(now))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.flushed = Instant::now();
        self.control(&Control::Flush)
    }

    fn account(&mut self) {
        let total = self.started.elapsed();
        self.life.metrics.total_micros.add((total - self.accounted).as_micros() as u64);
        self.accounted += Duration::from_micros((total - self.accounted).as_micros() as u64);
    }

    /// Nothing is at hand: flushes, then waits for `gate`; at the longest until a timer or `until` is due.
    pub(crate) fn wait<E>(&mut self, gate: &Gate<E>, until: Option<Timestamp>) -> Result<Next<E>, Failure> {
        let now = self.life.clock.now();
        self.life.task_clock.set(now);
        self.fire_timers(now)?;
        self.flush()?;
        let until = [until, self.context.next_timer].into_iter().flatten().min();
        let deadline = until.map(|until| {
            let wait = Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
            // A clock that is moved by hand does not say when it will have moved.
            let wait = if self.life.clock.is_manual() { Duration::from_millis(1) } else { wait };
            Instant::now() + wait.min(Duration::from_secs(3600))
        });
        let since = Instant::now();
        let next = gate.next(deadline);
        self.life.metrics.idle_micros.add(since.elapsed().as_micros() as u64);
        self.account();
        self.life.task_clock.set(self.life.clock.now());
        Ok(next)
    }

    /// Passes an aligned barrier through the chain, and reports it with the state that it left behind.
    pub(crate) fn barrier(&mut self, barrier: Barrier) -> Result<(), Failure> {
        self.control(&Control::Barrier(barrier))?;
        self.flush()?;
        let snapshots = std::mem::take(&mut self.context.snapshots);
        let notes = std::mem::take(&mut self.context.notes);
        if barrier.is_last() {
            self.last = Some(barrier.epoch);
        }
        (self.life.report)(Report::Passed { epoch: barrier.epoch, snapshots, notes });
        Ok(())
    }

    /// Tells the chain how far event time has come.
    fn time(&mut self, news: Combined) -> Result<(), Failure> {
        match news {
            Combined::Watermark(watermark) => self.control(&Control::Watermark(watermark)),
            Combined::Idle => self.control(&Control::Idle),
        }
    }

    /// Makes what is under way a part of the checkpoint whose barrier is passed on next.
    fn keep<E>(&mut self, under_way: &UnderWay<E>, taken: Vec<Taken<E>>) {
        if let Some(codec) = under_way.codec() {
            let (uid, states) = (under_way.operator.uid.clone(), vec![codec.snapshot(taken)]);
            self.context.snapshots.push(OperatorSnapshot { uid, states });
        }
    }

    /// Tells the chain of a commit. `true` when that was the last one.
    pub(crate) fn committed(&mut self, epoch: Epoch) -> Result<bool, Failure> {
        self.control(&Control::Committed(epoch))?;
        Ok(self.last == Some(epoch))
    }
}

/// How far the sources upstream have caught up with the outside: the least of what the channels say.
struct CaughtUp {
    channels: Vec<Timestamp>,
    said: Timestamp,
    is_news: bool,
}

impl CaughtUp {
    fn new(channels: usize) -> Self {
        Self { channels: vec![Timestamp::MIN; channels], said: Timestamp::MIN, is_news: false }
    }

    fn advance(&mut self, channel: usize, at: Timestamp) {
        self.channels[channel] = self.channels[channel].max(at);
        self.is_news = true;
    }

    /// A channel that has ended is not waited for. That is no news by itself.
    fn end(&mut self, channel: usize) {
        self.channels[channel] = Timestamp::MAX;
    }

    fn news(&mut self) -> Option<Timestamp> {
        if !std::mem::take(&mut self.is_news) {
            return None;
        }
        let least = self.channels.iter().copied().min().filter(|least| *least > self.said)?;
        self.said = least;
        Some(least)
    }
}

/// A task whose first operator reads from other tasks.
pub(crate) struct OperatorTask<T> {
    pub(crate) gate: Gate<T>,
    pub(crate) chain: Box<dyn Collector<T>>,
    pub(crate) under_way: UnderWay<T>,
}

impl<T: Send + 'static> Task for OperatorTask<T> {
    fn run(self: Box<Self>, life: TaskLife) -> Result<(), Failure> {
        let Self { gate, chain, mut under_way } = *self;
        let channels = gate.channels();
        let waker = gate.clone();
        let mut drive = Drive::new(chain, Waker::new(move || waker.wake()), life);
        drive.open()?;
        let mut playback = play_back(&mut under_way, &gate, &drive)?;
        // All that was wanted of it has been read: neither its memory nor its files are to be held for as long as the job runs.
        drive.life.restore = None;
        let (mut aligner, mut watermarks) = (Aligner::new(channels), Watermarks::new(channels));
        let (mut ended, mut pace) = (0, Pace::default());
        let mut caught_up = CaughtUp::new(channels);
        loop {
            let next = match gate.try_next() {
                Some(next) => next,
                None => drive.wait(&gate, None)?,
            };
            match next {
                Next::Event(channel, Event::Batch(mut batch)) => {
                    drive.tick()?;
                    if let (Some(playback), Some(old)) = (&mut playback, channel.checked_sub(channels)) {
                        playback.enter(old);
                    }
                    if drive.life.overtakes && under_way.is_possible() && batch.len() > pace.piece() {
                        gate.put_back(channel, Event::Batch(split_off(&mut batch, pace.piece())));
                    }
                    let (records, since) = (batch.len(), Instant::now());
                    drive.chain.batch(&mut batch)?;
                    pace.took(records, since.elapsed(), &gate);
                }
                Next::Event(channel, Event::Control(control)) if channel >= channels => {
                    if let Some(playback) = &mut playback {
                        playback.enter(channel - channels);
                        playback.hear(channel - channels, &control);
                        while let Some(news) = playback.news() {
                            drive.time(news)?;
                        }
                    }
                }
                Next::Recovered => {
                    if let Some(playback) = playback.take() {
                        watermarks.go_on_from(playback.reached());
                    }
                }
                Next::Overtaken(barrier, queues) => {
                    drive.tick()?;
                    if let Some(codec) = under_way.codec() {
                        let taken = copy(codec, &queues, &gate, &watermarks, playback.as_ref());
                        drive.keep(&under_way, taken);
                    }
                    for (channel, events) in queues.into_iter().enumerate() {
                        gate.give_back(channel, events);
                    }
                    aligner.overtake();
                    drive.barrier(barrier)?;
                    gate.pass(barrier.epoch);
                }
                Next::Event(channel, Event::Control(control)) => {
                    match control {
                        Control::Watermark(watermark) => watermarks.advance(channel, watermark),
                        Control::Idle => watermarks.set_idle(channel),
                        Control::Barrier(barrier) => match aligner.arrive(barrier) {
                            None => gate.block(channel),
                            Some(barrier) => {
                                drive.tick()?;
                                if barrier.checkpoint {
                                    drive.keep(&under_way, Vec::new());
                                }
                                drive.barrier(barrier)?;
                                gate.pass(barrier.epoch);
                            }
                        },
                        Control::End => {
                            ended += 1;
                            caught_up.end(channel);
                        }
                        Control::CaughtUp(at) => caught_up.advance(channel, at),
                        _ => {}
                    }
                    if let Some(at) = caught_up.news() {
                        drive.control(&Control::CaughtUp(at))?;
                    }
                    while let Some(news) = watermarks.news() {
                        drive.time(news)?;
                    }
                    if ended == channels {
                        ended = 0;
                        drive.control(&Control::End)?;
                    }
                }
                Next::Mail(Mail::Committed(epoch)) => {
                    if drive.committed(epoch)? {
                        return Ok(());
                    }
                }
                Next::Cancelled => return Err(Failure::Cancelled),
                Next::Woken => {
                    drive.tick()?;
                    drive.woken()?;
                }
                Next::Mail(_) | Next::Timeout => drive.tick()?,
            }
        }
    }
}

/// Puts what was under way when the checkpoint was taken in front of what comes.
fn play_back<T>(
    under_way: &mut UnderWay<T>,
    gate: &Gate<T>,
    drive: &Drive<T>,
) -> Result<Option<Playback>, Failure> {
    let Some(restore) = &drive.life.restore else { return Ok(None) };
    let channels = under_way.restore(restore).map_err(|error| Failure::Returned {
        operator: under_way.operator.clone(),
        origin: Origin::default(),
        error,
    })?;
    if channels.is_empty() {
        return Ok(None);
    }
    let playback = Playback::of(&channels);
    gate.recover(channels.into_iter().map(|channel| (channel.age, channel.events.into())).collect());
    Ok(Some(playback))
}

/// A copy of what a barrier has passed by, channel by channel.
fn copy<T>(
    codec: &Arc<dyn Codec<T>>,
    queues: &[VecDeque<Event<T>>],
    gate: &Gate<T>,
    watermarks: &Watermarks,
    playback: Option<&Playback>,
) -> Vec<Taken<T>> {
    let channels = gate.channels();
    let of = |(channel, queue): (usize, &VecDeque<Event<T>>)| {
        let events = queue.iter().map(|event| codec.copy(event)).collect();
        match (gate.lane(channel), playback) {
            (Some(lane), _) => {
                let (watermark, idle) = watermarks.of(channel);
                Some(Taken { lane, watermark, idle, age: 0, events })
            }
            (None, Some(playback)) if channel >= channels => playback.left(channel - channels, events),
            // On an edge of this kind the barrier has waited for its turn.
            (None, _) => None,
        }
    };
    queues.iter().enumerate().filter_map(of).collect()
}

/// Takes from a batch all but its first records.
fn split_off<T>(batch: &mut Batch<T>, first: usize) -> Batch<T> {
    let each = batch.origin.bytes / batch.len().max(1) as u64;
    let records = batch.records.split_off(first);
    let origin = batch.origin.of_part(each * records.len() as u64);
    batch.origin.bytes -= origin.bytes;
    Batch { records, origin }
}
