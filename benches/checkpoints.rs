//! What checkpoints cost: state of so many keys, 100 bytes a value, random updates; the longest stall of a record, the bytes
//! written, memory, the rate, and how long a restart takes.
//!
//! `cargo bench -p thalweg --bench checkpoints [-- CASE …]`; `all` names the cases. Each case runs in a process of its own.
//! `-- soak` is none of them: for an hour (`MINUTES=60`) it says each minute what a job takes of memory, disk and descriptors.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thalweg::dataflow::error::BoxError;
use thalweg::dataflow::operators::{KeyedProcessContext, KeyedProcessFunction};
use thalweg::dataflow::record::BATCH_SIZE;
use thalweg::dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg::dataflow::state::{States, ValueState};
use thalweg::datastream::{StreamExecutionEnvironment, WatermarkStrategy};

/// A case: its keys, how many records a second (0: as many as it can; see also [`NOTHING`]), the interval of its checkpoints (0: none), the megabytes that
/// its state may take (0: as many as it needs).
struct Case {
    name: &'static str,
    keys: u64,
    rate: u64,
    interval: u64,
    seconds: u64,
    memory: u64,
}

/// No record at all, once all keys are there.
const NOTHING: u64 = u64::MAX;

const SOAK: Case = Case { name: "soak", keys: 300_000, rate: 20_000, interval: 500, seconds: 60, memory: 20 };

const CASES: [Case; 14] = [
    Case { name: "3m-none", keys: 3_000_000, rate: 0, interval: 0, seconds: 10, memory: 0 },
    Case { name: "3m-1s", keys: 3_000_000, rate: 0, interval: 1000, seconds: 10, memory: 0 },
    Case { name: "3m-on-disk", keys: 3_000_000, rate: 0, interval: 0, seconds: 10, memory: 100 },
    Case { name: "3m-on-disk-1s", keys: 3_000_000, rate: 0, interval: 1000, seconds: 10, memory: 100 },
    Case { name: "10m-none", keys: 10_000_000, rate: 100_000, interval: 0, seconds: 10, memory: 0 },
    Case { name: "10m-1s", keys: 10_000_000, rate: 100_000, interval: 1000, seconds: 10, memory: 0 },
    Case { name: "100k-200ms", keys: 100_000, rate: 20_000, interval: 200, seconds: 10, memory: 0 },
    Case { name: "idle-50ms", keys: 1000, rate: 2, interval: 50, seconds: 10, memory: 0 },
    Case { name: "no-input-50ms", keys: 1000, rate: NOTHING, interval: 50, seconds: 10, memory: 0 },
    Case { name: "1m-restart", keys: 1_000_000, rate: 100_000, interval: 500, seconds: 5, memory: 0 },
    Case { name: "10m-restart", keys: 10_000_000, rate: 100_000, interval: 500, seconds: 5, memory: 0 },
    Case { name: "slow-1s", keys: 1000, rate: 0, interval: 1000, seconds: 15, memory: 0 },
    // A quarter of a second for a record, without and with unaligned checkpoints.
    Case { name: "slower", keys: 20, rate: 0, interval: 100, seconds: 20, memory: 0 },
    Case { name: "slower-unaligned", keys: 20, rate: 0, interval: 100, seconds: 20, memory: 0 },
];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [role, name] = arguments.as_slice()
        && role == "run"
    {
        if name == SOAK.name {
            return soak();
        }
        return run(CASES.iter().find(|case| case.name == name).expect("one of the cases"));
    }
    let wanted = |case: &&Case| {
        arguments.is_empty() || arguments.iter().any(|name| name == case.name || name == "all")
    };
    let soak = std::iter::once(&SOAK).filter(|soak| arguments.iter().any(|name| name == soak.name));
    for case in CASES.iter().filter(wanted).chain(soak) {
        let this = std::env::current_exe().expect("this program");
        let status = std::process::Command::new(this)
            .args(["run", case.name])
            .status()
            .expect("this program can be started");
        assert!(status.success(), "{} failed", case.name);
    }
}

/// What is seen from inside.
#[derive(Default)]
struct Seen {
    filled: AtomicBool,
    records: AtomicU64,
    /// Microseconds between two records of one subtask, at the most, in the state that is full.
    stall: AtomicU64,
    over_10_ms: AtomicU64,
}

/// Keeps the last value of each key.
#[derive(Clone)]
struct Keep {
    values: ValueState<u64, Vec<u8>>,
    seen: Arc<Seen>,
    /// How long it takes for a record, beside what it has to do.
    pause: Duration,
    last: Option<Instant>,
    calls: u32,
}

