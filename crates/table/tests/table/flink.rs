//! SQL means what it means in Flink: questions whose answers Flink gave (`scripts/flink-sql --answers`) are asked here again.
//!
//! - `flink/expressions/*.txt`: expressions, a line each, over a few rows; their types and values are those of Flink.
//! - `flink/pipelines/*.sql`: queries over rows that are out of order, late and doubled, read one at a time with a watermark behind each; what
//!   their changes come to is what those of Flink come to.
//! - What differs on purpose, or does not agree yet, is in `flink/differs.txt`, with the reason. What is on that list and agrees is a
//!   failure as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use thalweg_table::environment::TableEnvironment;
use thalweg_table::parser::StatementKind;

use crate::compare::{self, next_answer, run};
use crate::rows;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flink")
}

/// The files of a folder that end so.
fn files(under: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder().join(under)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|of| of == ending));
    files.sort();
    files
}

/// What differs from Flink, and why.
fn known() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("differs.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("-- "));
    let pair = |line: &str| line.split_once(" -- ").map(|(what, why)| (what.to_owned(), why.to_owned()));
    lines.map(|line| pair(line).unwrap_or_else(|| panic!("without a reason: {line}"))).collect()
}

#[test]
fn expressions() {
    let (known, only) = (known(), std::env::var("THALWEG_FLINK_ONLY").ok());
    let (mut wrong, mut asked) = (String::new(), 0);
    for path in files("expressions", "txt") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let questions = std::fs::read_to_string(&path).unwrap();
        let answers = std::fs::read_to_string(path.with_extension("jsonl")).unwrap();
        let mut answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut environment = TableEnvironment::new();
        let mut from = "";
        for line in
            questions.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--"))
        {
            if line.starts_with("SET ") {
                environment.execute_script(line, |_, _, _| Ok(())).unwrap();
            } else if line == "FROM" || line.starts_with("FROM ") {
                from = line;
            } else {
                let answer = answers.next().unwrap();
                assert_eq!(
                    answer["expression"], line,
                    "answers of other questions: run `scripts/flink-sql --answers`"
                );
                let zone = environment.settings().time_zone();
                let (differs, expected) =
                    (compare::of_expression(&environment, from, zone, &answer), known.get(line));
                asked += 1;
                match (differs, expected) {
                    (Some(difference), None) => writeln!(wrong, "{name}: {line}: {difference}").unwrap(),
                    (None, Some(_)) => writeln!(wrong, "{name}: {line}: is on the list, and agrees").unwrap(),
                    _ => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {asked} expressions {} differ from Flink:\n{wrong}", wrong.lines().count());
}

#[test]
fn pipelines() {
    let (known, only) = (known(), std::env::var("THALWEG_FLINK_ONLY").ok());
    let (mut wrong, mut asked) = (String::new(), 0);
    for path in files("pipelines", "sql") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let script = std::fs::read_to_string(&path).unwrap();
        let answers = std::fs::read_to_string(path.with_extension("jsonl")).unwrap();
        let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut answers = answers.into_iter().peekable();
        let mut environment = TableEnvironment::new();
        environment.register_connector("filesystem", Arc::new(rows::Files(folder().join("pipelines"))));
        for statement in thalweg_table::parser::parse_script(&script).unwrap() {
            let query = &script[statement.span.clone()];
            if !matches!(statement.kind, StatementKind::Query(_)) {
                environment.execute(&statement).unwrap();
                continue;
            }
            let Some(answer) = next_answer(&mut answers) else { continue };
            asked += 1;
            let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
            let differs = match run(&environment, query) {
                Err(error) => Some(error),
                Ok(given) => compare::difference(&given, &answer),
            };
            match (differs, known.get(&line)) {
                (Some(difference), None) => writeln!(wrong, "{name}: {line}: {difference}").unwrap(),
                (None, Some(_)) => writeln!(wrong, "{name}: {line}: is on the list, and agrees").unwrap(),
                _ => {}
            }
        }
        assert!(
            answers.next().is_none(),
            "{name}: answers of other questions: run `scripts/flink-sql --answers`"
        );
    }
    assert!(wrong.is_empty(), "of {asked} pipelines {} differ from Flink:\n{wrong}", wrong.lines().count());
}
