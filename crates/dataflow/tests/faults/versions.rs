//! What was written yesterday is read today: checkpoints of all formats there have been.
//!
//! `fixtures/version-N` is the checkpoint folder of the job below, as a build with that format left it: suspended when it had read half
//! of its input. Version 1 wrote values by position (postcard), and each checkpoint whole. Version 2 has schemas and deltas:
//! its folder holds a chain of state files. When the format changes, `leave_a_fixture` leaves a folder of it before that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operators::{
    Collect, Emit, KeyedProcess, KeyedProcessContext, KeyedProcessFunction, OnTimer, Reduce,
};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{JobConfig, run, start};
use thalweg_dataflow::state::{ListState, MapState, States, ValueState};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_dataflow::window::aggregate::Count;
use thalweg_dataflow::window::{Lateness, TimeWindow, TumblingEventTimeWindows, WindowAssigner};
use thalweg_testkit::{CollectSink, Collected};

use crate::counts::{config, until};
use crate::faucet::Faucet;

const NUMBERS: u64 = 4000;

/// One of each that serde knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Profile {
    name: String,
    first: i64,
    id: u128,
    temperature: f64,
    initial: char,
    flags: (bool, u8, i16),
    small: i8,
    wide: i128,
    last: Option<u32>,
    tag: Tag,
    nested: BTreeMap<String, Vec<u16>>,
    nothing: (),
    marker: Marker,
    wrapped: Wrapped,
    pair: Pair,
    pixels: [f32; 2],
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Marker;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wrapped(u64);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pair(u32, String);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Tag {
    Nothing,
    One(u64),
    Two(i32, String),
    Named { at: i64, of: Option<Box<Tag>> },
}

fn tag_of(n: u64) -> Tag {
    match n % 4 {
        0 => Tag::Nothing,
        1 => Tag::One(n),
        2 => Tag::Two(-(n as i32), format!("two of {n}")),
        _ => Tag::Named { at: n as i64, of: Some(Box::new(tag_of(n / 4))) },
    }
}

fn profile_of(n: u64) -> Profile {
    Profile {
        name: format!("user {n}"),
        first: -(n as i64),
        id: u128::MAX - u128::from(n),
        temperature: n as f64 / 7.0,
        initial: char::from_u32(0x3b1 + (n % 20) as u32).unwrap(),
        flags: (n.is_multiple_of(2), n as u8, -(n as i16)),
        small: -((n % 100) as i8),
        wide: i128::MIN + i128::from(n),
        last: n.is_multiple_of(3).then_some(n as u32),
        tag: tag_of(n),
        nested: (0..n % 3).map(|i| (format!("level {i}"), (0..i as u16).collect())).collect(),
        nothing: (),
        marker: Marker,
        wrapped: Wrapped(n << 40),
        pair: Pair(n as u32, "pair".to_owned()),
        pixels: [n as f32, -0.5],
    }
}

/// Remembers what it has seen in every kind of state, whatever the order, and tells it when its last timer fires.
#[derive(Clone, Default)]
struct Remember {
    profile: ValueState<String, Profile>,
    tags: ListState<String, (u64, Tag)>,
    seen: MapState<String, u16, Option<f32>>,
}

impl KeyedProcessFunction for Remember {
    type Key = String;
    type In = u64;
    type Out = String;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("profile", &mut self.profile);
        states.keyed("tags", &mut self.tags);
        states.keyed("seen", &mut self.seen);
    }

    fn process_element(
        &mut self,
        n: u64,
        context: &mut KeyedProcessContext<'_, String, String>,
    ) -> Result<(), BoxError> {
        let key = context.current_key();
        if self.profile.value(&key).is_none_or(|known| known.first > -(n as i64)) {
            self.profile.update(&key, profile_of(n));
        }
        if n.is_multiple_of(40) {
            self.tags.add(&key, (n, tag_of(n / 40)));
        }
        let seen = self.seen.get(&key, &(n as u16 % 5)).copied().flatten();
        let now = n.is_multiple_of(2).then_some(n as f32);
        if now >= seen {
            self.seen.put(&key, n as u16 % 5, now);
        }
        context.register_event_time_timer((n / 1000 * 1000 + 1000) as i64);
        context.register_event_time_timer(NUMBERS as i64);
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: OnTimer,
        context: &mut KeyedProcessContext<'_, String, String>,
    ) -> Result<(), BoxError> {
        let key = context.current_key();
        let mut told = format!("{} at {}", key.key(), timer.time);
        if timer.time == NUMBERS as i64 {
            let seen: BTreeMap<_, _> = self.seen.entries(&key).collect();
            let mut tags = self.tags.get(&key).to_vec();
            tags.sort_by_key(|tag| tag.0);
            told = format!("{told}: {:?} {tags:?} {seen:?}", self.profile.value(&key));
        }
        context.collect(told);
        Ok(())
    }
}

