//! Aligned windows against a list of all records.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::harness::{Event, Harness};
use crate::operators::Collect;
use crate::output::OutputTag;
use crate::time::NO_TIMESTAMP;
use crate::window::aggregate::{Count, Elements};
use crate::window::{SlidingEventTimeWindows, TumblingEventTimeWindows, TumblingProcessingTimeWindows};

type Fired = (u8, i64, Vec<i64>);

fn ms(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

type Function = fn(&u8, TimeWindow, Vec<i64>, &mut Collect<'_, Fired>) -> Result<(), BoxError>;

/// Windows that emit their key, beginning and elements, which are numbered in the order of arrival.
fn windows(size: i64, slide: i64, allowed: i64) -> AlignedWindows<u8, Elements<i64>, Function, Fired> {
    let aligned = SlidingEventTimeWindows::of(ms(size), ms(slide));
    let lateness = Lateness { allowed, tag: None };
    let function: Function = |key, window, all, out| {
        out.collect((*key, window.start, all));
        Ok(())
    };
    AlignedWindows::new(aligned, lateness, Elements::new(), function)
}

/// What windows do, in the plainest way: every record that was not late is kept for ever.
#[derive(Default)]
struct Oracle {
    size: i64,
    slide: i64,
    allowed: i64,
    watermark: i64,
    records: Vec<(u8, i64, i64)>,
    late: u64,
}

impl Oracle {
    fn windows(&self, time: i64) -> Vec<i64> {
        let starts = (-20_i64..80).map(|n| n * self.slide);
        starts.filter(|start| *start <= time && time < start + self.size).collect()
    }

    fn contents(&self, key: u8, start: i64) -> Vec<i64> {
        let inside = |time: i64| start <= time && time < start + self.size;
        let mut all: Vec<i64> = self
            .records
            .iter()
            .filter(|(of, time, _)| *of == key && inside(*time))
            .map(|(.., value)| *value)
            .collect();
        all.sort();
        all
    }

    fn push(&mut self, key: u8, time: i64, value: i64) -> Vec<Fired> {
        let windows = self.windows(time);
        let kept = |start: &i64| start + self.size - 1 + self.allowed > self.watermark;
        if windows.is_empty() {
            return Vec::new();
        }
        if !windows.iter().any(kept) {
            self.late += 1;
            return Vec::new();
        }
        self.records.push((key, time, value));
        let again = windows.into_iter().filter(kept).filter(|start| start + self.size - 1 <= self.watermark);
        again.map(|start| (key, start, self.contents(key, start))).collect()
    }

    fn watermark(&mut self, watermark: i64) -> Vec<Fired> {
        let mut fired = BTreeMap::new();
        for (key, time, _) in &self.records {
            for start in self.windows(*time) {
                let last = start + self.size - 1;
                if self.watermark < last && last <= watermark {
                    fired.insert((start, *key), self.contents(*key, start));
                }
            }
        }
        self.watermark = self.watermark.max(watermark);
        fired.into_iter().map(|((start, key), all)| (key, start, all)).collect()
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

fn sorted(mut fired: Vec<Fired>) -> Vec<Fired> {
    fired.sort();
    fired
}

proptest! {
    #[test]
    fn windows_hold_what_the_records_say(
        steps in steps(),
        size in 1_i64..12,
        slide in 1_i64..12,
        allowed in 0_i64..15,
    ) {
        let mut harness = Harness::new(windows(size, slide, allowed));
        let mut oracle = Oracle { size, slide, allowed, watermark: i64::MIN, ..Oracle::default() };
        let mut reached = i64::MIN;
        for (index, step) in steps.into_iter().enumerate() {
            let expected = match step {
                Step::Record(key, time) => {
                    harness.push(Keyed::new(key, index as i64), time);
                    oracle.push(key, time, index as i64)
                }
                Step::Watermark(watermark) if watermark > reached => {
                    reached = watermark;
                    harness.watermark(watermark);
                    oracle.watermark(watermark)
                }
                Step::Watermark(_) => Vec::new(),
                Step::Restore(parallelism) => {
                    harness = harness.restore(windows(size, slide, allowed), parallelism);
                    Vec::new()
                }
            };
            prop_assert_eq!(sorted(harness.values()), sorted(expected));
            prop_assert_eq!(harness.metrics().late_records.get(), oracle.late);
        }
        harness.end();
        prop_assert_eq!(sorted(harness.values()), sorted(oracle.watermark(i64::MAX)));
    }
}

#[test]
fn results_come_before_the_watermark_in_the_order_of_their_windows_and_late_records_aside() {
    const LATE: OutputTag<i64> = OutputTag::new("late");
    let each_second = TumblingEventTimeWindows::of(ms(1000));
    let function = |_: &u8, window: TimeWindow, n: u64, out: &mut Collect<'_, (i64, u64)>| {
        out.collect((window.start, n));
        Ok(())
    };
    let lateness = Lateness { allowed: 0, tag: Some(LATE) };
    let (mut harness, late) =
        Harness::with_side(AlignedWindows::new(each_second, lateness, Count::new(), function), &LATE);
    for time in [2500, 100, 1100, 200] {
        harness.push(Keyed::new(1, time), time);
    }
    harness.watermark(2000);
    let results = [Event::Record((0, 2), 999), Event::Record((1000, 1), 1999), Event::Watermark(2000)];
    assert_eq!(harness.events(), results);
    harness.push(Keyed::new(1, 1999), 1999);
    harness.push(Keyed::new(1, 2000), 2000);
    harness.end();
    assert_eq!((harness.values(), late.values()), (vec![(2000, 2)], vec![1999]));
    assert_eq!(harness.metrics().late_records.get(), 1);
}

#[test]
fn a_record_without_a_time_is_refused_with_what_to_do() {
    let mut harness = Harness::new(windows(10, 10, 0));
    let failure = harness.try_push(Keyed::new(1, 1), NO_TIMESTAMP).unwrap_err().to_string();
    assert!(failure.contains("WatermarkStrategy"), "{failure}");
}

#[test]
fn windows_of_processing_time_fire_by_the_clock_and_at_the_end() {
    let function = |key: &u8, window: TimeWindow, n: u64, out: &mut Collect<'_, (u8, i64, u64)>| {
        out.collect((*key, window.start, n));
        Ok(())
    };
    let each_second = TumblingProcessingTimeWindows::of(ms(1000));
    let windows = AlignedWindows::new(each_second, Lateness::default(), Count::new(), function);
    let mut harness = Harness::new(windows);
    harness.set_processing_time(5400);
    harness.push(Keyed::new(1, ()), NO_TIMESTAMP);
    harness.push(Keyed::new(1, ()), 9);
    harness.watermark(90_000);
    harness.set_processing_time(5999);
    assert_eq!(harness.values(), []);
    harness.set_processing_time(6000);
    assert_eq!(harness.values(), [(1, 5000, 2)]);
    harness.push(Keyed::new(2, ()), NO_TIMESTAMP);
    harness.end();
    assert_eq!(harness.values(), [(2, 6000, 1)]);
}

#[test]
fn times_at_the_ends_of_the_range_are_counted_once_each() {
    for size in [1, 7, 1000, i64::MAX] {
        let mut harness = Harness::new(windows(size, size, 0));
        for (value, time) in [i64::MIN + 1, -1, 0, i64::MAX - 1].into_iter().enumerate() {
            harness.push(Keyed::new(1, value as i64), time);
        }
        harness.end();
        let mut all: Vec<i64> = harness.values().into_iter().flat_map(|(.., values)| values).collect();
        all.sort();
        assert_eq!(all, [0, 1, 2, 3], "windows of {size} ms");
    }
}

#[test]
fn a_checkpoint_of_windows_that_shared_panes_is_read() {
    let sharing = || AlignedWindows { shares: true, ..windows(30, 10, 0) };
    let mut harness = Harness::new(sharing());
    for (value, time) in [25, 5, 12].into_iter().enumerate() {
        harness.push(Keyed::new(1, value as i64), time);
    }
    harness.watermark(9);
    assert_eq!(harness.values(), [(1, -20, vec![1])]);
    let mut harness = harness.restore(windows(30, 10, 0), 1);
    harness.push(Keyed::new(1, 3), 11);
    harness.end();
    let expected = [(-10, vec![1, 2, 3]), (0, vec![1, 2, 0, 3]), (10, vec![2, 0, 3]), (20, vec![0])];
    assert_eq!(harness.values(), expected.map(|(start, all)| (1, start, all)));
}

#[test]
fn a_watermark_may_jump_over_very_many_windows() {
    for windows in [windows(10, 10, 0), windows(40, 10, 0), windows(40, 10, 100)] {
        let mut harness = Harness::new(windows);
        for n in 0..20_000 {
            harness.push(Keyed::new(1, n), n * 10);
        }
        harness.end();
        assert!(harness.values().len() >= 20_000);
    }
}
