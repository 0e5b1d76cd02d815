//! The grades and the salaries of people, joined by name within windows (Flink's `WindowJoin`).
//!
//! `cargo run --release -p thalweg --example window_join`

use thalweg::prelude::*;

const NAMES: [&str; 4] = ["tom", "jerry", "alice", "bob"];

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    // Somebody has a grade every 100 ms, somebody a salary every 250.
    let grade = |n: i64| ((NAMES[n as usize % 4].to_owned(), n % 5 + 1), n * 100);
    let salary = |n: i64| ((NAMES[n as usize * 3 % 4].to_owned(), 1_000 + n * 100), n * 250);
    let grades = env.from_timed_collection((0..50).map(grade).collect());
    let salaries = env.from_timed_collection((0..20).map(salary).collect());
    let joined = grades.join(&salaries).where_(|grade| grade.0.clone()).equal_to(|salary| salary.0.clone());
    let joined = joined.window(TumblingEventTimeWindows::of(Duration::from_secs(2)));
    joined.apply(|grade, salary| (grade.0.clone(), grade.1, salary.1)).print();
    env.execute("Windowed Join Example")?;
    Ok(())
}
