//! Patterns in rows: quantifiers that take much and little, where the next match begins, aggregates in conditions and measures.

use crate::queries::in_order;
use crate::random::Random;

const PATTERNS: &[&str] = &[
    "A B",
    "A+ B",
    "A B* C",
    "A{2} B",
    "A B? C",
    "A+? B",
    "A{1,3} B",
    "A B{2,}? C",
    "A C*? B",
    "A B+ C",
    "A B+? C",
    "A*? B",
    "A{,2} B",
    "A{2,4}? B",
    "A{1,2} B{1,2} C",
    "A+ B+ C",
    "A+? B* C",
    "(A B) C",
    "A (B C)+ D",
    "A B{0,3} C",
    "A{3}",
    "A B C*? D",
];

/// A query, over tables whose columns are those of [`crate::rows`].
pub(crate) fn query(random: &mut Random) -> String {
    let pattern = random.one_of(PATTERNS);
    let within = match random.below(3) {
        0 => format!(" WITHIN INTERVAL '{}' SECOND", 1 + random.below(6)),
        _ => String::new(),
    };
    let mut names: Vec<char> = pattern.chars().filter(char::is_ascii_uppercase).collect();
    names.sort_unstable();
    names.dedup();
    let last = names[names.len() - 1];
    let skip = match random.below(7) {
        0 => "TO NEXT ROW".to_owned(),
        1 => format!("TO LAST {last}"),
        2 => format!("TO FIRST {last}"),
        3 => format!("TO {last}"),
        _ => "PAST LAST ROW".to_owned(),
    };
    // A name that is not defined stands for any row.
    let mut defined: Vec<String> = Vec::new();
    for name in &names {
        if random.below(6) != 0 || (defined.is_empty() && *name == last) {
            defined.push(format!("{name} AS {}", condition(random, *name, names[0])));
        }
    }
    let mut measures = vec!["FIRST(A.id) AS f".to_owned(), format!("LAST({last}.id) AS l")];
    // When a match before it is over in time, the time of a match is in Flink where the watermark happens to be.
    let count = 1 + random.below(3);
    for place in 0..count {
        let of = names[random.below(names.len())];
        measures.push(format!("{} AS m{place}", measure(random, of)));
    }
    if within.is_empty() {
        measures.push("MATCH_ROWTIME() AS t".to_owned());
    }
    let partition = random.one_of(&["PARTITION BY k ", "PARTITION BY g ", "", "PARTITION BY k, ok "]);
    let matched = format!(
        "{} MATCH_RECOGNIZE ({partition}ORDER BY {} MEASURES {} ONE ROW PER MATCH AFTER MATCH SKIP {skip} PATTERN ({pattern}){within} DEFINE {}) AS m",
        in_order(random),
        random.one_of(&["ts", "ts", "ts, id", "ts, id DESC"]),
        measures.join(", "),
        defined.join(", ")
    );
    match random.below(5) {
        0 => format!("SELECT COUNT(*), SUM(f), MAX(l), MIN(m0) FROM {matched}"),
        _ => format!("SELECT * FROM {matched}"),
    }
}

fn condition(random: &mut Random, name: char, first: char) -> String {
    let number = random.below(8);
    match random.below(14) {
        0 => format!("{name}.n > {number}"),
        1 => format!("{name}.n < {}", 2 + number),
        2 => format!("{name}.ok"),
        3 => format!("{name}.n > LAST({name}.n, 1) OR LAST({name}.n, 1) IS NULL"),
        4 => format!("{name}.g <> 2"),
        5 => format!("{name}.n >= FIRST({first}.n)"),
        6 => format!("SUM({name}.n) < {}", 5 + number * 2),
        7 => format!("AVG({name}.p) > {}", 10 + number * 5),
        8 => format!("COUNT({name}.id) < {}", 2 + number),
        9 => format!("MAX({first}.n) > {name}.n"),
        10 => format!("{name}.n IS NOT NULL AND {name}.p > {}", number * 8),
        11 => format!("{name}.k <> 'x' OR {name}.w > 1"),
        12 => format!("{name}.p > LAST({first}.p)"),
        _ => format!("{name}.n - FIRST({name}.n) < {number}"),
    }
}

fn measure(random: &mut Random, of: char) -> String {
    match random.below(14) {
        0 => format!("COUNT({of}.id)"),
        1 => format!("SUM({of}.n)"),
        2 => format!("AVG({of}.p)"),
        3 => format!("MIN({of}.n)"),
        4 => format!("MAX({of}.p)"),
        5 => format!("LAST({of}.n)"),
        6 => format!("FIRST({of}.n)"),
        7 => format!("LAST({of}.id, 1)"),
        8 => format!("FIRST({of}.id, 1)"),
        9 => format!("SUM({of}.n * 2 + 1)"),
        10 => format!("LAST({of}.n) - FIRST({of}.n)"),
        11 => format!("COUNT({of}.n)"),
        12 => format!("CASE WHEN LAST({of}.ok) THEN 'yes' ELSE UPPER(LAST({of}.k)) END"),
        _ => format!("AVG({of}.n)"),
    }
}
