//! Joins against the tables that they are of, joined anew each time by trying every pair.

use std::collections::BTreeMap;

use arrow::array::{AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion_expr::Operator as Comparison;
use datafusion_physical_expr::expressions::{BinaryExpr, Column};
use proptest::prelude::*;
use thalweg_dataflow::harness::Harness;

use super::*;

/// Key, number, text.
type Row = (Option<i32>, i32, String);
/// Rows of either side, as far as they come out.
type Pair = (Option<Row>, Option<Row>);

const KINDS: [JoinKind; 6] =
    [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::Semi, JoinKind::Anti];

#[derive(Clone, Debug)]
struct Step {
    side: Side,
    /// Rows to be added, or, with such a number, a row that is there to be taken back.
    rows: Vec<(Row, Option<usize>)>,
    restores: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few keys, so that some have more rows than are looked through; texts so long that some have memory of their own.
    let row = (prop::option::weighted(0.9, 0..3_i32), 0..4_i32, 0..2_usize)
        .prop_map(|(key, number, length)| (key, number, "long enough ".repeat(length * 2)));
    let rows = prop::collection::vec((row, prop::option::weighted(0.4, 0..100_usize)), 0..12);
    let side = prop_oneof![Just(Side::Left), Just(Side::Right)];
    let step = (side, rows, prop::bool::weighted(0.2)).prop_map(|(side, rows, restores)| Step {
        side,
        rows,
        restores,
    });
    prop::collection::vec(step, 0..24)
}

fn schema() -> SchemaRef {
    let field = |name: &str, of| Field::new(name, of, true);
    Arc::new(Schema::new(vec![
        field("k", DataType::Int32),
        field("n", DataType::Int32),
        field("t", DataType::Utf8),
    ]))
}

fn chunk(rows: &[(Row, bool)]) -> Chunk {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(row, _)| row.0).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|(row, _)| Some(row.1)).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|(row, _)| Some(row.2.clone())).collect::<StringArray>()),
    ];
    let retractions: BooleanArray = rows.iter().map(|(_, is_retraction)| Some(*is_retraction)).collect();
    Chunk::new(RecordBatch::try_new(schema(), columns).unwrap(), Some(retractions))
}

fn join(kind: JoinKind, filters: bool, nulls_equal: bool) -> Join {
    let schema = schema();
    let both = Schema::new([&schema.fields()[..], &schema.fields()[..]].concat());
    // The number on the left is at most that on the right.
    let column = |place| Arc::new(Column::new("n", place));
    let filter = filters.then(|| -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(column(1), Comparison::LtEq, column(4)))
    });
    let input = JoinInput {
        keys: (vec![0], vec![0]),
        schemas: (&schema, &schema),
        widths: (3, 3),
        both: Arc::new(both),
        filter,
    };
    Join::new(kind, input, nulls_equal).unwrap()
}

/// Adds what has come out to a table.
fn apply(table: &mut BTreeMap<Pair, i64>, chunk: &Chunk) {
    let half = |row: usize, first: usize| -> Option<Row> {
        let columns = chunk.rows().columns().get(first..first + 3)?;
        let numbers = |column: usize| columns[column].as_primitive::<Int32Type>();
        let key = numbers(0).is_valid(row).then(|| numbers(0).value(row));
        numbers(1)
            .is_valid(row)
            .then(|| (key, numbers(1).value(row), columns[2].as_string::<i32>().value(row).to_owned()))
    };
    for row in 0..chunk.len() {
        let pair = (half(row, 0), half(row, 3));
        let count = table.entry(pair.clone()).or_default();
        *count += chunk.sign(row);
        if *count == 0 {
            table.remove(&pair);
        }
    }
}

fn expected(
    kind: JoinKind,
    left: &[Row],
    right: &[Row],
    passes: impl Fn(&Row, &Row) -> bool,
) -> BTreeMap<Pair, i64> {
    let mut table: BTreeMap<Pair, i64> = BTreeMap::new();
    let mut add = |pair: Pair| *table.entry(pair).or_default() += 1;
    for one in left {
        let partners: Vec<&Row> = right.iter().filter(|other| passes(one, other)).collect();
        if kind.is_pairs() {
            partners.iter().for_each(|other| add((Some(one.clone()), Some((*other).clone()))));
        }
        let alone = match kind {
            JoinKind::Semi => !partners.is_empty(),
            JoinKind::Anti => partners.is_empty(),
            kind => kind.preserves(Side::Left) && partners.is_empty(),
        };
        if alone {
            add((Some(one.clone()), None));
        }
    }
    for other in right.iter().filter(|_| kind.preserves(Side::Right)) {
        if !left.iter().any(|one| passes(one, other)) {
            add((None, Some(other.clone())));
        }
    }
    table
}

proptest! {
    // Each is six joins.
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Of all kinds, whatever is added, taken back, and restored in between.
    #[test]
    fn it_is_the_join_of_what_is_there(steps in steps(), filters in any::<bool>(), nulls_equal in any::<bool>(), appends in any::<(bool, bool)>()) {
        for kind in KINDS {
            let operator = join(kind, filters, nulls_equal).appending(appends.0, appends.1);
            let mut harness = Harness::new(operator);
            let (mut left, mut right, mut table) = (Vec::<Row>::new(), Vec::<Row>::new(), BTreeMap::new());
            for (number, step) in steps.iter().enumerate() {
                let (there, appends) = match step.side {
                    Side::Left => (&mut left, appends.0),
                    Side::Right => (&mut right, appends.1),
                };
                let mut rows = Vec::new();
                for (row, back) in &step.rows {
                    match back.filter(|_| !appends && !there.is_empty()) {
                        Some(number) => rows.push((there.swap_remove(number % there.len()), true)),
                        None => {
                            there.push(row.clone());
                            rows.push((row.clone(), false));
                        }
                    }
                }
                let rows = chunk(&rows);
                harness.push(if step.side == Side::Left { Either::Left(rows) } else { Either::Right(rows) }, 0);
                harness.values().iter().for_each(|out| apply(&mut table, out));
                let passes = |one: &Row, other: &Row| {
                    one.0 == other.0 && (nulls_equal || one.0.is_some()) && (!filters || one.1 <= other.1)
                };
                prop_assert_eq!(&table, &expected(kind, &left, &right, passes), "{:?}, after step {}", kind, number);
                if step.restores {
                    harness.checkpoint(number as i64);
                }
            }
        }
    }
}
