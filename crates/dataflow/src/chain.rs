//! An operator as a link of a chain: calls it, and does for it what every operator needs.
//!
//! Order is the whole of it. For a watermark: the operator sees it, its output is flushed, then the watermark goes on. For a
//! barrier: the operator emits what belongs before it, held-back watermarks and the end are released, the output is flushed,
//! the state is shared, then the barrier goes on. So nothing overtakes anything.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::barrier::Barrier;
use crate::checkpoint::Restore;
use crate::collector::{Collector, Control, OperatorSnapshot, TaskContext};
use crate::error::{BoxError, Failure, Fatal, panic_message};
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Origin};
use crate::state::{States, UNNAMED};
use crate::time::{MAX_WATERMARK, Timestamp};
use crate::type_name::own_name;

/// One operator in its chain.
pub(crate) struct Chained<O: Operator> {
    operator: O,
    output: Output<O::Out>,
    context: OperatorContext,
    pushed: u64,
    held: Held,
    /// Whether the last that the operator said of event time was that it idles.
    said_idle: bool,
    /// Whether the last watermark has been passed on. Nothing more is said of event time then: what has ended neither idles nor
    /// wakes up.
    time_is_over: bool,
    /// Whether the end has been passed on. Timers of processing time do not fire then.
    has_ended: bool,
    /// If any of its state expires: the time that the state was told last.
    told_time: Option<Timestamp>,
    /// Its input idles, which is passed on when the operator holds no records any more.
    idle_waits: bool,
}

/// What an operator with per-batch meaning holds back until its batch closes.
#[derive(Default)]
struct Held {
    watermark: Option<Timestamp>,
    idle: bool,
    end: bool,
    caught_up: Option<Timestamp>,
}

impl<O: Operator> Chained<O> {
    pub(crate) fn new(operator: O, output: Output<O::Out>, context: OperatorContext) -> Self {
        Self {
            operator,
            output,
            context,
            pushed: 0,
            held: Held::default(),
            said_idle: false,
            time_is_over: false,
            has_ended: false,
            told_time: None,
            idle_waits: false,
        }
    }

    /// Calls the operator, flushes its output, and turns errors and panics into a failure with its name.
    fn call<R>(
        &mut self,
        origin: &Origin,
        call: impl FnOnce(&mut O, &mut Output<O::Out>) -> Result<R, BoxError>,
    ) -> Result<R, Failure> {
        let now = self.told_time.is_some().then(|| self.context.clock.now());
        let late = now.filter(|_| now != self.told_time);
        self.told_time = now;
        let Self { operator, output, .. } = self;
        // The operator may be left in any state by a panic; it is dropped with the task and never called again. The flush is
        // caught, too: a stream that is read twice is cloned there.
        let result = catch_unwind(AssertUnwindSafe(|| {
            if let Some(now) = late {
                operator.states(&mut States::ticking(now));
            }
            call(operator, output).map(|value| (value, output.flush()))
        }));
        let operator = || self.context.operator.clone();
        let value = match result {
            Ok(Ok((value, flushed))) => {
                flushed?;
                if let Some(tag) = self.output.misread() {
                    let error =
                        format!("its side output `{tag}` is read as another type than it is written as");
                    let (operator, origin) = (operator(), origin.clone());
                    return Err(Failure::Returned { operator, origin, error: error.into() });
                }
                value
            }
            Ok(Err(error)) => {
                return Err(Failure::Returned { operator: operator(), origin: origin.clone(), error });
            }
            Err(panic) => {
                let message = panic_message(&*panic);
                if message.starts_with(UNNAMED) {
                    // No restart helps.
                    let error = Box::new(Fatal(format!("{}: {message}", self.kind()).into()));
                    return Err(Failure::Returned { operator: operator(), origin: origin.clone(), error });
                }
                return Err(Failure::Panicked { operator: operator(), origin: origin.clone(), message });
            }
        };
        let pushed = self.output.pushed();
        self.context.metrics.records_out.add(pushed - self.pushed);
        self.pushed = pushed;
        if let Some(passed) = self.output.take_passed() {
            self.context.metrics.set_watermark(passed);
            self.said_idle = false;
        }
        match self.output.take_event_time() {
            _ if self.time_is_over => {}
            Some(Control::Watermark(watermark)) => {
                let reached = self.context.metrics.watermark();
                // After idleness it is said again, as it means that there is something to be waited for.
                if watermark > reached || std::mem::take(&mut self.said_idle) {
                    let watermark = watermark.max(reached);
                    self.context.metrics.set_watermark(watermark);
                    self.output.control(&Control::Watermark(watermark), &mut TaskContext::default())?;
                }
            }
            Some(control) => {
                self.said_idle = true;
                self.output.control(&control, &mut TaskContext::default())?;
            }
            None => {}
        }
        if self.idle_waits && !self.operator.holds_records() {
            (self.idle_waits, self.said_idle) = (false, true);
            self.output.control(&Control::Idle, &mut TaskContext::default())?;
        }
        Ok(value)
    }

