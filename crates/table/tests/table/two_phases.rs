//! Aggregates come to the same in one phase and in two, at any parallelism.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use thalweg_dataflow::runtime::{Job, JobConfig};
use thalweg_table::chunk::Chunk;
use thalweg_table::display::display;
use thalweg_table::environment::TableEnvironment;

const TABLE: &str = "CREATE TABLE t (n BIGINT, k INT, name STRING, v INT, d DECIMAL(8, 2), ts AS TO_TIMESTAMP_LTZ(n * 7, 3),
    WATERMARK FOR ts AS ts - INTERVAL '0.5' SECOND
  ) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0',
    'fields.n.end' = '9999', 'fields.k.min' = '0', 'fields.k.max' = '30', 'fields.v.min' = '-50', 'fields.v.max' = '50',
    'fields.v.null-rate' = '0.2', 'fields.name.length' = '1', 'fields.d.min' = '0', 'fields.d.max' = '9');";

/// What is left in the end: each row, and how often it is there.
fn rows(strategy: &str, parallelism: usize, query: &str) -> BTreeMap<String, i64> {
    let mut environment = TableEnvironment::new();
    let script = format!("SET 'table.optimizer.agg-phase-strategy' = '{strategy}'; {TABLE}");
    environment
        .execute_script(&script, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(&script)));
    let job = Job::new(JobConfig { parallelism, ..JobConfig::new("phases") });
    let left: Arc<Mutex<BTreeMap<String, i64>>> = Arc::default();
    let kept = left.clone();
    let stream = environment.stream(query, &job).unwrap_or_else(|error| panic!("{}", error.render(query)));
    stream.map("kept", move |chunk: Chunk| {
        let mut kept = kept.lock().unwrap();
        for row in 0..chunk.len() {
            let values = chunk.rows().columns().iter().map(|column| display(column, row));
            *kept.entry(values.collect::<Vec<_>>().join(", ")).or_default() += chunk.sign(row);
        }
    });
    job.start().unwrap().wait().unwrap();
    let mut left = std::mem::take(&mut *left.lock().unwrap());
    left.retain(|_, count| *count != 0);
    left
}

#[test]
fn in_one_phase_and_in_two() {
    let calls = "COUNT(*), COUNT(v), SUM(v), AVG(v), SUM(d), MIN(v), MAX(d), MAX(name), STDDEV_POP(v), SUM(v) FILTER (WHERE k > 9)";
    let queries = [
        format!("SELECT k, {calls} FROM t GROUP BY k"),
        format!("SELECT name, v, {calls} FROM t GROUP BY name, v"),
        format!("SELECT {calls} FROM t"),
        "SELECT DISTINCT k, name FROM t".to_owned(),
        format!(
            "SELECT k, window_start, window_end, {calls} FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '2' SECOND))
             GROUP BY k, window_start, window_end"
        ),
        format!(
            "SELECT window_end, name, {calls} FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '5' SECOND))
             GROUP BY name, window_end, window_start"
        ),
        format!(
            "SELECT window_start, {calls} FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND))
             GROUP BY window_start, window_end"
        ),
    ];
    for query in &queries {
        let one = rows("ONE_PHASE", 1, query);
        assert!(!one.is_empty(), "{query}");
        for parallelism in [1, 3] {
            assert_eq!(rows("TWO_PHASE", parallelism, query), one, "{query}");
        }
    }
}
