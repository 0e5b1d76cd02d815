//! The queries of Nexmark that keep something come to the same however they are run: at another parallelism, crashed and restarted, killed
//! and restored at another parallelism.

use std::sync::{Arc, LazyLock, Mutex};

use crate::made::{Fold, Given};
use crate::queries;
use thalweg_dataflow::runtime::{Job, JobConfig};
use thalweg_table::chunk::Chunk;
use thalweg_table::environment::TableEnvironment;
use thalweg_testkit::Pipeline;

const EVENTS: usize = 7_000;

fn environment(options: &str) -> TableEnvironment {
    let mut environment = TableEnvironment::new();
    let setup = queries::tables(options);
    environment
        .execute_script(&setup, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(&setup)));
    environment
}

/// The events of the generator, each a chunk of its own, in the order in which they are made.
static ALL: LazyLock<Arc<[Chunk]>> = LazyLock::new(|| {
    let options = format!("'events.num' = '{EVENTS}', 'first-event.rate' = '250', 'next-event.rate' = '250'");
    let made = environment(&options);
    let job = Job::new(JobConfig { parallelism: 1, ..JobConfig::new("events") });
    let gathered = Arc::new(Mutex::new(Vec::new()));
    let into = gathered.clone();
    let query = "SELECT event_type, person, auction, bid, dateTime FROM events";
    made.stream(query, &job).unwrap().map("gather", move |chunk: Chunk| into.lock().unwrap().push(chunk));
    job.run().unwrap();
    let time = |chunk: &Chunk| {
        use arrow::array::AsArray;
        use arrow::datatypes::TimestampMillisecondType;
        chunk.rows().column(4).as_primitive::<TimestampMillisecondType>().value(0)
    };
    let mut all: Vec<Chunk> = gathered
        .lock()
        .unwrap()
        .iter()
        .flat_map(|chunk| (0..chunk.len()).map(|row| Chunk::additions(chunk.rows().slice(row, 1))))
        .collect();
    all.sort_by_key(time);
    let read = |chunk: Chunk| Chunk::additions(chunk.rows().project(&[0, 1, 2, 3]).unwrap());
    all.into_iter().map(read).collect()
});

fn check(name: &str, query: &str) {
    assert_eq!(ALL.len(), EVENTS);
    Pipeline::new(name, |run| {
        let mut environment = TableEnvironment::new();
        let given = Given { crash: run.crash.clone(), rows: ALL.clone() };
        environment.register_connector("given", Arc::new(given));
        let setup = queries::tables("'events.num' = '0'").replace("'nexmark', 'events.num' = '0'", "'given'");
        environment
            .execute_script(&setup, |_, _, _| Ok(()))
            .unwrap_or_else(|error| panic!("{}", error.render(&setup)));
        let rows =
            environment.stream(query, &run.job).unwrap_or_else(|error| panic!("{}", error.render(query)));
        rows.apply("fold", Fold::default()).parallelism(1)
    })
    .check();
}

fn check_all(names: &[&str]) {
    for name in names {
        let (_, query) = queries::QUERIES.iter().find(|(known, _)| known == name).unwrap();
        check(name, query);
    }
}

#[test]
fn joins() {
    check_all(&["q3", "q4", "q9", "q20"]);
}

#[test]
fn windows() {
    check_all(&["q5", "q7", "q8", "q11"]);
}

#[test]
fn aggregates() {
    check_all(&["q15", "q16", "q17"]);
}

#[test]
fn first_rows() {
    check_all(&["q18", "q19"]);
}
