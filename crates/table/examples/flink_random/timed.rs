//! More queries of windows and of `OVER`: sessions of partitions, old group windows and their times, windows of windows, ranks of windows.

use crate::queries::{condition, filter, in_order, table};
use crate::random::Random;

/// A query, over tables whose columns are those of [`crate::rows`].
pub(crate) fn query(random: &mut Random) -> String {
    let kinds: [fn(&mut Random) -> String; 12] = [
        sessions,
        old_windows,
        old_windows_of_windows,
        aggregates_of_windows,
        windows_of_windows,
        ranks_of_windows,
        deduplicated_windows,
        joins_of_windows,
        aggregate_of_window_join,
        over_many,
        over_updates,
        windows_of_updates,
    ];
    let kind = random.below(kinds.len());
    kinds[kind](random)
}

fn calls(random: &mut Random) -> String {
    let one = |random: &mut Random| {
        let call = random.one_of(&[
            "COUNT(*)",
            "SUM(n)",
            "AVG(p)",
            "MIN(n)",
            "MAX(k)",
            "COUNT(DISTINCT g)",
            "SUM(p)",
            "STDDEV_POP(n)",
            "MAX(ts)",
            "SUM(DISTINCT n)",
        ]);
        if random.below(4) == 0 {
            format!("{call} FILTER (WHERE {})", condition(random, ""))
        } else {
            call.to_owned()
        }
    };
    format!("{}, {}", one(random), one(random))
}

fn windows(random: &mut Random, of: &str) -> String {
    let size = 1 + random.below(5);
    let offset = random.one_of(&[
        "",
        "",
        ", INTERVAL '1' SECOND",
        ", INTERVAL '-1' SECOND",
        ", INTERVAL '0.5' SECOND",
        "",
    ]);
    match random.below(4) {
        0 => format!("TUMBLE(TABLE {of}, DESCRIPTOR(ts), INTERVAL '{}' SECOND{offset})", size * 2),
        1 => format!(
            "HOP(TABLE {of}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND, INTERVAL '{}' SECOND{offset})",
            size * (1 + random.below(3))
        ),
        2 => format!(
            "CUMULATE(TABLE {of}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND, INTERVAL '{}' SECOND{offset})",
            size * (1 + random.below(4))
        ),
        _ => {
            format!("TUMBLE(DATA => TABLE {of}, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '{size}' SECOND)")
        }
    }
}

fn sessions(random: &mut Random) -> String {
    let (of, gap) = (table(random), random.one_of(&["0.5", "1", "2", "3"]));
    let (partition, shown) = match random.below(4) {
        0 => ("", ""),
        1 => ("PARTITION BY k", ", k"),
        2 => ("PARTITION BY (k, g)", ", k, g"),
        _ => ("PARTITION BY ok", ", ok"),
    };
    let windows = format!("SESSION(TABLE {of} {partition}, DESCRIPTOR(ts), INTERVAL '{gap}' SECOND)")
        .replace(" ,", ",");
    match random.below(4) {
        0 => format!("SELECT window_start, window_end, window_time{shown}, id FROM TABLE({windows})"),
        1 => format!(
            "SELECT window_start, window_end{shown}, {} FROM TABLE({windows}) GROUP BY window_start, window_end{shown} HAVING COUNT(*) > 1",
            calls(random)
        ),
        2 => format!(
            "SELECT window_start, window_end{shown}, id, r FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end{shown} ORDER BY n DESC, id) AS r FROM TABLE({windows})) WHERE r <= 2"
        ),
        _ => format!(
            "SELECT window_start, window_end{shown}, {} FROM TABLE({windows}) GROUP BY window_start, window_end{shown}",
            calls(random)
        ),
    }
}

/// An old group window, as its name and its arguments.
fn old(random: &mut Random, time: &str) -> (&'static str, String) {
    let size = 1 + random.below(5);
    match random.below(3) {
        0 => ("TUMBLE", format!("({time}, INTERVAL '{size}' SECOND)")),
        1 => (
            "HOP",
            format!("({time}, INTERVAL '{size}' SECOND, INTERVAL '{}' SECOND)", size * 2 + random.below(2)),
        ),
        _ => ("SESSION", format!("({time}, INTERVAL '{size}' SECOND)")),
    }
}

