//! A small share of the campaign: `scripts/campaign` runs all of it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says what it skips"
)]

use std::path::Path;

use thalweg_campaign::driver::At;
use thalweg_campaign::jobs::{Conditions, Kind};
use thalweg_campaign::scenario::{Hurt, Scenario};

fn play(kind: Kind, hurt: Hurt, step: &'static str, time: u32) {
    play_at(kind, hurt, At { step, time }, &Conditions::default());
}

fn play_at(kind: Kind, hurt: Hurt, at: At, conditions: &Conditions) {
    let scenario = Scenario { kind, hurt, at };
    let kafka = std::env::var("THALWEG_KAFKA").ok();
    let faults =
        scenario.play(Path::new(env!("CARGO_BIN_EXE_thalweg-campaign")), kafka.as_deref(), conditions);
    match faults {
        Ok(faults) if faults.is_empty() => {}
        Ok(faults) => panic!("{scenario}: {} faults, the first: {}", faults.len(), faults[0]),
        Err(error) => panic!("{scenario}: {error:#}"),
    }
}

#[test]
fn a_kafka_job_that_wakes_up_before_its_manifest_harms_nobody() {
    play(Kind::Kafka, Hurt::Wake, "before-manifest", 2);
}

#[test]
fn a_kafka_job_that_is_killed_before_its_commit_loses_nothing() {
    play(Kind::Kafka, Hurt::Kill, "before-commit", 2);
}

#[test]
fn a_kafka_job_that_is_paused_for_longer_than_a_transaction_may_be_open_goes_on() {
    play(Kind::Kafka, Hurt::Pause, "state-written", 2);
}

#[test]
fn of_three_kafka_jobs_that_start_at_once_one_survives() {
    play(Kind::Kafka, Hurt::Triplets, "begun", 1);
}

#[test]
fn a_job_with_its_broker_that_is_killed_after_its_commit_repeats_nothing() {
    play(Kind::Embedded, Hurt::Kill, "committed", 2);
}

#[test]
fn a_job_with_its_broker_that_is_paused_for_longer_than_a_transaction_may_be_open_goes_on() {
    play(Kind::Embedded, Hurt::Pause, "flushed", 2);
}

#[test]
fn a_job_that_writes_files_and_wakes_up_late_harms_nobody() {
    play(Kind::Files, Hurt::Wake, "before-manifest", 2);
}

#[test]
fn a_job_that_writes_files_and_is_killed_before_they_are_visible_loses_nothing() {
    play(Kind::Files, Hurt::Kill, "before-publish", 2);
}

#[test]
fn a_job_with_state_on_disk_and_records_in_its_checkpoints_loses_and_repeats_nothing() {
    let conditions = Conditions { memory: Some(0), unaligned: true, ..Conditions::default() };
    for (kind, step) in
        [(Kind::Kafka, "before-commit"), (Kind::Embedded, "committed"), (Kind::Files, "state-written")]
    {
        play_at(kind, Hurt::Kill, At { step, time: 3 }, &conditions);
    }
}

/// In each store that the environment names: `THALWEG_S3`, `THALWEG_AZURE`, `THALWEG_HDFS`.
fn play_in_stores(hurt: Hurt, step: &'static str) {
    for (variable, built_in) in [
        ("THALWEG_S3", cfg!(feature = "s3")),
        ("THALWEG_AZURE", cfg!(feature = "azure")),
        ("THALWEG_HDFS", cfg!(feature = "hdfs")),
    ] {
        match std::env::var(variable) {
            Ok(store) if built_in => {
                let at = At { step, time: 2 };
                let checkpoints = Some(format!("{store}/campaign"));
                play_at(Kind::Store, hurt, at, &Conditions { checkpoints, ..Conditions::default() });
            }
            _ => eprintln!("SKIPPED: {hurt:?} at {step} on {variable}, which is not set, or not built in"),
        }
    }
}

#[test]
fn a_job_that_writes_into_a_store_and_wakes_up_late_harms_nobody() {
    play_in_stores(Hurt::Wake, "before-manifest");
}

#[test]
fn a_job_that_writes_into_a_store_and_is_killed_before_that_is_visible_loses_nothing() {
    play_in_stores(Hurt::Kill, "before-publish");
}
