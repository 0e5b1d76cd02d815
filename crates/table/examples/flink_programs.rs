//! Runs the programs with which Flink's own planner is tested: `cargo run -p thalweg-table --example flink_programs -- FILE [ID]`.
//!
//! FILE has one program a line, as JSON: tables with rows, a statement, and the rows that are to come out, before and after a restore. A
//! program is run until the rows before the restore are through, stopped at a checkpoint, and resumed from it, at another parallelism,
//! with the rows after. A line for each tells whether it passed, failed (with the difference), or was skipped (with the reason); the last line counts them.

#[path = "flink_programs/program.rs"]
mod program;
#[path = "flink_programs/run.rs"]
mod run;
#[path = "flink_programs/values.rs"]
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        eprintln!("usage: flink_programs FILE [ID]");
        return ExitCode::from(2);
    };
    let wanted = arguments.next();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let program = match program::Program::parse(line) {
            Ok(program) => program,
            Err(error) => {
                println!("failed  (not a program: {error})");
                failed += 1;
                continue;
            }
        };
        if wanted.as_ref().is_some_and(|wanted| *wanted != program.id) {
            continue;
        }
        match run::run(&program, wanted.is_some()) {
            run::Verdict::Passed => {
                println!("passed  {}", program.id);
                passed += 1;
            }
            run::Verdict::Failed(difference) => {
                println!("failed  {}: {difference}", program.id);
                failed += 1;
            }
            run::Verdict::Skipped(reason) => {
                println!("skipped {}: {reason}", program.id);
                skipped += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
