use arrow::array::{AsArray, Decimal128Array, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use thalweg_dataflow::harness::{Event, Harness, Then};

use super::super::Grouping;
use super::*;
use crate::aggregates::Function;
use crate::aggregates::accumulator::Group;
use crate::rows::{RowBytes, RowCodec};

const DECIMAL: DataType = DataType::Decimal128(10, 2);

/// Calls of all kinds over the columns after the key: whole number, float, decimal, text, and whether the row counts.
fn calls() -> Vec<Aggregation> {
    use Function as F;
    let (int, float, text) = (DataType::Int32, DataType::Float64, DataType::Utf8);
    let call = |function, column: usize, of: &DataType, filter| {
        Aggregation::new(function, vec![column], filter, false, false, vec![of.clone()]).unwrap()
    };
    vec![
        Aggregation::new(F::Count, Vec::new(), None, false, false, Vec::new()).unwrap(),
        call(F::Count, 3, &int, Some(7)),
        call(F::Sum, 3, &int, None),
        call(F::Avg, 4, &float, Some(7)),
        call(F::Sum, 5, &DECIMAL, None),
        call(F::StddevPop, 4, &float, None),
        call(F::Min, 3, &int, None),
        call(F::Max, 3, &int, Some(7)),
        call(F::Max, 6, &text, None),
        call(F::FirstValue, 6, &text, None),
        call(F::LastValue, 5, &DECIMAL, None),
    ]
}

type Row = (Option<i32>, i64, Option<i32>, Option<String>);

fn chunk(rows: &[Row]) -> Chunk {
    let numbers = || rows.iter().map(|row| row.2);
    let digits = numbers().map(|n| n.map(i128::from)).collect::<Decimal128Array>();
    let columns: [(&str, ArrayRef); 8] = [
        ("k", Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>())),
        ("start", Arc::new(rows.iter().map(|row| Some(row.1 - 100)).collect::<Int64Array>())),
        ("end", Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>())),
        ("n", Arc::new(numbers().collect::<Int32Array>())),
        ("f", Arc::new(numbers().map(|n| n.map(f64::from)).collect::<Float64Array>())),
        ("d", Arc::new(digits.with_precision_and_scale(10, 2).unwrap())),
        ("t", Arc::new(rows.iter().map(|row| row.3.clone()).collect::<StringArray>())),
        (
            "counts",
            Arc::new(numbers().map(|n| n.map(|n| n % 3 == 0)).collect::<arrow::array::BooleanArray>()),
        ),
    ];
    Chunk::additions(
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, of)| (name, of, true))).unwrap(),
    )
}

/// What calls come to over chunks; of each key the results as text, and the number of rows.
fn results(
    chunks: &[Chunk],
    key: usize,
    calls: &[Aggregation],
    rows: Option<usize>,
) -> BTreeMap<RowBytes, (Vec<String>, i64)> {
    let mut groups: BTreeMap<RowBytes, (Group, i64)> = BTreeMap::new();
    for chunk in chunks {
        let columns: Vec<usize> = (0..key).collect();
        let codec = RowCodec::of_columns(&chunk.rows().schema(), &columns).unwrap();
        let by_key = Grouping::new(chunk, &columns, &codec).unwrap();
        let empty = || (calls.iter().map(Aggregation::empty).collect(), 0);
        let mut own: Vec<Group> = Vec::new();
        for key in &by_key.keys {
            own.push(groups.entry(key.clone()).or_insert_with(empty).0.clone());
        }
        for (call, aggregation) in calls.iter().enumerate() {
            aggregation.update(call, &mut own, &by_key.group_of, chunk).unwrap();
        }
        let weights = super::super::Weights::of(chunk, rows);
        for (row, group) in by_key.group_of.iter().enumerate() {
            groups.get_mut(&by_key.keys[*group as usize]).unwrap().1 += weights.at(row);
        }
        for (key, group) in by_key.keys.iter().zip(own) {
            groups.get_mut(key).unwrap().0 = group;
        }
    }
    let text = |group: &Group| {
        let of = |(call, of): (usize, &Aggregation)| format!("{:?}", of.results(&[&group[call]]).unwrap());
        calls.iter().enumerate().map(of).collect()
    };
    groups.into_iter().map(|(key, (group, rows))| (key, (text(&group), rows))).collect()
}

fn local(key: usize, windows: bool) -> LocalAggregate {
    let windows = windows.then_some(((1, 2), None));
    let schema = chunk(&[]).rows().schema();
    LocalAggregate::new(key, windows, calls(), &schema).unwrap().unwrap()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = prop::option::of("[a-c]{0,2}");
    let row = (prop::option::of(0..9_i32), 0..4_i64, prop::option::of(-9..9_i32), text);
    prop::collection::vec(row, 0..200)
}

