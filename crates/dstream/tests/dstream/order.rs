//! Order: of the outputs of a batch, of the records of a queue; and how many partitions there are.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_dstream::{Recovery, StreamingContext};

const INTERVAL: Duration = Duration::from_millis(5);

fn context(parallelism: usize) -> StreamingContext {
    let ssc = StreamingContext::new("order", INTERVAL);
    ssc.configure(|config| config.parallelism = parallelism);
    ssc
}

fn run(ssc: &StreamingContext) {
    ssc.start().unwrap();
    assert!(ssc.await_termination_or_timeout(Duration::from_secs(60)), "the job does not end");
    ssc.await_termination().unwrap();
}

#[test]
fn outputs_run_in_the_order_in_which_they_were_registered() {
    for parallelism in [1, 3] {
        let ssc = context(parallelism);
        let numbers = ssc.queue_stream(vec![vec![1_u64, 2, 3]; 10]);
        let log: Arc<Mutex<Vec<(i64, usize)>>> = Arc::default();
        // The streams are made in another order than the outputs, and the first output is the slowest.
        let (last, keyed) = (numbers.map(|n| n + 1), numbers.map(|n| (n, n)).reduce_by_key(|a, b| a + b));
        let output = |index: usize| {
            let log = log.clone();
            move |time| {
                std::thread::sleep(Duration::from_millis([9, 5, 1, 0][index]));
                log.lock().unwrap().push((time, index));
            }
        };
        let (first, second, third, fourth) = (output(0), output(1), output(2), output(3));
        keyed.foreach_rdd(move |_, time| first(time));
        numbers.foreach_rdd(move |_, time| second(time));
        keyed.window(3 * INTERVAL, INTERVAL).foreach_rdd(move |_, time| third(time));
        last.foreach_rdd(move |_, time| fourth(time));
        run(&ssc);
        let mut batches: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        log.lock().unwrap().iter().for_each(|(time, index)| batches.entry(*time).or_default().push(*index));
        assert!(batches.len() >= 10 && batches.values().all(|order| *order == [0, 1, 2, 3]), "{batches:?}");
    }
}

#[test]
fn a_batch_of_a_queue_is_as_it_was_given() {
    let ssc = context(3);
    let log: Arc<Mutex<Vec<Vec<u64>>>> = Arc::default();
    let sink = log.clone();
    ssc.queue_stream(vec![(0..10).collect(), (0..2).collect()])
        .foreach_rdd(move |rdd, _| sink.lock().unwrap().push(rdd.collect()));
    run(&ssc);
    assert_eq!(log.lock().unwrap()[..2], [(0..10).collect::<Vec<_>>(), vec![0, 1]]);
}

#[test]
fn repartition_says_how_many_partitions_follow() {
    let ssc = context(1);
    let log: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let sink = log.clone();
    let numbers = ssc.queue_stream(vec![(0..40).collect::<Vec<u64>>()]).repartition(4);
    let mapped = numbers.map(|n| n * 2).filter(|n| *n < 1000);
    mapped.foreach_rdd(move |rdd, _| {
        let sizes: Vec<usize> = rdd.partitions().iter().map(Vec::len).collect();
        sink.lock().unwrap().push((sizes.len(), sizes.iter().filter(|size| **size == 10).count()));
    });
    ssc.start().unwrap();
    let result = ssc.await_termination().unwrap();
    assert_eq!(log.lock().unwrap()[0], (4, 4), "{log:?}");
    assert!(!result.metrics.operators.iter().any(|(operator, _)| &*operator.name == "repartition"));
}

/// Puts a file with a line into a folder, whole.
fn put(root: &std::path::Path, name: &str) {
    fs::create_dir_all(root.join("in")).unwrap();
    fs::write(root.join(name), name).unwrap();
    fs::rename(root.join(name), root.join("in").join(name)).unwrap();
}

#[test]
fn a_stream_of_files_begins_with_new_ones_and_goes_on_with_what_came_since() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    put(root, "before");
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let recoveries: Arc<Mutex<Vec<bool>>> = Arc::default();
    let wait_for = |expected: &[&str]| {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while *seen.lock().unwrap() != expected {
            assert!(std::time::Instant::now() < deadline, "{seen:?} instead of {expected:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let start = || {
        let create = |recovery: Recovery| {
            recoveries.lock().unwrap().push(recovery.is_recovery());
            assert_eq!(recovery.checkpoint_of("files").is_some(), recovery.is_recovery());
            assert_eq!(recovery.checkpoint_of("another"), None);
            let ssc = StreamingContext::new("files", INTERVAL);
            let sink = seen.clone();
            ssc.text_file_stream(root.join("in"))
                .foreach_rdd(move |rdd, _| sink.lock().unwrap().extend(rdd.collect()));
            Ok(ssc)
        };
        let ssc = StreamingContext::get_or_create(root.join("checkpoints"), create).unwrap();
        ssc.start().unwrap();
        ssc
    };
    let ssc = start();
    put(root, "new");
    wait_for(&["new"]);
    ssc.stop(true);
    ssc.await_termination().unwrap();
    put(root, "while it was down");
    let ssc = start();
    wait_for(&["new", "while it was down"]);
    put(root, "newer");
    wait_for(&["new", "while it was down", "newer"]);
    ssc.stop(true);
    ssc.await_termination().unwrap();
    assert_eq!(*recoveries.lock().unwrap(), [false, true]);

    // The switch: what is there already is read, too.
    let (ssc, all) = (StreamingContext::new("all", INTERVAL), Arc::new(Mutex::new(Vec::new())));
    let sink = all.clone();
    ssc.file_stream(root.join("in"), false)
        .foreach_rdd(move |rdd, _| sink.lock().unwrap().extend(rdd.collect()));
    ssc.start().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while all.lock().unwrap().len() < 4 {
        assert!(std::time::Instant::now() < deadline, "{all:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    ssc.stop(true);
    ssc.await_termination().unwrap();
}
