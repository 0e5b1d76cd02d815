//! Sessions against a list of all records.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::harness::Harness;
use crate::operators::Collect;
use crate::time::NO_TIMESTAMP;
use crate::window::aggregate::{Count, Elements};

type Fired = (u8, i64, i64, Vec<i64>);

fn sessions(gap: i64, allowed: i64) -> impl Operator<In = Keyed<u8, i64>, Out = Fired> + Clone {
    let session = EventTimeSessionWindows::with_gap(Duration::from_millis(gap as u64));
    // They are numbered in the order of arrival.
    let function = |key: &u8, window: TimeWindow, all: Vec<i64>, out: &mut Collect<'_, Fired>| {
        out.collect((*key, window.start, window.end, all));
        Ok(())
    };
    SessionWindows::new(session, Lateness { allowed, tag: None }, Elements::new(), function)
}

/// Each record says how much longer than `gap` its own is.
fn dynamic(gap: i64, spread: i64, allowed: i64) -> impl Operator<In = Keyed<u8, i64>, Out = Fired> + Clone {
    let of_record = move |value: &i64| Duration::from_millis((gap + value % (spread + 1)) as u64);
    let session = EventTimeSessionWindows::with_dynamic_gap(of_record);
    let function = |key: &u8, window: TimeWindow, all: Vec<i64>, out: &mut Collect<'_, Fired>| {
        out.collect((*key, window.start, window.end, all));
        Ok(())
    };
    SessionWindows::new(session, Lateness { allowed, tag: None }, Elements::new(), function)
}

/// Sessions as the definition has them: a list for each key of those that are still known.
#[derive(Default)]
struct Oracle {
    gap: i64,
    spread: i64,
    allowed: i64,
    watermark: i64,
    known: Vec<Fired>,
    late: u64,
}

impl Oracle {
    fn push(&mut self, key: u8, time: i64, value: i64) -> Vec<Fired> {
        let gap = self.gap + value % (self.spread + 1);
        let (mut start, mut end, mut all) = (time, time + gap, vec![value]);
        let touches = |other: &Fired| other.0 == key && other.1 <= time + gap && time <= other.2;
        for (_, from, to, values) in self.known.iter().filter(|other| touches(other)) {
            (start, end) = (start.min(*from), end.max(*to));
            all.extend(values);
        }
        if end - 1 + self.allowed <= self.watermark {
            self.late += 1;
            return Vec::new();
        }
        self.known.retain(|other| !touches(other));
        all.sort();
        self.known.push((key, start, end, all.clone()));
        if end - 1 <= self.watermark { vec![(key, start, end, all)] } else { Vec::new() }
    }

    fn watermark(&mut self, watermark: i64) -> Vec<Fired> {
        let last = self.watermark;
        self.watermark = watermark;
        let fired = self.known.iter().filter(|session| last < session.2 - 1 && session.2 - 1 <= watermark);
        let fired = fired.cloned().collect();
        let allowed = self.allowed;
        self.known.retain(|session| session.2 - 1 + allowed > watermark);
        fired
    }
}

fn sorted(mut fired: Vec<Fired>) -> Vec<Fired> {
    fired.sort();
    fired
}

proptest! {
    #[test]
    fn sessions_hold_what_the_records_say(
        steps in prop::collection::vec((0_u8..9, 0_u8..3, 0_i64..80), 1..60),
        gap in 1_i64..9,
        spread in 0_i64..9,
        allowed in 0_i64..15,
    ) {
        check(|| sessions(gap, allowed), Oracle { gap, allowed, watermark: i64::MIN, ..Oracle::default() }, steps.clone())?;
        check(|| dynamic(gap, spread, allowed), Oracle { gap, spread, allowed, watermark: i64::MIN, ..Oracle::default() }, steps)?;
    }
}

fn check<O: Operator<In = Keyed<u8, i64>, Out = Fired> + Clone>(
    make: impl Fn() -> O,
    mut oracle: Oracle,
    steps: Vec<(u8, u8, i64)>,
) -> Result<(), TestCaseError> {
    let mut harness = Harness::new(make());
    let mut reached = i64::MIN;
    for (index, (step, key, time)) in steps.into_iter().enumerate() {
        let expected = match step {
            0..6 => {
                harness.push(Keyed::new(key, index as i64), time);
                oracle.push(key, time, index as i64)
            }
            6 | 7 if time > reached => {
                reached = time;
                harness.watermark(time);
                oracle.watermark(time)
            }
            6 | 7 => Vec::new(),
            _ => {
                harness = harness.restore(make(), usize::from(key) + 1);
                Vec::new()
            }
        };
        prop_assert_eq!(sorted(harness.values()), sorted(expected));
        prop_assert_eq!(harness.metrics().late_records.get(), oracle.late);
    }
    harness.end();
    prop_assert_eq!(sorted(harness.values()), sorted(oracle.watermark(i64::MAX - 100)));
    Ok(())
}

