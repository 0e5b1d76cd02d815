//! Queries of queries: aggregates over what is taken back, over the first rows of groups, over joins; subqueries, sets and `UNNEST` of them.

use crate::queries::{condition, filter, in_order, table};
use crate::random::Random;

/// A query, over tables whose columns are those of [`crate::rows`].
pub(crate) fn query(random: &mut Random) -> String {
    let kinds: [fn(&mut Random) -> String; 12] = [
        in_order_of_arrival,
        collected,
        filtered,
        grouping_sets,
        top_of_join,
        join_of_tops,
        subquery_of_aggregates,
        quantified,
        scalar,
        sets,
        unnest,
        common_table,
    ];
    let kind = random.below(kinds.len());
    kinds[kind](random)
}

/// Rows with the columns k, g, c and m, which are taken back; from one table, so that they come in the same order each time.
fn updating(random: &mut Random) -> String {
    let of = table(random);
    match random.below(5) {
        0 => format!("SELECT k, g, COUNT(*) AS c, MIN(n) AS m FROM {of}{} GROUP BY k, g", filter(random)),
        1 => format!("SELECT k, MAX(g) AS g, SUM(n) AS c, MAX(n) AS m FROM {of} GROUP BY k"),
        2 => format!(
            "SELECT MIN(k) AS k, g, COUNT(n) AS c, SUM(n) AS m FROM {of}{} GROUP BY g",
            filter(random)
        ),
        3 => format!(
            "SELECT k, g, n AS c, id AS m FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k, g ORDER BY n DESC, id) AS r FROM {of}) WHERE r <= {}",
            // Flink takes nothing back from the first of all.
            2 + random.below(3)
        ),
        _ => format!(
            "SELECT k, g, n AS c, id AS m FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY g, ok ORDER BY ts DESC) AS r FROM {}) WHERE r = 1",
            in_order(random)
        ),
    }
}

/// The same, of groups alone: of ranks it is not said in which order their rows come and are taken back.
fn grouped(random: &mut Random) -> String {
    loop {
        let of = updating(random);
        if of.contains("GROUP BY") {
            return of;
        }
    }
}

/// Aggregates that depend on the order in which rows come and are taken back.
fn in_order_of_arrival(random: &mut Random) -> String {
    let of = random.one_of(&["c", "m", "k", "c + m", "NULLIF(c, 2)"]);
    let call = match random.below(6) {
        0 => format!("FIRST_VALUE({of})"),
        1 => format!("LAST_VALUE({of})"),
        2 => "LISTAGG(k)".to_owned(),
        3 => "LISTAGG(CAST(c AS STRING), '/')".to_owned(),
        4 => "LISTAGG(DISTINCT k)".to_owned(),
        _ => format!("FIRST_VALUE({of}), LAST_VALUE({of}), COUNT(*)"),
    };
    let inner = grouped(random);
    // Flink leaves out what nobody reads of an aggregate, and then changes when it did are none.
    let all = "COUNT(k), COUNT(g), COUNT(c), COUNT(m)";
    match random.below(3) {
        0 => format!("SELECT {call}, {all} FROM ({inner})"),
        1 => format!("SELECT g, {call}, {all} FROM ({inner}) GROUP BY g"),
        _ => format!("SELECT k, {call}, {all} FROM ({inner}) WHERE c <> 3 GROUP BY k"),
    }
}

fn collected(random: &mut Random) -> String {
    let call = random.one_of(&[
        "COLLECT(c)",
        "ARRAY_AGG(c)",
        "ARRAY_AGG(DISTINCT c)",
        "ARRAY_AGG(k)",
        "JSON_ARRAYAGG(c)",
        "JSON_ARRAYAGG(m NULL ON NULL)",
        "JSON_ARRAYAGG(k ABSENT ON NULL)",
        "ARRAY_AGG(c) FILTER (WHERE c > 2)",
        "COLLECT(m) FILTER (WHERE m > 1)",
        "COLLECT(DISTINCT c)",
    ]);
    let inner = grouped(random);
    // Flink leaves out what nobody reads of an aggregate, and then changes when it did are none.
    let all = "COUNT(k), COUNT(g), COUNT(c), COUNT(m)";
    match random.below(3) {
        0 => format!("SELECT {call}, {all} FROM ({inner})"),
        1 => format!(
            "SELECT g, JSON_OBJECTAGG(KEY k VALUE c{}) FROM (SELECT g, k, COUNT(*) AS c FROM {} WHERE k IS NOT NULL GROUP BY g, k) GROUP BY g",
            random.one_of(&["", " ABSENT ON NULL"]),
            table(random)
        ),
        _ => format!("SELECT g, {call}, {all} FROM ({inner}) GROUP BY g"),
    }
}