impl KeyedProcessFunction for Keep {
    type Key = u64;
    type In = u64;
    type Out = u64;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("values", &mut self.values);
    }

    fn process_element(
        &mut self,
        key: u64,
        context: &mut KeyedProcessContext<'_, u64, u64>,
    ) -> Result<(), BoxError> {
        let at = context.current_key();
        match self.values.value_mut(&at) {
            Some(value) => value[0] = value[0].wrapping_add(1),
            None => drop(self.values.update(&at, vec![key as u8; 100])),
        }
        let is_slow = !self.pause.is_zero();
        if is_slow {
            std::thread::sleep(self.pause);
        }
        self.calls += 1;
        if self.calls.is_multiple_of(16) || is_slow {
            let now = Instant::now();
            if let Some(last) = self.last.filter(|_| self.seen.filled.load(Ordering::Relaxed)) {
                let micros = (now - last).as_micros() as u64;
                self.seen.stall.fetch_max(micros, Ordering::Relaxed);
                self.seen.over_10_ms.fetch_add(u64::from(micros > 10_000), Ordering::Relaxed);
            }
            self.last = Some(now);
            self.seen.records.fetch_add(if is_slow { 1 } else { 16 }, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// All keys once, then random ones at a rate.
struct Keys {
    keys: u64,
    rate: u64,
    end: Arc<AtomicBool>,
    seen: Arc<Seen>,
}

struct KeysReader {
    keys: u64,
    rate: u64,
    end: Arc<AtomicBool>,
    seen: Arc<Seen>,
    step: u64,
    first: u64,
    next: u64,
    random: support::Random,
    began: Option<Instant>,
    sent: u64,
    split: Option<SplitId>,
}

impl Source for Keys {
    type Item = u64;
    type Reader = KeysReader;

    fn reader(&self, context: &SourceContext) -> Result<KeysReader, BoxError> {
        let subtask = context.operator.subtask as u64;
        Ok(KeysReader {
            keys: self.keys,
            rate: if self.rate == NOTHING { NOTHING } else { self.rate / context.parallelism as u64 },
            end: self.end.clone(),
            seen: self.seen.clone(),
            step: context.parallelism as u64,
            first: subtask,
            next: subtask,
            random: support::Random::new(subtask + 5),
            began: None,
            sent: 0,
            split: None,
        })
    }
}

impl SourceReader for KeysReader {
    type Item = u64;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        let name = self.first.to_string();
        if let Some((_, next)) = restored.iter().flatten().find(|(split, _)| *split == name) {
            self.next = *next;
        }
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<u64>) -> Result<SourceStatus, BoxError> {
        let name = self.first.to_string();
        let split = *self.split.get_or_insert_with(|| output.add_split(&name));
        if self.end.load(Ordering::Relaxed) {
            return Ok(SourceStatus::End);
        }
        output.origin(split, self.next, self.next);
        if self.next < self.keys {
            for _ in 0..BATCH_SIZE {
                if self.next < self.keys {
                    output.push(self.next, 0);
                }
                self.next += self.step;
            }
            return Ok(SourceStatus::Ready);
        }
        let began = *self.began.get_or_insert_with(|| {
            self.seen.filled.store(true, Ordering::Relaxed);
            Instant::now()
        });
        if self.rate == NOTHING {
            return Ok(SourceStatus::Idle { until: None });
        }
        let due = match self.rate {
            0 => BATCH_SIZE as u64,
            rate => ((began.elapsed().as_secs_f64() * rate as f64) as u64)
                .saturating_sub(self.sent)
                .min(BATCH_SIZE as u64),
        };
        for _ in 0..due {
            output.push(self.random.next() % self.keys, 0);
        }
        self.sent += due;
        self.next += due;
        if self.rate > 0 && due < BATCH_SIZE as u64 {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
            let next = (self.sent + 1) as f64 / self.rate as f64 - began.elapsed().as_secs_f64();
            return Ok(SourceStatus::Idle { until: Some(now + 1 + (next * 1e3).max(0.0) as i64) });
        }
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        vec![(self.first.to_string(), self.next)]
    }
}

/// Bytes that this process has written to files.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find(|line| line.starts_with("wchar:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn start(
    case: &Case,
    folder: &Path,
    end: &Arc<AtomicBool>,
) -> (thalweg::dataflow::runtime::JobHandle, Arc<Seen>) {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(2);
    if case.interval > 0 {
        env.enable_checkpointing(Duration::from_millis(case.interval), folder).unwrap();
    }
    if case.memory > 0 {
        env.set_memory(case.memory << 20);
    }
    let seen = Arc::<Seen>::default();
    let source = Keys { keys: case.keys, rate: case.rate, end: end.clone(), seen: seen.clone() };
    let keep = Keep {
        values: ValueState::default(),
        seen: seen.clone(),
        pause: match case.name {
            name if name.starts_with("slower") => Duration::from_millis(250),
            name if name.starts_with("slow") => Duration::from_millis(1),
            _ => Duration::ZERO,
        },
        last: None,
        calls: 0,
    };
    let keys = env.from_source(source, WatermarkStrategy::no_watermarks(), "keys");
    let by_key = keys.key_by(|key| *key);
    let by_key = if case.name.ends_with("unaligned") {
        env.enable_unaligned_checkpoints();
        by_key.unaligned()
    } else {
        by_key
    };
    by_key.process(keep).for_each(|_| {});
    (env.execute_async("checkpoints").unwrap(), seen)
}

fn run(case: &Case) {
    let folder = tempfile::tempdir().unwrap();
    let end = Arc::<AtomicBool>::default();
    let (job, seen) = start(case, folder.path(), &end);
    while !seen.filled.load(Ordering::Relaxed) {
        assert!(!job.is_finished(), "the job ended before its time");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The first checkpoint of all that has just come in is not the case.
    std::thread::sleep(Duration::from_millis(2 * case.interval + 1000));
    seen.stall.store(0, Ordering::Relaxed);
    seen.over_10_ms.store(0, Ordering::Relaxed);
    let (cpu, wall, bytes) = (support::cpu_time(), Instant::now(), written());
    let (records, epochs) = (seen.records.load(Ordering::Relaxed), job.progress().committed_epoch);
    std::thread::sleep(Duration::from_secs(case.seconds));
    let (cpu, wall, bytes) = (support::cpu_time() - cpu, wall.elapsed(), written() - bytes);
    let records = seen.records.load(Ordering::Relaxed) - records;
    let epochs = job.progress().committed_epoch - epochs;
    println!(
        "{:13} {:9.0} records/s, {:6.2} µs CPU/record, longest stall {:6.1} ms ({} over 10 ms), {epochs} epochs, {:8.1} kB written a second, {:5.1} % of a core, peak memory {} MB",
        case.name,
        records as f64 / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / records.max(1) as f64,
        seen.stall.load(Ordering::Relaxed) as f64 / 1e3,
        seen.over_10_ms.load(Ordering::Relaxed),
        bytes as f64 / 1e3 / wall.as_secs_f64(),
        cpu.as_secs_f64() / wall.as_secs_f64() * 100.0,
        support::peak_memory() / 1_000_000,
    );
    if case.name.ends_with("restart") {
        job.cancel();
        let _ = job.wait();
        let since = Instant::now();
        let (job, _) = start(case, folder.path(), &end);
        let restored = loop {
            let epoch = job.progress().committed_epoch;
            if epoch > 0 {
                break epoch;
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        let planned = since.elapsed();
        while job.progress().committed_epoch == restored {
            assert!(!job.is_finished(), "the job cannot be restarted");
            std::thread::sleep(Duration::from_micros(200));
        }
        println!(
            "{:13} restart: read after {:.0} ms, first new checkpoint after {:.0} ms",
            case.name,
            planned.as_secs_f64() * 1e3,
            since.elapsed().as_secs_f64() * 1e3
        );
        end.store(true, Ordering::Relaxed);
        job.cancel();
        let _ = job.wait();
        return;
    }
    end.store(true, Ordering::Relaxed);
    job.cancel();
    let _ = job.wait();
}

/// How much there is in a folder: bytes, and files.
fn contents(folder: &Path) -> (u64, usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.fold((0, 0), |(bytes, files), entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let (more, within) = contents(&entry.path());
            (bytes + more, files + within)
        }
        Ok(metadata) => (bytes + metadata.len(), files + 1),
        // It has just been removed.
        Err(_) => (bytes, files),
    })
}

/// Runs for long, with a part of its state on disk, and is stopped and begun again every ten minutes.
fn soak() {
    let minutes = std::env::var("MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(60_u64);
    let folder = tempfile::tempdir().unwrap();
    let mut minute = 0;
    while minute < minutes {
        let end = Arc::<AtomicBool>::default();
        let (job, seen) = start(&SOAK, folder.path(), &end);
        for _ in 0..10.min(minutes - minute) {
            seen.stall.store(0, Ordering::Relaxed);
            let (cpu, records) = (support::cpu_time(), seen.records.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_secs(SOAK.seconds));
            assert!(!job.is_finished(), "the job ended before its time");
            minute += 1;
            let cpu = (support::cpu_time() - cpu).as_secs_f64() / SOAK.seconds as f64 * 100.0;
            let records = (seen.records.load(Ordering::Relaxed) - records) / SOAK.seconds;
            let (bytes, files) = contents(folder.path());
            let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            println!(
                "soak, minute {minute:3}: {records:6} records/s, {cpu:5.1} % of a core, longest stall {:6.1} ms, memory {:4} MB, \
                 checkpoints {:4} MB in {files} files, {descriptors} descriptors",
                seen.stall.load(Ordering::Relaxed) as f64 / 1e3,
                support::resident_memory() / 1_000_000,
                bytes / 1_000_000,
            );
        }
        job.cancel();
        let _ = job.wait();
    }
}
