//! Queries made up: of each kind some, over the tables `a` and `b` (rows in their order but for what the watermark allows) and `late`
//! (rows out of order, late and doubled).

use crate::random::Random;

/// A query, over tables whose columns are those of [`crate::rows`].
pub(crate) fn query(random: &mut Random) -> String {
    let kinds: [fn(&mut Random) -> String; 16] = [
        projection,
        aggregate,
        nested_aggregate,
        grouping_sets,
        window,
        window,
        cascade,
        over,
        join,
        join,
        interval_join,
        window_join,
        top,
        deduplicate,
        set_operation,
        subquery,
    ];
    let kind = random.below(kinds.len() + 1);
    match kinds.get(kind) {
        Some(kind) => kind(random),
        None => temporal_join(random),
    }
}

pub(crate) fn table(random: &mut Random) -> &'static str {
    random.one_of(&["a", "b", "late"])
}

pub(crate) fn in_order(random: &mut Random) -> &'static str {
    random.one_of(&["a", "b"])
}

fn key(random: &mut Random) -> &'static str {
    random.one_of(&["k", "g", "ok", "k", "CAST(ts AS DATE)", "n / 4", "UPPER(k)"])
}

fn number(random: &mut Random) -> String {
    let plain = [
        "n",
        "g",
        "p",
        "w",
        "id",
        "n + g",
        "n * 2",
        "p - n",
        "CASE WHEN ok THEN n ELSE g END",
        "COALESCE(n, 0)",
        "ABS(n)",
        "p * 2",
    ];
    let one = random.one_of(&plain).to_owned();
    match random.below(8) {
        0 => format!("{one} + {}", random.below(5)),
        1 => format!("CAST({one} AS BIGINT)"),
        2 => format!("MOD(CAST({one} AS INT), 3)"),
        _ => one,
    }
}

fn value(random: &mut Random) -> String {
    match random.below(12) {
        0 => "UPPER(k)".to_owned(),
        1 => "k || '-' || CAST(n AS STRING)".to_owned(),
        2 => "SUBSTRING(k, 2)".to_owned(),
        3 => "EXTRACT(SECOND FROM ts)".to_owned(),
        4 => "DATE_FORMAT(ts, 'HH:mm')".to_owned(),
        5 => "FLOOR(ts TO MINUTE)".to_owned(),
        6 => "CASE k WHEN 'x' THEN 1 WHEN 'yy' THEN 2 END".to_owned(),
        7 => "NULLIF(k, 'x')".to_owned(),
        8 => "ok IS TRUE".to_owned(),
        9 => "ROW(k, n)".to_owned(),
        _ => number(random),
    }
}

pub(crate) fn condition(random: &mut Random, of: &str) -> String {
    let one = |random: &mut Random| match random.below(12) {
        0 => format!("{of}n > {}", random.below(8)),
        1 => format!("{of}k = '{}'", random.one_of(&["x", "yy", "zed"])),
        2 => format!("{of}ok"),
        3 => format!("{of}g IN (1, 2, {})", random.below(6)),
        4 => format!("{of}p BETWEEN {} AND {}", random.below(20), 20 + random.below(60)),
        5 => format!("{of}k LIKE '%{}%'", random.one_of(&["e", "y", "x"])),
        6 => format!("{of}n IS NOT NULL"),
        7 => format!("NOT {of}ok"),
        8 => format!("{of}n <> {of}g"),
        9 => format!("{of}w > {}.5", random.below(3)),
        10 => format!("{of}k IS NULL"),
        _ => format!("{of}id < {}", 20 + random.below(60)),
    };
    match random.below(5) {
        0 => format!("({} OR {})", one(random), one(random)),
        1 => format!("{} AND {}", one(random), one(random)),
        _ => one(random),
    }
}

pub(crate) fn filter(random: &mut Random) -> String {
    if random.below(3) == 0 { format!(" WHERE {}", condition(random, "")) } else { String::new() }
}

