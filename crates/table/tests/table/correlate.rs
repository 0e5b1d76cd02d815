//! Table functions, `UNNEST` and subqueries, each with the rows that Flink gives.

use thalweg_dataflow::runtime::JobConfig;
use thalweg_table::aggregates::user::{AggregateFunction, aggregate_function};
use thalweg_table::environment::TableEnvironment;
use thalweg_table::functions::user::scalar_function;
use thalweg_table::table_functions::table_function;

/// The rows that are there in the end, in order.
fn rows(environment: &TableEnvironment, query: &str) -> Vec<String> {
    let mut config = JobConfig::new("query");
    config.parallelism = 2;
    let result =
        environment.execute_query(query, config).unwrap_or_else(|error| panic!("{}", error.render(query)));
    let mut table: Vec<String> = Vec::new();
    for change in result.collect().unwrap() {
        let row = change.values().join(", ");
        match change.kind.to_string().as_str() {
            "+I" | "+U" => table.push(row),
            _ => {
                let place = table.iter().position(|known| *known == row);
                table.remove(place.unwrap_or_else(|| panic!("{row} was never added")));
            }
        }
    }
    table.sort();
    table
}

fn environment() -> TableEnvironment {
    let mut environment = TableEnvironment::new();
    let setup = "
        CREATE VIEW orders AS SELECT * FROM (VALUES
            (1, ARRAY['a', 'b', 'a']), (2, CAST(ARRAY['c'] AS ARRAY<STRING>)), (3, CAST(NULL AS ARRAY<STRING>))
        ) AS t (id, tags);
        CREATE VIEW people AS SELECT * FROM (VALUES (1, 'ann'), (2, 'bob'), (4, 'dan')) AS t (id, name);";
    environment
        .execute_script(setup, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(setup)));
    let split =
        |text: String| text.split(' ').map(|word| (word.to_owned(), word.len() as i32)).collect::<Vec<_>>();
    environment.create_table_function("split", table_function(&["word", "length"], split));
    let none = |n: i32| (1..=n).filter(|n| n % 2 == 1).collect::<Vec<i32>>();
    environment.create_table_function("odd", table_function(&[], none));
    environment.create_scalar_function(scalar_function("twice", |n: i32| n * 2));
    environment
}

#[test]
fn arrays_are_unnested() {
    let environment = environment();
    let all = rows(&environment, "SELECT id, tag FROM orders CROSS JOIN UNNEST(tags) AS t (tag)");
    assert_eq!(all, ["1, a", "1, a", "1, b", "2, c"]);
    assert_eq!(rows(&environment, "SELECT id, tag FROM orders, UNNEST(tags) AS tag"), all);
    let outer = "SELECT o.id, t.tag FROM orders AS o LEFT JOIN UNNEST(o.tags) AS t (tag) ON TRUE";
    assert_eq!(rows(&environment, outer), ["1, a", "1, a", "1, b", "2, c", "3, null"]);
    let numbered = "SELECT id, tag, n FROM orders CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, n) WHERE tag <> 'b'";
    assert_eq!(rows(&environment, numbered), ["1, a, 1", "1, a, 3", "2, c, 1"]);
    assert_eq!(rows(&environment, "SELECT x + 1 FROM UNNEST(ARRAY[1, 2]) AS t (x)"), ["2", "3"]);
    let counted = "SELECT tag, COUNT(*) FROM orders CROSS JOIN UNNEST(tags) AS t (tag) GROUP BY tag";
    assert_eq!(rows(&environment, counted), ["a, 2", "b, 1", "c, 1"]);
}

#[test]
fn multisets_and_rows_are_unnested() {
    let environment = environment();
    let rows_of = "SELECT id, a, b FROM people CROSS JOIN UNNEST(ARRAY[ROW(id, name), ROW(0, 'z')]) AS t (a, b) WHERE id = 1";
    assert_eq!(rows(&environment, rows_of), ["1, 0, z", "1, 1, ann"]);
    let multiset = "SELECT id, tag FROM (SELECT id, COLLECT(x) AS bag FROM orders CROSS JOIN UNNEST(tags) AS t (x) GROUP BY id)
        CROSS JOIN UNNEST(bag) AS u (tag)";
    assert_eq!(rows(&environment, multiset), ["1, a", "1, a", "1, b", "2, c"]);
}

