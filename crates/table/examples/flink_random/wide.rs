//! More kinds of queries made up: aggregates in order and of distinct values, `UNNEST`, rows, old group windows, windows that differ from key to
//! key, joins of windows, of intervals, and of what is taken back.

use crate::queries::{condition, filter, in_order, table};
use crate::random::Random;

/// A query, over tables whose columns are those of [`crate::rows`].
pub(crate) fn query(random: &mut Random) -> String {
    let kinds: [fn(&mut Random) -> String; 12] = [
        distinct_aggregates,
        over_ties,
        unnest,
        rows_and_maps,
        group_windows,
        window_rank,
        window_deduplicate,
        window_join,
        interval_join,
        null_subqueries,
        aggregates_taken_back,
        rollup_of_aggregates,
    ];
    let kind = random.below(kinds.len());
    kinds[kind](random)
}

fn seconds(random: &mut Random) -> usize {
    1 + random.below(5)
}

fn distinct_call(random: &mut Random) -> String {
    let of = random.one_of(&["n", "g", "k", "ok", "p", "n % 3"]);
    // Flink counts one column alone.
    let call = match random.below(6) {
        0 => format!("COUNT(DISTINCT {of})"),
        1 => "SUM(DISTINCT n)".to_owned(),
        2 => "AVG(DISTINCT p)".to_owned(),
        3 => "MAX(DISTINCT w)".to_owned(),
        4 => "STDDEV_SAMP(p)".to_owned(),
        _ => "VAR_POP(n)".to_owned(),
    };
    if random.below(2) == 0 { format!("{call} FILTER (WHERE {})", condition(random, "")) } else { call }
}

fn distinct_aggregates(random: &mut Random) -> String {
    let calls = format!("{}, {}, {}", distinct_call(random), distinct_call(random), distinct_call(random));
    match random.below(4) {
        0 => format!("SELECT {calls} FROM {}{}", table(random), filter(random)),
        1 => format!(
            "SELECT window_start, k, {calls} FROM TABLE(TUMBLE(TABLE {}, DESCRIPTOR(ts), INTERVAL '{}' SECOND)) GROUP BY window_start, window_end, k",
            table(random),
            seconds(random) * 3
        ),
        2 => format!(
            "SELECT k, {calls}, LISTAGG(k) FILTER (WHERE id < 9) FROM {} GROUP BY k",
            in_order(random)
        ),
        _ => format!("SELECT g, ok, {calls} FROM {}{} GROUP BY g, ok", table(random), filter(random)),
    }
}

/// Rows of the same time, in frames that have all of them.
fn over_ties(random: &mut Random) -> String {
    let call = random.one_of(&[
        "MAX(n)",
        "SUM(p)",
        "COUNT(DISTINCT n)",
        "SUM(DISTINCT n)",
        "MIN(k)",
        "AVG(n)",
        "STDDEV_POP(n)",
        "COUNT(n) FILTER (WHERE ok)",
    ]);
    let partition = random.one_of(&["PARTITION BY k ", "PARTITION BY ok, g ", "", "PARTITION BY n % 3 "]);
    let frame = match random.below(3) {
        0 => String::new(),
        1 => format!(" RANGE BETWEEN INTERVAL '{}' SECOND PRECEDING AND CURRENT ROW", seconds(random)),
        _ => " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
    };
    format!(
        "SELECT id, k, {call} OVER w, COUNT(*) OVER w FROM ties{} WINDOW w AS ({partition}ORDER BY ts{frame})",
        filter(random)
    )
}

fn unnest(random: &mut Random) -> String {
    let array = random.one_of(&["ARRAY[n, g]", "ARRAY[n, g, n]", "ARRAY[n]"]);
    let (kind, on) = random_join(random);
    match random.below(5) {
        0 => format!("SELECT id, x FROM {} CROSS JOIN UNNEST({array}) AS u (x)", table(random)),
        1 => format!(
            "SELECT id, x, o FROM {} CROSS JOIN UNNEST({array}) WITH ORDINALITY AS u (x, o){}",
            table(random),
            random.one_of(&["", " WHERE x > 2", " WHERE o = 1"])
        ),
        2 => format!(
            "SELECT id, y, z FROM {} {kind} UNNEST(MAP[COALESCE(k, 'no'), n, 'b', g]) AS u (y, z){on}",
            table(random)
        ),
        3 => format!(
            "SELECT x, COUNT(*), SUM(g) FROM (SELECT g, x FROM {} CROSS JOIN UNNEST({array}) AS u (x)) GROUP BY x",
            table(random)
        ),
        _ => format!(
            "SELECT k, x, y FROM {} CROSS JOIN UNNEST(ARRAY[ROW(n, k), ROW(g, 'z')]) AS u (x, y)",
            table(random)
        ),
    }
}