/// An aggregate that does not depend on the order of rows.
fn call(random: &mut Random) -> String {
    let of = number(random);
    let call = match random.below(14) {
        0 | 1 => "COUNT(*)".to_owned(),
        2 => format!("COUNT({of})"),
        3 => "COUNT(DISTINCT k)".to_owned(),
        4 | 5 => format!("SUM({of})"),
        6 => format!("AVG({of})"),
        7 => format!("MIN({of})"),
        8 => format!("MAX({of})"),
        9 => "MAX(k)".to_owned(),
        10 => "SUM(DISTINCT n)".to_owned(),
        11 => "MIN(ts)".to_owned(),
        12 => "VAR_POP(n)".to_owned(),
        _ => "COUNT(DISTINCT g)".to_owned(),
    };
    if random.below(4) == 0 { format!("{call} FILTER (WHERE {})", condition(random, "")) } else { call }
}

fn calls(random: &mut Random) -> String {
    let count = 1 + random.below(3);
    (0..count).map(|place| format!("{} AS c{place}", call(random))).collect::<Vec<_>>().join(", ")
}

fn projection(random: &mut Random) -> String {
    let count = 1 + random.below(4);
    let values = (0..count).map(|_| value(random)).collect::<Vec<_>>().join(", ");
    let distinct = if random.below(4) == 0 { "DISTINCT " } else { "" };
    format!("SELECT {distinct}{values} FROM {}{}", table(random), filter(random))
}

fn aggregate(random: &mut Random) -> String {
    let having = match random.below(3) {
        0 => format!(" HAVING COUNT(*) > {}", random.below(6)),
        _ => String::new(),
    };
    match random.below(6) {
        0 => format!("SELECT {} FROM {}{}", calls(random), table(random), filter(random)),
        1 => {
            let (one, other) = ("k", random.one_of(&["g", "ok"]));
            format!(
                "SELECT {one}, {other}, {} FROM {}{} GROUP BY {one}, {other}{having}",
                calls(random),
                table(random),
                filter(random)
            )
        }
        _ => {
            let key = key(random);
            format!(
                "SELECT {key} AS x, {} FROM {}{} GROUP BY {key}{having}",
                calls(random),
                table(random),
                filter(random)
            )
        }
    }
}

fn nested_aggregate(random: &mut Random) -> String {
    let outer = random.one_of(&[
        "COUNT(*), SUM(c), MAX(c)",
        "MIN(c), COUNT(DISTINCT c)",
        "AVG(c), MAX(m)",
        "SUM(DISTINCT c), MIN(m)",
    ]);
    let inner = random.one_of(&[
        "COUNT(*) AS c, MAX(n) AS m",
        "SUM(n) AS c, MIN(g) AS m",
        "SUM(g) AS c, COUNT(DISTINCT n) AS m",
    ]);
    let (table, filter) = (table(random), filter(random));
    match random.below(3) {
        0 => format!("SELECT {outer} FROM (SELECT k, {inner} FROM {table}{filter} GROUP BY k)"),
        1 => {
            format!("SELECT c, COUNT(*) FROM (SELECT k, {inner} FROM {table}{filter} GROUP BY k) GROUP BY c")
        }
        _ => format!(
            "SELECT g, {outer} FROM (SELECT k, g, {inner} FROM {table}{filter} GROUP BY k, g) GROUP BY g"
        ),
    }
}

fn grouping_sets(random: &mut Random) -> String {
    let by = random.one_of(&[
        "GROUPING SETS ((k), (g), ())",
        "CUBE (k, g)",
        "ROLLUP (k, g)",
        "GROUPING SETS ((k, g), (g))",
    ]);
    format!(
        "SELECT k, g, GROUPING(k), {} FROM {}{} GROUP BY {by}",
        calls(random),
        table(random),
        filter(random)
    )
}