fn retractable(random: &mut Random) -> String {
    let of = random.one_of(&["c", "m", "c", "m - c", "CAST(c AS DOUBLE)", "CAST(m AS DECIMAL(8, 2))"]);
    let call = match random.below(10) {
        0 => format!("MIN({of})"),
        1 => format!("MAX({of})"),
        2 => format!("AVG({of})"),
        3 => format!("STDDEV_POP({of})"),
        4 => format!("STDDEV_SAMP({of})"),
        5 => format!("VAR_SAMP({of})"),
        6 => format!("COUNT(DISTINCT {of})"),
        7 => format!("SUM(DISTINCT {of})"),
        8 => format!("SUM({of})"),
        _ => format!("COUNT({of})"),
    };
    let when =
        random.one_of(&["c > 3", "m IS NOT NULL", "k <> 'x'", "g IN (1, 3)", "c > m", "k IS NULL OR c = 2"]);
    if random.below(2) == 0 { format!("{call} FILTER (WHERE {when})") } else { call }
}

fn filtered(random: &mut Random) -> String {
    let calls = format!("{}, {}, {}", retractable(random), retractable(random), retractable(random));
    let having = random.one_of(&[
        "",
        "",
        " HAVING COUNT(*) > 1",
        " HAVING MAX(c) > 4 OR MIN(c) < 2",
        " HAVING SUM(c) IS NOT NULL",
    ]);
    let inner = updating(random);
    match random.below(4) {
        0 => format!("SELECT {calls} FROM ({inner}){having}"),
        1 => format!("SELECT g, {calls} FROM ({inner}) GROUP BY g{having}"),
        2 => format!(
            "SELECT s, COUNT(*), MIN(t) FROM (SELECT g, SUM(c) AS s, MAX(m) AS t FROM ({inner}) GROUP BY g{having}) GROUP BY s"
        ),
        _ => format!("SELECT c, k, {calls} FROM ({inner}) GROUP BY c, k{having}"),
    }
}

fn grouping_sets(random: &mut Random) -> String {
    let by = random.one_of(&[
        "ROLLUP (k, g)",
        "CUBE (k, g)",
        "GROUPING SETS ((k), (g), (k, g), ())",
        "GROUPING SETS ((k), ())",
        "g, ROLLUP (k)",
    ]);
    let having = random.one_of(&[
        "",
        " HAVING GROUPING(k) = 1",
        " HAVING COUNT(*) > 2",
        " HAVING GROUPING_ID(k, g) <> 3",
    ]);
    let shown = match by {
        "GROUPING SETS ((k), ())" => "k, GROUPING(k)",
        _ => "k, g, GROUPING(k), GROUPING(g), GROUPING_ID(k, g)",
    };
    let having = if shown == "k, GROUPING(k)" && having.contains("ID") { "" } else { having };
    format!(
        "SELECT {shown}, {}, {} FROM ({}) GROUP BY {by}{having}",
        retractable(random),
        retractable(random),
        updating(random)
    )
}

/// A join, with the columns x, y, s and i, of which x, y and i tell its rows from one another.
fn joined(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
    match random.below(3) {
        0 => format!(
            "SELECT l.k AS x, r.k AS y, SUM(l.n) AS s, COUNT(*) AS i FROM a AS l {kind} b AS r ON l.g = r.g AND l.id < 30 AND r.id < 30 GROUP BY l.k, r.k"
        ),
        1 => format!(
            "SELECT l.k AS x, r.k AS y, l.n + r.n AS s, COALESCE(l.id, 0) * 100 + COALESCE(r.id, 0) AS i FROM (SELECT * FROM a WHERE id < 30) AS l {kind} (SELECT * FROM b WHERE id < 30) AS r ON l.k = r.k AND l.n > r.n"
        ),
        _ => format!(
            "SELECT l.k AS x, r.k AS y, r.c - l.c AS s, l.c AS i FROM (SELECT k, COUNT(*) AS c FROM a GROUP BY k) AS l {kind} (SELECT k, SUM(n) AS c FROM b{} GROUP BY k) AS r ON l.k = r.k",
            filter(random)
        ),
    }
}

fn top_of_join(random: &mut Random) -> String {
    let (joined, direction, most) = (joined(random), random.one_of(&["", " DESC"]), 2 + random.below(4));
    let function = random.one_of(&["ROW_NUMBER", "ROW_NUMBER", "RANK"]);
    let top = format!(
        "SELECT * FROM (SELECT *, {function}() OVER (PARTITION BY x ORDER BY s{direction}, y, i) AS r FROM ({joined})) WHERE r <= {most}"
    );
    match random.below(5) {
        0 => format!("SELECT x, COUNT(*), SUM(s), MAX(y) FROM ({top}) GROUP BY x"),
        1 => format!("SELECT y, COUNT(*), MIN(s), COUNT(DISTINCT x) FROM ({top}) GROUP BY y"),
        2 => format!("SELECT r, SUM(s), MIN(i) FROM ({top}) GROUP BY r"),
        // Flink takes back what it has not told where there is an OFFSET.
        3 => format!(
            "SELECT x, y, s FROM ({joined}) ORDER BY s{direction}, x, y, i LIMIT {}",
            1 + random.below(6)
        ),
        _ => format!("SELECT x, y, s, r FROM ({top})"),
    }
}

