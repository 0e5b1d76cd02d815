//! Tables of rows made up: with NULLs, in disorder, and doubled.

use std::fmt::Write as _;

use crate::random::Random;

/// The statements that a script begins with. `v` has versions.
pub(crate) const TABLES: &str = "CREATE TABLE a (id INT, k STRING, g INT, n INT, p DECIMAL(10, 2), w DOUBLE, ok BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'a.json', 'format' = 'json');
CREATE TABLE b (id INT, k STRING, g INT, n INT, p DECIMAL(10, 2), w DOUBLE, ok BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'b.json', 'format' = 'json');
CREATE TABLE ties (id INT, k STRING, g INT, n INT, p DECIMAL(10, 2), w DOUBLE, ok BOOLEAN, `at` TIMESTAMP(3), ts AS FLOOR(`at` TO SECOND), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'ties.json', 'format' = 'json');
CREATE TABLE late (id INT, k STRING, g INT, n INT, p DECIMAL(10, 2), w DOUBLE, ok BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'filesystem', 'path' = 'late.json', 'format' = 'json');
CREATE VIEW v AS SELECT id, k, g, n, p, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS r FROM b) WHERE r = 1;
";

/// The rows of a table, an object a line; `late`: some out of order by more than the watermark allows.
pub(crate) fn rows(random: &mut Random, count: usize, late: bool) -> String {
    let (mut lines, mut time) = (Vec::<String>::new(), 0_usize);
    for id in 0..count {
        // Now and then nothing comes for a while.
        time += if random.below(12) == 0 { random.below(6000) } else { random.below(500) };
        let back = match random.below(10) {
            0 if late => random.below(9000),
            1..=4 => random.below(1900),
            _ => 0,
        };
        let at = time.saturating_sub(back) + 1;
        let mut line = String::new();
        let maybe = |random: &mut Random, value: String| {
            if random.below(12) == 0 { "null".to_owned() } else { value }
        };
        let text = format!("\"{}\"", random.one_of(&["x", "yy", "zed", "eve"]));
        let k = maybe(random, text);
        let g = (random.below(4) + 1).to_string();
        let g = maybe(random, g);
        let n = random.below(10).to_string();
        let n = maybe(random, n);
        let p = format!("{}.{:02}", random.below(90), random.below(100));
        let p = maybe(random, p);
        let w = format!("{}.{}", random.below(4), random.one_of(&["0", "25", "5"]));
        let w = maybe(random, w);
        let ok = random.one_of(&["true", "false"]).to_owned();
        let ok = maybe(random, ok);
        // To a string nothing fails to be written.
        let _ = write!(
            line,
            "{{\"id\": {id}, \"k\": {k}, \"g\": {g}, \"n\": {n}, \"p\": {p}, \"w\": {w}, \"ok\": {ok}, \"ts\": \"2024-03-01 10:{:02}:{:02}.{:03}\"}}",
            at / 60_000,
            at / 1000 % 60,
            at % 1000
        );
        if late && random.below(15) == 0 {
            lines.push(line.clone());
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}
