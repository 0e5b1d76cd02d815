//! Scripts of SQL, run as a user runs them.

#![cfg(feature = "sql")]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::PathBuf;

use common::{text, thalweg};

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/sql")
}

/// The lines that a script shows, in order.
fn run(script: &str, parallelism: &str) -> Vec<String> {
    let mut command = thalweg(&["run", script, "--parallelism", parallelism]);
    let output = command.current_dir(scripts()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", text(&output.stderr));
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn every_script_among_the_examples_shows_what_it_says() {
    let cases: [(&str, &[&str]); 10] = [
        ("01_word_count.sql", &["+I[be, 2]", "+I[not, 1]", "+I[or, 1]", "+I[to, 2]"]),
        (
            "02_filter_and_compute.sql",
            &[
                "+I[2, INK for bob, 4.80]",
                "+I[3, INK for ann, 4.80]",
                "+I[5, LAMP for ann, 36.00]",
                "+I[7, LAMP for cal, 34.80]",
            ],
        ),
        (
            "03_tumbling_windows.sql",
            &[
                "+I[2024-05-01T09:00, 2024-05-01T09:10, 4, 11.00]",
                "+I[2024-05-01T09:10, 2024-05-01T09:20, 2, 31.50]",
                "+I[2024-05-01T09:30, 2024-05-01T09:40, 2, 30.50]",
            ],
        ),
        (
            "04_sessions.sql",
            &[
                "+I[ann, 2024-05-01T09:00, 3, pen,ink,lamp]",
                "+I[ann, 2024-05-01T09:32, 1, pen]",
                "+I[bob, 2024-05-01T09:02, 2, ink,pen]",
                "+I[cal, 2024-05-01T09:05, 1, pen]",
                "+I[cal, 2024-05-01T09:31, 1, lamp]",
            ],
        ),
        (
            "05_top_n.sql",
            &[
                "+I[2024-05-01T09:00, 2, ink, 4.00]",
                "+I[2024-05-01T09:00, 5, lamp, 30.00]",
                "+I[2024-05-01T09:30, 7, lamp, 29.00]",
                "+I[2024-05-01T09:30, 8, pen, 1.50]",
            ],
        ),
        ("06_first_of_each.sql", &["+I[ann, 1, pen]", "+I[bob, 2, ink]", "+I[cal, 4, pen]"]),
        (
            "07_joins.sql",
            &[
                "kind> +I[2, writing]",
                "kind> +I[3, writing]",
                "kind> +I[5, furniture]",
                "kind> +I[7, furniture]",
                "paid> +I[1, ann, 2024-05-01T09:01]",
                "paid> +I[3, ann, 2024-05-01T09:05]",
                "paid> +I[5, ann, 2024-05-01T09:12]",
            ],
        ),
        ("08_kafka.sql", &["+I[lamp, 2, 59.00]", "+I[pen, 4, 6.00]"]),
        ("09_changing_results.sql", &["+I[ann, 37.00]", "+I[bob, 5.50]", "+I[cal, 30.50]"]),
        ("10_fraud_pattern.sql", &["+I[c1, 2, 900.00, 2024-05-01T10:01]"]),
    ];
    let mut there: Vec<String> = std::fs::read_dir(scripts())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    there.sort();
    assert_eq!(there, cases.map(|(script, _)| script));
    for (script, expected) in cases {
        assert_eq!(run(script, "1"), expected, "{script}");
    }
    // What does not depend on how rows come together is the same at another parallelism.
    for (script, expected) in [cases[2], cases[7], cases[9]] {
        assert_eq!(run(script, "2"), expected, "{script}");
    }
}

#[test]
fn topics_of_the_broker_inside_are_there_again_with_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let table = "CREATE TABLE t (n INT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json',
        'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset');";
    let run = |statement: &str| {
        let output =
            thalweg(&["run", "--data", data, "-e", &format!("{table} {statement}")]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(run("INSERT INTO t VALUES (7)"), "");
    assert_eq!(run("SELECT * FROM t"), "+I[7]\n");
}

#[test]
fn the_status_of_a_job_is_told_while_it_runs() {
    let script = "
        CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000', 'number-of-rows' = '800');
        CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');
        INSERT INTO nowhere SELECT n FROM numbers WHERE n IS NOT NULL;";
    let output = thalweg(&["run", "--status", "100ms", "-e", script]).output().unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    let line = told.lines().find(|line| line.starts_with("statements  ") && !line.contains(" 0 in "));
    let line = line.unwrap_or_else(|| panic!("no status in: {told}"));
    assert!(line.contains(" in (") && line.contains("/s)  ") && line.contains(" out ("), "{line}");
    let quiet = thalweg(&["run", "-e", script]).output().unwrap();
    assert!(!text(&quiet.stderr).contains("/s)"), "nobody asked, and it is no terminal");
}
