//! Runs a program, and compares what came out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy};
use thalweg_dataflow::time::{Clock, ManualClock};
use thalweg_table::environment::{Outcome, PlannedJob, TableEnvironment};
use thalweg_table::error::SqlError;
use thalweg_table::formats::json_value::column;
use thalweg_table::parser::{ColumnKind, TableSchema, parse_schema, parse_script};

use super::program::{Program, Row, Step};
use super::values::{Values, Written};

/// How a program went.
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// So long a job is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is not to be had here, whatever is built.
const ABSENT: [(&str, &str); 1] = [("VARIANT", "the type VARIANT")];

/// Runs a program.
pub(crate) fn run(program: &Program, show: bool) -> Verdict {
    let types = program.setup.iter().flat_map(|step| &step.schema_components);
    for (word, what) in ABSENT {
        if types.clone().any(|text| text.to_uppercase().ends_with(word)) {
            return Verdict::Skipped(format!("{what} is not there"));
        }
    }
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    match attempt(program, folder.path(), show) {
        Ok(None) => Verdict::Passed,
        Ok(Some(difference)) => Verdict::Failed(difference),
        Err(error) => Verdict::Failed(error),
    }
}

/// The session of a program, with its tables.
fn environment(program: &Program, values: &Values) -> Result<TableEnvironment, SqlError> {
    let mut environment = TableEnvironment::new();
    environment.register_connector("values", Arc::new(values.clone()));
    for step in program.setup.iter().filter(|step| step.kind == "CONFIG") {
        environment.settings().set(step.key(), &step.text())?;
    }
    for step in program.sources().chain(program.sinks()) {
        let schema = parse_schema(&step.schema_components.join(", "))?;
        let mut options = step.options.clone();
        options.insert("connector".to_owned(), "values".to_owned());
        environment.create(&step.name, &schema, options)?;
        values.add(&step.name, step.data_before_restore.clone(), step.data_after_restore.clone());
    }
    for step in program.setup.iter().filter(|step| step.kind == "SQL") {
        for statement in parse_script(&step.sql)? {
            environment.execute(&statement)?;
        }
    }
    Ok(environment)
}

fn plan(program: &Program, environment: &mut TableEnvironment) -> Result<PlannedJob, String> {
    for step in &program.run {
        let told = |error: SqlError| error.render(&step.sql).replace('\n', "\n        ");
        for statement in parse_script(&step.sql).map_err(told)? {
            if let Outcome::Job(job) = environment.execute(&statement).map_err(told)? {
                return Ok(job);
            }
        }
    }
    Err("no statement that writes".to_owned())
}

fn attempt(program: &Program, folder: &Path, show: bool) -> Result<Option<String>, String> {
    let values = Values::default();
    if program.sources().any(|source| source.kind == "SOURCE_WITH_RESTORE_DATA") {
        values.restores();
    }
    let mut wrong = Vec::new();
    let mut all: BTreeMap<&str, Vec<Written>> = BTreeMap::new();
    for after in [false, true] {
        if after {
            values.resume();
        }
        let mut environment = environment(program, &values).map_err(|error| error.to_string())?;
        let job = plan(program, &mut environment)?;
        if show && !after {
            println!("{}", job.explain());
        }
        run_once(program, &job, &values, folder, after)?;
        for sink in program.sinks() {
            let rows = all.entry(&sink.name).or_default();
            rows.extend(values.written(&sink.name));
            if show {
                rows.iter().for_each(|(back, row)| println!("  {}{row:?}", if *back { '-' } else { '+' }));
            }
            if !after && (!sink.test_changelog_data || sink.kind == "SINK_WITH_DATA") {
                // Only the last result counts.
                continue;
            }
            let expected = expected(sink, after)?;
            if let Some(difference) = difference(sink, &expected, rows)? {
                wrong.push(format!("{} the restore, {difference}", if after { "after" } else { "before" }));
            }
        }
    }
    Ok((!wrong.is_empty()).then(|| wrong.join("; ")))
}

/// Whether the program has windows of processing time, which end when the clock says so.
fn waits_for_time(program: &Program) -> bool {
    program.run.iter().any(|step| {
        let sql = step.sql.to_uppercase();
        sql.contains("PROC")
            && ["TUMBLE", "HOP(", "CUMULATE", "SESSION"].iter().any(|window| sql.contains(window))
    })
}

