use std::path::Path as FilePath;

use super::*;
use crate::checkpoint::StateFile;
use crate::collector::OperatorSnapshot;
use crate::state::{StateKind, StateSnapshot};

fn open(folder: &FilePath) -> CheckpointStore {
    CheckpointStore::open(CheckpointStorage::local(folder).unwrap(), "job").unwrap()
}

/// One more instance that starts, and goes on from what is there.
fn owner(folder: &FilePath) -> CheckpointStore {
    let store = open(folder);
    store.take_over().unwrap();
    store.begin(store.latest().unwrap(), store.highest().unwrap(), None).unwrap();
    store
}

fn manifest(store: &CheckpointStore, epoch: Epoch, files: Vec<FileEntry>) -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        job: "job".to_owned(),
        epoch,
        generation: store.generation(),
        instance: store.instance().to_owned(),
        committed: 0,
        marker: None,
        time: 0,
        max_parallelism: 128,
        operators: Vec::new(),
        files,
    }
}

fn state() -> Bytes {
    StateFile::new(None).finish_in_memory().unwrap().into()
}

fn write(store: &CheckpointStore, epoch: Epoch) -> FileEntry {
    write_of(store, epoch, state())
}

fn write_of(store: &CheckpointStore, epoch: Epoch, state: Bytes) -> FileEntry {
    let file = store.write_state(epoch, state).unwrap();
    store.write_manifest(&manifest(store, epoch, vec![file.clone()])).unwrap();
    file
}

fn id(generation: Generation, epoch: Epoch) -> CheckpointId {
    CheckpointId { generation, epoch }
}

fn folders(folder: &FilePath) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("job")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("chk-"));
    names.sort();
    names
}

#[test]
fn the_newest_with_a_manifest_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = owner(folder.path());
    assert_eq!(store.latest().unwrap(), None);
    write(&store, 9);
    write(&store, 10);
    store.write_state(11, Bytes::from_static(b"cut short by a crash")).unwrap();
    assert_eq!(store.lineage().unwrap(), [id(1, 10), id(1, 9)]);
    // Its number is not given again.
    assert_eq!(store.highest().unwrap(), 11);
    // Numbers may skip, and what was cut short is not worth keeping.
    write(&store, 15);
    store.discard(id(1, 15), 2).unwrap();
    assert_eq!(folders(folder.path()), ["chk-10-1", "chk-15-1"]);
    store.discard(id(1, 15), 1).unwrap();
    assert_eq!(store.latest().unwrap(), Some(id(1, 15)));
    assert_eq!(store.load(id(1, 15)).unwrap().epoch(), 15);
    assert_eq!(folders(folder.path()), ["chk-15-1"]);
}

/// A file with a part of so many bytes.
fn state_of(length: usize) -> Bytes {
    let file = StateFile::new(None);
    let items = vec![7_u8; length];
    let snapshot = StateSnapshot {
        name: "items",
        kind: StateKind::List,
        shape: "u8".into(),
        encode: Box::new(move |parts| parts.part(0, |part| part.items(&items)).map(drop)),
    };
    let snapshot = OperatorSnapshot { uid: "list".into(), states: vec![snapshot] };
    file.add(0, 0, snapshot, &|_, _| false).unwrap();
    file.finish_in_memory().unwrap().into()
}

#[test]
fn damage_is_named_and_nothing_is_touched() {
    for state in [state(), state_of(1 << 20), state_of(5 << 20)] {
        damage_of_is_named(&state);
    }
}

fn damage_of_is_named(state: &Bytes) {
    let folder = tempfile::tempdir().unwrap();
    let store = owner(folder.path());
    let written = write_of(&store, 1, state.clone());
    store.load(id(1, 1)).unwrap();
    let file = folder.path().join("job").join(written.path);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = store.load(id(1, 1)).unwrap_err().to_string();
    let expected = format!("checkpoint 1 is damaged: {}: its checksum", file.display());
    assert!(error.contains(&expected), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    // Nor is a whole file taken that is another one.
    std::fs::write(&file, state.iter().copied().chain([0; 4]).collect::<Vec<_>>()).unwrap();
    assert!(store.load(id(1, 1)).unwrap_err().to_string().contains("another file"));
    std::fs::remove_file(&file).unwrap();
    assert!(store.load(id(1, 1)).unwrap_err().to_string().contains("it is missing"));
}

#[test]
fn a_checkpoint_is_not_taken_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = owner(folder.path());
    write(&store, 1);
    write(&store, 2);
    let manifest = |name: &str| folder.path().join("job").join(name).join(MANIFEST);
    std::fs::copy(manifest("chk-1-1"), manifest("chk-2-1")).unwrap();
    let error = store.load(id(1, 2)).unwrap_err().to_string();
    assert!(error.contains("that of checkpoint 1"), "{error}");
}

