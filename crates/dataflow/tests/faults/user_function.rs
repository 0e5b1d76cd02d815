//! Functions of the user that fail, wherever they are called, and what is done about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, Serializer};
use thalweg_dataflow::OutputTag;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::Fatal;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Collect, Emit, Process, ProcessContext, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{JobConfig, RestartStrategy, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_testkit::CollectSink;

use crate::counts::{Counts, assert_exact, config, count, until, until_collected};
use crate::faucet::Faucet;

const NUMBERS: u64 = 4000;

fn contains(error: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` is not in: {error}"));
}

/// A stream of all numbers, two subtasks of a source.
fn numbers() -> (StreamGraph, Stream<u64>) {
    let (graph, faucet) = (StreamGraph::new(), Faucet::new(NUMBERS));
    faucet.open();
    let numbers = graph.source("numbers", faucet, WatermarkStrategy::no_watermarks());
    (graph, numbers)
}

fn error_of(graph: &StreamGraph) -> String {
    run(graph, JobConfig { parallelism: 2, ..JobConfig::new("job") }).unwrap_err().to_string()
}

#[test]
fn an_error_names_operator_subtask_and_origin() {
    let (graph, numbers) = numbers();
    // Number 2003 is the 500th of split 3, which the second subtask reads.
    let _ = numbers.flat_map("halve", |n, out| {
        out.collect(n / 2);
        if n == 2003 { Err(format!("cannot halve {n}").into()) } else { Ok(()) }
    });
    contains(
        &error_of(&graph),
        &[
            "operator `halve` (uid halve-",
            ", subtask 1)",
            "within 500 to 599 of faucet-3",
            "cannot halve 2003",
        ],
    );
}

#[test]
fn a_panic_behind_an_exchange_names_operator_subtask_and_origin() {
    let (graph, numbers) = numbers();
    let keyed = numbers.map("key", |n| Keyed::new(n % 2, n)).exchange();
    let _ = keyed.map("behind", |keyed| assert!(keyed.value != 2003, "cannot bear {}", keyed.value));
    let error = error_of(&graph);
    contains(
        &error,
        &[
            "operator `behind` (uid behind-",
            ", subtask ",
            "panicked on a record within ",
            "of faucet-",
            "cannot bear 2003",
        ],
    );
    assert!(!error.contains("bug in Thalweg"), "{error}");
}

#[test]
fn what_fails_while_no_record_is_at_hand_has_no_origin() {
    let (graph, numbers) = numbers();
    let _ = numbers.apply_with("made", |_| -> Result<CollectSink<u64>, _> { panic!("not made") });
    contains(&error_of(&graph), &["operator `made` (uid made-", ", subtask ", "cannot be set up: not made"]);
}

/// A number that cannot be written down when it is 13, by error or by panic.
#[derive(Clone, Copy, Deserialize)]
struct Unlucky(u64, bool);

impl Serialize for Unlucky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Unlucky(13, true) => panic!("13 brings bad luck"),
            Unlucky(13, false) => Err(serde::ser::Error::custom("13 brings bad luck")),
            Unlucky(n, panics) => (n, panics).serialize(serializer),
        }
    }
}

#[test]
fn state_that_cannot_be_written_fails_the_job_and_does_not_hang_it() {
    for panics in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let (graph, numbers) = numbers();
        let last = Reduce::new(|_, n| n, |_: &u64, n: &Unlucky| n.0, Emit::Each);
        let keyed = numbers.map("key", move |n| Keyed::new(n % 100, Unlucky(n % 100, panics)));
        let _ = keyed.exchange().apply("last", last).uid("last-of-each");
        let error = run(&graph, config("job", &storage)).unwrap_err().to_string();
        contains(&error, &["operator `last-of-each`", "state `value`", "cannot be written"]);
        if panics {
            contains(&error, &["13 brings bad luck"]);
        }
    }
}

/// Counts, failing `failures` times, each time when half of the numbers have been committed.
fn failing(
    failures: u32,
    storage: &CheckpointStorage,
    restart: RestartStrategy,
) -> (Result<u32, String>, Counts) {
    let (graph, faucet, collected) = (StreamGraph::new(), Faucet::new(NUMBERS), Counts::default());
    let numbers = graph.source("numbers", faucet.clone(), WatermarkStrategy::no_watermarks());
    let left = Arc::new(AtomicU32::new(failures));
    let checked = numbers.flat_map("check", move |n, out| {
        let fails = n == NUMBERS / 2 + 100
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        out.collect(n);
        if fails { Err("as asked for".into()) } else { Ok(()) }
    });
    count(&checked, &collected);
    let config = JobConfig { restart: Some(restart), ..config("job", storage) };
    let job = start(&graph, config).unwrap();
    faucet.release(NUMBERS / 2);
    until_collected(&job, &collected, NUMBERS as usize / 2);
    faucet.open();
    (job.wait().map(|result| result.restarts).map_err(|error| error.to_string()), collected)
}

#[test]
fn restart_strategies_restart_as_often_as_they_say_and_results_stay_exact() {
    let folder = tempfile::tempdir().unwrap();
    let storage = |name: &str| CheckpointStorage::local(folder.path().join(name)).unwrap();
    let fixed = RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_millis(1) };
    let (result, collected) = failing(3, &storage("fixed"), fixed.clone());
    assert_eq!(result, Ok(3));
    assert_exact(&collected, NUMBERS);

    let (result, collected) = failing(4, &storage("too often"), fixed);
    contains(&result.unwrap_err(), &["`check`", "as asked for", "(after 3 restarts)"]);
    // What was committed before stays.
    assert_exact(&collected, NUMBERS / 2);

    let (result, collected) = failing(1, &storage("none"), RestartStrategy::None);
    let error = result.unwrap_err();
    contains(&error, &["`check`", "as asked for"]);
    assert!(!error.contains("restart"), "{error}");
    assert_exact(&collected, NUMBERS / 2);

    let (initial, max) = (Duration::from_millis(8), Duration::from_millis(20));
    let reset_after = Duration::from_secs(60);
    let exponential = RestartStrategy::Exponential { initial, max, multiplier: 2.0, reset_after };
    let since = Instant::now();
    let (result, collected) = failing(5, &storage("exponential"), exponential);
    assert_eq!(result, Ok(5));
    assert_exact(&collected, NUMBERS);
    assert!(since.elapsed() >= Duration::from_millis(8 + 16 + 3 * 20), "{:?}", since.elapsed());
}

#[test]
fn an_error_that_no_restart_can_mend_is_not_tried_again() {
    let (graph, numbers) = numbers();
    let _ =
        numbers.flat_map("open", |_, _: &mut Collect<'_, ()>| Err(Box::new(Fatal("wrong password".into()))));
    let restart = Some(RestartStrategy::FixedDelay { attempts: 9, delay: Duration::ZERO });
    let error = run(&graph, JobConfig { restart, ..JobConfig::new("job") }).unwrap_err().to_string();
    contains(&error, &["operator `open`", "wrong password"]);
    assert!(!error.contains("restart"), "{error}");
}

#[test]
fn a_job_that_waits_for_its_restart_can_be_stopped() {
    let (graph, numbers) = numbers();
    let _ = numbers.map("fail", |n| assert!(n != 13, "unlucky"));
    let restart = Some(RestartStrategy::FixedDelay { attempts: 9, delay: Duration::MAX });
    let config = JobConfig { restart, ..JobConfig::new("job") };
    for stop in [true, false] {
        let job = start(&graph, config.clone()).unwrap();
        until("it waits to be restarted", || job.progress().restarts == 1);
        if stop {
            job.stop()
        } else {
            job.cancel()
        }
        let error = job.wait().unwrap_err().to_string();
        contains(&error, if stop { &["`fail`", "unlucky"] } else { &["was cancelled"] });
    }
}

#[test]
fn a_side_output_that_is_read_as_another_type_is_refused() {
    const LATE: OutputTag<u64> = OutputTag::new("late");
    const ALSO_LATE: OutputTag<String> = OutputTag::new("late");
    let written = |numbers: &Stream<u64>| {
        numbers.apply(
            "split",
            Process::new(|n: u64, context: &mut ProcessContext<'_, u64>| {
                context.output(&LATE, n);
                Ok(())
            }),
        )
    };
    let (graph, numbers) = numbers();
    let _ = written(&numbers).side_output(&ALSO_LATE).map("read", |_| ());
    contains(&error_of(&graph), &["operator `split`", "side output `late` is read as another type"]);

    let (graph, numbers) = self::numbers();
    let split = written(&numbers);
    let _ = split.side_output(&LATE).map("read", |_| ());
    let _ = split.side_output(&ALSO_LATE).map("read", |_| ());
    contains(&error_of(&graph), &["`late` of operator `split` is read as two types"]);
}

#[test]
fn a_union_of_two_jobs_is_refused() {
    let ((graph, left), (_, right)) = (numbers(), numbers());
    let union = left.union(&right.map("beyond", |n| n).map("the other graph", |n| n));
    assert!(!union.has_event_time());
    let _ = union.map("both", |_| ());
    contains(&error_of(&graph), &["a union of streams of two jobs"]);
}
