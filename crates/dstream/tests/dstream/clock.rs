//! A clock that is set back: batch times only grow, and no batch waits until a time comes round once more.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::runtime::{CheckpointConfig, Job, JobConfig};
use thalweg_dataflow::time::Clock;
use thalweg_dstream::StreamingContext;
use thalweg_testkit::ManualClock;

const INTERVAL: i64 = 1000;

/// Of each batch its time, and how many records the window of three batches has that ends with it.
type Windows = Arc<Mutex<Vec<(i64, u64)>>>;

/// Runs `batches` batches of ten records. After each the clock is moved as `tick` says.
fn run(
    job: Job,
    batches: usize,
    clock: &ManualClock,
    windows: &Windows,
    tick: impl Fn(usize, &ManualClock) + Clone + Send + 'static,
) {
    job.configure(|config| {
        config.clock = Clock::Manual(clock.clone());
        config.parallelism = 1;
    });
    let interval = Duration::from_millis(INTERVAL as u64);
    let ssc = StreamingContext::over(job, interval);
    let (read, batch) = channel();
    let numbers = ssc.queue_stream(vec![vec![1_u64; 10]; batches]);
    let pairs = numbers.map(|n| ((), n));
    let counts =
        pairs.reduce_by_key_and_window_with_inverse(|a, b| a + b, |a, b| a - b, 3 * interval, interval);
    let seen = windows.clone();
    let _ = counts.foreach_rdd(move |rdd, time| {
        seen.lock().unwrap().push((time, rdd.collect().first().map_or(0, |(_, count)| *count)));
    });
    // A batch is over when all of it has been read; then time goes on.
    numbers.map(move |n| read.send(n));
    drop((numbers, pairs, counts));
    let clock = clock.clone();
    let metronome = std::thread::spawn(move || {
        let mut reads = batch.into_iter();
        for index in 0.. {
            if reads.by_ref().take(10).count() < 10 {
                return;
            }
            tick(index, &clock);
        }
    });
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    drop(ssc);
    metronome.join().unwrap();
}

fn check(windows: &Windows, batches: usize) {
    let windows = std::mem::take(&mut *windows.lock().unwrap());
    assert!(windows.is_sorted_by(|a, b| a.0 < b.0), "batch times only grow: {windows:?}");
    assert!(windows.iter().all(|(_, count)| *count <= 30), "a window has three batches: {windows:?}");
    assert!(windows.iter().filter(|(_, count)| *count > 0).count() >= batches, "{windows:?}");
}

#[test]
fn a_clock_that_is_set_back_stops_no_batch() {
    let (clock, windows) = (ManualClock::new(100 * INTERVAL), Windows::default());
    let job = Job::new(JobConfig::new("set-back"));
    run(job, 8, &clock, &windows, |index, clock| {
        if index == 3 {
            clock.set(clock.now() - 60 * INTERVAL);
            // For long enough that it is seen where it is.
            std::thread::sleep(Duration::from_millis(100));
        }
        clock.advance(Duration::from_millis(INTERVAL as u64));
    });
    check(&windows, 8);
}

#[test]
fn a_job_that_is_started_again_after_the_clock_was_set_back_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, windows) = (ManualClock::new(100 * INTERVAL), Windows::default());
    // The second time there are no batches that were not there the first time; but those of the queue are read anew.
    for (id, batches) in [(5, 5), (10, 5)] {
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let job = Job::new(JobConfig::new("set-back"));
        job.configure(|config| {
            config.checkpoint = Some(CheckpointConfig::new(Duration::from_millis(INTERVAL as u64), storage));
        });
        run(job, id, &clock, &windows, |_, clock| clock.advance(Duration::from_millis(INTERVAL as u64)));
        check(&Arc::new(Mutex::new(windows.lock().unwrap().clone())), batches);
        clock.set(clock.now() - 60 * INTERVAL);
    }
}
