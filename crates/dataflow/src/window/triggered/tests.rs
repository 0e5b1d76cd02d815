use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::harness::Harness;
use crate::operators::{Collect, KeyedProcess};
use crate::output::OutputTag;
use crate::record::Keyed;
use crate::window::aggregate::Elements;
use crate::window::evictor::{CountEvictor, DeltaEvictor, NoEvictor, TimeEvictor};
use crate::window::trigger::{
    ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, DeltaTrigger, PurgingTrigger,
};
use crate::window::{
    Aligned, AlignedWindows, GlobalWindows, SlidingEventTimeWindows, TumblingEventTimeWindows,
};

type Fired = (u8, i64, Vec<u32>);

type Give = fn(&u8, TimeWindow, Vec<u32>, &mut Collect<'_, Fired>) -> Result<(), BoxError>;

fn windows<W: FixedWindows, R: Trigger<u32>, E: Evictor<u32>>(
    assigner: W,
    trigger: R,
    evictor: E,
    allowed: i64,
) -> KeyedProcess<TriggeredWindows<u8, u32, W, R, E, Fired, Give>> {
    let lateness = Lateness { allowed, tag: None };
    let function: Give = |key, window, values, out| {
        out.collect((*key, window.start, values));
        Ok(())
    };
    KeyedProcess::new(TriggeredWindows::new(assigner, trigger, evictor, lateness, function))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

proptest! {
    /// With the trigger that windows have anyway, they fire as windows do that have none, through lateness and a restore.
    #[test]
    fn the_default_trigger_is_what_windows_do_without_one(
        records in prop::collection::vec((0_u8..3, -20_i64..6), 1..60),
        (size, slide) in (1_u64..20, 1_u64..12),
        allowed in 0_i64..15,
        cut in 0_usize..60,
        parallelism in 1_usize..4,
    ) {
        let assigner: Aligned = SlidingEventTimeWindows::of(ms(size), ms(slide));
        let trigger = assigner.default_trigger();
        let ours = || windows(assigner, trigger, NoEvictor, allowed);
        let theirs = || {
            let lateness = Lateness { allowed, tag: None };
            AlignedWindows::new(assigner, lateness, Elements::new(), |key: &u8, window: TimeWindow, values: Vec<u32>, out: &mut Collect<'_, Fired>| {
                out.collect((*key, window.start, values));
                Ok(())
            })
        };
        let (mut one, mut other) = (Harness::new(ours()), Harness::new(theirs()));
        for (index, (key, shift)) in records.into_iter().enumerate() {
            if index == cut {
                (one, other) = (one.restore(ours(), parallelism), other.restore(theirs(), parallelism));
            }
            let time = index as i64 * 3 + shift;
            one.push(Keyed::new(key, index as u32), time);
            other.push(Keyed::new(key, index as u32), time);
            if index % 4 == 0 {
                one.watermark(index as i64 * 3 - 2);
                other.watermark(index as i64 * 3 - 2);
            }
            let (mut found, mut expected) = (one.values(), other.values());
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
        one.end();
        other.end();
        let (mut found, mut expected) = (one.values(), other.values());
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    /// Windows of `size` records, one every `slide`: the last `size` of a key with each `slide`th, through a restore.
    #[test]
    fn counts_slide(
        keys in prop::collection::vec(0_u8..3, 1..60), size in 1_usize..6, slide in 1_usize..5, cut in 0_usize..60, parallelism in 1_usize..4,
    ) {
        let sliding = || windows(GlobalWindows, CountTrigger::of(slide as u64), CountEvictor::of(size), 0);
        let mut harness = Harness::new(sliding());
        let mut seen: [Vec<u32>; 3] = Default::default();
        for (index, key) in keys.into_iter().enumerate() {
            if index == cut {
                harness = harness.restore(sliding(), parallelism);
            }
            harness.push(Keyed::new(key, index as u32), 0);
            let of_key = &mut seen[usize::from(key)];
            of_key.push(index as u32);
            let fired = of_key.len().is_multiple_of(slide)
                .then(|| (key, i64::MIN, of_key[of_key.len().saturating_sub(size)..].to_vec()));
            prop_assert_eq!(harness.values(), Vec::from_iter(fired));
        }
        harness.end();
        prop_assert_eq!(harness.values(), vec![]);
    }
}

#[test]
fn a_window_fires_while_it_lasts_and_when_it_ends() {
    let trigger = ContinuousEventTimeTrigger::of(ms(10));
    let mut harness = Harness::new(windows(TumblingEventTimeWindows::of(ms(100)), trigger, NoEvictor, 0));
    harness.push(Keyed::new(1, 7), 3);
    harness.watermark(9);
    assert_eq!(harness.values(), []);
    harness.watermark(10);
    assert_eq!(harness.values(), [(1, 0, vec![7])]);
    harness.push(Keyed::new(1, 8), 12);
    harness.watermark(35);
    assert_eq!(harness.values(), [(1, 0, vec![7, 8]), (1, 0, vec![7, 8])]);
    harness.end();
    // 40 to 90, and the end.
    assert_eq!(harness.values().len(), 7);
}

#[test]
fn a_purging_trigger_lets_records_go() {
    let trigger = PurgingTrigger::of(ContinuousProcessingTimeTrigger::of(ms(10)));
    let mut harness = Harness::new(windows(GlobalWindows, trigger, NoEvictor, 0));
    harness.set_processing_time(5);
    harness.push(Keyed::new(1, 7), 0);
    harness.set_processing_time(10);
    harness.push(Keyed::new(1, 8), 0);
    harness.set_processing_time(20);
    // There is nothing at 30.
    harness.set_processing_time(30);
    assert_eq!(harness.values(), [(1, i64::MIN, vec![7]), (1, i64::MIN, vec![8])]);
}

#[test]
fn top_speed_by_delta_and_age() {
    // Each time that the value has gone up by more than 50, what came in the 10 ms before.
    let trigger = DeltaTrigger::of(50.0, |old: &u32, new: &u32| f64::from(*new) - f64::from(*old));
    let mut harness = Harness::new(windows(GlobalWindows, trigger, TimeEvictor::of(ms(10)), 0));
    for (time, value) in [(0, 100), (5, 140), (12, 151), (14, 190), (20, 202)] {
        harness.push(Keyed::new(1, value), time);
    }
    assert_eq!(harness.values(), [(1, i64::MIN, vec![140, 151]), (1, i64::MIN, vec![151, 190, 202])]);
}

#[test]
fn what_is_evicted_afterwards_was_seen() {
    let close =
        DeltaEvictor::of(5.0, |a: &u32, b: &u32| (f64::from(*a) - f64::from(*b)).abs()).do_evict_after();
    let mut harness = Harness::new(windows(GlobalWindows, CountTrigger::of(2), close, 0));
    (0..6).for_each(|n| harness.push(Keyed::new(1, n * 3), 0));
    assert_eq!(
        harness.values(),
        [(1, i64::MIN, vec![0, 3]), (1, i64::MIN, vec![0, 3, 6, 9]), (1, i64::MIN, vec![6, 9, 12, 15])]
    );
}

#[test]
fn late_records_are_counted_or_go_aside() {
    const LATE: OutputTag<u32> = OutputTag::new("late");
    let function = |_: &u8, _: TimeWindow, values: Vec<u32>, out: &mut Collect<'_, Vec<u32>>| {
        out.collect(values);
        Ok(())
    };
    let assigner = TumblingEventTimeWindows::of(ms(10));
    let lateness = Lateness { allowed: 0, tag: Some(LATE) };
    let operator = KeyedProcess::new(TriggeredWindows::new(
        assigner,
        CountTrigger::of(1),
        NoEvictor,
        lateness,
        function,
    ));
    let (mut harness, aside) = Harness::with_side(operator, &LATE);
    harness.watermark(9);
    harness.push(Keyed::new(1, 5), 9);
    harness.push(Keyed::new(1, 6), 10);
    harness.end();
    assert_eq!((harness.values(), aside.values()), (vec![vec![6]], vec![5]));
}
