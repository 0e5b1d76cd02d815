//! Who is who after a change of the program: each operator finds its own state, or the job is refused before anything is touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Emit, KeyedProcess, KeyedProcessContext, KeyedProcessFunction, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{JobConfig, run};
use thalweg_dataflow::source::{CollectionReader, CollectionSource, Source, SourceContext};
use thalweg_dataflow::state::{States, ValueState};
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::counts::config;

/// The last value of each output, by its name.
type Seen = Arc<Mutex<BTreeMap<&'static str, i64>>>;

/// A job of which every restart reads what has been added to its sources since.
struct Changing {
    folder: tempfile::TempDir,
}

impl Changing {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn config(&self) -> JobConfig {
        config("job", &CheckpointStorage::local(self.folder.path()).unwrap())
    }

    /// Runs the program that `build` makes, to its end.
    fn run(&self, build: impl FnOnce(&StreamGraph, &Seen)) -> Result<BTreeMap<&'static str, i64>, String> {
        self.run_with(self.config(), build)
    }

    /// Likewise; what no operator claims is dropped.
    fn run_and_drop(
        &self,
        build: impl FnOnce(&StreamGraph, &Seen),
    ) -> Result<BTreeMap<&'static str, i64>, String> {
        self.run_with(JobConfig { allow_non_restored_state: true, ..self.config() }, build)
    }

    fn run_with(
        &self,
        config: JobConfig,
        build: impl FnOnce(&StreamGraph, &Seen),
    ) -> Result<BTreeMap<&'static str, i64>, String> {
        let (graph, seen) = (StreamGraph::new(), Seen::default());
        build(&graph, &seen);
        run(&graph, config).map_err(|error| error.to_string())?;
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        Ok(seen)
    }

    fn files(&self) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
        fn visit(folder: &Path, files: &mut BTreeMap<std::path::PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    visit(&path, files);
                } else {
                    files.insert(path.clone(), std::fs::read(&path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        visit(self.folder.path(), &mut files);
        files
    }

    /// Runs a program that is refused, and leaves everything as it is, the name of the owner included.
    fn refused(&self, build: impl FnOnce(&StreamGraph, &Seen)) -> String {
        let before = self.files();
        let error = self.run(build).unwrap_err();
        assert_eq!(before, self.files(), "something was touched");
        error
    }
}

fn source(graph: &StreamGraph, items: &[i64]) -> Stream<i64> {
    graph.source("numbers", CollectionSource::new(items.to_vec()), WatermarkStrategy::no_watermarks())
}

/// A running sum, under the name that all running sums have.
fn sum(numbers: &Stream<i64>) -> Stream<i64> {
    let keyed = numbers.map("key", |n| Keyed::new(0_u8, n)).exchange();
    keyed.apply("sum", Reduce::new(|a: i64, b| a + b, |_: &u8, sum: &i64| *sum, Emit::Each))
}

fn show(numbers: &Stream<i64>, name: &'static str, seen: &Seen) {
    let seen = seen.clone();
    let _ = numbers.map("show", move |n| seen.lock().unwrap().insert(name, n));
}

fn contains(error: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` is not in: {error}"));
}

#[test]
fn a_sum_that_looks_like_another_is_refused_with_the_way_out() {
    let job = Changing::new();
    let first = job.run(|graph, seen| {
        let numbers = source(graph, &[1, 2, 4]);
        show(&sum(&numbers.map("field", |n| n)), "a", seen);
    });
    assert_eq!(first, Ok(BTreeMap::from([("a", 7)])));
    // Another sum is put before it. Both hang on `field`, of the same source.
    let error = job.refused(|graph, seen| {
        let numbers = source(graph, &[1, 2, 4, 1]);
        show(&sum(&numbers.map("field", |n| n * 1000)), "b", seen);
        show(&sum(&numbers.map("field", |n| n)), "a", seen);
    });
    contains(&error, &["2 operators", "`sum`", ".uid("]);
}

#[test]
fn what_hangs_elsewhere_is_another_whatever_the_order() {
    let job = Changing::new();
    let first = job.run(|graph, seen| {
        let numbers = source(graph, &[1, 2, 4]);
        show(&sum(&numbers.map("single", |n| n)), "a", seen);
    });
    assert_eq!(first, Ok(BTreeMap::from([("a", 7)])));
    let second = job.run(|graph, seen| {
        let numbers = source(graph, &[1, 2, 4, 1, 1, 1, 1, 1, 1000]);
        show(&sum(&numbers.map("thousands", |n| n * 1000)), "b", seen);
        show(&sum(&numbers.map("single", |n| n)), "a", seen);
    });
    // `b` is new, and begins with what was not read yet.
    assert_eq!(second, Ok(BTreeMap::from([("a", 1012), ("b", 1_005_000)])));
}

fn source_of(graph: &StreamGraph, what: &'static str, items: &[i64]) -> Stream<i64> {
    let source = Described { items: CollectionSource::new(items.to_vec()), what };
    graph.source("numbers", source, WatermarkStrategy::no_watermarks())
}

/// A source that says what it reads.
struct Described {
    items: CollectionSource<i64>,
    what: &'static str,
}

impl Source for Described {
    type Item = i64;
    type Reader = CollectionReader<i64>;

    fn identity(&self) -> String {
        self.what.to_owned()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        self.items.reader(context)
    }
}

#[test]
fn sources_find_their_positions_in_another_order_and_with_a_new_one_before_them() {
    let job = Changing::new();
    let first = job.run(|graph, seen| {
        show(&sum(&source_of(graph, "a", &[1, 2, 4])), "a", seen);
        show(&sum(&source_of(graph, "b", &[1000])), "b", seen);
    });
    assert_eq!(first, Ok(BTreeMap::from([("a", 7), ("b", 1000)])));
    let second = job.run(|graph, seen| {
        show(&sum(&source_of(graph, "c", &[5])), "c", seen);
        show(&sum(&source_of(graph, "b", &[1000, 3000])), "b", seen);
        show(&sum(&source_of(graph, "a", &[1, 2, 4, 8])), "a", seen);
    });
    assert_eq!(second, Ok(BTreeMap::from([("a", 15), ("b", 4000), ("c", 5)])));
    let error = job.refused(|graph, seen| {
        show(&sum(&source_of(graph, "c", &[5])), "c", seen);
        show(&sum(&source_of(graph, "b", &[1000, 3000])), "b", seen);
    });
    contains(
        &error,
        &["kept", "dropped", "numbers (uid numbers-", "sum (uid sum-", "allow_non_restored_state"],
    );
    let third = job.run_and_drop(|graph, seen| {
        show(&sum(&source_of(graph, "b", &[1000, 3000, 1])), "b", seen);
        show(&sum(&source_of(graph, "c", &[5, 1])), "c", seen);
    });
    assert_eq!(third, Ok(BTreeMap::from([("b", 4001), ("c", 6)])));
    // What was dropped is gone.
    let fourth = job.run(|graph, seen| {
        show(&sum(&source_of(graph, "a", &[1, 2])), "a", seen);
        show(&sum(&source_of(graph, "b", &[1000, 3000, 1, 1])), "b", seen);
        show(&sum(&source_of(graph, "c", &[5, 1, 1])), "c", seen);
    });
    assert_eq!(fourth, Ok(BTreeMap::from([("a", 3), ("b", 4002), ("c", 7)])));
}

#[test]
fn a_job_goes_on_with_its_state_and_a_new_place_to_begin() {
    let job = Changing::new();
    let first = job.run(|graph, seen| show(&sum(&source_of(graph, "a", &[1, 2, 4])), "a", seen));
    assert_eq!(first, Ok(BTreeMap::from([("a", 7)])));
    // Under another uid the source begins as a fresh one does; the sum is told apart by what the source reads.
    let anew = |graph: &StreamGraph, seen: &Seen| {
        let numbers = source_of(graph, "a", &[10, 20]).uid("from-2026");
        show(&sum(&numbers), "a", seen);
    };
    contains(&job.refused(anew), &["dropped  numbers (uid numbers-", "kept     sum", ".uid(\"numbers-"]);
    assert_eq!(job.run_and_drop(anew), Ok(BTreeMap::from([("a", 37)])));
    // The setting may stay: nothing is dropped twice.
    let third = job.run_and_drop(|graph, seen| {
        show(&sum(&source_of(graph, "a", &[10, 20, 40]).uid("from-2026")), "a", seen);
    });
    assert_eq!(third, Ok(BTreeMap::from([("a", 77)])));
}

#[test]
fn the_uid_in_the_refusal_is_the_way_out() {
    let job = Changing::new();
    let first = job.run(|graph, seen| show(&sum(&source_of(graph, "a", &[1, 2, 4])), "a", seen));
    assert_eq!(first, Ok(BTreeMap::from([("a", 7)])));
    // The source reads more than it did: so it is another, and what hangs below it, too.
    let error = job.refused(|graph, seen| show(&sum(&source_of(graph, "a and b", &[1, 2, 4, 8])), "a", seen));
    contains(&error, &["if `numbers` (a and b) is what it was", "what hangs below it is then found, too"]);
    let uid = error
        .split(".uid(\"")
        .find(|uid| uid.starts_with("numbers-"))
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let second =
        job.run(|graph, seen| show(&sum(&source_of(graph, "a and b", &[1, 2, 4, 8]).uid(&uid)), "a", seen));
    assert_eq!(second, Ok(BTreeMap::from([("a", 15)])));
}

/// Two pieces of state, under these names.
#[derive(Clone)]
struct Two {
    names: [&'static str; 2],
    first: ValueState<u8, i64>,
    second: ValueState<u8, i64>,
}

impl Two {
    fn named(names: [&'static str; 2]) -> Self {
        Self { names, first: ValueState::default(), second: ValueState::default() }
    }
}

impl KeyedProcessFunction for Two {
    type Key = u8;
    type In = i64;
    type Out = i64;

    fn states(&mut self, states: &mut States<'_>) {
        let [first, second] = self.names;
        states.keyed(first, &mut self.first);
        if !second.is_empty() {
            states.keyed(second, &mut self.second);
        }
    }

    fn process_element(
        &mut self,
        value: i64,
        context: &mut KeyedProcessContext<'_, u8, i64>,
    ) -> Result<(), BoxError> {
        let key = context.current_key();
        let first = self.first.value(&key).copied().unwrap_or(0) + value;
        let second = self.second.value(&key).copied().unwrap_or(100) * 2;
        self.first.update(&key, first);
        self.second.update(&key, second);
        context.collect(first * 1_000_000 + second);
        Ok(())
    }
}

fn two(graph: &StreamGraph, seen: &Seen, items: &[i64], names: [&'static str; 2]) {
    let keyed = source(graph, items).map("key", |n| Keyed::new(0_u8, n)).exchange();
    show(&keyed.apply("process", KeyedProcess::new(Two::named(names))), "two", seen);
}

#[test]
fn two_states_under_one_name_are_refused_when_they_are_opened() {
    for names in [["n", "n"], ["watermark", "n"]] {
        let job = Changing::new();
        let error = job.run(|graph, seen| two(graph, seen, &[1, 2], names)).unwrap_err();
        contains(&error, &["`process`", &format!("two pieces of state `{}`", names[0]), "states()"]);
    }
}

#[test]
fn a_state_that_was_never_named_is_told_by_function_and_type() {
    let job = Changing::new();
    let error = job.run(|graph, seen| two(graph, seen, &[1, 2], ["n", ""])).unwrap_err();
    contains(&error, &["`process`", "Two", "states()", "i64 for each u8", "states.keyed("]);
    assert!(!error.contains("a bug in Thalweg"), "{error}");
}

#[test]
fn a_state_that_is_renamed_is_not_lost_in_silence() {
    let job = Changing::new();
    assert!(job.run(|graph, seen| two(graph, seen, &[1, 2], ["a", "b"])).is_ok());
    let error = job.refused(|graph, seen| two(graph, seen, &[1, 2, 3], ["a", "c"]));
    contains(&error, &["state `b` of process", "name it `b` again"]);
    let second = job.run_and_drop(|graph, seen| two(graph, seen, &[1, 2, 3], ["a", "c"]));
    assert_eq!(second, Ok(BTreeMap::from([("two", 6_000_200)])));
}

#[test]
fn stateless_twins_and_jobs_that_write_nothing_down_are_not_refused() {
    let job = Changing::new();
    let twins = |graph: &StreamGraph, seen: &Seen| {
        let numbers = source(graph, &[1, 2, 4]);
        show(&numbers.map("same", |n| n), "a", seen);
        show(&numbers.map("same", |n| n * 2), "b", seen);
    };
    assert!(job.run(twins).is_ok());
    let graph = StreamGraph::new();
    let numbers = source(&graph, &[1]);
    show(&sum(&numbers), "a", &Seen::default());
    show(&sum(&numbers), "b", &Seen::default());
    run(&graph, JobConfig::new("job")).unwrap();
}
