//! Functions with state of the window and of the key, on all kinds of windows, against a list of all records.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::harness::Harness;
use crate::operator::Operator;
use crate::operators::KeyedProcess;
use crate::record::Keyed;
use crate::state::{KeyedState, ValueState};
use crate::window::aggregate::{Count, Elements};
use crate::window::evictor::NoEvictor;
use crate::window::trigger::{CountTrigger, PurgingTrigger};
use crate::window::{
    Aligned, AlignedWindows, EventTimeSessionWindows, FixedWindows, GlobalWindows, Lateness, SessionWindows,
    SlidingEventTimeWindows, TriggeredWindows, TumblingEventTimeWindows, TumblingProcessingTimeWindows,
};

/// What the function was called for: key, beginning of the window, and.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    /// How many records; how often the window has fired, with this time; how often windows of the key have.
    Fired(u8, i64, usize, u32, u32),
    /// How often the window had fired.
    Cleared(u8, i64, u32),
}

trait Size: Send + 'static {
    fn size(&self) -> usize;
}

impl Size for u64 {
    fn size(&self) -> usize {
        *self as usize
    }
}

impl Size for Vec<i64> {
    fn size(&self) -> usize {
        self.len()
    }
}

struct Tell<In> {
    total: ValueState<u8, u32>,
    types: std::marker::PhantomData<fn(In)>,
}

impl<In> Clone for Tell<In> {
    fn clone(&self) -> Self {
        Self { total: self.total.clone(), types: std::marker::PhantomData }
    }
}

fn tell<In: Size>() -> ProcessWindow<Tell<In>> {
    ProcessWindow::new(Tell { total: ValueState::default(), types: std::marker::PhantomData })
}

impl<In: Size> ProcessWindowFunction for Tell<In> {
    type Key = u8;
    type In = In;
    type Out = Call;
    type WindowState = (u32, String);

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("total", &mut self.total);
    }

    fn process(&mut self, elements: In, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        let total = self.total.value(context).copied().unwrap_or(0) + 1;
        self.total.update(&context.global_state(), total);
        let (firings, name) = context.window_state();
        *firings += 1;
        let firings = *firings;
        name.push('x');
        assert_eq!(name.len(), firings as usize);
        context.collect(Call::Fired(*context.key(), context.window().start, elements.size(), firings, total));
        Ok(())
    }

    fn clear(&mut self, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        let firings = context.window_state().0;
        context.collect(Call::Cleared(*context.key(), context.window().start, firings));
        Ok(())
    }
}

/// What windows do, in the plainest way: every record that was not late is kept for ever.
#[derive(Default)]
struct Oracle {
    size: i64,
    slide: i64,
    allowed: i64,
    watermark: i64,
    records: Vec<(u8, i64)>,
    firings: BTreeMap<(u8, i64), u32>,
    totals: BTreeMap<u8, u32>,
}

impl Oracle {
    fn starts(&self, time: i64) -> Vec<i64> {
        (-20_i64..80)
            .map(|n| n * self.slide)
            .filter(|start| *start <= time && time < start + self.size)
            .collect()
    }

    fn fire(&mut self, key: u8, start: i64) -> Call {
        let inside = |(of, time): &&(u8, i64)| *of == key && start <= *time && *time < start + self.size;
        let size = self.records.iter().filter(inside).count();
        let (firings, total) =
            (self.firings.entry((key, start)).or_default(), self.totals.entry(key).or_default());
        (*firings, *total) = (*firings + 1, *total + 1);
        Call::Fired(key, start, size, *firings, *total)
    }

    fn push(&mut self, key: u8, time: i64) -> Vec<Call> {
        let last = |start: &i64| start + self.size - 1;
        let mut open = self.starts(time);
        open.retain(|start| last(start) + self.allowed > self.watermark);
        if open.is_empty() {
            return Vec::new();
        }
        self.records.push((key, time));
        open.retain(|start| start + self.size - 1 <= self.watermark);
        open.into_iter().map(|start| self.fire(key, start)).collect()
    }

