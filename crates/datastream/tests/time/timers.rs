//! Timers that set themselves again, and those that are due after the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::state::{States, ValueState};
use thalweg_datastream::{KeyedProcessContext, KeyedProcessFunction, OnTimer};

use super::{ends, env, ms};

/// Sets its timer anew whenever it fires: `step` later.
#[derive(Clone)]
struct Again {
    step: i64,
    processing: bool,
    fired: Arc<Mutex<Vec<i64>>>,
    first: ValueState<i64, bool>,
}

fn again(step: i64, processing: bool) -> Again {
    Again { step, processing, fired: Arc::default(), first: ValueState::default() }
}

impl Again {
    fn set(&self, time: i64, context: &mut KeyedProcessContext<'_, i64, i64>) {
        if self.processing {
            context.register_processing_time_timer(time);
        } else {
            context.register_event_time_timer(time);
        }
    }
}

impl KeyedProcessFunction for Again {
    type Key = i64;
    type In = i64;
    type Out = i64;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("first", &mut self.first);
    }

    fn process_element(
        &mut self,
        n: i64,
        context: &mut KeyedProcessContext<'_, i64, i64>,
    ) -> Result<(), BoxError> {
        let time = if self.processing { context.current_processing_time() } else { n + self.step };
        self.set(time, context);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: OnTimer,
        context: &mut KeyedProcessContext<'_, i64, i64>,
    ) -> Result<(), BoxError> {
        self.fired.lock().unwrap().push(timer.time);
        self.set(timer.time + self.step, context);
        Ok(())
    }
}

#[test]
fn a_timer_that_sets_itself_again_does_not_make_a_bounded_job_endless() {
    for (step, processing) in [(10, false), (0, false), (-1, false), (0, true), (-5, true)] {
        let (env, function) = (env(1), again(step, processing));
        let fired = function.fired.clone();
        let numbers = env.from_timed_collection(vec![(0_i64, 0), (100, 100)]);
        numbers.key_by(|n| *n).process(function);
        let job = env.execute_async("again").unwrap();
        ends(job).unwrap();
        let fired = std::mem::take(&mut *fired.lock().unwrap());
        if step == 10 {
            // Of the first key up to the watermark, and then as far as the last timer that was set when the input ended.
            assert_eq!(fired, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 110]);
        }
    }
}

#[test]
fn timers_without_end_can_be_cancelled() {
    let (env, function) = (env(1), again(1, false));
    let fired = function.fired.clone();
    // The watermark jumps further than anybody wants to wait for.
    let numbers = env.from_timed_collection(vec![(0_i64, 0), (1, i64::MAX / 2), (2, i64::MAX / 2)]);
    numbers.key_by(|_| 0).process(function);
    let job = env.execute_async("cancelled").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while fired.lock().unwrap().len() < 1000 {
        assert!(Instant::now() < deadline, "no timer fires");
        std::thread::sleep(ms(1));
    }
    job.cancel();
    assert!(matches!(ends(job), Err(JobError::Cancelled)));
}

#[test]
fn a_timer_of_processing_time_does_not_fire_after_the_end_of_its_input() {
    #[derive(Clone)]
    struct Later(Arc<AtomicU64>);
    impl KeyedProcessFunction for Later {
        type Key = ();
        type In = i64;
        type Out = i64;

        fn states(&mut self, _: &mut States<'_>) {}

        fn process_element(
            &mut self,
            _: i64,
            context: &mut KeyedProcessContext<'_, (), i64>,
        ) -> Result<(), BoxError> {
            let now = context.current_processing_time();
            context.register_processing_time_timer(now + 50);
            Ok(())
        }

        fn on_timer(&mut self, _: OnTimer, _: &mut KeyedProcessContext<'_, (), i64>) -> Result<(), BoxError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }
    let (env, fired) = (env(1), Arc::new(AtomicU64::new(0)));
    env.from_collection(vec![1_i64]).key_by(|_| ()).process(Later(fired.clone()));
    // An unrelated branch that still runs when the timer would be due.
    env.from_collection(vec![1]).for_each(|_| std::thread::sleep(ms(200)));
    env.execute("branches").unwrap();
    assert_eq!(fired.load(Ordering::SeqCst), 0);
}
