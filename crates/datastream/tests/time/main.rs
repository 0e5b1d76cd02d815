//! Idle, end and order: what a user of the face sees of them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod timers;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_datastream::{
    DataStream, EventTimeSessionWindows, JobHandle, SlidingEventTimeWindows, StreamExecutionEnvironment,
    TumblingEventTimeWindows, WatermarkGenerator, WatermarkOutput, WatermarkStrategy,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn env(parallelism: usize) -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::new();
    env.set_parallelism(parallelism);
    env
}

/// Waits for a job that should end by itself, and ends it otherwise.
#[track_caller]
fn ends(job: JobHandle) -> Result<(), JobError> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !job.is_finished() {
        if Instant::now() > deadline {
            job.cancel();
            panic!("the job does not end");
        }
        std::thread::sleep(ms(1));
    }
    job.wait().map(drop)
}

/// Two partitions of numbers, read a thousand at a time in turn. The number is the time; the second is behind.
#[derive(Clone)]
struct TwoPartitions;

const EACH: i64 = 4096;

struct Reader {
    splits: Vec<(usize, i64, Option<SplitId>)>,
    turn: usize,
}

impl Source for TwoPartitions {
    type Item = i64;
    type Reader = Reader;

    fn reader(&self, context: &SourceContext) -> Result<Reader, BoxError> {
        let splits = (0..2).filter(|split| context.owns(*split)).map(|split| (split, 0, None)).collect();
        Ok(Reader { splits, turn: 0 })
    }
}

impl SourceReader for Reader {
    type Item = i64;
    type Position = i64;

    fn open(&mut self, _: Option<Vec<(String, i64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<i64>) -> Result<SourceStatus, BoxError> {
        for (split, _, id) in &mut self.splits {
            id.get_or_insert_with(|| output.add_split(&format!("partition-{split}")));
        }
        // The first is read twice as fast as the second.
        for step in [0, 0, 1] {
            self.turn += 1;
            let index = (self.turn / 2 + step) % self.splits.len().max(1);
            let Some((split, next, Some(id))) = self.splits.get_mut(index) else { continue };
            if *next >= EACH {
                continue;
            }
            let first = *next;
            for n in first..first + 1024 {
                output.push(n, n + if *split == 0 { 1_000_000 } else { 0 });
            }
            *next += 1024;
            output.origin(*id, first as u64, *next as u64 - 1);
            if *next == EACH {
                output.finish_split(*id);
            }
            return Ok(SourceStatus::Ready);
        }
        let all = self.splits.iter().all(|(_, next, _)| *next >= EACH);
        Ok(if all { SourceStatus::End } else { SourceStatus::Ready })
    }

    fn positions(&mut self) -> Vec<(String, i64)> {
        self.splits.iter().map(|(split, next, _)| (format!("partition-{split}"), *next)).collect()
    }
}

#[test]
fn a_partition_whose_records_wait_for_us_is_not_idle() {
    let env = env(1);
    let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(ms(20));
    let numbers = env.from_source(TwoPartitions, strategy, "numbers");
    let slow = numbers.map(|n| {
        if n % 1024 == 0 {
            std::thread::sleep(ms(60));
        }
        n
    });
    let windows = slow.key_by(|_| ()).window(TumblingEventTimeWindows::of(ms(100))).count();
    let counted: u64 = windows.execute_and_collect("slow").unwrap().into_iter().map(|(_, n)| n).sum();
    assert_eq!(counted, 2 * EACH as u64, "none is late");
}

#[test]
fn nor_is_a_stream_whose_records_wait_for_us_before_they_get_their_times() {
    let env = env(1);
    let timed = |stream: &DataStream<i64>| {
        // Two subtasks lead to one here: what one of them has got may overtake what the other has.
        let strategy = WatermarkStrategy::for_bounded_out_of_orderness(ms(100)).with_idleness(ms(80));
        stream.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(|n: &i64, _| *n))
    };
    // The operator before it is slow, in a task of its own, and there is nothing in between meanwhile.
    let numbers = env.from_collection((0..20).collect::<Vec<i64>>());
    let slow = numbers.rebalance().map(|n| {
        std::thread::sleep(ms(60));
        n
    });
    let slow = timed(&slow.rebalance().map(|n| n).set_parallelism(2));
    // This one is far ahead of it, and then silent.
    let open = Arc::new(AtomicBool::new(true));
    let quick = env.from_source(OnePartition(open), WatermarkStrategy::no_watermarks(), "quick");
    let quick = timed(&quick.filter(|n| *n == 0).map(|_| 1_000_000));
    let late = Arc::new(AtomicU64::new(0));
    let both = slow.union(&quick);
    let counted = late.clone();
    both.key_by(|_| ()).window(TumblingEventTimeWindows::of(ms(1))).count().for_each(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let job = env.execute_async("slow").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while late.load(Ordering::SeqCst) < 20 {
        assert!(Instant::now() < deadline, "{late:?} of 20 windows: the others were late");
        std::thread::sleep(ms(1));
    }
    job.cancel();
    assert!(matches!(ends(job), Err(JobError::Cancelled)));
}

/// Two partitions: of one a record comes with each poll; the other has its ten records, with early times, only at the end. Meanwhile the
/// source says that there is nothing for it, or holds it back.
#[derive(Clone, Copy)]
enum Other {
    Nothing,
    HeldBack,
}

struct OtherReader {
    other: Other,
    polls: i64,
    splits: Option<[SplitId; 2]>,
    context: SourceContext,
}

const POLLS: i64 = 100;

impl Source for Other {
    type Item = i64;
    type Reader = OtherReader;