    fn watermark(&mut self, watermark: i64) -> Vec<Call> {
        // What fires comes before what is cleared at the same time.
        let mut due: BTreeMap<(i64, bool, i64, u8), ()> = BTreeMap::new();
        for (key, time) in &self.records {
            for start in self.starts(*time) {
                let last = start + self.size - 1;
                for (time, clears) in [(last, false), (last + self.allowed, true)] {
                    if self.watermark < time && time <= watermark {
                        due.insert((time, clears, start, *key), ());
                    }
                }
            }
        }
        self.watermark = watermark;
        due.into_keys()
            .map(|(_, clears, start, key)| match clears {
                false => self.fire(key, start),
                // By now it has fired.
                true => Call::Cleared(key, start, self.firings[&(key, start)]),
            })
            .collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Record(u8, i64),
    Watermark(i64),
    Restore(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u8..4, 0_i64..60).prop_map(|(key, time)| Step::Record(key, time)),
        2 => (0_i64..60).prop_map(Step::Watermark),
        1 => (1_usize..5).prop_map(Step::Restore),
    ];
    prop::collection::vec(step, 1..60)
}

fn ms(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

/// By key, each key's calls in their order; and at one place those that are cleared at one time, in no order.
fn by_key(calls: Vec<Call>) -> (Vec<Call>, Vec<Call>) {
    let (mut fired, mut cleared): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| matches!(call, Call::Fired(..)));
    fired.sort_by_key(|call| match call {
        Call::Fired(key, ..) | Call::Cleared(key, ..) => *key,
    });
    cleared.sort();
    (fired, cleared)
}

fn agrees<O: Operator<In = Keyed<u8, i64>, Out = Call> + Clone>(
    make: impl Fn() -> O,
    mut oracle: Oracle,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut harness = Harness::new(make());
    oracle.watermark = i64::MIN;
    for (index, step) in steps.into_iter().chain([Step::Watermark(i64::MAX - 100)]).enumerate() {
        let expected = match step {
            Step::Record(key, time) => {
                harness.push(Keyed::new(key, index as i64), time);
                oracle.push(key, time)
            }
            Step::Watermark(watermark) if watermark > oracle.watermark => {
                harness.watermark(watermark);
                oracle.watermark(watermark)
            }
            Step::Watermark(_) => Vec::new(),
            Step::Restore(parallelism) => {
                harness = harness.restore(make(), parallelism);
                Vec::new()
            }
        };
        prop_assert_eq!(by_key(harness.values()), by_key(expected));
    }
    Ok(())
}

fn sliding(size: i64, slide: i64) -> Aligned {
    SlidingEventTimeWindows::of(ms(size), ms(slide))
}