    /// Whose function it is, for people.
    fn kind(&self) -> String {
        let identity = self.operator.identity();
        if identity.is_empty() { own_name::<O>().to_owned() } else { identity }
    }

    fn call_on_state<R>(
        &mut self,
        call: impl FnOnce(&mut O, &mut Output<O::Out>) -> Result<R, BoxError>,
    ) -> Result<R, Failure> {
        self.output.set_origin(&Origin::default());
        self.call(&Origin::default(), call)
    }

    fn open(&mut self, task: &mut TaskContext) -> Result<(), Failure> {
        self.context.waker = task.waker.clone();
        let context = self.context.clone();
        let restore = task.restore.clone();
        let perishes = self.call_on_state(|operator, _| {
            operator.open(&context)?;
            let mut states = States::opening(&context, restore.as_deref());
            operator.states(&mut states);
            let perishes = states.perishes();
            states.finish()?;
            if context.restored_epoch > 0 {
                operator.committed(context.restored_epoch)?;
            }
            Ok(perishes)
        })?;
        self.told_time = perishes.then(|| context.clock.now());
        Ok(())
    }

    /// For the harness: gives the operator the state of a checkpoint, whatever it had.
    pub(crate) fn restore_in_place(&mut self, restore: &Restore) -> Result<(), Failure> {
        let context = self.context.clone();
        self.call_on_state(|operator, _| {
            let mut states = States::opening(&context, Some(restore));
            operator.states(&mut states);
            Ok(states.finish()?)
        })
    }

    fn watermark(&mut self, watermark: Timestamp, task: &mut TaskContext) -> Result<(), Failure> {
        self.idle_waits = false;
        let forward = self.call_on_state(|operator, output| operator.watermark(watermark, output))?;
        if let Some(watermark) = forward {
            self.context.metrics.set_watermark(watermark);
            self.time_is_over |= watermark == MAX_WATERMARK;
            self.output.control(&Control::Watermark(watermark), task)?;
        }
        Ok(())
    }

    fn idle(&mut self, task: &mut TaskContext) -> Result<(), Failure> {
        // An operator that makes its own event time says itself when it idles.
        if self.time_is_over || self.operator.begins_event_time() {
            return Ok(());
        }
        self.call_on_state(|operator, output| operator.idle(output))?;
        if self.operator.holds_records() {
            self.idle_waits = true;
            return Ok(());
        }
        self.output.control(&Control::Idle, task)
    }

    fn caught_up(&mut self, at: Timestamp, task: &mut TaskContext) -> Result<(), Failure> {
        if self.has_ended {
            return Ok(());
        }
        if self.operator.idle_timeout().is_some() {
            self.call_on_state(|operator, output| operator.caught_up(at, output))?;
        }
        // Those that it holds are not idleness of the outside.
        if self.operator.holds_records() { Ok(()) } else { self.output.control(&Control::CaughtUp(at), task) }
    }

