use super::*;
use crate::source::testing::{context, drain};
use crate::time::Clock;

fn numbers(count: u64) -> DataGeneratorSource<u64, impl Fn(u64) -> u64 + Clone + Send + Sync + 'static> {
    DataGeneratorSource::new(|n| n, count)
}

#[test]
fn one_subtask_makes_them_in_order_and_several_make_each_once() {
    let mut reader = numbers(5_000).reader(&context(0, 1)).unwrap();
    reader.open(None).unwrap();
    assert_eq!(drain(&mut reader, usize::MAX), (0..5_000).collect::<Vec<_>>());
    let mut all: Vec<u64> = (0..3)
        .flat_map(|subtask| {
            let mut reader = numbers(5_000).starting_at(7).reader(&context(subtask, 3)).unwrap();
            reader.open(None).unwrap();
            drain(&mut reader, usize::MAX)
        })
        .collect();
    all.sort_unstable();
    assert_eq!(all, (7..5_007).collect::<Vec<_>>());
}

#[test]
fn a_restore_at_any_parallelism_makes_the_rest() {
    for (before, after) in [(1, 3), (3, 1), (2, 2), (3, 2)] {
        let (mut all, mut positions) = (Vec::new(), Vec::new());
        for subtask in 0..before {
            let mut reader = numbers(10_000).reader(&context(subtask, before)).unwrap();
            reader.open(None).unwrap();
            all.extend(drain(&mut reader, 1 + subtask));
            positions.extend(reader.positions());
        }
        assert!(all.len() < 10_000);
        for subtask in 0..after {
            let mut reader = numbers(10_000).reader(&context(subtask, after)).unwrap();
            reader.open(Some(positions.clone())).unwrap();
            all.extend(drain(&mut reader, usize::MAX));
        }
        all.sort_unstable();
        assert_eq!(all, (0..10_000).collect::<Vec<_>>(), "from {before} to {after}");
    }
}

#[test]
fn a_rate_is_kept() {
    let context = context(0, 1);
    let Clock::Manual(clock) = context.clock.clone() else { panic!("a manual clock") };
    let mut reader = numbers(u64::MAX).rate_per_second(100.0).reader(&context).unwrap();
    reader.open(None).unwrap();
    let mut output = SourceOutput::new();
    let mut made = 0;
    for _ in 0..200 {
        match reader.poll(&mut output).unwrap() {
            SourceStatus::Idle { until: Some(until) } => clock.set(until),
            status => assert_eq!(status, SourceStatus::Ready),
        }
        made += output.take().len() as i64;
    }
    assert!((made - clock.now() / 10).abs() <= 2, "{made} in {} ms", clock.now());
    assert!(numbers(1).rate_per_second(0.0).reader(&context).is_err());
}