fn old_windows(random: &mut Random) -> String {
    let (name, of) = old(random, "ts");
    let by = random.one_of(&["", ", k", ", g, ok", ", n % 2"]);
    let having = random.one_of(&["", "", " HAVING COUNT(*) > 1", " HAVING SUM(n) > 5"]);
    format!(
        "SELECT {name}_START{of}, {name}_END{of}, {name}_ROWTIME{of}{by}, {} FROM {}{} GROUP BY {name}{of}{by}{having}",
        calls(random),
        table(random),
        filter(random)
    )
}

fn old_windows_of_windows(random: &mut Random) -> String {
    let (name, of) = old(random, "ts");
    let inner = format!(
        "SELECT {name}_ROWTIME{of} AS rt, k, COUNT(*) AS c, MAX(n) AS m FROM {}{} GROUP BY {name}{of}, k",
        table(random),
        filter(random)
    );
    let (outer, over) = old(random, "rt");
    match random.below(3) {
        0 => format!(
            "SELECT {outer}_START{over}, SUM(c), MAX(m), COUNT(DISTINCT k) FROM ({inner}) GROUP BY {outer}{over}"
        ),
        1 => format!("SELECT {outer}_END{over}, k, SUM(c), MIN(m) FROM ({inner}) GROUP BY {outer}{over}, k"),
        _ => format!("SELECT k, MAX(rt), SUM(c) FROM ({inner}) GROUP BY k"),
    }
}

/// Aggregates that depend on the order of rows, within windows whose rows come in their order.
fn aggregates_of_windows(random: &mut Random) -> String {
    let size = 1 + random.below(5);
    let call = random.one_of(&[
        "FIRST_VALUE(id)",
        "LAST_VALUE(n)",
        "LISTAGG(k)",
        "LISTAGG(DISTINCT k)",
        "COLLECT(n)",
        "ARRAY_AGG(n)",
        "ARRAY_AGG(DISTINCT g)",
        "JSON_ARRAYAGG(n)",
        "JSON_ARRAYAGG(k NULL ON NULL)",
        "LAST_VALUE(k), FIRST_VALUE(n)",
    ]);
    let of = in_order(random);
    match random.below(3) {
        0 => format!(
            "SELECT TUMBLE_START(ts, INTERVAL '{size}' SECOND), {call} FROM {of} GROUP BY TUMBLE(ts, INTERVAL '{size}' SECOND)"
        ),
        1 => format!(
            "SELECT window_start, k, {call} FROM TABLE(TUMBLE(TABLE {of}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND)) GROUP BY window_start, window_end, k"
        ),
        _ => format!(
            "SELECT window_start, {call} FROM TABLE(TUMBLE(TABLE {of}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND)){} GROUP BY window_start, window_end",
            filter(random)
        ),
    }
}

/// Rows of windows: with the columns s, e, ts, k, c and m.
fn aggregated(random: &mut Random, of: &str) -> String {
    let windows = windows(random, of);
    format!(
        "SELECT window_start AS s, window_end AS e, window_time AS ts, k, COUNT(*) AS c, SUM(n) AS m FROM TABLE({windows}) GROUP BY window_start, window_end, window_time, k"
    )
}

fn windows_of_windows(random: &mut Random) -> String {
    let of = table(random);
    let inner = aggregated(random, of);
    let outer = windows(random, "inner_rows");
    match random.below(3) {
        0 => format!(
            "WITH inner_rows AS ({inner}) SELECT window_start, window_end, k, SUM(c), MAX(m), COUNT(*) FROM TABLE({outer}) GROUP BY window_start, window_end, k"
        ),
        1 => format!(
            "WITH inner_rows AS ({inner}) SELECT window_start, SUM(c) FROM TABLE({outer}) GROUP BY window_start, window_end"
        ),
        _ => format!("SELECT s, e, SUM(c), MAX(m) FROM ({inner}) GROUP BY s, e"),
    }
}