    fn end(&mut self, task: &mut TaskContext) -> Result<(), Failure> {
        self.call_on_state(|operator, output| operator.end(output))?;
        self.has_ended = true;
        self.output.control(&Control::End, task)
    }

    fn barrier(&mut self, barrier: &Barrier, task: &mut TaskContext) -> Result<(), Failure> {
        self.context.turn.wait(barrier.epoch, &self.context.cancelled)?;
        self.call_on_state(|operator, output| operator.barrier(barrier, output))?;
        self.context.turn.pass(barrier.epoch);
        if self.operator.batch_interval().is_some_and(|interval| barrier.closes_batch(interval)) {
            let held = std::mem::take(&mut self.held);
            if let Some(watermark) = held.watermark {
                self.watermark(watermark, task)?;
            }
            if held.idle {
                self.idle(task)?;
            }
            if let Some(at) = held.caught_up {
                self.caught_up(at, task)?;
            }
            if held.end {
                self.end(task)?;
            }
        }
        if barrier.checkpoint {
            let states = self.call_on_state(|operator, _| {
                let mut states = States::snapshotting(barrier.epoch, false);
                operator.states(&mut states);
                Ok(states.into_snapshots())
            })?;
            task.snapshots.push(OperatorSnapshot { uid: self.context.operator.uid.clone(), states });
        }
        self.output.control(&Control::Barrier(*barrier), task)
    }
}

impl<O: Operator> Collector<O::In> for Chained<O> {
    fn batch(&mut self, batch: &mut Batch<O::In>) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        self.context.metrics.records_in.add(batch.len() as u64);
        self.output.set_origin(&batch.origin);
        let origin = std::mem::take(&mut batch.origin);
        let result = self.call(&origin, |operator, output| operator.process(batch, output));
        batch.records.clear();
        result
    }

    fn is_crowded(&self) -> bool {
        self.output.is_crowded()
    }

    fn control(&mut self, control: &Control, task: &mut TaskContext) -> Result<(), Failure> {
        let holds = self.operator.batch_interval().is_some();
        match control {
            Control::Watermark(watermark) if holds => {
                self.held.watermark = Some(*watermark);
                self.held.idle = false;
                Ok(())
            }
            Control::Idle if holds => {
                self.held.idle = true;
                Ok(())
            }
            Control::End if holds => {
                self.held.end = true;
                Ok(())
            }
            Control::CaughtUp(at) if holds => {
                self.held.caught_up = Some(*at);
                Ok(())
            }
            Control::Watermark(watermark) => self.watermark(*watermark, task),
            Control::Idle => self.idle(task),
            Control::CaughtUp(at) => self.caught_up(*at, task),
            Control::Barrier(barrier) => self.barrier(barrier, task),
            Control::End => self.end(task),
            Control::Open => {
                // Downstream first: an operator may emit as soon as it is open.
                self.output.control(control, task)?;
                self.open(task)
            }
            Control::ProcessingTime(now) => {
                if !self.has_ended {
                    if self.operator.next_timer().is_some_and(|at| at <= *now) {
                        self.call_on_state(|operator, output| operator.processing_time(*now, output))?;
                    }
                    task.want_timer(self.operator.next_timer());
                }
                self.output.control(control, task)
            }
            Control::Woken => {
                if !self.has_ended {
                    self.call_on_state(|operator, output| operator.woken(output))?;
                }
                self.output.control(control, task)
            }
            Control::Committed(epoch) => {
                self.call_on_state(|operator, _| operator.committed(*epoch))?;
                self.output.control(control, task)
            }
            Control::Flush => {
                self.call_on_state(|operator, output| operator.flush(output))?;
                self.output.control(control, task)
            }
        }
    }
}