proptest! {
    /// Windows that share panes, windows that do not, and windows with a trigger: all with disorder, lateness, and cuts.
    #[test]
    fn windows_and_keys_keep_what_is_theirs(
        steps in steps(), size in 1_i64..12, slide in 1_i64..12, allowed in 0_i64..15,
    ) {
        let oracle = || Oracle { size, slide, allowed, ..Oracle::default() };
        let lateness = || Lateness { allowed, tag: None };
        let windows = sliding(size, slide);
        agrees(|| AlignedWindows::new(windows, lateness(), Count::new(), tell::<u64>()), oracle(), steps.clone())?;
        agrees(|| AlignedWindows::new(windows, lateness(), Elements::new(), tell::<Vec<i64>>()), oracle(), steps.clone())?;
        let trigger = windows.default_trigger();
        agrees(
            || KeyedProcess::new(TriggeredWindows::new(windows, trigger, NoEvictor, lateness(), tell::<Vec<i64>>())),
            oracle(),
            steps,
        )?;
    }

    /// Each session that there was at last is over once, and its function knows all that the key had before.
    #[test]
    fn each_session_is_cleared_once(steps in steps(), gap in 1_i64..9, allowed in 0_i64..9) {
        let make = || {
            let lateness = Lateness { allowed, tag: None };
            SessionWindows::new(EventTimeSessionWindows::with_gap(ms(gap)), lateness, Count::new(), ProcessWindow::new(Sessions::default()))
        };
        let (mut harness, mut reached) = (Harness::new(make()), i64::MIN);
        let (mut open, mut totals): (Vec<(u8, TimeWindow)>, BTreeMap<u8, u32>) = Default::default();
        for step in steps.into_iter().chain([Step::Watermark(i64::MAX)]) {
            match step {
                Step::Record(key, time) => {
                    let end = time + gap;
                    // One that is extended is over later, and fires again before.
                    open.retain(|(of, other)| *of != key || other.end < time || end < other.start);
                    harness.push(Keyed::new(key, ()), time);
                }
                Step::Watermark(watermark) if watermark > reached => {
                    reached = watermark;
                    harness.watermark(watermark);
                }
                Step::Watermark(_) => {}
                Step::Restore(parallelism) => harness = harness.restore(make(), parallelism),
            }
            for (key, window, is_fired, total) in harness.values() {
                if is_fired {
                    // One that has been extended is not another.
                    open.retain(|(of, other)| *of != key || other.end < window.start || window.end < other.start);
                    open.push((key, window));
                    let expected = totals.entry(key).or_default();
                    *expected += 1;
                    prop_assert_eq!(total, *expected);
                } else {
                    let place = open.iter().position(|known| *known == (key, window));
                    prop_assert!(place.is_some(), "{:?} of {} is not open, or not any more", window, key);
                    open.remove(place.unwrap());
                }
            }
            let over = |window: &TimeWindow| window.max_timestamp().saturating_add(allowed) <= reached;
            prop_assert!(!open.iter().any(|(_, window)| over(window)));
        }
        prop_assert_eq!(open, vec![]);
    }
}

/// Says of each session whether it fires or is over, and how often the key's have fired.
#[derive(Clone, Default)]
struct Sessions(ValueState<u8, u32>);

impl ProcessWindowFunction for Sessions {
    type Key = u8;
    type In = u64;
    type Out = (u8, TimeWindow, bool, u32);
    type WindowState = ();

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("total", &mut self.0);
    }

    fn process(&mut self, _: u64, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        let total = self.0.value(context).copied().unwrap_or(0) + 1;
        self.0.update(context, total);
        context.window_state();
        context.collect((*context.key(), context.window(), true, total));
        Ok(())
    }

    fn clear(&mut self, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        let total = self.0.value(context).copied().unwrap_or(0);
        context.collect((*context.key(), context.window(), false, total));
        Ok(())
    }
}

#[test]
fn what_a_window_kept_is_gone_with_it() {
    let mut function = tell::<u64>();
    function.states.open(&crate::key_group::KeyGroups::all(128));
    function.function.total.open(&crate::key_group::KeyGroups::all(128));
    let (clock, mut out) = (TaskClock::default(), Output::new(Box::new(Nowhere), Vec::new()));
    let mut call = |clears: bool, key: u8, start: i64| {
        let window = TimeWindow { start, end: start + 10 };
        let of = WindowOf { key: &key, window, watermark: 1000, clock: &clock };
        match clears {
            false => function.fire(of, 1, &mut out).unwrap(),
            true => WindowFunction::<u8, u64, Call>::clear(&mut function, of, &mut out).unwrap(),
        }
        function.states.iter().map(|(_, of_key)| of_key.len()).sum::<usize>()
    };
    assert_eq!([call(false, 1, 20), call(false, 1, 0), call(false, 1, 10), call(false, 2, 0)], [1, 2, 3, 4]);
    assert_eq!([call(true, 1, 10), call(true, 1, 10), call(true, 1, 0), call(true, 2, 0)], [3, 3, 2, 1]);
    assert_eq!(call(true, 1, 20), 0);
    assert!(function.states.is_empty());
}

