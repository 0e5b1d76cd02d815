use std::time::Duration;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::harness::Harness;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy, run};
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;

use super::*;
use crate::files::source::TextFileSource;

type Format = fn(&u32, &mut Vec<u8>);
type Written = Harness<FileSink<u32, Format>>;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What readers see, sorted.
fn lines(folder: &Path) -> Vec<u32> {
    let visible = names(folder).into_iter().filter(|name| !name.starts_with('.'));
    let text: String = visible.map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect();
    let mut lines: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    lines.sort_unstable();
    lines
}

fn sink(folder: &Path) -> FileSink<u32, Format> {
    FileSink::new(folder, |n: &u32, line: &mut Vec<u8>| line.extend(n.to_string().bytes()))
}

#[test]
fn two_jobs_that_write_into_one_folder_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut other): (Written, Written) =
        (Harness::new(sink(folder.path())), Harness::new(sink(folder.path())));
    for n in 0..100 {
        one.push(n, 0);
        other.push(100 + n, 0);
        if n % 10 == 9 {
            for job in [&mut one, &mut other] {
                job.checkpoint(1);
                job.committed(u64::from(n) / 10 + 1);
            }
        }
    }
    assert_eq!(lines(folder.path()), (0..200).collect::<Vec<_>>());
    assert_eq!(names(folder.path()).iter().filter(|name| !name.ends_with("published")).count(), 20);
}

#[test]
fn a_link_that_was_put_in_the_way_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let output = folder.path().join("out");
    fs::create_dir(&output).unwrap();
    // The names that could once be foreseen.
    for name in ["part-0-1-1", ".part-0-1-1.inprogress"] {
        std::os::unix::fs::symlink(&victim, output.join(name)).unwrap();
    }
    let mut written: Written = Harness::new(sink(&output));
    written.push(1, 0);
    written.checkpoint(1);
    written.committed(1);
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn a_file_that_its_reader_has_taken_is_not_missed_and_one_that_was_lost_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let pending = |token: u32| Pending {
        epoch: 7,
        hidden: path(&format!(".part-0-7-{token}.run.inprogress")),
        visible: path(&format!("part-0-7-{token}")),
    };
    fs::write(&pending(1).hidden, "1\n").unwrap();
    pending(1).publish().unwrap();
    pending(1).publish().unwrap();
    fs::remove_file(pending(1).visible).unwrap();
    pending(1).publish().unwrap();
    // Nor is it, where the receipt has gone, as long as it is there.
    fs::write(pending(2).visible, "2\n").unwrap();
    pending(2).publish().unwrap();
    let error = pending(3).publish().unwrap_err().to_string();
    for part in ["checkpoint 7", ".part-0-7-3.run.inprogress", "is gone", "put an empty file"] {
        assert!(error.contains(part), "{error}");
    }
    // A checkpoint that was tampered with.
    for (hidden, visible) in
        [("precious", "part-x"), (".part-x.inprogress", "precious"), (".part-x.inprogress", "../part-x")]
    {
        fs::write(path("precious"), "p").unwrap();
        let error = Pending { epoch: 7, hidden: path(hidden), visible: path(visible) }.publish().unwrap_err();
        assert!(matches!(error, FileSinkError::Foreign { .. }), "{error}");
    }
}

#[test]
fn what_former_runs_have_left_goes_and_what_is_not_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let opened = |generation, attempt| Opened {
        subtask: 0,
        parallelism: 1,
        run: RunId { lineage: "0123".into(), generation, attempt, resumed: true },
        uid: "sink".into(),
        restored: 3,
        clock: TaskClock::default(),
        leftovers: true,
    };
    let ours = |generation, attempt| {
        let name = opened(generation, attempt).run_name();
        folder.path().join(format!(".part-1-4-aa.{name}.inprogress"))
    };
    let now = opened(3, 1);
    for (path, gone) in [(ours(2, 9), true), (ours(3, 0), true), (ours(3, 1), false), (ours(4, 0), false)] {
        assert_eq!(now.is_leftover(&path), gone, "{path:?}");
    }
    let other_operator = Opened { uid: "another".into(), ..opened(1, 0) };
    let other_job = Opened { run: RunId { lineage: "4567".into(), ..opened(1, 0).run }, ..opened(1, 0) };
    for other in [other_operator, other_job] {
        assert!(!now.is_leftover(&PathBuf::from(format!(".part-1-4-aa.{}.inprogress", other.run_name()))));
    }
    for other in [
        ".part-1-4-1.inprogress",
        "part-1-4-aa",
        ".part-1-4-aa.x.inprogress",
        ".other.0123-00000007-1-0.inprogress",
    ] {
        assert!(!now.is_leftover(Path::new(other)), "{other}");
    }
}

