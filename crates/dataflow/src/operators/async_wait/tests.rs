use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::harness::{Event, Harness};

const LONG: Duration = Duration::from_secs(60);

/// Each takes so many milliseconds.
async fn after(n: u64) -> Result<[u64; 1], BoxError> {
    tokio::time::sleep(Duration::from_millis(n)).await;
    Ok([n])
}

#[derive(Clone, Debug)]
enum Step {
    Push(u64),
    Watermark,
    Restore,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Every result once, in order or between the watermarks that its record came between, whenever the state is lost.
    #[test]
    fn nothing_is_lost_doubled_or_out_of_its_turn(
        steps in prop::collection::vec(
            prop_oneof![8 => (0_u64..6).prop_map(Step::Push), 2 => Just(Step::Watermark), 1 => Just(Step::Restore)],
            1..40,
        ),
        ordered in any::<bool>(),
        capacity in 1_usize..9,
    ) {
        let operator = AsyncWait::new(after, ordered, LONG, capacity);
        let mut harness = Harness::new(operator);
        let (mut watermark, mut expected, mut events) = (0, Vec::new(), Vec::new());
        for (time, step) in (1_i64..).zip(steps) {
            match step {
                Step::Push(n) => {
                    harness.push(n, time);
                    expected.push((n, time));
                }
                Step::Watermark => {
                    watermark = time;
                    harness.watermark(time);
                }
                Step::Restore => harness.checkpoint(time),
            }
            events.extend(harness.events());
        }
        harness.end();
        events.extend(harness.events());
        let records = |events: &[Event<u64>]| -> Vec<(u64, i64)> {
            events.iter().filter_map(|event| if let Event::Record(n, time) = event { Some((*n, *time)) } else { None }).collect()
        };
        let mut found = records(&events);
        if !ordered {
            found.sort_by_key(|(_, time)| *time);
        }
        prop_assert_eq!(found, expected);
        // None of it was late, and the watermarks got through.
        let mut reached = 0;
        for event in &events {
            match event {
                Event::Watermark(time) => reached = *time,
                Event::Record(_, time) => prop_assert!(*time > reached),
                _ => {}
            }
        }
        prop_assert!(reached >= watermark);
    }
}

#[test]
fn as_many_are_under_way_as_the_capacity_says() {
    let started = Instant::now();
    let mut harness = Harness::new(AsyncWait::unordered(after, LONG, 20));
    (0..400).for_each(|_| harness.push(20, 0));
    harness.end();
    assert_eq!(harness.values().len(), 400);
    // One after another it would be eight seconds.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn what_is_done_first_comes_first_if_order_does_not_matter() {
    let mut harness = Harness::new(AsyncWait::unordered(after, LONG, 20));
    [300, 0].into_iter().for_each(|n| harness.push(n, 0));
    harness.end();
    assert_eq!(harness.values(), [0, 300]);
}

type Asking = std::pin::Pin<Box<dyn Future<Output = Result<[u64; 1], BoxError>> + Send>>;

#[test]
fn errors_panics_and_timeouts_say_what_they_are() {
    fn failing(ask: fn(u64) -> Asking, timeout: Duration) -> String {
        let mut harness = Harness::new(AsyncWait::ordered(ask, timeout, 1));
        loop {
            if let Err(failure) = harness.try_push(1, 0) {
                return failure.to_string();
            }
        }
    }
    let fails = failing(|_| Box::pin(async { Err("no such user".into()) }), LONG);
    assert!(fails.contains("no such user"), "{fails}");
    let panics = failing(|_| Box::pin(async { panic!("as the test wants it") }), LONG);
    assert!(panics.contains("panicked"), "{panics}");
    let slow = failing(|_| Box::pin(std::future::pending()), Duration::from_millis(5));
    assert!(slow.contains("longer than its timeout"), "{slow}");
}

#[test]
fn a_request_is_made_again_until_it_comes_to_something() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let third_time = move |n: u32| {
        let asked = counted.clone();
        async move {
            match asked.fetch_add(1, SeqCst) {
                0 => Err(BoxError::from("busy")),
                1 => Ok(None),
                _ => Ok(Some(n)),
            }
        }
    };
    let strategy = AsyncRetryStrategy::fixed_delay(5, Duration::from_millis(1)).if_result(Option::is_none);
    let mut harness = Harness::new(AsyncWait::ordered(third_time, LONG, 1).with_retry(strategy));
    harness.push(7, 0);
    harness.end();
    assert_eq!((harness.values(), asked.load(SeqCst)), (vec![7], 3));
}