fn join_of_tops(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
    let (left, right) = (updating(random), updating(random));
    let on = random.one_of(&[
        "l.k = r.k",
        "l.g = r.g",
        "l.k = r.k AND l.c >= r.c",
        "l.c = r.c",
        "l.k IS NOT DISTINCT FROM r.k AND l.g = r.g",
    ]);
    match random.below(4) {
        0 => format!(
            "SELECT l.k, COUNT(*), SUM(r.c), MAX(r.m) FROM ({left}) AS l {kind} ({right}) AS r ON {on} GROUP BY l.k"
        ),
        1 => format!(
            "SELECT k, c FROM ({left}) AS l WHERE {}EXISTS (SELECT 1 FROM ({right}) AS r WHERE {on})",
            random.one_of(&["", "NOT "])
        ),
        2 => format!(
            "SELECT l.k, r.g, t.n FROM ({left}) AS l {kind} ({right}) AS r ON {on} {} (SELECT MAX(n) AS n, k FROM a GROUP BY k) AS t ON t.k = l.k",
            random.one_of(&["JOIN", "LEFT JOIN"])
        ),
        _ => format!("SELECT l.k, l.g, l.c, r.k, r.g, r.c FROM ({left}) AS l {kind} ({right}) AS r ON {on}"),
    }
}

fn subquery_of_aggregates(random: &mut Random) -> String {
    let (outer, inner) = (table(random), updating(random));
    let not = random.one_of(&["", "NOT "]);
    match random.below(7) {
        0 => format!("SELECT id, n FROM {outer} WHERE n {not}IN (SELECT c FROM ({inner}))"),
        1 => format!("SELECT id FROM {outer} WHERE (k, g) {not}IN (SELECT k, g FROM ({inner}) WHERE c > 2)"),
        2 => format!(
            "SELECT id FROM {outer} AS o WHERE {not}EXISTS (SELECT 1 FROM ({inner}) AS i WHERE i.k = o.k AND i.c > 3)"
        ),
        3 => format!(
            "SELECT k, COUNT(*) FROM {outer} WHERE g {not}IN (SELECT g FROM ({inner}) WHERE g IS NOT NULL) GROUP BY k"
        ),
        4 => format!(
            "SELECT k, c FROM ({inner}) WHERE k {not}IN (SELECT k FROM {outer} WHERE n > {})",
            5 + random.below(6)
        ),
        5 => format!(
            "SELECT id FROM {outer} AS o WHERE n {not}IN (SELECT c FROM ({inner}) AS i WHERE i.k = o.k) AND id < 50"
        ),
        _ => format!(
            "SELECT id, ok FROM {outer} WHERE ok OR n {not}IN (SELECT m FROM ({inner}) WHERE m IS NOT NULL)"
        ),
    }
}

fn quantified(random: &mut Random) -> String {
    let (outer, inner) = (table(random), in_order(random));
    let operator = random.one_of(&[">", "<", ">=", "<=", "=", "<>"]);
    let which = random.one_of(&["SOME", "ANY", "ALL"]);
    match random.below(3) {
        0 => format!(
            "SELECT id, n FROM {outer} WHERE n {operator} {which} (SELECT g FROM {inner} WHERE {})",
            condition(random, "")
        ),
        1 => format!(
            "SELECT id, n FROM {outer} WHERE n {operator} {which} (SELECT n FROM {inner} WHERE id < 0)"
        ),
        _ => format!(
            "SELECT id, g FROM {outer} WHERE g {operator} {which} (SELECT MAX(g) FROM {inner} GROUP BY k)"
        ),
    }
}