fn run_once(
    program: &Program,
    job: &PlannedJob,
    values: &Values,
    folder: &Path,
    after: bool,
) -> Result<(), String> {
    let clock = ManualClock::new(1_600_000_000_000);
    if after {
        clock.advance(Duration::from_secs(3600));
    }
    let storage = CheckpointStorage::local(folder).map_err(|error| error.to_string())?;
    let mut config = JobConfig::new("program");
    config.parallelism = if after { 2 } else { 1 };
    config.checkpoint = Some(CheckpointConfig::new(Duration::from_secs(3600), storage));
    config.restart = Some(RestartStrategy::None);
    config.clock = Clock::Manual(clock.clone());
    let job = job.build(config).map_err(|error| error.to_string())?;
    let handle = job.start().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let until = |done: &dyn Fn() -> bool, patience: Duration| {
        let begun = Instant::now();
        while !done() && begun.elapsed() < patience && !handle.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    until(&|| values.all_read(), PATIENCE);
    if waits_for_time(program) {
        std::thread::sleep(Duration::from_millis(200));
        let wanted: Vec<(&str, usize)> =
            program.sinks().map(|sink| (sink.name.as_str(), expected_count(sink, after))).collect();
        // A second at a time, until what is expected is there: what would come later is not.
        for _ in 0..60 {
            if wanted.iter().all(|(sink, count)| values.count(sink) >= *count) {
                break;
            }
            clock.advance(Duration::from_secs(1));
            std::thread::sleep(Duration::from_millis(30));
        }
    }
    match after {
        false => handle.suspend(),
        true => values.let_end(),
    }
    until(&|| false, PATIENCE.saturating_sub(begun.elapsed()));
    if !handle.is_finished() {
        handle.cancel();
        let _ = handle.wait();
        return Err("it did not end".to_owned());
    }
    handle.wait().map(drop).map_err(|error| error.to_string())
}

fn expected_count(sink: &Step, after: bool) -> usize {
    match after {
        false => sink.expected_before_restore.len() + sink.expected_before_restore_strings.len(),
        true => sink.expected_after_restore.len() + sink.expected_after_restore_strings.len(),
    }
}

/// The kind of each expected row, and its values as text.
fn expected(sink: &Step, after: bool) -> Result<Vec<(String, Vec<String>)>, String> {
    if after
        && !sink.test_changelog_data
        && !(sink.expected_materialized_rows.is_empty() && sink.expected_materialized_strings.is_empty())
    {
        return rows_of(sink, &sink.expected_materialized_rows, &sink.expected_materialized_strings);
    }
    let mut rows = rows_of(sink, &sink.expected_before_restore, &sink.expected_before_restore_strings)?;
    if after {
        rows.extend(rows_of(sink, &sink.expected_after_restore, &sink.expected_after_restore_strings)?);
    }
    Ok(rows)
}

fn rows_of(sink: &Step, rows: &[Row], strings: &[String]) -> Result<Vec<(String, Vec<String>)>, String> {
    let schema = schema_of(sink)?;
    let mut all = Vec::new();
    for row in rows {
        let mut texts = Vec::new();
        for (column_def, value) in schema.columns.iter().zip(row.values()) {
            let ColumnKind::Physical(of) = &column_def.kind else { continue };
            let values = column(of, &[&value]).map_err(|error| error.to_string())?;
            texts.push(thalweg_table::display::display(&values, 0));
        }
        all.push((row.kind.clone(), texts));
    }
    for text in strings {
        let (kind, values) = text.split_at(2);
        let values = values.trim_start_matches('[').strip_suffix(']').unwrap_or(values);
        all.push((kind.to_owned(), values.split(", ").map(str::to_owned).collect()));
    }
    Ok(all)
}

fn schema_of(sink: &Step) -> Result<TableSchema, String> {
    parse_schema(&sink.schema_components.join(", ")).map_err(|error| error.to_string())
}

/// What differs once both are folded: by the key, where updates come without the row as it was; else as a bag of rows.
fn difference(
    sink: &Step,
    expected: &[(String, Vec<String>)],
    given: &[Written],
) -> Result<Option<String>, String> {
    let schema = schema_of(sink)?;
    let key: Vec<usize> = schema
        .primary_key
        .iter()
        .flatten()
        .filter_map(|word| schema.columns.iter().position(|column| column.name.value == word.value))
        .collect();
    let given_rows = given.iter().map(|(back, row)| (*back, row.clone()));
    let expected_rows = expected.iter().map(|(kind, row)| (kind == "-U" || kind == "-D", row.clone()));
    let (expected, given) = match key.is_empty() {
        true => (bag(expected_rows), bag(given_rows)),
        false => (by_key(&key, expected_rows), by_key(&key, given_rows)),
    };
    if expected == given {
        return Ok(None);
    }
    let lacking = expected.iter().filter(|(row, count)| given.get(*row) != Some(*count));
    let surplus = given.iter().filter(|(row, count)| expected.get(*row) != Some(*count));
    let show = |rows: Vec<(&String, &i64)>| {
        rows.iter().map(|(row, count)| format!("{count}×[{row}]")).collect::<Vec<_>>().join(" ")
    };
    Ok(Some(format!("expected {} and got {}", show(lacking.collect()), show(surplus.collect()))))
}

fn bag(rows: impl Iterator<Item = (bool, Vec<String>)>) -> BTreeMap<String, i64> {
    let mut bag = BTreeMap::new();
    for (back, row) in rows {
        *bag.entry(row.join(", ")).or_insert(0) += if back { -1 } else { 1 };
    }
    bag.retain(|_, count| *count != 0);
    bag
}

fn by_key(key: &[usize], rows: impl Iterator<Item = (bool, Vec<String>)>) -> BTreeMap<String, i64> {
    let mut table: BTreeMap<Vec<String>, String> = BTreeMap::new();
    for (back, row) in rows {
        let of_key: Vec<String> = key.iter().filter_map(|column| row.get(*column).cloned()).collect();
        match back {
            true => drop(table.remove(&of_key)),
            false => drop(table.insert(of_key, row.join(", "))),
        }
    }
    table.into_values().map(|row| (row, 1)).collect()
}