/// A window table function over a table, and whether its windows are sessions.
fn windowed(random: &mut Random, table: &str) -> String {
    let unit = 1 + random.below(4);
    match random.below(5) {
        0 | 1 => match random.below(3) {
            0 => format!(
                "TUMBLE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{}' SECOND, INTERVAL '{unit}' SECOND)",
                unit * 3
            ),
            _ => format!("TUMBLE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{}' SECOND)", unit * 3),
        },
        2 => format!(
            "HOP(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{unit}' SECOND, INTERVAL '{}' SECOND)",
            unit * (2 + random.below(3))
        ),
        3 => format!(
            "CUMULATE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{unit}' SECOND, INTERVAL '{}' SECOND)",
            unit * (2 + random.below(3))
        ),
        _ => match random.below(2) {
            0 => format!("SESSION(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{unit}' SECOND)"),
            _ => format!("SESSION(TABLE {table} PARTITION BY k, DESCRIPTOR(ts), INTERVAL '{unit}' SECOND)"),
        },
    }
}

fn window(random: &mut Random) -> String {
    let table = table(random);
    let windows = windowed(random, table);
    let session = windows.contains("PARTITION BY");
    let (shown, by) = match random.below(5) {
        0 if !session => (String::new(), "window_start, window_end".to_owned()),
        1 if !windows.starts_with("SESSION") => {
            (", k, g".to_owned(), "window_start, window_end, GROUPING SETS ((k), (g), ())".to_owned())
        }
        2 => (", k, g".to_owned(), "window_start, window_end, k, g".to_owned()),
        _ => (", k".to_owned(), "window_start, window_end, k".to_owned()),
    };
    let filter = if windows.starts_with("SESSION") { String::new() } else { filter(random) };
    format!(
        "SELECT window_start, window_end{shown}, {} FROM TABLE({windows}){filter} GROUP BY {by}",
        calls(random)
    )
}

fn cascade(random: &mut Random) -> String {
    let size = 2 + random.below(3);
    let inner = format!(
        "SELECT window_start AS s, window_end AS e, window_time AS wt, k, COUNT(*) AS c, SUM(n) AS m FROM TABLE(TUMBLE(TABLE {}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND)) GROUP BY window_start, window_end, window_time, k",
        table(random)
    );
    match random.below(3) {
        0 => format!(
            "SELECT TUMBLE_START(wt, INTERVAL '{}' SECOND), SUM(c), MAX(m) FROM ({inner}) GROUP BY TUMBLE(wt, INTERVAL '{}' SECOND)",
            size * 3,
            size * 3
        ),
        1 => format!(
            "SELECT s, k, c FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY s, e ORDER BY c DESC, k) AS r FROM ({inner})) WHERE r <= 2"
        ),
        _ => format!("SELECT k, SUM(c), COUNT(*), MAX(m) FROM ({inner}) GROUP BY k"),
    }
}

fn over(random: &mut Random) -> String {
    let rows = 1 + random.below(4);
    let frame = match random.below(4) {
        0 => String::new(),
        1 => format!(" ROWS BETWEEN {rows} PRECEDING AND CURRENT ROW"),
        2 => format!(" RANGE BETWEEN INTERVAL '{rows}' SECOND PRECEDING AND CURRENT ROW"),
        _ => " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
    };
    let partition = random.one_of(&["PARTITION BY k ", "PARTITION BY k, g ", "PARTITION BY ok ", ""]);
    let call = random.one_of(&[
        "SUM(n)",
        "COUNT(*)",
        "MIN(p)",
        "MAX(n)",
        "AVG(p)",
        "COUNT(DISTINCT g)",
        "FIRST_VALUE(id)",
        "LAST_VALUE(id)",
    ]);
    format!(
        "SELECT id, k, {call} OVER w, COUNT(n) OVER w FROM {}{} WINDOW w AS ({partition}ORDER BY ts{frame})",
        in_order(random),
        filter(random)
    )
}