/// Some keys are seen only in the first half of the input.
fn key_of(n: u64) -> String {
    format!("key {}", if n < NUMBERS / 2 { n % 7 } else { n % 4 + 3 })
}

/// What comes out of the three sinks.
#[derive(Default)]
struct Told([Collected<String>; 3]);

impl Told {
    fn take(&self) -> Vec<String> {
        self.0.iter().flat_map(Collected::take).collect()
    }
}

/// Everything in it has a uid, so that it does not depend on how one is derived.
fn job(faucet: &Faucet, told: &Told) -> StreamGraph {
    let graph = StreamGraph::new();
    let [remembered, summed, windowed] = &told.0;
    let collect = |told: &Collected<String>| CollectSink::new(told.clone());
    let numbers = graph
        .source("numbers", faucet.clone(), WatermarkStrategy::for_monotonous_timestamps())
        .uid("numbers")
        .parallelism(1);
    let keyed = numbers.map("key", |n| Keyed::new(key_of(n), n)).uid("key").exchange();
    let remember = keyed.apply("remember", KeyedProcess::new(Remember::default())).uid("remember");
    let _ = remember.apply("collect", collect(remembered)).uid("remembered");
    let sum = Reduce::new(|a, b| a + b, |key: &String, n: &u64| format!("{key} sum {n}"), Emit::Each);
    let ones = keyed.map("one", |keyed| Keyed { hash: keyed.hash, key: keyed.key, value: 1_u64 }).uid("one");
    let _ = ones.apply("sum", sum).uid("sum").apply("collect", collect(summed)).uid("summed");
    let tumbling = TumblingEventTimeWindows::of(Duration::from_secs(3));
    let function = |key: &String, window: TimeWindow, n: u64, out: &mut Collect<'_, String>| {
        out.collect(format!("{key} window {} {n}", window.start));
        Ok(())
    };
    let windows =
        tumbling.apply(&keyed, "windows", Lateness::default(), Count::new(), function).uid("windows");
    let _ = windows.apply("collect", collect(windowed)).uid("windowed");
    graph
}

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/faults/fixtures/version-{version}"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &target)
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn sorted(told: &Told) -> Vec<String> {
    let mut told = told.take();
    told.sort_unstable();
    told
}

/// The output of a run that is never interrupted.
fn uninterrupted() -> Vec<String> {
    let (faucet, told) = (Faucet::new(NUMBERS), Told::default());
    faucet.open();
    run(&job(&faucet, &told), JobConfig::new("plain")).unwrap();
    sorted(&told)
}

/// `cargo test -p thalweg-dataflow --test faults -- --ignored leave_a_fixture`
#[test]
#[ignore = "writes into the repository"]
fn leave_a_fixture() {
    let (version, folder) = (2, fixture(2));
    std::fs::create_dir_all(&folder).unwrap();
    let storage = CheckpointStorage::local(&folder).unwrap();
    let (faucet, told) = (Faucet::new(NUMBERS), Told::default());
    let handle = start(&job(&faucet, &told), config(&format!("version-{version}"), &storage)).unwrap();
    // Checkpoint after checkpoint, so that the later ones are deltas.
    for step in 1..=10 {
        let committed = || handle.progress().committed_epoch;
        let before = committed();
        faucet.release(NUMBERS / 20 * step);
        until("it has been read", || faucet.read() >= NUMBERS / 20 * step);
        until("there is a checkpoint after it", || committed() > before);
    }
    handle.suspend();
    handle.wait().unwrap();
    std::fs::write(folder.join("told.txt"), told.take().join("\n")).unwrap();
}

/// Goes on from a copy of the fixture at another parallelism than it was left at.
fn goes_on(version: u32, parallelism: usize) {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(version), folder.path());
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let before = std::fs::read_to_string(folder.path().join("told.txt")).unwrap();
    let (faucet, told) = (Faucet::new(NUMBERS), Told::default());
    faucet.open();
    let config = JobConfig { parallelism, ..config(&format!("version-{version}"), &storage) };
    run(&job(&faucet, &told), config).unwrap();
    assert!(faucet.read() < NUMBERS, "it begins where it was left");
    let mut all: Vec<String> = before.lines().map(str::to_owned).chain(told.take()).collect();
    all.sort_unstable();
    let expected = uninterrupted();
    let differs = all.iter().zip(&expected).position(|(found, expected)| found != expected);
    let at = differs.unwrap_or(all.len().min(expected.len()));
    assert_eq!((all.len(), all.get(at)), (expected.len(), expected.get(at)));
}

#[test]
fn a_checkpoint_of_version_1_goes_on() {
    goes_on(1, 2);
}

#[test]
fn a_checkpoint_of_version_2_goes_on() {
    goes_on(2, 2);
    goes_on(2, 3);
}