fn random_join(random: &mut Random) -> (&'static str, &'static str) {
    match random.below(2) {
        0 => ("CROSS JOIN", ""),
        _ => ("LEFT JOIN", " ON TRUE"),
    }
}

fn rows_and_maps(random: &mut Random) -> String {
    let of = in_order(random);
    match random.below(5) {
        0 => format!(
            "SELECT id, r.x, r.y FROM (SELECT id, CAST(ROW(n, k) AS ROW<x INT, y STRING>) AS r FROM {of})"
        ),
        1 => format!(
            "SELECT r.x, COUNT(*) FROM (SELECT CAST(ROW(g, k) AS ROW<x INT, y STRING>) AS r FROM {of}) GROUP BY r.x"
        ),
        2 => format!("SELECT r, COUNT(*) FROM (SELECT ROW(g, ok) AS r FROM {of}) GROUP BY r"),
        3 => format!(
            "SELECT id, m['a'], m['b'], CARDINALITY(m) FROM (SELECT id, MAP['a', n, 'b', g] AS m FROM {of})"
        ),
        _ => {
            format!("SELECT a, COUNT(*), MAX(id) FROM (SELECT id, ARRAY[g, n % 2] AS a FROM {of}) GROUP BY a")
        }
    }
}

fn group_windows(random: &mut Random) -> String {
    let size = seconds(random);
    let (windows, name) = match random.below(3) {
        0 => (format!("TUMBLE(ts, INTERVAL '{}' SECOND)", size * 2), "TUMBLE"),
        1 => (format!("HOP(ts, INTERVAL '{size}' SECOND, INTERVAL '{}' SECOND)", size * 3), "HOP"),
        _ => (format!("SESSION(ts, INTERVAL '{size}' SECOND)"), "SESSION"),
    };
    let of = windows.replacen(name, "", 1);
    let shown = random.one_of(&["START", "END", "ROWTIME"]);
    let by = random.one_of(&[", k", "", ", g, ok"]);
    let calls = random.one_of(&[
        "COUNT(*), SUM(n)",
        "MAX(p), MIN(k)",
        "AVG(p), COUNT(DISTINCT g)",
        "SUM(n) FILTER (WHERE ok)",
    ]);
    let having = random.one_of(&["", "", " HAVING COUNT(*) > 1"]);
    format!(
        "SELECT {name}_{shown}{of} AS w{by}, {calls} FROM {}{} GROUP BY {windows}{by}{having}",
        table(random),
        filter(random)
    )
}

fn windows(random: &mut Random, table: &str) -> String {
    let size = seconds(random);
    match random.below(4) {
        0 => format!("TUMBLE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{}' SECOND)", size * 3),
        1 => format!(
            "HOP(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND, INTERVAL '{}' SECOND, INTERVAL '1' SECOND)",
            size * 2
        ),
        2 => format!(
            "CUMULATE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND, INTERVAL '{}' SECOND, INTERVAL '1' SECOND)",
            size * 3
        ),
        _ => format!(
            "CUMULATE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND, INTERVAL '{}' SECOND)",
            size * 2
        ),
    }
}

fn window_rank(random: &mut Random) -> String {
    let table = table(random);
    let windows = windows(random, table);
    let most = 1 + random.below(3);
    let direction = random.one_of(&["", " DESC"]);
    match random.below(2) {
        0 => format!(
            "SELECT window_start, window_end, k, id, p, r FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY p{direction}, id) AS r FROM TABLE({windows})) WHERE r <= {most}"
        ),
        _ => format!(
            "SELECT window_start, k, c, r FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY c{direction}, k) AS r FROM (SELECT window_start, window_end, k, COUNT(*) AS c FROM TABLE({windows}) GROUP BY window_start, window_end, k)) WHERE r <= {most}"
        ),
    }
}

fn window_deduplicate(random: &mut Random) -> String {
    let windows = windows(random, "a");
    let order = random.one_of(&["ASC", "DESC"]);
    format!(
        "SELECT window_start, window_end, k, id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY ts {order}) AS r FROM TABLE({windows})) WHERE r = 1"
    )
}

fn window_join(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
    let left = windows(random, "a");
    let right = left.replace("TABLE a,", "TABLE b,");
    let on = "l.window_start = r.window_start AND l.window_end = r.window_end";
    let extra = random.one_of(&["", " AND l.n > r.n", " AND l.g = r.g"]);
    match random.below(4) {
        0 => format!(
            "SELECT id, k, window_end FROM (SELECT * FROM TABLE({left})) AS l WHERE l.k {}IN (SELECT k FROM (SELECT * FROM TABLE({right})) AS r WHERE {on})",
            random.one_of(&["", ""])
        ),
        1 => {
            let side = |windows: &str| {
                format!(
                    "(SELECT window_start, window_end, k, COUNT(*) AS c FROM TABLE({windows}) GROUP BY window_start, window_end, k)"
                )
            };
            format!(
                "SELECT l.window_start, l.k, l.c, r.k, r.c FROM {} AS l {kind} {} AS r ON {on} AND l.k = r.k",
                side(&left),
                side(&right)
            )
        }
        _ => format!(
            "SELECT l.id, r.id, l.window_start, r.window_end FROM (SELECT * FROM TABLE({left})) AS l {kind} (SELECT * FROM TABLE({right})) AS r ON {on} AND l.k = r.k{extra}"
        ),
    }
}