#[test]
fn what_an_older_instance_writes_when_it_wakes_up_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let older = owner(folder.path());
    write(&older, 1);
    // It had looked just before, and had the state written: what is left is to make the manifest appear.
    let file = older.write_state(2, state()).unwrap();
    let late = manifest(&older, 2, vec![file]);
    let newer = owner(folder.path());
    assert_eq!(newer.latest().unwrap(), Some(id(1, 1)));
    let put = |late: &Manifest| {
        let path = older.path(&format!("{}/{MANIFEST}", late.id().folder()));
        older.put_new(&path, late.to_bytes().unwrap().into()).unwrap()
    };
    // Before the newer one has a checkpoint of its own ...
    assert!(put(&late));
    assert_eq!(newer.latest().unwrap(), Some(id(1, 1)));
    // ... and after it has, of the same number, or a lower one.
    write(&newer, 2);
    assert_eq!(newer.latest().unwrap(), Some(id(2, 2)));
    assert!(put(&Manifest { epoch: 3, ..late.clone() }));
    let newest = owner(folder.path());
    assert_eq!(newest.lineage().unwrap(), [id(2, 2), id(1, 1)]);
    assert_eq!(newest.load(id(2, 2)).unwrap().manifest().instance, newer.instance());
    // Both former ones notice, and say who it was.
    for former in [&older, &newer] {
        let error = former.write_manifest(&Manifest { epoch: 9, ..late.clone() }).unwrap_err().to_string();
        assert!(error.contains("another instance") && error.contains(newest.instance()), "{error}");
        assert!(matches!(former.write_state(9, state()), Err(CheckpointError::Fenced { .. })));
    }
    // Whatever an instance left there goes.
    write(&newest, 5);
    newest.discard(id(3, 5), 1).unwrap();
    assert_eq!(folders(folder.path()), ["chk-5-3"]);
    assert_eq!(newest.owners().unwrap().claims, [3]);
    assert_eq!(newest.latest().unwrap(), Some(id(3, 5)));
}

#[test]
fn an_instance_that_crashed_before_it_began_has_changed_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = owner(folder.path());
    write(&first, 1);
    let second = open(folder.path());
    second.take_over().unwrap();
    assert_eq!(second.latest().unwrap(), Some(id(1, 1)));
    let third = owner(folder.path());
    assert_eq!((third.latest().unwrap(), third.generation()), (Some(id(1, 1)), 3));
}

#[test]
fn a_discarding_owner_that_is_none_any_more_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let older = owner(folder.path());
    write(&older, 1);
    write(&older, 2);
    let newer = owner(folder.path());
    write(&newer, 3);
    assert!(matches!(older.discard(id(1, 2), 1), Err(CheckpointError::Fenced { .. })));
    assert_eq!(folders(folder.path()), ["chk-1-1", "chk-2-1", "chk-3-2"]);
}

#[test]
fn a_file_that_a_later_checkpoint_names_is_kept_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = owner(folder.path());
    let whole = write(&store, 1);
    let delta = store.write_state(2, state()).unwrap();
    store.write_manifest(&manifest(&store, 2, vec![whole, delta])).unwrap();
    store.discard(id(1, 2), 1).unwrap();
    assert_eq!(folders(folder.path()), ["chk-1-1", "chk-2-1"]);
    assert_eq!((store.lineage().unwrap(), store.load(id(1, 2)).unwrap().epoch()), (vec![id(1, 2)], 2));
    // A savepoint has them all in one folder.
    let savepoint = CheckpointStorage::local(folder.path().join("savepoint")).unwrap();
    store.copy_to(id(1, 2), &savepoint).unwrap();
    assert_eq!(CheckpointStore::load_savepoint(&savepoint).unwrap().manifest().files.len(), 2);
    write(&store, 3);
    store.discard(id(1, 3), 1).unwrap();
    assert_eq!(folders(folder.path()), ["chk-3-1"]);
}

#[test]
fn a_crash_in_the_middle_of_discarding_leaves_what_the_next_time_clears() {
    let folder = tempfile::tempdir().unwrap();
    let store = owner(folder.path());
    write(&store, 1);
    write(&store, 2);
    // The manifest had gone, the file had not; and something had been half-written.
    std::fs::remove_file(folder.path().join("job/chk-1-1").join(MANIFEST)).unwrap();
    std::fs::write(folder.path().join("job/chk-1-1/state-1#17"), "half").unwrap();
    let next = owner(folder.path());
    assert_eq!(next.latest().unwrap(), Some(id(1, 2)));
    write(&next, 3);
    next.discard(id(2, 3), 1).unwrap();
    assert_eq!(folders(folder.path()), ["chk-3-2"]);
}

#[test]
fn of_many_instances_that_start_at_once_one_is_the_owner() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let stores: Vec<_> = (0..6).map(|_| open(folder.path())).collect();
        std::thread::scope(|scope| {
            for store in &stores {
                // Who is overtaken before it has looked ends there.
                scope.spawn(|| drop(store.take_over()));
            }
        });
        let owners = stores.iter().filter(|store| store.check_owner().is_ok()).count();
        let mut generations: Vec<_> = stores.iter().map(CheckpointStore::generation).collect();
        generations.sort_unstable();
        assert_eq!((owners, generations), (1, (1..=6).collect()));
    }
}

#[test]
fn an_instance_of_the_time_before_generations_is_fenced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("job")).unwrap();
    let file = folder.path().join("job").join(OWNER_V1);
    std::fs::write(&file, "4711-1").unwrap();
    let store = owner(folder.path());
    assert_eq!(std::fs::read_to_string(file).unwrap(), store.instance());
}

#[test]
fn a_savepoint_is_not_written_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let savepoint = || CheckpointStorage::local(folder.path().join("savepoint")).unwrap();
    let store = owner(folder.path());
    write(&store, 1);
    write(&store, 2);
    store.copy_to(id(1, 1), &savepoint()).unwrap();
    let error = store.copy_to(id(1, 2), &savepoint()).unwrap_err().to_string();
    assert!(error.contains("savepoint: there is one already"), "{error}");
    assert_eq!(CheckpointStore::load_savepoint(&savepoint()).unwrap().epoch(), 1);
}
