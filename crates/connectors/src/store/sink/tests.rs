use std::collections::BTreeMap;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use thalweg_dataflow::harness::Harness;
use thalweg_dataflow::record::Keyed;

use super::*;
use crate::files::{Entry, FileSystem};

type Format = fn(&u32, &mut Vec<u8>);
type Written = Harness<StoreSink<u32, Format>>;

/// A store of each kind; the folder is the second one's.
fn stores() -> (Vec<Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let uploads = Store::of(InMemory::new(), "memory", "memory://test");
    (vec![uploads, Store::renaming(local, "a folder", "folder://test")], folder)
}

fn sink(store: &Store) -> StoreSink<u32, Format> {
    let format: Format = |n: &u32, line: &mut Vec<u8>| line.extend(n.to_string().bytes());
    StoreSink::new(&format!("{}/out", store.base), format).on(store.clone())
}

fn entries(store: &Store) -> Vec<Entry> {
    FileSystem::list(store, FilePath::new(&format!("{}/out", store.base)), true).unwrap()
}

/// What readers see, sorted, of each file.
fn lines(store: &Store) -> Vec<u32> {
    let mut lines = Vec::new();
    for entry in entries(store) {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut store.open(&entry.path, 0).unwrap(), &mut text).unwrap();
        assert_eq!(text.len() as u64, entry.length);
        lines.extend(text.lines().map(|line| line.parse::<u32>().unwrap()));
    }
    lines.sort_unstable();
    lines
}

#[test]
fn a_bucket_is_called_as_it_was_said_and_does_not_go_up() {
    let (stores, _folder) = stores();
    for store in stores {
        let bucket: fn(&u32) -> &str = |n| if *n == 1 { "day=1/at=08%3A00" } else { "../up" };
        let mut written: Written = Harness::new(sink(&store).with_buckets(bucket));
        written.push(1, 0);
        written.push(2, 0);
        written.checkpoint(1);
        written.committed(1);
        let mut paths: Vec<String> =
            entries(&store).iter().map(|entry| entry.path.display().to_string()).collect();
        paths.sort();
        let out = format!("{}/out", store.base);
        assert!(paths[0].starts_with(&format!("{out}/%2E%2E/up/part-")), "{paths:?}");
        assert!(paths[1].starts_with(&format!("{out}/day=1/at=08%3A00/part-")), "{paths:?}");
    }
}

#[test]
fn files_appear_whole_with_their_commit_and_once() {
    let (stores, _folder) = stores();
    for store in stores {
        let mut written: Written = Harness::new(sink(&store));
        written.push(1, 0);
        written.push(2, 0);
        assert!(lines(&store).is_empty());
        written.checkpoint(1);
        written.push(3, 0);
        assert!(lines(&store).is_empty());
        written.committed(1);
        assert_eq!(lines(&store), [1, 2]);
        written.committed(1);
        assert_eq!(lines(&store), [1, 2]);
        written.checkpoint(2);
        written.committed(2);
        assert_eq!(lines(&store), [1, 2, 3]);
        assert_eq!(entries(&store).len(), 2);
    }
}

#[test]
fn a_run_that_goes_on_publishes_what_is_committed_and_nothing_else_at_any_parallelism() {
    let (stores, _folder) = stores();
    for store in stores {
        let format: fn(&Keyed<u32, ()>, &mut Vec<u8>) =
            |record, line| line.extend(record.key.to_string().bytes());
        let sink = StoreSink::new(&format!("{}/out", store.base), format).on(store.clone());
        for parallelism in [1, 3] {
            let before = lines(&store).len() as u32;
            let mut written = Harness::new(sink.clone());
            for n in 0..10 {
                written.push(Keyed::new(before + n, ()), 0);
            }
            written.checkpoint(1);
            // Published by the run that crashed, or not: it makes no difference.
            if parallelism == 3 {
                written.committed(1);
            }
            let mut next = written.restore(sink.clone(), parallelism);
            next.push(Keyed::new(1_000_000, ()), 0);
            next.committed(2);
            assert_eq!(lines(&store), (0..before + 10).collect::<Vec<_>>());
        }
    }
}

#[test]
fn files_end_by_the_clock() {
    let (stores, _folder) = stores();
    for store in stores {
        let policy = RollingPolicy::default()
            .with_rollover_interval(std::time::Duration::from_millis(100))
            .with_inactivity_interval(std::time::Duration::from_millis(30));
        let mut written: Written = Harness::new(sink(&store).with_rolling_policy(policy));
        // The second is in the file of the first, the third comes after it was idle, the last after it got too old.
        for (n, at) in [(1, 0), (2, 20), (3, 50), (4, 75), (5, 100), (6, 125), (7, 150)] {
            written.set_processing_time(at);
            written.push(n, 0);
        }
        written.checkpoint(1);
        written.committed(1);
        assert_eq!((entries(&store).len(), lines(&store)), (3, vec![1, 2, 3, 4, 5, 6, 7]));
    }
}

/// A sink that runs alone.
fn opened(store: &Store, run: RunId) -> StoreSink<u32, Format> {
    let mut operator = sink(store);
    operator.opened = Some(Opened {
        folder: Path::from("out"),
        store: store.clone(),
        subtask: 0,
        parallelism: 1,
        run,
        uid: "sink".into(),
        restored: 0,
        metrics: ConnectorMetrics::of(&Arc::default()),
        clock: TaskClock::default(),
        leftovers: true,
    });
    operator
}

fn write(sink: &mut StoreSink<u32, Format>, n: u32, epoch: Epoch) {
    sink.write(&n, "", 0).unwrap();
    sink.close(epoch).unwrap();
}

