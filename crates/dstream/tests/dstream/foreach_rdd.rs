//! What batches save is there exactly once: nothing doubled, nothing missing, whatever crashed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::runtime::{CheckpointConfig, Job, JobConfig};
use thalweg_dstream::{DataFrameError, JobError, RestartStrategy, SaveMode};
use thalweg_testkit::{CrashPoint, Run};

use crate::common::{INTERVAL, Pair, clock, pairs, queue, run_with_crashes};

#[derive(Serialize)]
struct Row {
    key: u8,
    value: i64,
}

impl From<Pair> for Row {
    fn from((key, value): Pair) -> Self {
        Self { key, value }
    }
}

/// What a reader sees in a folder, by name; nothing if it is not there.
fn visible(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect();
    paths.sort();
    paths
}

fn parsed(key: &str, value: &str) -> Pair {
    (key.parse().unwrap(), value.parse().unwrap())
}

fn read_json(path: &Path) -> Vec<Pair> {
    let pair = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        (row["key"].as_u64().unwrap() as u8, row["value"].as_i64().unwrap())
    };
    fs::read_to_string(path).unwrap().lines().map(pair).collect()
}

fn read_csv(path: &Path) -> Vec<Pair> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["key", "value"]);
    reader.records().map(Result::unwrap).map(|row| parsed(&row[0], &row[1])).collect()
}

#[cfg(feature = "parquet")]
fn read_parquet(path: &Path) -> Vec<Pair> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| (row.get_long(0).unwrap() as u8, row.get_long(1).unwrap())).collect()
}

fn read_text(path: &Path) -> Vec<Pair> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split_once('=').unwrap()).map(|(key, value)| parsed(key, value)).collect()
}

fn all(folder: &Path, read: fn(&Path) -> Vec<Pair>) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = visible(folder).iter().flat_map(|path| read(path)).collect();
    pairs.sort();
    pairs
}

fn sorted(batches: &[Vec<Pair>]) -> Vec<Pair> {
    let mut pairs = batches.concat();
    pairs.sort();
    pairs
}

#[test]
fn tables_of_every_format_have_each_row_once_after_crashes_and_restores() {
    let (root, batches) = (tempfile::tempdir().unwrap(), pairs(40, 60, 25));
    let folder = |name: &str| root.path().join(name);
    let clock = clock();
    run_with_crashes(|run| {
        let rows = queue(run, &clock, batches.clone());
        let paths = ["json", "csv", "parquet", "latest"].map(folder);
        rows.foreach_rdd(move |rdd, _| {
            let [json, csv, parquet, latest] = &paths;
            let (last, table) = (rdd.is_empty(), rdd.map(Row::from).to_df());
            table.write().mode(SaveMode::Append).json(json)?;
            table.write().mode("append").option("header", "true").csv(csv)?;
            if cfg!(feature = "parquet") {
                table.write().mode("append").parquet(parquet)?;
            }
            // The batch at the end is empty: it would leave an empty table.
            if last { Ok(()) } else { table.write().mode("overwrite").json(latest) }
        });
    });
    let expected = sorted(&batches);
    assert_eq!(all(&folder("json"), read_json), expected);
    assert_eq!(all(&folder("csv"), read_csv), expected);
    #[cfg(feature = "parquet")]
    assert_eq!(all(&folder("parquet"), read_parquet), expected);
    assert_eq!(all(&folder("latest"), read_json), sorted(&batches[39..]));
}