fn interval_join(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
    let bounds = match random.below(4) {
        0 => format!("l.ts > r.ts - INTERVAL '{}' SECOND AND l.ts < r.ts", seconds(random)),
        1 => format!("r.ts >= l.ts AND r.ts < l.ts + INTERVAL '{}' SECOND", seconds(random)),
        2 => "l.ts = r.ts".to_owned(),
        _ => format!(
            "l.ts BETWEEN r.ts + INTERVAL '1' SECOND AND r.ts + INTERVAL '{}' SECOND",
            1 + seconds(random)
        ),
    };
    let on = random.one_of(&["l.k = r.k", "l.g = r.g AND l.ok = r.ok", "l.k = r.k AND l.p > r.p"]);
    match random.below(3) {
        0 => format!(
            "SELECT l.k, COUNT(*), SUM(r.n) FROM a AS l {kind} b AS r ON {on} AND {bounds} GROUP BY l.k"
        ),
        1 => format!(
            "SELECT id, k FROM a AS l WHERE {}EXISTS (SELECT 1 FROM b AS r WHERE {on} AND {bounds})",
            random.one_of(&["", "NOT "])
        ),
        _ => format!("SELECT l.id, r.id FROM a AS l {kind} b AS r ON {on} AND {bounds}"),
    }
}

fn null_subqueries(random: &mut Random) -> String {
    let (outer, inner) = (table(random), in_order(random));
    let not = random.one_of(&["", "NOT "]);
    match random.below(5) {
        0 => format!(
            "SELECT id, n FROM {outer} WHERE n {not}IN (SELECT g FROM {inner} WHERE {})",
            condition(random, "")
        ),
        1 => format!(
            "SELECT id FROM {outer} AS o WHERE k {not}IN (SELECT k FROM {inner} AS i WHERE i.g = o.g AND i.n > 6)"
        ),
        2 => {
            format!("SELECT id, n FROM {outer} WHERE n = (SELECT MIN(n) FROM {inner} WHERE id < 0) OR n > 7")
        }
        3 => format!(
            "SELECT k, (SELECT MAX(n) FROM {inner} AS i WHERE i.k = o.k AND i.ok) FROM {outer} AS o WHERE id < 40"
        ),
        _ => format!(
            "SELECT id FROM {outer} WHERE {not}EXISTS (SELECT 1 FROM {inner} WHERE n > 100) AND g = 1"
        ),
    }
}

fn aggregates_taken_back(random: &mut Random) -> String {
    let calls = random.one_of(&[
        "MIN(c), MAX(c), COUNT(DISTINCT c)",
        "SUM(c), AVG(c), MAX(k)",
        "STDDEV_POP(c), VAR_SAMP(c), COUNT(*)",
        "SUM(DISTINCT c), MIN(k)",
        "COUNT(c) FILTER (WHERE c > 4), MAX(c) FILTER (WHERE k <> 'x')",
        "MIN(c), VAR_POP(c), MIN(m)",
    ]);
    let inner = format!(
        "SELECT k, g, COUNT(*) AS c, MIN(n) AS m FROM {}{} GROUP BY k, g",
        table(random),
        filter(random)
    );
    match random.below(4) {
        0 => format!("SELECT g, {calls} FROM ({inner}) GROUP BY g HAVING COUNT(*) > 2"),
        1 => format!("SELECT {calls} FROM ({inner}) WHERE c > 2"),
        2 => format!("SELECT DISTINCT c, m FROM ({inner})"),
        _ => format!("SELECT m, {calls} FROM ({inner}) GROUP BY m"),
    }
}

fn rollup_of_aggregates(random: &mut Random) -> String {
    let by = random.one_of(&[
        "ROLLUP (k, g, ok)",
        "CUBE (k, ok)",
        "GROUPING SETS ((k, g), (k, ok), ())",
        "k, ROLLUP (g, ok)",
        "GROUPING SETS (ROLLUP (k, g), CUBE (ok))",
    ]);
    let shown = match by {
        "CUBE (k, ok)" => "k, ok, GROUPING_ID(k, ok)",
        "GROUPING SETS ((k, g), (k, ok), ())" => "k, g, ok, GROUPING(k), GROUPING(ok)",
        _ => "k, g, ok, GROUPING_ID(k, g, ok)",
    };
    format!(
        "SELECT {shown}, COUNT(*), {} FROM {}{} GROUP BY {by}",
        distinct_call(random),
        table(random),
        filter(random)
    )
}
