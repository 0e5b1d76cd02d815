//! Numbers counted in windows of event time: number `n` has the time `n`.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::Collect;
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::window::aggregate::Count;
use thalweg_dataflow::window::{Lateness, TimeWindow, TumblingEventTimeWindows, WindowAssigner};
use thalweg_testkit::{CollectSink, Collected};

use crate::counts::KEYS;

/// Of each window: its key, its beginning, and the numbers in it.
pub(crate) type Windows = Collected<(u64, i64, u64)>;

/// Counts in windows of 1000 ms, that is, of 1000 numbers.
pub(crate) fn count_in_windows(numbers: &Stream<u64>, collected: &Windows) {
    let keyed = numbers.map("key", |n| Keyed::new(n % KEYS, ())).exchange();
    let function = |key: &u64, window: TimeWindow, n: u64, out: &mut Collect<'_, (u64, i64, u64)>| {
        out.collect((*key, window.start, n));
        Ok(())
    };
    let tumbling = TumblingEventTimeWindows::of(Duration::from_secs(1));
    let counted = tumbling.apply(&keyed, "windows", Lateness::default(), Count::new(), function);
    let _ = counted.apply("collect", CollectSink::new(collected.clone()));
}

/// What the windows hold when all of these numbers are counted.
pub(crate) fn in_windows(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, i64, u64)> {
    let mut windows = BTreeMap::new();
    for n in numbers {
        *windows.entry((n % KEYS, (n / 1000 * 1000) as i64)).or_insert(0) += 1;
    }
    windows.into_iter().map(|((key, start), count)| (key, start, count)).collect()
}

/// What has been committed, sorted.
pub(crate) fn sorted_windows(collected: &Windows) -> Vec<(u64, i64, u64)> {
    let mut windows = collected.take();
    windows.sort_unstable();
    windows
}