    fn reader(&self, context: &SourceContext) -> Result<OtherReader, BoxError> {
        Ok(OtherReader { other: *self, polls: 0, splits: None, context: context.clone() })
    }
}

impl SourceReader for OtherReader {
    type Item = i64;
    type Position = i64;

    fn open(&mut self, _: Option<Vec<(String, i64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<i64>) -> Result<SourceStatus, BoxError> {
        let [busy, other] =
            *self.splits.get_or_insert_with(|| [output.add_split("busy"), output.add_split("other")]);
        let number = self.polls;
        self.polls += 1;
        if number == POLLS {
            (0..10).for_each(|n| output.push(n, n));
            output.origin(other, 0, 9);
            return Ok(SourceStatus::Ready);
        }
        if number > POLLS {
            return Ok(SourceStatus::End);
        }
        output.push(number, 1000 + number);
        output.origin(busy, number as u64, number as u64);
        Ok(match self.other {
            Other::Nothing => {
                // A poll that has records of another one, as often as somebody wants them.
                std::thread::sleep(ms(2));
                output.nothing_for(other);
                SourceStatus::Ready
            }
            Other::HeldBack => {
                output.hold_back(other);
                SourceStatus::Idle { until: Some(self.context.clock.now() + 2) }
            }
        })
    }

    fn positions(&mut self) -> Vec<(String, i64)> {
        Vec::new()
    }
}

#[test]
fn a_partition_is_idle_when_its_source_has_nothing_for_it_and_not_when_it_is_held_back() {
    for (other, expected) in [(Other::Nothing, POLLS as u64), (Other::HeldBack, POLLS as u64 + 10)] {
        let env = env(1);
        let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(ms(20));
        let numbers = env.from_source(other, strategy, "numbers");
        let windows = numbers.key_by(|_| ()).window(TumblingEventTimeWindows::of(ms(10))).count();
        let counted: u64 = windows.execute_and_collect("other").unwrap().into_iter().map(|(_, n)| n).sum();
        assert_eq!(counted, expected);
    }
}

/// Two partitions, read by one subtask: the first has one record, then the other all of its own, then the first one more, of an early time.
#[derive(Clone)]
struct Sleeper;

struct SleeperReader {
    polls: i64,
    splits: Option<[SplitId; 2]>,
}

impl Source for Sleeper {
    type Item = i64;
    type Reader = SleeperReader;