/// A side of a join: its rows have the columns id, k, g, n.
fn side(random: &mut Random, table: &str) -> String {
    match random.below(4) {
        0 => format!("(SELECT MAX(id) AS id, k, g, SUM(n) AS n FROM {table} GROUP BY k, g)"),
        1 => format!(
            "(SELECT COUNT(*) AS id, MAX(k) AS k, g, MIN(n) AS n FROM {table}{} GROUP BY g)",
            filter(random)
        ),
        _ => format!("(SELECT id, k, g, n FROM {table} WHERE id < {})", 20 + random.below(40)),
    }
}

fn join(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN", "LEFT JOIN"]);
    let (tables, extra) =
        ((table(random), table(random)), random.one_of(&["", " AND l.n > r.n", " AND l.id <> r.id"]));
    let on = random.one_of(&["l.k = r.k", "l.g = r.g", "l.k = r.k AND l.g = r.g", "l.g = r.n"]);
    let (left, right) = (side(random, tables.0), side(random, tables.1));
    match random.below(3) {
        0 => format!(
            "SELECT l.k, COUNT(*), SUM(r.n), COUNT(r.id) FROM {left} AS l {kind} {right} AS r ON {on}{extra} GROUP BY l.k"
        ),
        1 => format!("SELECT l.id, l.k, r.id, r.n FROM {left} AS l {kind} {right} AS r ON {on}{extra}"),
        _ => {
            let table = in_order(random);
            let third = side(random, table);
            format!(
                "SELECT l.k, r.id, t.n FROM {left} AS l {kind} {right} AS r ON {on} JOIN {third} AS t ON t.k = l.k WHERE t.id < 30"
            )
        }
    }
}

fn interval_join(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN"]);
    let (before, after) = (random.below(4), 1 + random.below(3));
    let extra = random.one_of(&["", " AND l.n > r.n", " AND l.g = r.g"]);
    format!(
        "SELECT l.id, l.k, r.id, r.n FROM a AS l {kind} b AS r ON l.k = r.k AND l.ts BETWEEN r.ts - INTERVAL '{before}' SECOND AND r.ts + INTERVAL '{after}' SECOND{extra}"
    )
}

fn window_join(random: &mut Random) -> String {
    let (kind, size) =
        (random.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]), 2 + random.below(6));
    let side = |table: &str| {
        format!("(SELECT * FROM TABLE(TUMBLE(TABLE {table}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND)))")
    };
    let on = "l.window_start = r.window_start AND l.window_end = r.window_end";
    match random.below(4) {
        0 => format!(
            "SELECT id, k, window_start FROM {} AS l WHERE {}EXISTS (SELECT 1 FROM {} AS r WHERE l.k = r.k AND {on})",
            side("a"),
            random.one_of(&["", "NOT "]),
            side("b")
        ),
        _ => format!(
            "SELECT l.id, r.id, l.window_start, r.window_end FROM {} AS l {kind} {} AS r ON l.k = r.k AND {on}",
            side("a"),
            side("b")
        ),
    }
}

fn temporal_join(random: &mut Random) -> String {
    let kind = random.one_of(&["JOIN", "LEFT JOIN"]);
    let shown = random.one_of(&["a.id, a.k, v.id, v.n", "a.id, v.p, a.n + v.n", "a.k, v.g"]);
    format!(
        "SELECT {shown} FROM a {kind} v FOR SYSTEM_TIME AS OF a.ts ON a.k = v.k{}",
        // Flink joins rows whose key is NULL.
        random.one_of(&[" WHERE a.k IS NOT NULL", " WHERE a.k IS NOT NULL AND a.n > 2"])
    )
}

