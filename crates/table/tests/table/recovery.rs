//! Queries whose rows are only added give the same rows however they are run: at another parallelism, crashed and restarted, killed and
//! restored at another parallelism.

use crate::made;
use thalweg_table::chunk::Chunk;
use thalweg_table::display::display;
use thalweg_testkit::Pipeline;

/// Runs a query over the tables `a` and `b` in every way.
fn check(name: &str, query: &'static str) {
    Pipeline::new(name, move |run| {
        let environment = made::environment(&run.crash, made::ROWS);
        let rows = environment.stream(query, &run.job).unwrap();
        rows.flat_map("rows", |chunk: Chunk, out| {
            for row in 0..chunk.len() {
                assert!(!chunk.is_retraction(row));
                let values = chunk.rows().columns().iter().map(|column| display(column, row));
                out.collect(values.collect::<Vec<_>>().join(", "));
            }
            Ok(())
        })
    })
    .check();
}

#[test]
fn windows() {
    check(
        "tumble",
        "SELECT k, window_start, COUNT(*), SUM(v), MAX(v), COUNT(DISTINCT v)
         FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)) GROUP BY k, window_start, window_end",
    );
}

#[test]
fn windows_in_two_phases() {
    check(
        "tumble in two phases",
        "SELECT k, window_start, COUNT(*), SUM(v), AVG(v), MIN(v), MAX(v) FILTER (WHERE v > 3), MAX(CAST(v AS STRING))
         FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)) GROUP BY k, window_start, window_end",
    );
    check(
        "hop in two phases",
        "SELECT k, window_end, COUNT(v), SUM(v), MIN(v)
         FROM TABLE(HOP(TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '3' SECOND)) GROUP BY k, window_start, window_end",
    );
}

#[test]
fn sessions() {
    check(
        "sessions",
        "SELECT k, window_start, window_end, COUNT(*)
         FROM TABLE(SESSION(TABLE a PARTITION BY k, DESCRIPTOR(ts), INTERVAL '0.2' SECOND)) GROUP BY k, window_start, window_end",
    );
}

#[test]
fn joins() {
    check(
        "interval join",
        "SELECT a.k, a.v, b.v, a.ts, b.ts FROM a LEFT JOIN b
         ON a.k = b.k AND a.v = b.v AND a.ts BETWEEN b.ts - INTERVAL '3' SECOND AND b.ts + INTERVAL '1' SECOND",
    );
}

#[test]
fn patterns() {
    check(
        "pattern",
        "SELECT * FROM a MATCH_RECOGNIZE (
           PARTITION BY k ORDER BY ts, v MEASURES FIRST(UP.v) AS low, LAST(UP.v) AS high, DOWN.v AS after
           AFTER MATCH SKIP PAST LAST ROW PATTERN (UP{2,4} DOWN)
           DEFINE UP AS LAST(UP.v, 1) IS NULL OR v > LAST(UP.v, 1), DOWN AS v < LAST(UP.v))",
    );
}