    fn reader(&self, _: &SourceContext) -> Result<SleeperReader, BoxError> {
        Ok(SleeperReader { polls: 0, splits: None })
    }
}

impl SourceReader for SleeperReader {
    type Item = i64;
    type Position = i64;

    fn open(&mut self, _: Option<Vec<(String, i64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<i64>) -> Result<SourceStatus, BoxError> {
        let [first, other] =
            *self.splits.get_or_insert_with(|| [output.add_split("first"), output.add_split("other")]);
        self.polls += 1;
        let (split, number) = match self.polls {
            1 => (first, -1),
            ..=POLLS => (other, self.polls),
            number if number == POLLS + 1 => (first, 0),
            _ => return Ok(SourceStatus::End),
        };
        output.push(number, number.max(0) * 10);
        output.origin(split, self.polls as u64, self.polls as u64);
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, i64)> {
        Vec::new()
    }
}

/// Each record's time is the watermark; -1 means that nothing comes for a while, if that is listened to.
#[derive(Clone)]
struct Naps(bool);

impl WatermarkGenerator<i64> for Naps {
    fn on_event(&mut self, event: &i64, time: i64, output: &mut WatermarkOutput) {
        match event {
            -1 if self.0 => output.mark_idle(),
            -1 => output.mark_active(),
            _ => output.emit_watermark(time),
        }
    }
}

#[test]
fn a_partition_whose_generator_says_that_it_idles_is_not_waited_for() {
    for (naps, late) in [(true, 1), (false, 0)] {
        let env = env(1);
        let numbers = env.from_source(Sleeper, WatermarkStrategy::for_generator(Naps(naps)), "numbers");
        let windows = numbers.key_by(|_| ()).window(TumblingEventTimeWindows::of(ms(10))).count();
        let counted: u64 = windows.execute_and_collect("naps").unwrap().into_iter().map(|(_, n)| n).sum();
        assert_eq!(counted, POLLS as u64 + 1 - late);
    }
}

/// Two partitions of two numbers each, one for each subtask, and then the end.
#[derive(Clone)]
struct Two;

struct TwoReader(Option<i64>);

impl Source for Two {
    type Item = i64;
    type Reader = TwoReader;

    fn reader(&self, context: &SourceContext) -> Result<TwoReader, BoxError> {
        Ok(TwoReader(Some(context.operator.subtask as i64)))
    }
}

impl SourceReader for TwoReader {
    type Item = i64;
    type Position = i64;

    fn open(&mut self, _: Option<Vec<(String, i64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<i64>) -> Result<SourceStatus, BoxError> {
        let Some(subtask) = self.0.take() else { return Ok(SourceStatus::End) };
        let split = output.add_split(&format!("partition-{subtask}"));
        [subtask, subtask + 2].into_iter().for_each(|n| output.push(n, n));
        output.origin(split, 0, 1);
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, i64)> {
        Vec::new()
    }
}

#[test]
fn an_input_that_ends_while_another_works_on_has_not_fallen_idle() {
    let env = env(2);
    let slower = env.from_source(Two, WatermarkStrategy::no_watermarks(), "two").map(|n| {
        if n % 2 == 0 {
            std::thread::sleep(ms(300));
        }
        n
    });
    let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(ms(50));
    let timed = slower.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(|n: &i64, _| *n));
    let windows = timed.key_by(|_| ()).window(TumblingEventTimeWindows::of(ms(1000))).count();
    assert_eq!(windows.execute_and_collect("end").unwrap(), [((), 4)]);
}

/// One partition that goes on for ever, whatever the parallelism.
#[derive(Clone)]
struct OnePartition(Arc<AtomicBool>);

struct OneReader {
    open: Arc<AtomicBool>,
    mine: bool,
    next: i64,
    split: Option<SplitId>,
    context: SourceContext,
}

impl Source for OnePartition {
    type Item = i64;
    type Reader = OneReader;