#[test]
fn a_batch_that_fails_after_it_has_saved_is_saved_once() {
    let (root, batches) = (tempfile::tempdir().unwrap(), pairs(12, 60, 25));
    let (folder, checkpoints) = (root.path().join("rows"), root.path().join("checkpoints"));
    let storage = CheckpointStorage::local(checkpoints).unwrap();
    let config = JobConfig {
        parallelism: 2,
        checkpoint: Some(CheckpointConfig::new(Duration::from_millis(3 * INTERVAL as u64), storage)),
        restart: Some(RestartStrategy::FixedDelay { attempts: 2, delay: Duration::ZERO }),
        ..JobConfig::new("fails")
    };
    let run = Run { job: Job::new(config), crash: CrashPoint::never() };
    let (failed, panicked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let path = folder.clone();
    queue(&run, &clock(), batches.clone()).foreach_rdd(move |rdd, _| {
        rdd.map(Row::from).to_df().write().mode("append").json(&path)?;
        match visible(&path).len() {
            // Some batches are committed, others not, and this one is half done.
            4.. if !failed.swap(true, Ordering::SeqCst) => {
                Err(DataFrameError::Format("asked for".to_owned()))
            }
            8.. if !panicked.swap(true, Ordering::SeqCst) => panic!("as asked for"),
            _ => Ok(()),
        }
    });
    assert_eq!(run.job.run().unwrap().restarts, 2);
    assert_eq!(all(&folder, read_json), sorted(&batches));
}

#[test]
fn nothing_is_seen_before_the_commit() {
    let (root, batches) = (tempfile::tempdir().unwrap(), pairs(12, 60, 25));
    let (folder, checkpoints) = (root.path().join("rows"), root.path().join("checkpoints"));
    let storage = CheckpointStorage::local(checkpoints).unwrap();
    // The only checkpoint is the last.
    let checkpoint = Some(CheckpointConfig::new(Duration::from_secs(1_000_000), storage));
    let job = Job::new(JobConfig { checkpoint, parallelism: 2, ..JobConfig::new("unseen") });
    let run = Run { job, crash: CrashPoint::never() };
    let seen: Arc<Mutex<Vec<(usize, bool)>>> = Arc::default();
    let (path, log) = (folder.clone(), seen.clone());
    queue(&run, &clock(), batches.clone()).map(|(key, value)| format!("{key}={value}")).foreach_rdd(
        move |rdd, time| {
            assert_eq!(time % INTERVAL, 0);
            log.lock().unwrap().push((rdd.count(), path.exists()));
            rdd.save_as_text_file(&path)
        },
    );
    run.job.run().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, [vec![(60, false); 12], vec![(0, false)]].concat(), "each batch, and the empty one");
    assert_eq!(all(&folder, read_text), sorted(&batches));
}

#[test]
fn each_batch_has_a_folder_of_text() {
    let (root, batches) = (tempfile::tempdir().unwrap(), pairs(40, 60, 25));
    let prefix = root.path().join("out").join("pairs").to_string_lossy().into_owned();
    let clock = clock();
    run_with_crashes(|run| {
        let lines = queue(run, &clock, batches.clone()).map(|(key, value)| format!("{key}={value}"));
        lines.save_as_text_files(&prefix, "txt");
        lines.filter(|line| line.starts_with("0=")).save_as_text_files(&prefix, "");
    });
    let mut folders: BTreeMap<i64, Vec<Pair>> = BTreeMap::new();
    let (mut zeros, mut expected_zeros) = (Vec::new(), sorted(&batches));
    expected_zeros.retain(|(key, _)| *key == 0);
    for folder in visible(&root.path().join("out")) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let time = name.strip_prefix("pairs-").unwrap();
        match time.strip_suffix(".txt") {
            Some(time) => assert!(folders.insert(time.parse().unwrap(), all(&folder, read_text)).is_none()),
            None => zeros.extend(all(&folder, read_text)),
        }
    }
    zeros.sort();
    assert_eq!(zeros, expected_zeros);
    let expected: Vec<Vec<Pair>> = batches.iter().map(|batch| sorted(std::slice::from_ref(batch))).collect();
    assert_eq!(folders.into_values().collect::<Vec<_>>(), expected, "in the order of their times");
}

#[test]
fn without_checkpoints_each_batch_is_seen_when_it_is_through() -> Result<(), JobError> {
    let (root, batches) = (tempfile::tempdir().unwrap(), pairs(5, 60, 25));
    let folder = root.path().join("rows");
    let run = Run { job: Job::new(JobConfig::new("no-checkpoints")), crash: CrashPoint::never() };
    let path = folder.clone();
    queue(&run, &clock(), batches.clone())
        .foreach_rdd(move |rdd, _| rdd.to_df_named(&["key", "value"]).write().mode("append").json(&path));
    run.job.run()?;
    assert_eq!(all(&folder, read_json), sorted(&batches));
    Ok(())
}