fn ranks_of_windows(random: &mut Random) -> String {
    let of = table(random);
    let windows = windows(random, of);
    let (direction, function) =
        (random.one_of(&["", " DESC"]), random.one_of(&["ROW_NUMBER", "ROW_NUMBER", "RANK", "DENSE_RANK"]));
    let ranks = random.one_of(&["r = 1", "r <= 2", "r BETWEEN 2 AND 3", "r < 4"]);
    let by = random.one_of(&[", k", "", ", ok, g"]);
    match random.below(3) {
        0 => format!(
            "SELECT window_start, window_end, id, k, r FROM (SELECT *, {function}() OVER (PARTITION BY window_start, window_end{by} ORDER BY n{direction}, id) AS r FROM TABLE({windows}){}) WHERE {ranks}",
            filter(random)
        ),
        1 => {
            let inner = aggregated(random, of);
            format!(
                "SELECT s, e, k, c, r FROM (SELECT *, {function}() OVER (PARTITION BY s, e ORDER BY c{direction}, k) AS r FROM ({inner})) WHERE {ranks}"
            )
        }
        _ => format!(
            "SELECT window_start, COUNT(*), SUM(n) FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end{by} ORDER BY p{direction}, id) AS r FROM TABLE({windows})) WHERE r <= 3 GROUP BY window_start, window_end"
        ),
    }
}

fn deduplicated_windows(random: &mut Random) -> String {
    let of = in_order(random);
    let windows = windows(random, of);
    let (order, by) = (random.one_of(&["ASC", "DESC"]), random.one_of(&[", k", ", g, ok", ""]));
    let inner = format!(
        "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end{by} ORDER BY ts {order}) AS r FROM TABLE({windows})) WHERE r = 1"
    );
    match random.below(3) {
        0 => format!(
            "SELECT window_start, window_end, COUNT(*), SUM(n) FROM ({inner}) GROUP BY window_start, window_end"
        ),
        1 => format!("SELECT k, SUM(n) FROM ({inner}) GROUP BY k"),
        _ => format!("SELECT window_start, window_end, k, id, n FROM ({inner})"),
    }
}

fn joins_of_windows(random: &mut Random) -> String {
    let left = windows(random, "a");
    let right = left.replace("TABLE a,", "TABLE b,");
    let on = "l.window_start = r.window_start AND l.window_end = r.window_end";
    let key =
        random.one_of(&["l.k = r.k", "l.g = r.g AND l.ok = r.ok", "l.k = r.k AND l.n <= r.n", "l.n = r.n"]);
    let rows = |windows: &str| format!("(SELECT * FROM TABLE({windows}))");
    match random.below(4) {
        0 => format!(
            "SELECT id, k, window_start FROM {} AS l WHERE {}EXISTS (SELECT 1 FROM {} AS r WHERE {on} AND {key})",
            rows(&left),
            random.one_of(&["", "NOT "]),
            rows(&right)
        ),
        1 => format!(
            "SELECT id, n, window_end FROM {} AS l WHERE n {}IN (SELECT n FROM {} AS r WHERE {on})",
            rows(&left),
            random.one_of(&["", "NOT "]),
            rows(&right)
        ),
        _ => format!(
            "SELECT l.id, r.id, l.window_start, r.window_end FROM {} AS l {} {} AS r ON {on} AND {key}",
            rows(&left),
            random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]),
            rows(&right)
        ),
    }
}

fn aggregate_of_window_join(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN"]);
    let left = windows(random, "a");
    let right = left.replace("TABLE a,", "TABLE b,");
    let side = |windows: &str| {
        format!(
            "(SELECT window_start, window_end, k, COUNT(*) AS c, SUM(n) AS m FROM TABLE({windows}) GROUP BY window_start, window_end, k)"
        )
    };
    let joined = format!(
        "SELECT l.window_start AS window_start, l.window_end AS window_end, l.k AS k, l.c AS c, r.m AS m FROM {} AS l {kind} {} AS r ON l.window_start = r.window_start AND l.window_end = r.window_end AND l.k = r.k",
        side(&left),
        side(&right)
    );
    match random.below(3) {
        0 => format!(
            "SELECT window_start, window_end, COUNT(*), SUM(c), MAX(m) FROM ({joined}) GROUP BY window_start, window_end"
        ),
        1 => format!(
            "SELECT window_start, k, c, r FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY c DESC, k) AS r FROM ({joined})) WHERE r <= 2"
        ),
        _ => format!("SELECT k, SUM(c), SUM(m) FROM ({joined}) GROUP BY k"),
    }
}

