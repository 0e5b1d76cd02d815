//! State that expires: each operator forgets what has not been written for long enough, a join each of its rows by itself.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::harness::Harness;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::state::StateTtlConfig;
use thalweg_table::aggregates::{Aggregation, Function};
use thalweg_table::chunk::Chunk;
use thalweg_table::display::display;
use thalweg_table::environment::TableEnvironment;
use thalweg_table::operators::{GroupAggregate, Join, JoinInput, JoinKind, UpsertMaterialize};

const TTL: Duration = Duration::from_secs(10);

fn ttl() -> Option<StateTtlConfig> {
    Some(StateTtlConfig::new(TTL))
}

fn schema(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(
        names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>(),
    ))
}

/// A row of these numbers.
fn row(values: [i64; 2], back: bool) -> Chunk {
    let columns = values.map(|value| Arc::new(Int64Array::from(vec![value])) as ArrayRef);
    let rows = RecordBatch::try_new(schema(&["k", "v"]), columns.to_vec()).unwrap();
    Chunk::new(rows, Some(BooleanArray::from(vec![back])))
}

/// All rows that came out, each with its sign.
fn out<O: Operator<Out = Chunk>>(harness: &mut Harness<O>) -> Vec<String> {
    let mut rows = Vec::new();
    for chunk in harness.values() {
        for row in 0..chunk.len() {
            let values = chunk.rows().columns().iter().map(|column| display(column, row));
            let sign = if chunk.is_retraction(row) { '-' } else { '+' };
            rows.push(format!("{sign}{}", values.collect::<Vec<_>>().join(" ")));
        }
    }
    rows
}

fn join(kind: JoinKind) -> Harness<Join> {
    let sides = schema(&["k", "v"]);
    let both = schema(&["k", "v", "k2", "v2"]);
    let input =
        JoinInput { keys: (vec![0], vec![0]), schemas: (&sides, &sides), widths: (2, 2), both, filter: None };
    Harness::new(Join::new(kind, input, false).unwrap().with_ttl(ttl(), ttl()))
}

#[test]
fn each_row_of_a_join_has_an_age_of_its_own() {
    let mut harness = join(JoinKind::Inner);
    harness.push(Either::Left(row([1, 10], false)), 0);
    harness.advance(Duration::from_secs(6));
    harness.push(Either::Left(row([1, 11], false)), 0);
    harness.advance(Duration::from_secs(6));
    // The first row is twelve seconds old, the second six.
    harness.push(Either::Right(row([1, 20], false)), 0);
    assert_eq!(out(&mut harness), ["+1 11 1 20"]);
    harness.advance(Duration::from_secs(6));
    harness.push(Either::Right(row([1, 21], false)), 0);
    assert_eq!(out(&mut harness), Vec::<String>::new());
}

#[test]
fn a_row_of_a_join_that_has_expired_begins_anew() {
    let mut harness = join(JoinKind::Left);
    harness.push(Either::Left(row([1, 10], false)), 0);
    harness.push(Either::Left(row([1, 10], false)), 0);
    assert_eq!(out(&mut harness).len(), 2);
    harness.advance(TTL);
    // What has gone is taken back from nobody.
    harness.push(Either::Left(row([1, 10], true)), 0);
    out(&mut harness);
    harness.push(Either::Left(row([1, 10], false)), 0);
    out(&mut harness);
    harness.push(Either::Right(row([1, 20], false)), 0);
    assert_eq!(
        out(&mut harness),
        ["-1 10 ", "+1 10 1 20"].map(|row| if row.starts_with('-') { "-1 10 null null" } else { row })
    );
}

#[test]
fn a_partner_keeps_a_row_of_an_outer_join_young() {
    let mut harness = join(JoinKind::Left);
    harness.push(Either::Left(row([1, 10], false)), 0);
    harness.advance(Duration::from_secs(6));
    harness.push(Either::Right(row([1, 20], false)), 0);
    out(&mut harness);
    harness.advance(Duration::from_secs(6));
    harness.push(Either::Right(row([1, 21], false)), 0);
    assert_eq!(out(&mut harness), ["+1 10 1 21"]);
}

#[test]
fn a_group_is_forgotten() {
    let count = Aggregation::new(Function::Count, Vec::new(), None, false, false, Vec::new()).unwrap();
    let operator =
        GroupAggregate::new(vec![0], vec![count], None, schema(&["k", "n"])).unwrap().with_ttl(ttl());
    let mut harness = Harness::new(operator);
    harness.push(row([1, 0], false), 0);
    harness.advance(Duration::from_secs(6));
    harness.push(row([1, 0], false), 0);
    harness.advance(Duration::from_secs(6));
    harness.push(row([1, 0], false), 0);
    assert_eq!(out(&mut harness), ["+1 1", "-1 1", "+1 2", "-1 2", "+1 3"]);
    harness.advance(TTL);
    harness.push(row([1, 0], false), 0);
    assert_eq!(out(&mut harness), ["+1 1"]);
}

#[test]
fn a_row_that_counted_is_forgotten() {
    let operator = UpsertMaterialize::new(vec![0], &schema(&["k", "v"])).unwrap().with_ttl(ttl());
    let mut harness = Harness::new(operator);
    harness.push(row([1, 10], false), 0);
    harness.advance(TTL);
    harness.push(row([1, 11], false), 0);
    assert_eq!(out(&mut harness), ["+1 10", "+1 11"]);
}

#[test]
fn selects_that_differ_in_a_hint_have_operators_of_their_own() {
    let mut environment = TableEnvironment::new();
    let script = "CREATE TABLE t (k INT, v INT) WITH ('connector' = 'datagen', 'number-of-rows' = '10');
        CREATE TABLE out1 (k INT, n BIGINT) WITH ('connector' = 'blackhole');
        CREATE TABLE out2 (k INT, n BIGINT) WITH ('connector' = 'blackhole');";
    environment.execute_script(script, |_, _, _| Ok(())).unwrap();
    let operators = |environment: &mut TableEnvironment, hints: [&str; 2]| {
        let insert =
            |out: &str, hint: &str| format!("INSERT INTO {out} SELECT {hint} k, COUNT(*) FROM t GROUP BY k;");
        let set = format!(
            "EXECUTE STATEMENT SET BEGIN {} {} END",
            insert("out1", hints[0]),
            insert("out2", hints[1])
        );
        let mut count = 0;
        environment
            .execute_script(&set, |_, _, outcome| {
                let thalweg_table::environment::Outcome::Job(job) = outcome else { panic!("no job") };
                let config = thalweg_dataflow::runtime::JobConfig {
                    parallelism: 1,
                    ..thalweg_dataflow::runtime::JobConfig::new("hints")
                };
                let job = job.build(config)?;
                count = job.graph().explain(&job.config()).unwrap().matches("group aggregate").count();
                Ok(())
            })
            .unwrap();
        count
    };
    let (hour, day) = ("/*+ STATE_TTL('t' = '1h') */", "/*+ STATE_TTL('t' = '1d') */");
    let shared = operators(&mut environment, [hour, hour]);
    assert_eq!(operators(&mut environment, [day, day]), shared);
    assert!(operators(&mut environment, [hour, day]) > shared);
    assert!(operators(&mut environment, ["", day]) > shared);
}