fn top(random: &mut Random) -> String {
    let (most, function) =
        (2 + random.below(3), random.one_of(&["ROW_NUMBER", "ROW_NUMBER", "RANK", "DENSE_RANK"]));
    let shown = random.one_of(&["", ", r"]);
    let direction = random.one_of(&["", " DESC"]);
    match random.below(3) {
        0 => format!(
            "SELECT k, c{shown} FROM (SELECT *, {function}() OVER (ORDER BY c{direction}, k) AS r FROM (SELECT k, COUNT(*) AS c FROM {}{} GROUP BY k)) WHERE r <= {most}",
            table(random),
            filter(random)
        ),
        1 => format!(
            "SELECT g, k, s{shown} FROM (SELECT *, {function}() OVER (PARTITION BY g ORDER BY s{direction}, k) AS r FROM (SELECT g, k, SUM(n) AS s FROM {} GROUP BY g, k)) WHERE r <= {most}",
            table(random)
        ),
        _ => format!(
            "SELECT k, id, p{shown} FROM (SELECT *, {function}() OVER (PARTITION BY k ORDER BY p{direction}, id) AS r FROM {}{}) WHERE r <= {most}",
            table(random),
            filter(random)
        ),
    }
}

fn deduplicate(random: &mut Random) -> String {
    let partition = random.one_of(&["k", "k, g", "ok"]);
    // The first row that comes late takes the place of another here, and does not in Flink.
    let (order, table) = match random.below(2) {
        0 => ("ASC", in_order(random)),
        _ => ("DESC", table(random)),
    };
    let inner = format!(
        "SELECT id, k, g, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {partition} ORDER BY ts {order}) AS r FROM {table}{}) WHERE r = 1",
        filter(random)
    );
    match random.below(2) {
        0 => inner,
        _ => format!("SELECT g, COUNT(*), SUM(n), MAX(id) FROM ({inner}) GROUP BY g"),
    }
}

fn set_operation(random: &mut Random) -> String {
    let columns = random.one_of(&["k", "g", "k, g", "n, ok"]);
    let one = |random: &mut Random| {
        format!("SELECT {columns} FROM {} WHERE {}", table(random), condition(random, ""))
    };
    let operation =
        random.one_of(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
    let both = format!("({}) {operation} ({})", one(random), one(random));
    match random.below(3) {
        // Flink counts wrongly what comes of `INTERSECT ALL` and `EXCEPT ALL`.
        0 if !operation.ends_with(" ALL") => format!("SELECT COUNT(*) FROM ({both})"),
        1 => format!("({both}) {} ({})", random.one_of(&["UNION ALL", "EXCEPT", "INTERSECT"]), one(random)),
        _ => both,
    }
}

fn subquery(random: &mut Random) -> String {
    let (outer, inner, not) = (table(random), in_order(random), random.one_of(&["", "NOT "]));
    match random.below(6) {
        0 => format!(
            "SELECT id, k FROM {outer} AS o WHERE g {not}IN (SELECT n FROM {inner} WHERE n IS NOT NULL AND {})",
            condition(random, "")
        ),
        1 => format!(
            "SELECT id, k FROM {outer} AS o WHERE {not}EXISTS (SELECT 1 FROM {inner} AS i WHERE i.k = o.k AND {})",
            condition(random, "i.")
        ),
        2 => format!("SELECT id, n FROM {outer} WHERE n > (SELECT AVG(n) FROM {inner})"),
        3 => format!(
            "SELECT id, k FROM {outer} AS o WHERE n = (SELECT MAX(n) FROM {inner} AS i WHERE i.k = o.k)"
        ),
        4 => format!(
            "SELECT k, COUNT(*) FROM {outer} AS o WHERE {not}EXISTS (SELECT 1 FROM {inner} AS i WHERE i.g = o.g AND i.n > 5) GROUP BY k"
        ),
        _ => format!(
            "SELECT id, (SELECT COUNT(*) FROM {inner} AS i WHERE i.k = o.k) FROM {outer} AS o WHERE id < 30"
        ),
    }
}