    fn reader(&self, context: &SourceContext) -> Result<OneReader, BoxError> {
        let (open, mine) = (self.0.clone(), context.owns(0));
        Ok(OneReader { open, mine, next: 0, split: None, context: context.clone() })
    }
}

impl SourceReader for OneReader {
    type Item = i64;
    type Position = i64;

    fn open(&mut self, _: Option<Vec<(String, i64)>>) -> Result<(), BoxError> {
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<i64>) -> Result<SourceStatus, BoxError> {
        if self.mine && self.open.load(Ordering::SeqCst) {
            let split = *self.split.get_or_insert_with(|| output.add_split("one"));
            output.push(self.next, self.next * 100);
            output.origin(split, self.next as u64, self.next as u64);
            self.next += 1;
        }
        Ok(SourceStatus::Idle { until: Some(self.context.clock.now() + 1) })
    }

    fn positions(&mut self) -> Vec<(String, i64)> {
        Vec::new()
    }
}

#[test]
fn a_subtask_without_a_split_is_idle_at_once() {
    let (env, fired) = (env(2), Arc::new(AtomicU64::new(0)));
    let source = OnePartition(Arc::new(AtomicBool::new(true)));
    let numbers = env.from_source(source, WatermarkStrategy::for_monotonous_timestamps(), "numbers");
    let windows = numbers.key_by(|n| n % 10).window(TumblingEventTimeWindows::of(ms(1000))).count();
    let count = fired.clone();
    windows.for_each(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let job = env.execute_async("one partition").unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while fired.load(Ordering::SeqCst) < 20 {
        assert!(Instant::now() < deadline, "no window fires, as one subtask has no partition");
        std::thread::sleep(ms(1));
    }
    job.stop();
    ends(job).unwrap();
}

#[test]
fn a_collection_keeps_its_order() {
    for parallelism in [1, 4] {
        let env = env(parallelism);
        let read = env.from_collection((0..20).collect::<Vec<i64>>()).execute_and_collect("order").unwrap();
        assert_eq!(read, (0..20).collect::<Vec<_>>(), "at parallelism {parallelism}");
    }
}

#[test]
fn no_record_of_a_collection_in_order_is_late() {
    let env = env(2);
    let strategy = WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|n: &i64, _| *n);
    let timed = env.from_collection((0..1000).collect()).assign_timestamps_and_watermarks(strategy);
    let windows = timed.key_by(|n| n % 3).window(TumblingEventTimeWindows::of(ms(10))).count();
    let counted: u64 = windows.execute_and_collect("order").unwrap().into_iter().map(|(_, n)| n).sum();
    assert_eq!(counted, 1000);
}

#[test]
fn rebalance_deals_records() {
    for (records, targets) in [(400, 20), (7, 3), (5000, 4), (600, 20)] {
        let seen: Arc<Mutex<HashMap<std::thread::ThreadId, u64>>> = Arc::default();
        let (env, threads) = (env(1), seen.clone());
        let numbers = env.from_collection((0..records).collect::<Vec<u64>>());
        let dealt = numbers.rebalance().for_each(move |_| {
            *threads.lock().unwrap().entry(std::thread::current().id()).or_insert(0) += 1;
        });
        dealt.set_parallelism(targets);
        env.execute("dealt").unwrap();
        let shares: Vec<u64> = seen.lock().unwrap().values().copied().collect();
        assert_eq!(shares.len(), targets, "{shares:?}");
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 1, "{shares:?}");
    }
}

#[test]
fn sliding_windows_hand_over_elements_in_the_order_of_arrival() {
    let arrivals = vec![(7_i64, 250), (2, 50), (8, 260), (3, 70), (5, 150)];
    let strategy = || {
        WatermarkStrategy::for_bounded_out_of_orderness(ms(1000))
            .with_timestamp_assigner(|record: &(i64, i64), _| record.1)
    };
    let sliding = || SlidingEventTimeWindows::of(ms(300), ms(100));
    let (env1, env2) = (env(1), env(1));
    let keyed = |env: &StreamExecutionEnvironment| {
        let read = env.from_collection(arrivals.clone()).assign_timestamps_and_watermarks(strategy());
        read.key_by(|_| ())
    };
    let all = keyed(&env1).window(sliding()).process(|(), window, all, out| {
        out.collect((window.start, all.into_iter().map(|record| record.0).collect::<Vec<_>>()));
    });
    let all = all.execute_and_collect("sliding").unwrap();
    let expected = [
        (-200, vec![2, 3]),
        (-100, vec![2, 3, 5]),
        (0, vec![7, 2, 8, 3, 5]),
        (100, vec![7, 8, 5]),
        (200, vec![7, 8]),
    ];
    assert_eq!(all, expected);
    let texts = keyed(&env2).window(sliding()).reduce(|a, b| (a.0 * 10 + b.0, a.1.max(b.1)));
    let texts = texts.execute_and_collect("sliding").unwrap();
    let texts: Vec<i64> = texts.into_iter().map(|record| record.0).collect();
    assert_eq!(texts, [23, 235, 72_835, 785, 78]);
}

#[test]
fn joined_sessions_hand_over_elements_in_the_order_of_arrival() {
    // Three sessions, in turn, until the sixth record joins two of them and the last all.
    let arrivals = vec![(1_i64, 0), (2, 200), (3, 10), (4, 210), (5, 400), (6, 100), (7, 220), (8, 300)];
    let strategy = || {
        WatermarkStrategy::for_bounded_out_of_orderness(ms(10_000))
            .with_timestamp_assigner(|record: &(i64, i64), _| record.1)
    };
    let (env1, env2) = (env(1), env(1));
    let read = env1.from_collection(arrivals.clone()).assign_timestamps_and_watermarks(strategy());
    let all = read.key_by(|_| ()).window(EventTimeSessionWindows::with_gap(ms(100))).process(
        |(), window, all, out| {
            out.collect((window.start, all.into_iter().map(|record| record.0).collect::<Vec<_>>()));
        },
    );
    assert_eq!(all.execute_and_collect("sessions").unwrap(), [(0, (1..=8).collect::<Vec<_>>())]);
    let read = env2.from_collection(arrivals).assign_timestamps_and_watermarks(strategy());
    let texts = read.map(|(n, _)| n.to_string()).key_by(|_| ());
    let joined = texts.window(EventTimeSessionWindows::with_gap(ms(100))).reduce(|a, b| a + &b);
    assert_eq!(joined.execute_and_collect("sessions").unwrap(), ["12345678"]);
}

/// The last result of a stream of single numbers.
fn last_of(stream: &DataStream<((), f64)>) -> f64 {
    stream.execute_and_collect("extremes").unwrap().last().unwrap().1
}

#[test]
fn the_least_and_the_greatest_do_not_depend_on_where_a_nan_stands() {
    let values = [2.0, f64::NAN, 1.0, -0.0, 0.0, 3.0];
    for turn in 0..values.len() {
        let mut values = values.to_vec();
        values.rotate_left(turn);
        let keyed =
            || env(1).from_timed_collection(values.iter().map(|value| (*value, 0)).collect()).key_by(|_| ());
        let window = || keyed().window(TumblingEventTimeWindows::of(ms(10)));
        let (least, greatest) =
            (last_of(&window().min(|value| *value)), last_of(&window().max(|value| *value)));
        assert!(
            least == 0.0 && least.is_sign_negative() && greatest.is_nan(),
            "{values:?}: {least}, {greatest}"
        );
        let (least, greatest) =
            (last_of(&keyed().min(|value| *value)), last_of(&keyed().max(|value| *value)));
        assert!(
            least == 0.0 && least.is_sign_negative() && greatest.is_nan(),
            "{values:?}: {least}, {greatest}"
        );
    }
}