fn scalar(random: &mut Random) -> String {
    let (outer, inner) = (table(random), in_order(random));
    let call = random.one_of(&["COUNT(*)", "SUM(n)", "MAX(n)", "MIN(g)", "AVG(p)", "COUNT(DISTINCT g)"]);
    match random.below(6) {
        0 => format!("SELECT k, COUNT(*) - (SELECT {call} FROM {inner}) FROM {outer} GROUP BY k"),
        1 => format!("SELECT id, (SELECT {call} FROM {inner} WHERE {}) FROM {outer}", condition(random, "")),
        2 => format!(
            "SELECT k, c, (SELECT {call} FROM {inner} AS i WHERE i.k = o.k) FROM (SELECT k, COUNT(*) AS c FROM {outer} GROUP BY k) AS o"
        ),
        3 => format!(
            "SELECT id FROM {outer} AS o WHERE n >= (SELECT {call} FROM {inner} AS i WHERE i.k = o.k AND i.g = o.g)"
        ),
        4 => format!("SELECT k, SUM(n) FROM {outer} GROUP BY k HAVING SUM(n) > (SELECT {call} FROM {inner})"),
        _ => format!(
            "SELECT id, CASE WHEN n > (SELECT AVG(n) FROM {inner}) THEN 'more' ELSE 'less' END FROM {outer} WHERE id < 40"
        ),
    }
}

fn sets(random: &mut Random) -> String {
    let operation =
        random.one_of(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
    let columns = random.one_of(&["k, c", "g", "k", "c", "g, m"]);
    let one = |random: &mut Random| format!("SELECT {columns} FROM ({})", updating(random));
    let both = format!("({}) {operation} ({})", one(random), one(random));
    match random.below(3) {
        0 if !operation.ends_with(" ALL") => {
            let first = &columns[..1];
            format!("SELECT {first}, COUNT(*) FROM ({both}) GROUP BY {first}")
        }
        1 => format!(
            "({both}) {} ({})",
            if operation.ends_with(" ALL") {
                "UNION ALL"
            } else {
                random.one_of(&["UNION ALL", "EXCEPT", "INTERSECT", "UNION"])
            },
            one(random)
        ),
        _ => both,
    }
}

fn unnest(random: &mut Random) -> String {
    let of = table(random);
    let (kind, on) = if random.below(2) == 0 { ("CROSS JOIN", "") } else { ("LEFT JOIN", " ON TRUE") };
    match random.below(9) {
        0 => format!(
            "SELECT k, x FROM (SELECT k, COLLECT(n) AS s FROM {of} GROUP BY k) {kind} UNNEST(s) AS u (x){on}"
        ),
        1 => format!(
            "SELECT k, x FROM (SELECT k, ARRAY_AGG(n) AS s FROM {of} WHERE id < 20 GROUP BY k) {kind} UNNEST(s) AS u (x){on}"
        ),
        2 => format!(
            "SELECT x, COUNT(*), MAX(k) FROM (SELECT k, ARRAY_AGG(DISTINCT g) AS s FROM {of} GROUP BY k) CROSS JOIN UNNEST(s) AS u (x) GROUP BY x"
        ),
        3 => format!(
            "SELECT id, x, o FROM {of} {kind} UNNEST(CASE WHEN n > 4 THEN ARRAY[n, g] ELSE CAST(NULL AS ARRAY<INT>) END) WITH ORDINALITY AS u (x, o){on}"
        ),
        4 => format!(
            "SELECT id, y, z, o FROM {of} {kind} UNNEST(MAP['one', n]) WITH ORDINALITY AS u (y, z, o){on}"
        ),
        5 => format!(
            "SELECT id, x, y, o FROM {of} {kind} UNNEST(ARRAY[ROW(n, k), ROW(g, 'z')]) WITH ORDINALITY AS u (x, y, o){on}"
        ),
        6 => format!(
            "SELECT id, x, y FROM {of} CROSS JOIN UNNEST(ARRAY[n, g]) AS u (x) CROSS JOIN UNNEST(ARRAY[x, 1]) AS t (y) WHERE y > 2"
        ),
        7 => format!("SELECT id, x FROM {of} CROSS JOIN UNNEST(ARRAY[ARRAY[n], ARRAY[g, n]]) AS u (x)"),
        _ => format!(
            "SELECT id, x FROM {of} {kind} UNNEST(SPLIT(COALESCE(k, 'no,thing'), ',')) AS u (x){on} WHERE ok"
        ),
    }
}

/// The same rows twice.
fn common_table(random: &mut Random) -> String {
    let inner = updating(random);
    match random.below(4) {
        0 => format!(
            "WITH u AS ({inner}) SELECT l.k, l.c FROM u AS l JOIN (SELECT MAX(c) AS top FROM u) AS r ON l.c = r.top"
        ),
        1 => format!(
            "WITH u AS ({inner}) SELECT k, SUM(c) FROM (SELECT k, c FROM u UNION ALL SELECT k, m FROM u) GROUP BY k"
        ),
        2 => format!("WITH u AS ({inner}) SELECT * FROM u WHERE c >= (SELECT AVG(c) FROM u)"),
        _ => format!(
            "WITH u AS ({inner}) SELECT l.k, r.k, l.c FROM u AS l JOIN u AS r ON l.c = r.c AND l.m < r.m"
        ),
    }
}