proptest! {
    /// Whatever goes out when: partial results of some keys come to what the rows come to.
    #[test]
    fn partial_results_come_to_the_whole(rows in rows(), size in 1_usize..60, key in 0_usize..4, ungrouped in any::<bool>()) {
        let chunks: Vec<Chunk> = rows.chunks(size).map(chunk).collect();
        let mut operator = local(key, false);
        operator.not_grouped = if ungrouped { size * 2 } else { 0 };
        let mut harness = Harness::new(operator);
        for (number, chunk) in chunks.iter().enumerate() {
            harness.push(chunk.clone(), 0);
            if number % 3 == 2 {
                harness.barrier(number as i64, Then::Continue);
            }
        }
        harness.end();
        let partial = harness.values();
        let merging = LocalAggregate::merging(key, calls()).unwrap();
        prop_assert_eq!(results(&partial, key, &merging, Some(key)), results(&chunks, key, &calls(), None));
    }
}

/// Of so many rows the partial results of a chunk are.
fn rows_behind(chunk: &Chunk) -> i64 {
    arrow::compute::sum(chunk.rows().column(3).as_primitive::<Int64Type>()).unwrap_or(0)
}

fn sent(harness: &mut Harness<LocalAggregate>) -> i64 {
    harness.values().iter().map(rows_behind).sum()
}

/// What a window holds goes out when it is over, and before event time goes on without it; what is late, at once.
#[test]
fn windows_are_held_until_they_are_over() {
    let mut harness = Harness::new(local(3, true));
    let row = |end: i64| (Some(1), end, Some(1), None);
    harness.push(chunk(&[row(100), row(200), row(100)]), 0);
    harness.watermark(98);
    assert_eq!(sent(&mut harness), 0);
    harness.watermark(99);
    assert_eq!(sent(&mut harness), 2, "the window that is not over stays");
    harness.push(chunk(&[row(200)]), 0);
    assert_eq!(sent(&mut harness), 0);
    harness.push(chunk(&[row(50), row(200)]), 0);
    assert_eq!(sent(&mut harness), 1, "one of them is late");
    harness.push(chunk(&[row(300)]), 0);
    harness.idle();
    assert_eq!(sent(&mut harness), 4);
    harness.push(chunk(&[row(300)]), 0);
    harness.barrier(1, Then::Continue);
    assert_eq!(sent(&mut harness), 1);
}

/// Without windows nothing is overtaken by a watermark: the last one may be what results are waiting for.
#[test]
fn a_watermark_overtakes_no_row() {
    let mut harness = Harness::new(local(3, false));
    harness.push(chunk(&[(Some(1), 100, Some(1), None)]), 0);
    assert_eq!(sent(&mut harness), 0);
    harness.watermark(5);
    assert_eq!(sent(&mut harness), 1);
}

/// While rows come thick and fast, they are held for a while, and a watermark with them; not without end, and not if no more come.
#[test]
fn rows_are_held_while_more_come() {
    let many = chunk(&vec![(Some(1), 100, Some(1), None); BUSY]);
    let mut harness = Harness::new(local(3, false));
    harness.push(many.clone(), 0);
    harness.watermark(5);
    harness.push(many.clone(), 0);
    assert!(harness.events().is_empty(), "nothing has come out, and no watermark");
    harness.set_processing_time(HOLD);
    let rows = |events: &[Event<Chunk>]| {
        let of = |event: &Event<Chunk>| match event {
            Event::Record(chunk, _) => rows_behind(chunk),
            _ => 0,
        };
        events.iter().map(of).sum::<i64>()
    };
    let events = harness.events();
    assert_eq!(rows(&events), 2 * BUSY as i64);
    assert!(matches!(events.last(), Some(Event::Watermark(5))), "the watermark comes after them: {events:?}");
    for end in [
        |harness: &mut Harness<LocalAggregate>| harness.barrier(1, Then::Continue),
        Harness::idle,
        Harness::end,
    ] {
        harness.push(many.clone(), 0);
        harness.watermark(7);
        assert!(!harness.events().iter().any(|event| matches!(event, Event::Record(..))));
        end(&mut harness);
        let events = harness.events();
        assert_eq!(rows(&events), BUSY as i64);
        let first = events.iter().position(|event| !matches!(event, Event::Record(..)));
        assert!(first.is_none_or(|first| first > 0), "rows come first: {events:?}");
    }
}

/// Keys of which each comes once are not looked up for ever.
#[test]
fn where_keys_do_not_repeat_rows_are_not_grouped() {
    for (different, at_once) in [(9000, 10), (90, 0)] {
        let mut harness = Harness::new(local(3, true));
        let rows: Vec<Row> = (0..9000).map(|n| (Some(n % different), 100, Some(1), None)).collect();
        harness.push(chunk(&rows), 0);
        harness.watermark(99);
        assert_eq!(sent(&mut harness), 9000);
        harness.push(chunk(&vec![(Some(1), 200, Some(1), None); 10]), 0);
        assert_eq!(sent(&mut harness), at_once, "{different} keys");
    }
}