#[test]
fn sessions_of_processing_time_fire_by_the_clock() {
    let session = ProcessingTimeSessionWindows::with_gap(Duration::from_millis(100));
    let function = |_: &u8, window: TimeWindow, n: u64, out: &mut Collect<'_, (i64, i64, u64)>| {
        out.collect((window.start, window.end, n));
        Ok(())
    };
    let mut harness = Harness::new(SessionWindows::new(session, Lateness::default(), Count::new(), function));
    for now in [1000, 1050] {
        harness.set_processing_time(now);
        harness.push(Keyed::new(1, ()), NO_TIMESTAMP);
    }
    harness.set_processing_time(1149);
    assert_eq!(harness.values(), []);
    harness.set_processing_time(1150);
    assert_eq!(harness.values(), [(1000, 1150, 2)]);
}

#[test]
fn a_long_session_keeps_one_timer_however_many_records_extend_it() {
    let mut harness = Harness::new(sessions(1000, 500));
    for time in 0..3000 {
        harness.push(Keyed::new(1, time), time);
    }
    harness.watermark(3997);
    assert_eq!(harness.values(), []);
    harness.watermark(3998);
    assert_eq!(harness.values(), [(1, 0, 3999, (0..3000).collect())]);
    // Within the allowed lateness it goes on, and is on time again.
    harness.push(Keyed::new(1, 3000), 3999);
    assert_eq!(harness.values(), []);
    harness.watermark(4998);
    assert_eq!(harness.values(), [(1, 0, 4999, (0..=3000).collect())]);
}

#[test]
fn times_at_the_ends_of_the_range_are_counted_once_each() {
    for (gap, allowed) in [(1, 0), (1000, i64::MAX), (i64::MAX, 0)] {
        let mut harness = Harness::new(sessions(gap, allowed));
        for (value, time) in [i64::MIN + 1, -1, 0, i64::MAX - 1].into_iter().enumerate() {
            harness.push(Keyed::new(1, value as i64), time);
        }
        harness.end();
        let mut all: Vec<i64> = harness.values().into_iter().flat_map(|(.., values)| values).collect();
        all.sort();
        assert_eq!(all, [0, 1, 2, 3], "a gap of {gap} ms");
    }
}

#[test]
fn a_watermark_may_end_very_many_sessions_of_one_key() {
    for allowed in [0, 1000] {
        let mut harness = Harness::new(sessions(5, allowed));
        // Every other one comes late, between those that are there.
        let times = (0..20_000).map(|n| n * 20).chain((0..20_000).map(|n| n * 20 + 10));
        times.enumerate().for_each(|(value, time)| harness.push(Keyed::new(1, value as i64), time));
        harness.end();
        let fired = harness.values();
        assert_eq!(fired.len(), 40_000);
        assert!(fired.is_sorted_by_key(|session| session.1));
    }
}

#[test]
fn a_checkpoint_of_sessions_without_runs_is_taken_up() {
    let session = EventTimeSessionWindows::with_gap(Duration::from_millis(10));
    let function =
        |_: &u8, window: TimeWindow, all: Vec<i64>, out: &mut Collect<'_, (i64, i64, Vec<i64>)>| {
            out.collect((window.start, window.end, all));
            Ok(())
        };
    let mut windows = SessionWindows::new(session, Lateness::default(), Elements::new(), function);
    windows.sessions = KeyedTable::new(&crate::key_group::KeyGroups::all(128));
    let mut before = KeyedTable::new(&crate::key_group::KeyGroups::all(128));
    let window = |start, end| TimeWindow { start, end };
    before.insert(key_hash(&1_u8), &1, vec![(window(0, 15), vec![1, 2]), (window(30, 40), vec![3])]);
    windows.opened(before);
    assert_eq!(windows.deadlines.len(), 2);
    let mut output = Output::new(Box::new(crate::collector::Discard), Vec::new());
    windows.fire_until(20, &mut output).unwrap();
    let left = windows.sessions.get(key_hash(&1_u8), &1).map(|known| known.sessions.len());
    assert_eq!((windows.deadlines.len(), left), (1, Some(1)));
}