#[test]
fn every_record_is_written_once_through_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let storage = CheckpointStorage::local(folder.path().join("checkpoints")).unwrap();
    let graph = StreamGraph::new();
    let mut seen = 0;
    let crash = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let numbers = graph.source(
        "numbers",
        CollectionSource::new((0..50_000).collect()),
        WatermarkStrategy::no_watermarks(),
    );
    let numbers = numbers.map("crash", move |n: i32| {
        seen += 1;
        if seen % 100 == 0 {
            std::thread::sleep(Duration::from_micros(300));
        }
        assert!(seen != 10_000 || !crash.swap(false, std::sync::atomic::Ordering::SeqCst), "injected");
        n
    });
    numbers.apply(
        "write",
        FileSink::new(&output, |n: &i32, line: &mut Vec<u8>| line.extend(n.to_string().bytes())),
    );
    let config = JobConfig {
        parallelism: 2,
        checkpoint: Some(CheckpointConfig::new(Duration::from_millis(10), storage)),
        restart: Some(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO }),
        ..JobConfig::new("files")
    };
    let result = run(&graph, config).unwrap();
    assert!(result.restarts == 1 && result.epoch > 2, "{} {}", result.restarts, result.epoch);
    let names = names(&output);
    assert!(!names.iter().any(|name| name.ends_with("inprogress")), "{names:?}");
    // Of the last checkpoint only, as the job may be resumed from it.
    assert!(names.iter().filter(|name| name.ends_with("published")).count() <= 2, "{names:?}");
    // Read back through our own source, which passes over hidden files.
    let graph = StreamGraph::new();
    let (sender, lines) = std::sync::mpsc::channel();
    let source = graph.source("lines", TextFileSource::new(&output), WatermarkStrategy::no_watermarks());
    source.map("collect", move |line| sender.send(line.parse::<i32>().unwrap()));
    run(&graph, JobConfig::new("read")).unwrap();
    let mut lines: Vec<i32> = lines.try_iter().collect();
    lines.sort_unstable();
    assert_eq!(lines, (0..50_000).collect::<Vec<_>>());
}

/// Writes numbers, in a folder for tens and one for the others.
fn named(folder: &Path) -> FileSink<u32, Format> {
    sink(folder)
        .with_bucket_assigner(|n| {
            if n.is_multiple_of(10) { "tens/of them".to_owned() } else { "others".to_owned() }
        })
        .with_part_names("numbers", ".txt")
        .with_rolling_policy(
            RollingPolicy::default()
                .with_rollover_interval(Duration::from_millis(100))
                .with_inactivity_interval(Duration::from_millis(20)),
        )
}

#[test]
fn files_are_named_and_put_into_folders_and_end_by_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness: Written = Harness::new(named(folder.path()));
    let begun = |harness: &mut Written, n, at| {
        harness.set_processing_time(at);
        harness.push(n, 0);
        names(&folder.path().join("others")).len()
    };
    assert_eq!(begun(&mut harness, 1, 10), 1);
    assert_eq!(begun(&mut harness, 2, 25), 1);
    assert_eq!(begun(&mut harness, 3, 45), 2, "nothing came for 20 ms");
    for n in 1..=9 {
        assert_eq!(begun(&mut harness, 3, 45 + n * 10), 2, "at {n}");
    }
    assert_eq!(begun(&mut harness, 4, 145), 3, "it was 100 ms old");
    harness.push(20, 0);
    harness.checkpoint(1);
    harness.committed(1);
    assert_eq!(lines(&folder.path().join("tens/of them")), [20]);
    assert_eq!(lines(&folder.path().join("others")).len(), 13);
    let visible = names(&folder.path().join("others")).into_iter().filter(|name| !name.starts_with('.'));
    assert!(visible.into_iter().all(|name| name.starts_with("numbers-0-1-") && name.ends_with(".txt")));
}

#[test]
fn a_bucket_leads_nowhere_else_and_a_name_is_one_that_readers_see() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in ["../elsewhere", "/elsewhere"] {
        let sink = sink(folder.path()).with_bucket_assigner(move |_| wrong.to_owned());
        let error = Harness::new(sink).try_push(1, 0).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("inside of"), "{error}");
    }
    let error = sink(folder.path()).with_part_names(".x", "").names.check().unwrap_err().to_string();
    assert!(error.contains("`.x-…`"), "{error}");
}
