//! Joins with the version of a row that was there at a time: of tables with a key, and of views that keep the last row of each key.

use crate::queries::condition;
use crate::random::Random;

/// The tables and views that have versions, over the files of [`crate::rows`].
pub(crate) const VIEWS: &str = "CREATE TABLE kept (id INT, k STRING NOT NULL, g INT, n INT, p DECIMAL(10, 2), ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'filesystem', 'path' = 'kept.json', 'format' = 'json');
CREATE VIEW v2 AS SELECT id, k, g, n, p, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k, g ORDER BY ts DESC) AS r FROM b WHERE k IS NOT NULL AND g IS NOT NULL) WHERE r = 1;
CREATE VIEW v3 AS SELECT k, n + 1 AS n, UPPER(k) AS u, id, g, p, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS r FROM kept WHERE n > 1) WHERE r = 1;
";

/// A query, over tables whose columns are those of [`crate::rows`].
pub(crate) fn query(random: &mut Random) -> String {
    let (versions, on) = random_versions(random);
    let kind = random.one_of(&["JOIN", "LEFT JOIN"]);
    let more = random.one_of(&[
        "",
        "",
        " AND o.n > v.n",
        " AND v.id > 20",
        " AND o.ok",
        " AND (o.p < v.p OR v.p IS NULL)",
    ]);
    let left = left(random);
    let from = format!("{left} AS o {kind} {versions} FOR SYSTEM_TIME AS OF o.ts AS v ON {on}{more}");
    // Flink joins rows whose key is NULL.
    let filter = match random.below(4) {
        0 => format!("o.k IS NOT NULL AND o.g IS NOT NULL AND {}", condition(random, "o.")),
        1 if kind == "LEFT JOIN" => "o.k IS NOT NULL AND o.g IS NOT NULL AND v.id IS NULL".to_owned(),
        _ => "o.k IS NOT NULL AND o.g IS NOT NULL".to_owned(),
    };
    match random.below(6) {
        0 => format!("SELECT o.k, COUNT(*), SUM(v.n), MAX(v.id) FROM {from} WHERE {filter} GROUP BY o.k"),
        1 => format!(
            "SELECT v.g, COUNT(*), SUM(o.n) FROM {from} WHERE {filter} GROUP BY v.g HAVING COUNT(*) > 1"
        ),
        2 => {
            let (others, on) = random_versions(random);
            let on = on.replace("v.", "w.");
            format!(
                "SELECT o.id, v.id, w.id FROM {from} {} {others} FOR SYSTEM_TIME AS OF o.ts AS w ON {on} WHERE {filter}",
                random.one_of(&["JOIN", "LEFT JOIN"])
            )
        }
        3 => {
            let of = format!("(ts, INTERVAL '{}' SECOND)", 2 + random.below(5));
            format!(
                "SELECT TUMBLE_START{of}, k, COUNT(*), SUM(n) FROM (SELECT o.ts AS ts, o.k AS k, v.n AS n FROM {from} WHERE {filter}) GROUP BY TUMBLE{of}, k"
            )
        }
        _ => format!("SELECT o.id, o.k, v.id, v.n, v.p FROM {from} WHERE {filter}"),
    }
}

/// What has versions, and how its rows are found.
fn random_versions(random: &mut Random) -> (&'static str, &'static str) {
    match random.below(6) {
        0 => ("v2", "o.k = v.k AND o.g = v.g"),
        1 => ("v3", "o.k = v.k"),
        2 => ("v", "o.k = v.k"),
        3 => ("kept", "v.k = o.k AND o.g = v.g"),
        4 => ("kept", "UPPER(o.k) = UPPER(v.k) AND v.k = o.k"),
        _ => ("kept", "o.k = v.k"),
    }
}

/// Rows that ask: with the columns of a table.
fn left(random: &mut Random) -> &'static str {
    random.one_of(&[
        "a",
        "a",
        "a",
        "(SELECT * FROM a WHERE n > 2)",
        "(SELECT id, k, g, n, p, w, ok, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k, g, n ORDER BY ts ASC) AS r FROM a) WHERE r = 1)",
        "(SELECT l.id, l.k, r.g, r.n, l.p, l.w, l.ok, l.ts FROM a AS l JOIN a AS r ON l.k = r.k AND l.ts BETWEEN r.ts AND r.ts + INTERVAL '2' SECOND)",
        "(SELECT MAX(id) AS id, k, MIN(g) AS g, COUNT(*) AS n, MAX(p) AS p, MAX(w) AS w, ok, window_time AS ts FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '3' SECOND)) GROUP BY window_start, window_end, window_time, k, ok)",
    ])
}