/// Several calls over the same rows, and over others.
fn over_many(random: &mut Random) -> String {
    let rows = 1 + random.below(4);
    let partition = random.one_of(&[
        "PARTITION BY k ",
        "PARTITION BY k, g ",
        "PARTITION BY ok ",
        "",
        "PARTITION BY n % 2 ",
    ]);
    let frame = match random.below(5) {
        0 => String::new(),
        1 => format!(" ROWS BETWEEN {rows} PRECEDING AND CURRENT ROW"),
        2 => format!(" RANGE BETWEEN INTERVAL '{rows}' SECOND PRECEDING AND CURRENT ROW"),
        3 => format!(" ROWS {rows} PRECEDING"),
        _ => " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
    };
    let call = |random: &mut Random| {
        random.one_of(&[
            "SUM(n) OVER w",
            "COUNT(*) OVER w",
            "MIN(p) OVER w",
            "MAX(k) OVER w",
            "AVG(p) OVER w",
            "COUNT(DISTINCT g) OVER w",
            "SUM(DISTINCT n) OVER w",
            "FIRST_VALUE(id) OVER w",
            "LAST_VALUE(id) OVER w",
            "FIRST_VALUE(n) OVER w",
            "LAST_VALUE(k) OVER w",
            "STDDEV_SAMP(n) OVER w",
            "VAR_POP(p) OVER w",
            "LISTAGG(k) OVER w",
            "JSON_ARRAYAGG(n) OVER w",
            "ARRAY_AGG(g) OVER w",
            "COLLECT(g) OVER w",
        ])
    };
    let calls = format!("{}, {}, {}", call(random), call(random), call(random));
    let of = in_order(random);
    match random.below(7) {
        0 => format!(
            "SELECT id, ROW_NUMBER() OVER ({partition}ORDER BY ts) AS r, {} FROM {of}",
            random.one_of(&[
                "RANK() OVER (ORDER BY ts)",
                "COUNT(*) OVER (ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
                "n"
            ])
        ),
        1 => format!(
            "SELECT id, SUM(n) OVER w, LAG(n) OVER (w), LAG(k, {rows}) OVER w FROM {of} WINDOW w AS ({partition}ORDER BY ts)"
        ),
        2 => format!(
            "SELECT id, SUM(n) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN {rows} PRECEDING AND CURRENT ROW), MAX(n) OVER (PARTITION BY g ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {of}"
        ),
        3 => format!(
            "SELECT k, SUM(s), MAX(c) FROM (SELECT k, SUM(n) OVER w AS s, COUNT(*) OVER w AS c FROM {of} WINDOW w AS ({partition}ORDER BY ts{frame})) GROUP BY k"
        ),
        _ => format!(
            "SELECT id, {calls} FROM {of}{} WINDOW w AS ({partition}ORDER BY ts{frame})",
            filter(random)
        ),
    }
}

/// Over columns that are no time, and rows that are taken back.
fn over_updates(random: &mut Random) -> String {
    let call = random.one_of(&["SUM(c)", "COUNT(*)", "MIN(c)", "MAX(m)", "AVG(c)", "ROW_NUMBER()"]);
    let (partition, order) = (
        random.one_of(&["PARTITION BY g ", "", "PARTITION BY k "]),
        random.one_of(&["c", "k", "c DESC", "g"]),
    );
    let frame = random.one_of(&[
        "",
        " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
    ]);
    let frame = if call == "ROW_NUMBER()" { "" } else { frame };
    match random.below(2) {
        0 => format!(
            "SELECT k, g, c, {call} OVER ({partition}ORDER BY {order}{frame}) FROM (SELECT k, g, COUNT(*) AS c, MAX(n) AS m FROM {} GROUP BY k, g)",
            table(random)
        ),
        _ => format!(
            "SELECT id, k, {} OVER ({partition}ORDER BY {}{frame}) FROM {}",
            call.replace("(c)", "(n)").replace("(m)", "(n)"),
            random.one_of(&["id", "n", "p DESC", "id DESC"]),
            in_order(random)
        ),
    }
}

fn windows_of_updates(random: &mut Random) -> String {
    let windows = windows(random, "v");
    match random.below(3) {
        0 => format!(
            "SELECT window_start, window_end, {} FROM TABLE({windows}) GROUP BY window_start, window_end",
            random.one_of(&["COUNT(*), SUM(n)", "COUNT(*), MAX(n)", "AVG(p), COUNT(DISTINCT g)"])
        ),
        1 => format!(
            "SELECT window_start, k, COUNT(*), MIN(n) FROM TABLE({windows}) GROUP BY window_start, window_end, k"
        ),
        _ => {
            let of = format!("(ts, INTERVAL '{}' SECOND)", 1 + random.below(4));
            format!("SELECT TUMBLE_START{of}, COUNT(*), SUM(n) FROM v GROUP BY TUMBLE{of}")
        }
    }
}