#[test]
fn functions_of_users_are_called() {
    let environment = environment();
    let query = "SELECT id, word, length FROM (VALUES (1, 'to be'), (2, 'or')) AS t (id, line), LATERAL TABLE(split(line))";
    assert_eq!(rows(&environment, query), ["1, be, 2", "1, to, 2", "2, or, 2"]);
    let outer = "SELECT id, n FROM people LEFT JOIN LATERAL TABLE(odd(id - 1)) AS t (n) ON TRUE";
    assert_eq!(rows(&environment, outer), ["1, null", "2, 1", "4, 1", "4, 3"]);
    let condition = "SELECT id, n FROM people JOIN LATERAL TABLE(odd(twice(id))) AS t (n) ON n > id";
    assert_eq!(rows(&environment, condition), ["2, 3", "4, 5", "4, 7"]);
    let error =
        environment.execute_query("SELECT * FROM people, LATERAL TABLE(splt(name))", JobConfig::new("q"));
    assert!(error.err().unwrap().to_string().contains("did you mean `split`?"));
}

#[test]
fn subqueries_stand_anywhere() {
    let environment = environment();
    let check = |query: &str, expected: &[&str]| assert_eq!(rows(&environment, query), expected, "{query}");
    check("SELECT id FROM people WHERE id IN (SELECT id FROM orders)", &["1", "2"]);
    check("SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.id = p.id)", &["1", "2"]);
    check("SELECT id FROM people p WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = p.id)", &["4"]);
    check(
        "SELECT id FROM people WHERE name = 'dan' OR id IN (SELECT id FROM orders WHERE id > 1)",
        &["2", "4"],
    );
    check("SELECT id, id IN (SELECT id FROM orders) FROM people", &["1, true", "2, true", "4, false"]);
    check("SELECT id, (SELECT MAX(id) FROM orders) FROM people", &["1, 3", "2, 3", "4, 3"]);
    check(
        "SELECT id FROM people p WHERE id = (SELECT MAX(o.id) FROM orders o WHERE o.id = p.id)",
        &["1", "2"],
    );
    check(
        "SELECT id FROM people WHERE (CASE WHEN id IN (SELECT 1) THEN 1 ELSE 2 END) IN (SELECT id FROM orders WHERE orders.id = people.id)",
        &["1", "2"],
    );
}

#[test]
fn laterals_see_what_stands_before_them() {
    let environment = environment();
    let query = "SELECT p.id, o.n FROM people p, LATERAL (SELECT COUNT(*) AS n FROM orders WHERE orders.id = p.id) AS o";
    assert_eq!(rows(&environment, query), ["1, 1", "2, 1", "4, 0"]);
}

#[test]
fn grouping_sets_are_there() {
    let environment = environment();
    let of = "FROM (VALUES ('a', 'x', 1), ('a', 'y', 2), ('b', 'x', 4)) AS t (k, l, v)";
    let check =
        |query: String, expected: &[&str]| assert_eq!(rows(&environment, &query), expected, "{query}");
    check(
        format!("SELECT k, SUM(v), GROUPING(k) {of} GROUP BY GROUPING SETS ((k), ())"),
        &["a, 3, 0", "b, 4, 0", "null, 7, 1"],
    );
    check(
        format!("SELECT k, l, SUM(v) {of} GROUP BY ROLLUP (k, l)"),
        &["a, null, 3", "a, x, 1", "a, y, 2", "b, null, 4", "b, x, 4", "null, null, 7"],
    );
    check(
        format!("SELECT k, l, COUNT(*), GROUPING_ID(k, l) {of} GROUP BY CUBE (k, l) HAVING COUNT(*) > 1"),
        &["a, null, 2, 1", "null, null, 3, 3", "null, x, 2, 2"],
    );
}

/// The sum of squares; it takes nothing back.
struct Squares;

impl AggregateFunction for Squares {
    type Input = i64;
    type Accumulator = i64;
    type Output = i64;

    fn accumulate(&self, sum: &mut i64, value: i64) {
        *sum += value * value;
    }

    fn value(&self, sum: &i64) -> i64 {
        *sum
    }
}

#[test]
fn aggregates_of_users_are_distinct_and_in_patterns() {
    let mut environment = environment();
    environment.create_aggregate_function(aggregate_function("squares", Squares));
    let setup =
        "CREATE VIEW v AS SELECT id, n, PROCTIME() AS p FROM (VALUES (1, 2), (2, 2), (3, 3)) AS t (id, n)";
    environment.execute_script(setup, |_, _, _| Ok(())).unwrap();
    assert_eq!(rows(&environment, "SELECT squares(n), squares(DISTINCT n) FROM v"), ["17, 13"]);
    let of_counts = "SELECT squares(DISTINCT c) FROM (SELECT n, COUNT(*) AS c FROM v GROUP BY n)";
    assert_eq!(rows(&environment, of_counts), ["5"]);
    let pattern = "SELECT * FROM v MATCH_RECOGNIZE (ORDER BY p MEASURES squares(A.n) AS s, APPROX_COUNT_DISTINCT(A.n) AS d
        PATTERN (A+ B) DEFINE A AS A.n = 2, B AS B.n = 3) AS m";
    assert_eq!(rows(&environment, pattern), ["8, 1"]);
}
