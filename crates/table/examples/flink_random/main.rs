//! Queries made up, on Thalweg and on a real Flink: do they come to the same?
//!
//! `cargo run -p thalweg-table --example flink_random -- SEED [QUERIES [FOLDER]]` makes tables and queries that follow from the seed, has
//! `scripts/flink-sql` answer them (which wants Java and, the first time, Maven), answers them here, and prints what differs, and what is
//! refused here alone. The script and Flink's answers stay in the folder, so that a find can go into `tests/flink/pipelines`.
//! `… -- expressions SEED [EXPRESSIONS [FOLDER]]` does the same with expressions, many of which Flink answers at once.
//! `PAGE` in the environment restricts the queries to those of a page of this folder: `PAGE=patterns`.
//! What is known to differ is no find: `tests/flink/differs.txt` has the reasons.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "whoever runs it sees what went wrong")]

mod chained;
#[path = "../../tests/flink/compare.rs"]
mod compare;
mod edges;
mod expressions;
mod patterns;
mod queries;
mod random;
#[path = "rows.rs"]
mod rows;
#[path = "../../tests/flink/rows.rs"]
mod rows_of_files;
mod timed;
mod versions;
mod wide;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use thalweg_table::environment::TableEnvironment;
use thalweg_table::parser::parse_script;

use random::Random;

/// So many rows each table has.
const ROWS: usize = 90;

type Make = fn(&mut Random) -> String;

/// The pages of queries, and how they make one.
const PAGES: &[(&str, Make)] = &[
    ("queries", queries::query),
    ("wide", wide::query),
    ("chained", chained::query),
    ("timed", timed::query),
    ("versions", versions::query),
    ("patterns", patterns::query),
];

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let of_expressions = arguments.first().is_some_and(|first| first == "expressions");
    if of_expressions {
        arguments.remove(0);
    }
    let number = |place: usize, otherwise: u64| {
        arguments.get(place).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (seed, count) = (number(0, 1), number(1, 60));
    let folder = arguments
        .get(2)
        .map_or_else(|| std::env::temp_dir().join(format!("thalweg-flink-random-{seed}")), PathBuf::from);
    let script = folder.join(if of_expressions { "random.txt" } else { "random.sql" });
    if !script.with_extension("jsonl").exists() {
        if of_expressions {
            make_expressions(&script, seed, count);
        } else {
            make(&folder, seed, count);
        }
        let flink = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/flink-sql");
        let status = Command::new(flink).arg("--answers").arg(&script).status().expect("scripts/flink-sql");
        assert!(status.success(), "Flink has no answers");
    }
    if of_expressions {
        ask_expressions(&script);
    } else {
        ask(&script);
    }
}

fn make_expressions(path: &Path, seed: u64, count: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut random = Random::new(seed);
    let mut text = String::new();
    for number in 0..count {
        // Of each forty the rows are others.
        if number % 40 == 0 {
            text += &(expressions::from(&mut random) + "\n");
        }
        text += &(expressions::expression(&mut random) + "\n");
    }
    std::fs::write(path, text).unwrap();
}

fn ask_expressions(path: &Path) {
    let questions = std::fs::read_to_string(path).unwrap();
    let answers = std::fs::read_to_string(path.with_extension("jsonl")).unwrap();
    let mut answers = answers.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (mut environment, mut from) = (TableEnvironment::new(), "");
    let [mut agree, mut differ, mut refused_there, mut fail_there] = [0; 4];
    for line in questions.lines() {
        if line.starts_with("FROM ") {
            from = line;
            continue;
        }
        if line.starts_with("SET ") {
            environment.execute_script(line, |_, _, _| Ok(())).unwrap();
            continue;
        }
        let answer = answers.next().unwrap();
        assert_eq!(answer["expression"], line);
        refused_there += i32::from(answer["refused"].is_string());
        fail_there += i32::from(answer["fails"].is_string());
        let zone = environment.settings().time_zone();
        match compare::of_expression(&environment, from, zone, &answer) {
            None => agree += 1,
            Some(difference) => {
                differ += 1;
                println!("DIFFERS {line}\n  {difference}");
            }
        }
    }
    println!("{agree} agree, {differ} differ; Flink refuses {refused_there} and fails with {fail_there}");
}

fn make(folder: &Path, seed: u64, count: u64) {
    std::fs::create_dir_all(folder).unwrap();
    let mut random = Random::new(seed);
    for name in ["a", "b", "late"] {
        let rows = rows::rows(&mut random, ROWS, name == "late");
        if name == "b" {
            std::fs::write(folder.join("ties.json"), rows.replace("\"ts\"", "\"at\"")).unwrap();
        }
        if name == "b" {
            // A key is never NULL.
            let kept: Vec<&str> = rows.lines().filter(|row| !row.contains("\"k\": null")).collect();
            std::fs::write(folder.join("kept.json"), kept.join("\n") + "\n").unwrap();
        }
        std::fs::write(folder.join(format!("{name}.json")), rows).unwrap();
    }
    let page = std::env::var("PAGE").ok();
    let pages: Vec<_> =
        PAGES.iter().filter(|(name, _)| page.as_deref().is_none_or(|page| page == *name)).collect();
    assert!(!pages.is_empty(), "no such page");
    let mut queries = BTreeSet::new();
    while (queries.len() as u64) < count {
        let (_, make) = pages[random.below(pages.len())];
        queries.insert(make(&mut random));
    }
    let queries: Vec<String> = queries.into_iter().map(|query| query + ";\n").collect();
    std::fs::write(folder.join("random.sql"), [rows::TABLES, versions::VIEWS].concat() + &queries.concat())
        .unwrap();
}

fn ask(path: &Path) {
    let script = std::fs::read_to_string(path).unwrap();
    let answers = std::fs::read_to_string(path.with_extension("jsonl")).unwrap();
    let answers: Vec<serde_json::Value> =
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut answers = answers.into_iter().peekable();
    let mut environment = TableEnvironment::new();
    let folder = path.parent().unwrap().to_path_buf();
    environment.register_connector("filesystem", Arc::new(rows_of_files::Files(folder)));
    let [mut agree, mut differ, mut refused, mut refused_there] = [0; 4];
    // A statement a line.
    for line in script.lines() {
        let query = line.trim_end_matches(';');
        if !["SELECT ", "WITH ", "("].iter().any(|start| query.starts_with(start)) {
            for statement in parse_script(line).unwrap() {
                environment.execute(&statement).unwrap();
            }
            continue;
        }
        let reason = answers.peek().and_then(|answer| answer["error"].as_str()).map(str::to_owned);
        let answer = compare::next_answer(&mut answers);
        match (compare::run(&environment, query), answer) {
            (_, None) => {
                refused_there += 1;
                if std::env::var("REFUSED").is_ok() {
                    println!("FLINK REFUSES {query}\n  {}", reason.unwrap_or_default());
                }
            }
            (Err(error), Some(_)) => {
                refused += 1;
                println!("REFUSED {query}\n  {error}");
            }
            (Ok(given), Some(answer)) => match compare::difference(&given, &answer) {
                None => agree += 1,
                Some(difference) => {
                    differ += 1;
                    println!("DIFFERS {query}\n  {difference}");
                }
            },
        }
    }
    println!("{agree} agree, {differ} differ, {refused} are refused here alone, {refused_there} by Flink");
}
