//! What a query comes to here, and what it came to in Flink.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono_tz::Tz;
use serde_json::Value;
use thalweg_dataflow::runtime::{Job, JobConfig, RestartStrategy};
use thalweg_table::cast::text;
use thalweg_table::chunk::Chunk;
use thalweg_table::environment::TableEnvironment;
use thalweg_table::parser::parse_type;

/// What the changes of a query come to in the end.
fn folded(rows: impl Iterator<Item = (bool, Vec<Option<String>>)>) -> BTreeMap<Vec<Option<String>>, i64> {
    let mut all = BTreeMap::new();
    for (back, row) in rows {
        *all.entry(row).or_insert(0) += if back { -1 } else { 1 };
    }
    all.retain(|_, count| *count != 0);
    all
}

pub(crate) type Folded = BTreeMap<Vec<Option<String>>, i64>;

/// The rows that a query over the files comes to.
pub(crate) fn run(environment: &TableEnvironment, query: &str) -> Result<Folded, String> {
    let mut config = JobConfig::new("pipeline");
    config.parallelism = 1;
    config.restart = Some(RestartStrategy::None);
    let job = Job::new(config);
    let told = |error: thalweg_table::error::SqlError| error.render(query).replace('\n', " ");
    let rows = Arc::new(Mutex::new(Vec::new()));
    let kept = rows.clone();
    environment
        .stream(query, &job)
        .map_err(told)?
        .map("keep", move |chunk: Chunk| {
            let mut kept = kept.lock().unwrap();
            for row in 0..chunk.len() {
                let values = chunk.rows().columns().iter().map(|column| text(column, row, Tz::UTC));
                kept.push((chunk.is_retraction(row), values.collect()));
            }
        })
        .parallelism(1);
    job.start().map_err(|error| error.to_string())?.wait().map_err(|error| format!("fails: {error}"))?;
    let rows = std::mem::take(&mut *rows.lock().unwrap());
    Ok(folded(rows.into_iter()))
}

/// The rows that Flink gave for the next query, folded; none, if it refused it.
pub(crate) fn next_answer(answers: &mut std::iter::Peekable<std::vec::IntoIter<Value>>) -> Option<Folded> {
    answers.next().unwrap().get("columns")?;
    let rows = std::iter::from_fn(|| answers.next_if(Value::is_array)).map(|line| {
        let values = line.as_array().unwrap();
        let row = values[1..].iter().map(|value| value.as_str().map(str::to_owned)).collect();
        (values[0] == "-D", row)
    });
    Some(folded(rows))
}

/// A floating point number with twelve digits: Java 17 writes some with more than it takes.
fn blur(value: &Option<String>) -> Option<String> {
    let text = value.as_ref()?;
    match text.parse::<f64>() {
        Ok(number) if text.len() > 14 && text.contains('.') => Some(format!("{number:.11e}")),
        _ => Some(text.clone()),
    }
}

/// Rows, with twelve digits of their floating point numbers.
fn blurred(rows: &Folded) -> Vec<Vec<Option<String>>> {
    let rows = rows.iter().flat_map(|(row, count)| vec![row; count.unsigned_abs() as usize]);
    let mut rows: Vec<Vec<Option<String>>> = rows.map(|row| row.iter().map(blur).collect()).collect();
    rows.sort();
    rows
}

/// How what a query comes to here differs from what it came to in Flink.
pub(crate) fn difference(given: &Folded, answer: &Folded) -> Option<String> {
    // The last digits of a floating point number depend on the order in which it was summed up.
    if given == answer || blurred(given) == blurred(answer) {
        return None;
    }
    let lacking = answer.iter().filter(|(row, count)| given.get(*row) != Some(*count));
    let surplus = given.iter().filter(|(row, count)| answer.get(*row) != Some(*count));
    let lacking: Vec<_> = lacking.take(3).collect();
    Some(format!("Flink has {lacking:?}, and here is {:?}", surplus.take(3).collect::<Vec<_>>()))
}

/// The rows of a query with one column: its type, and each value as Flink shows it.
fn ask(
    environment: &TableEnvironment,
    query: &str,
    zone: Tz,
) -> Result<(String, Vec<Option<String>>), String> {
    let mut config = JobConfig::new("question");
    config.restart = Some(RestartStrategy::None);
    let job = Job::new(config);
    let told = |error: thalweg_table::error::SqlError| error.render(query).replace('\n', " ");
    let chunks = Arc::new(Mutex::new(Vec::new()));
    let kept = chunks.clone();
    environment
        .stream(query, &job)
        .map_err(told)?
        .map("keep", move |chunk: Chunk| kept.lock().unwrap().push(chunk))
        .parallelism(1);
    job.start().map_err(|error| error.to_string())?.wait().map_err(|error| format!("fails: {error}"))?;
    let (mut of, mut values) = (String::new(), Vec::new());
    for chunk in chunks.lock().unwrap().iter() {
        let column = chunk.rows().column(0);
        of = format!("{:?}", column.data_type());
        values.extend((0..chunk.len()).map(|row| text(column, row, zone)));
    }
    Ok((of, values))
}

/// How an expression differs from what Flink makes of it.
pub(crate) fn of_expression(
    environment: &TableEnvironment,
    from: &str,
    zone: Tz,
    answer: &Value,
) -> Option<String> {
    let expression = answer["expression"].as_str().unwrap();
    let given = ask(environment, &format!("SELECT {expression} AS a {from}"), zone);
    // A type without NULL, of a value that Flink makes NULL all the same.
    let fails = answer["fails"].as_str().map(|why| why.contains("a null value is being written into it"));
    match (given, answer["refused"].as_str(), fails) {
        (_, Some(_), _) => None,
        (Err(_), None, Some(false)) => None,
        (Ok((_, values)), None, Some(false)) => {
            Some(format!("{values:?}, and Flink fails: {}", answer["fails"]))
        }
        (Ok((_, values)), None, Some(true)) if values == [None] => None,
        (Ok((of, values)), None, None) => {
            let wanted: Vec<Option<String>> =
                answer["values"].as_array().unwrap().iter().map(|v| v.as_str().map(str::to_owned)).collect();
            let flink = answer["type"].as_str().unwrap();
            let type_of = match parse_type(flink) {
                Ok(flink) => format!("{:?}", flink.to_arrow()),
                Err(error) => return Some(format!("the type {flink}: {error}")),
            };
            // Flink gives the rows of VALUES in any order.
            let sorted = |values: &[Option<String>]| {
                let mut values: Vec<Option<String>> = values.iter().map(blur).collect();
                values.sort();
                values
            };
            if sorted(&values) != sorted(&wanted) {
                return Some(format!("{values:?} and not {wanted:?} ({flink})"));
            }
            // Names and NULLs within rows are of no account.
            (of != type_of && !of.contains("Struct")).then(|| format!("{of} and not {type_of} ({flink})"))
        }
        (Ok((_, values)), None, Some(true)) => Some(format!("{values:?} and not [NULL]")),
        (Err(error), None, _) => Some(error),
    }
}
