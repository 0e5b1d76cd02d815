//! Queries whose rows change come to the same in the end however they are run: at another parallelism, crashed and restarted, killed and
//! restored at another parallelism.

use thalweg_table::aggregates::user::{AggregateFunction, aggregate_function};
use thalweg_testkit::Pipeline;

use crate::made::{self, Fold};

/// Runs a query over the tables `a` and `b` in every way, after these settings.
fn check_with(name: &str, settings: &'static str, query: &'static str) {
    Pipeline::new(name, move |run| {
        let mut environment = made::environment(&run.crash, 9_000);
        environment.create_aggregate_function(aggregate_function("spread", Spread));
        environment.execute_script(settings, |_, _, _| Ok(())).unwrap();
        let rows =
            environment.stream(query, &run.job).unwrap_or_else(|error| panic!("{}", error.render(query)));
        rows.apply("fold", Fold::default()).parallelism(1)
    })
    .check();
}

fn check(name: &str, query: &'static str) {
    check_with(name, "", query);
}

/// The sum of squares less the square of the sum.
struct Spread;

impl AggregateFunction for Spread {
    type Input = i64;
    type Accumulator = (i64, i64);
    type Output = i64;

    fn accumulate(&self, (sum, squares): &mut (i64, i64), value: i64) {
        (*sum, *squares) = (*sum + value, *squares + value * value);
    }

    fn retracts(&self) -> bool {
        true
    }

    fn retract(&self, (sum, squares): &mut (i64, i64), value: i64) {
        (*sum, *squares) = (*sum - value, *squares - value * value);
    }

    fn value(&self, (sum, squares): &(i64, i64)) -> i64 {
        squares - sum * sum
    }
}

#[test]
fn aggregates() {
    check("group by", "SELECT k, COUNT(*), SUM(v), MIN(v), COUNT(DISTINCT v), spread(v) FROM a GROUP BY k");
}

#[test]
fn joins() {
    check(
        "full join",
        "SELECT l.k, l.c, r.k, r.c FROM (SELECT k, COUNT(*) AS c FROM a WHERE v < 50 GROUP BY k) AS l
         FULL JOIN (SELECT k, MAX(v) AS c FROM b WHERE v < 20 GROUP BY k) AS r ON l.k = r.k AND l.c <> r.c",
    );
}

#[test]
fn first_rows() {
    check(
        "top",
        "SELECT k, v, c FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY c DESC, v) AS r
         FROM (SELECT k, v, COUNT(*) AS c FROM a GROUP BY k, v)) WHERE r <= 3",
    );
}

#[test]
fn set_operations() {
    check(
        "intersect all",
        "(SELECT k, v FROM a WHERE v < 40 INTERSECT ALL SELECT k, v FROM b WHERE v > 10) EXCEPT ALL SELECT k, v FROM a WHERE v = 20",
    );
}

#[test]
fn first_rows_of_each_row_outside() {
    check(
        "lateral",
        "SELECT o.k, i.v FROM (SELECT k, COUNT(*) AS c FROM a GROUP BY k) AS o,
         LATERAL (SELECT v FROM b WHERE b.k = o.k ORDER BY v DESC LIMIT 2) AS i",
    );
}

#[test]
fn values_that_are_made_once() {
    // A number that is another each time it is made: were a row taken back with another than it was added with, it would stay.
    check(
        "steady",
        "SELECT k, COUNT(*) FROM (SELECT k, RAND() AS r FROM (SELECT k, SUM(v) AS s FROM a GROUP BY k)) GROUP BY k, r IS NULL",
    );
}

#[test]
fn windows_that_are_told_early() {
    check_with(
        "early",
        "SET 'table.exec.emit.early-fire.enabled' = 'true'; SET 'table.exec.emit.early-fire.delay' = '1 ms';",
        "SELECT k, window_end, COUNT(*), MAX(v) FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)) GROUP BY k, window_start, window_end",
    );
}