#[test]
fn what_is_gone_is_told_and_a_checkpoint_with_another_store_is_refused() {
    let (stores, folder) = stores();
    for (store, other) in [(&stores[0], &stores[1]), (&stores[1], &stores[0])] {
        let mut written = opened(store, RunId::unknown());
        write(&mut written, 1, 1);
        let mut elsewhere = opened(other, RunId::unknown());
        elsewhere.pending = written.pending.clone();
        let error = elsewhere.committed(1).unwrap_err().to_string();
        assert!(error.contains("with a store of another kind"), "{error}");
    }
    let mut written = opened(&stores[1], RunId { resumed: true, ..RunId::unknown() });
    write(&mut written, 1, 1);
    let pending = written.pending.clone();
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    let error = written.committed(1).unwrap_err();
    assert!(error.is::<Fatal>() && error.to_string().contains("of checkpoint 1: it is not there"), "{error}");
    // Of a savepoint: its readers may have taken it.
    let mut savepoint = opened(&stores[1], RunId::unknown());
    if let Some(opened) = &mut savepoint.opened {
        opened.restored = 1;
    }
    savepoint.pending = pending;
    savepoint.committed(1).unwrap();
}

#[test]
fn buckets_have_folders_and_what_is_too_large_for_memory_or_a_file_is_divided() {
    let (stores, _folder) = stores();
    for store in stores {
        let format: fn(&String, &mut Vec<u8>) = |text, line| line.extend(text.bytes());
        let sink = StoreSink::new(&format!("{}/out", store.base), format)
            .on(store.clone())
            .with_buckets(|text: &String| &text[..3])
            .roll_at(20 << 20);
        let mut written = Harness::new(sink);
        let mut expected = BTreeMap::<String, u64>::new();
        // 30 MB into one bucket, more than a part into a good many others.
        for (bucket, lines) in (0..16).map(|n| (format!("b{n:02}"), if n == 0 { 30 } else { 9 })) {
            for _ in 0..lines {
                written.push(format!("{bucket}{}", "x".repeat(1_000_000)), 0);
            }
            expected.insert(bucket, lines);
        }
        written.checkpoint(1);
        written.committed(1);
        let mut found = BTreeMap::<String, u64>::new();
        for entry in entries(&store) {
            let path = entry.path.to_str().unwrap().to_owned();
            let bucket = path.rsplit('/').nth(1).unwrap().to_owned();
            assert_eq!(entry.length % 1_000_004, 0, "{path}: a file holds whole lines");
            assert!(entry.length <= 21 << 20);
            *found.entry(bucket).or_default() += entry.length / 1_000_004;
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn hidden_files_of_a_run_that_crashed_are_removed_and_others_are_not() {
    let (stores, folder) = stores();
    let store = &stores[1];
    let hidden = || {
        let names = std::fs::read_dir(folder.path().join("out")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect::<Vec<_>>()
    };
    // Of another job, and as HDFS leaves a file that was being written.
    let first = RunId { generation: 1, ..RunId::unknown() };
    let run = first.name("sink");
    let others = "out/.part-0-1-0000000000000001.0123456789abcdef-00000000-1-0.inprogress";
    let half = format!("out/..part-0-1-0000000000000002.{run}.inprogress.tmp.1");
    std::fs::create_dir(folder.path().join("out")).unwrap();
    for name in [others, &half] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    // A crash before the commit: the run after it begins anew.
    let mut crashed = opened(store, first.clone());
    write(&mut crashed, 7, 1);
    assert_eq!(hidden().len(), 3);
    let mut next = opened(store, RunId { generation: 2, ..first });
    write(&mut next, 8, 1);
    next.committed(1).unwrap();
    assert_eq!(hidden().len(), 1, "{:?}", hidden());
    assert_eq!(lines(store), [8]);
}

#[test]
fn reading_begins_anywhere_and_hidden_files_are_not_seen() {
    let (stores, _folder) = stores();
    for store in stores {
        let runtime = super::super::runtime::handle().unwrap();
        // Three chunks.
        let bytes: Vec<u8> = (0..10_000_000_u32).map(|n| (n % 251) as u8).collect();
        let put = |name: &str, bytes: Vec<u8>| {
            runtime.block_on(store.store.put(&Path::from(name), bytes.into())).map(drop).unwrap();
        };
        put("in/a", bytes.clone());
        put("in/.hidden", vec![1]);
        put("in/_temporary/b", vec![1]);
        put("in/deep/c", vec![1, 2]);
        let address = |name: &str| std::path::PathBuf::from(format!("{}/{name}", store.base));
        for from in [0, 1, 4 << 20, (4 << 20) + 1, 9_999_999, 10_000_000] {
            let mut read = Vec::new();
            std::io::Read::read_to_end(&mut store.open(&address("in/a"), from).unwrap(), &mut read).unwrap();
            assert!(read == bytes[from as usize..], "from {from}");
        }
        let list = |name: &str, recursive| {
            let listed = FileSystem::list(&store, &address(name), recursive).unwrap();
            let mut paths: Vec<_> = listed.into_iter().map(|entry| entry.path).collect();
            paths.sort();
            paths
        };
        assert_eq!(list("in", false), [address("in/a")]);
        assert_eq!(list("in/", true), [address("in/a"), address("in/deep/c")]);
        assert_eq!(list("in/deep/c", false), [address("in/deep/c")]);
        assert!(list("nowhere", true).is_empty());
        assert_eq!(store.range(&address("in/deep/c"), 0, 100).unwrap(), [1, 2]);
        let error = store.open(&address("in/none"), 0).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
}