struct Nowhere;

impl crate::collector::Collector<Call> for Nowhere {
    fn batch(&mut self, _: &mut crate::record::Batch<Call>) -> Result<(), crate::error::Failure> {
        Ok(())
    }

    fn control(
        &mut self,
        _: &crate::collector::Control,
        _: &mut crate::collector::TaskContext,
    ) -> Result<(), crate::error::Failure> {
        Ok(())
    }
}

#[test]
fn purging_is_not_forgetting() {
    let assigner = TumblingEventTimeWindows::of(ms(100));
    let trigger = PurgingTrigger::of(CountTrigger::of(2));
    let pairs = TriggeredWindows::new(assigner, trigger, NoEvictor, Lateness::default(), tell::<Vec<i64>>());
    let mut harness = Harness::new(KeyedProcess::new(pairs));
    (0..5).for_each(|n| harness.push(Keyed::new(1, n), 10 + n));
    // The fifth is not one of a pair.
    assert_eq!(harness.values(), [Call::Fired(1, 0, 2, 1, 1), Call::Fired(1, 0, 2, 2, 2)]);
    harness.watermark(99);
    assert_eq!(harness.values(), [Call::Cleared(1, 0, 2)]);
    let trigger = PurgingTrigger::of(CountTrigger::of(1));
    let ones =
        TriggeredWindows::new(GlobalWindows, trigger, NoEvictor, Lateness::default(), tell::<Vec<i64>>());
    let mut harness = Harness::new(KeyedProcess::new(ones));
    harness.push(Keyed::new(1, 0), 10);
    harness.end();
    assert_eq!(harness.values(), [Call::Fired(1, i64::MIN, 1, 1, 1)], "a global window is never over");
}

const ASIDE: OutputTag<(i64, i64)> = OutputTag::new("aside");

/// Tells the times, to a side output.
#[derive(Clone)]
struct Times;

impl ProcessWindowFunction for Times {
    type Key = u8;
    type In = u64;
    type Out = ();
    type WindowState = ();

    fn process(&mut self, _: u64, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        context.output(&ASIDE, (context.current_watermark(), context.current_processing_time()));
        Ok(())
    }

    fn clear(&mut self, context: &mut WindowContextOf<'_, Self>) -> Result<(), BoxError> {
        self.process(0, context)
    }
}

#[test]
fn a_function_sees_both_times_and_may_emit_aside() {
    let windows = |assigner| {
        AlignedWindows::new(assigner, Lateness::default(), Count::new(), ProcessWindow::new(Times))
    };
    let (mut harness, aside) = Harness::with_side(windows(TumblingEventTimeWindows::of(ms(10))), &ASIDE);
    harness.set_processing_time(70);
    for time in [5, 15] {
        harness.push(Keyed::new(1, 0), time);
    }
    // One watermark for both windows: it has been reached when the first of them fires.
    harness.watermark(25);
    harness.barrier(100, crate::harness::Then::Continue);
    assert_eq!(aside.values(), [(25, 70); 4]);

    let (mut harness, aside) = Harness::with_side(windows(TumblingProcessingTimeWindows::of(ms(10))), &ASIDE);
    harness.set_processing_time(70);
    harness.watermark(25);
    harness.push(Keyed::new(1, 0), 5);
    harness.set_processing_time(80);
    harness.barrier(100, crate::harness::Then::Continue);
    assert_eq!(aside.values(), [(25, 80); 2]);
}

#[test]
fn sessions_have_no_state_of_a_window() {
    let sessions = SessionWindows::new(
        EventTimeSessionWindows::with_gap(ms(10)),
        Lateness::default(),
        Elements::<i64>::new(),
        tell::<Vec<i64>>(),
    );
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Harness::new(sessions)));
    let said = *opened.err().unwrap().downcast::<String>().unwrap();
    assert!(said.contains("state of a window is not there for session windows"), "{said}");
}
