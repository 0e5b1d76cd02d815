//! The thread that writes checkpoints and commits them, so that neither the tasks nor the coordinator wait for
//! a disk or a broker.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::barrier::Epoch;
use crate::checkpoint::committer::Committer;
use crate::checkpoint::protocol::Event;
use crate::checkpoint::{
    Chain, CheckpointId, CheckpointStorage, CheckpointStore, FileEntry, Manifest, StateFile, Written,
};
use crate::collector::OperatorSnapshot;
use crate::debug_hook::reach;
use crate::error::{CheckpointError, JobError, panic_message};
use crate::state::Encoders;

/// An instance that has nothing to write looks this often whether another has taken its place.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Something to do, in order.
pub(crate) enum Work {
    /// Encode and write the state of all subtasks: (subtask, state). If nothing has changed since the last checkpoint, nothing
    /// is written, unless it `must` be.
    WriteState {
        epoch: Epoch,
        snapshots: Vec<(usize, OperatorSnapshot)>,
        must: bool,
    },
    Flush(Epoch, Vec<Box<dyn Any + Send>>),
    WriteManifest(Box<Manifest>),
    Commit(Epoch),
    /// Remove the checkpoints before this one but for so many.
    Discard {
        before: Epoch,
        keep: usize,
    },
    /// Copy a checkpoint to where no retention removes it.
    Savepoint(Epoch, CheckpointStorage, Sender<Result<Epoch, CheckpointError>>),
}

/// The thread. It ends when the sender of its work is dropped.
pub(crate) fn spawn(
    store: Option<Arc<CheckpointStore>>,
    mut committer: Option<Box<dyn Committer>>,
    // What has been restored.
    mut chain: Chain,
    done: impl Fn(Result<Event, JobError>) + Send + 'static,
) -> Result<(Sender<Work>, std::thread::JoinHandle<()>), JobError> {
    let (sender, receiver): (Sender<Work>, Receiver<Work>) = channel();
    let run = move || {
        let mut files = Vec::new();
        let encoders = Arc::default();
        let mut looked = Instant::now();
        for work in receiver {
            let committing = matches!(work, Work::Flush(..) | Work::Commit(_));
            let perform = || {
                perform(work, store.as_deref(), committer.as_deref_mut(), (&mut chain, &mut files), &encoders)
            };
            // A store or a committer that panics must not leave the job waiting for it. Neither is called again
            // after that.
            let mut result = catch_unwind(AssertUnwindSafe(perform));
            if let (Ok(Ok(Some(Event::Unchanged(_)))), Some(store)) = (&result, &store)
                && looked.elapsed() >= LOOK_EVERY
            {
                looked = Instant::now();
                if let Err(error) = store.check_owner() {
                    result = Ok(Err(error.into()));
                }
            }
            match result {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(event))) => done(Ok(event)),
                Ok(Err(error)) => done(Err(error)),
                Err(panic) => {
                    let error = format!("it panicked: {}", panic_message(&*panic)).into();
                    let location = store.as_ref().map_or_else(String::new, |store| store.location());
                    return done(Err(match committing {
                        true => JobError::Commit(error),
                        false => CheckpointError::Store { location, error }.into(),
                    }));
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("thalweg-checkpoint".to_owned()).spawn(run);
    Ok((sender, thread.map_err(JobError::Thread)?))
}

fn perform(
    work: Work,
    store: Option<&CheckpointStore>,
    committer: Option<&mut (dyn Committer + '_)>,
    // The files of the checkpoints so far, and those of the one under way.
    (chain, files): (&mut Chain, &mut Vec<FileEntry>),
    encoders: &Arc<Encoders>,
) -> Result<Option<Event>, JobError> {
    match (work, store, committer) {
        (Work::WriteState { epoch, snapshots, must }, Some(store), committer) => {
            // Not before: a job that turns out not to fit leaves everything as it was.
            chain.rename(|files| store.adopt(files))?;
            let mut file = StateFile::new(Some((store, epoch))).with(encoders);
            encode(&file, snapshots, chain)?;
            let nothing_new = chain.is_nothing_new(file.written().iter().map(|(_, written)| written));
            if nothing_new && !must {
                let skipped = committer.map_or(Ok(true), |committer| committer.skip(epoch));
                if skipped.map_err(JobError::Commit)? {
                    return Ok(Some(Event::Unchanged(epoch)));
                }
            }
            // There may be something to commit, and nothing else that is new.
            *files = if nothing_new && !must { chain.files() } else { add(store, chain, file)? };
            Ok(Some(Event::StateWritten(epoch)))
        }
        (Work::Flush(epoch, notes), _, Some(committer)) => {
            committer.flush(epoch, notes).map_err(JobError::Commit)?;
            reach("flushed");
            Ok(Some(Event::Flushed(epoch)))
        }
        (Work::WriteManifest(mut manifest), Some(store), _) => {
            manifest.files = std::mem::take(files);
            store.write_manifest(&manifest)?;
            Ok(Some(Event::ManifestWritten(manifest.epoch)))
        }
        (Work::Commit(epoch), _, Some(committer)) => {
            reach("before-commit");
            committer.commit(epoch).map_err(JobError::Commit)?;
            reach("committed");
            Ok(Some(Event::Committed(epoch)))
        }
        (Work::Discard { before, keep }, Some(store), _) => {
            // What cannot be removed now is removed next time; it is no reason to stop a job.
            let before = CheckpointId { generation: store.generation(), epoch: before };
            if let Err(error) = store.discard(before, keep) {
                tracing::warn!(%error, "old checkpoints could not be removed");
            }
            reach("discarded");
            Ok(None)
        }
        (Work::Savepoint(epoch, target, reply), Some(store), _) => {
            let id = CheckpointId { generation: store.generation(), epoch };
            let result = store.copy_to(id, &target).map(|()| epoch);
            // Nobody may be waiting any more.
            let _ = reply.send(result);
            Ok(None)
        }
        (_, _, _) => unreachable!("work for a store or a committer that the job does not have"),
    }
}

/// Encodes what tasks have shared; of a job with much state on several threads, but not on all: records have to go on.
fn encode(
    file: &StateFile<'_>,
    snapshots: Vec<(usize, OperatorSnapshot)>,
    chain: &Chain,
) -> Result<(), CheckpointError> {
    const MUCH: u64 = 8 << 20;
    let add = |order: usize, (subtask, snapshot): (usize, OperatorSnapshot)| {
        let uid = snapshot.uid.clone();
        file.add(order, subtask, snapshot, &|name, group| chain.is_wasteful(&uid, name, group))
    };
    // Asking how many cores there are reads several files.
    let threads = || {
        static THREADS: OnceLock<usize> = OnceLock::new();
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2).min(8));
        *THREADS.get_or_init(cores)
    };
    if chain.newest_length() < MUCH || threads() == 1 {
        return snapshots.into_iter().enumerate().try_for_each(|(order, snapshot)| add(order, snapshot));
    }
    let queue = Mutex::new(snapshots.into_iter().enumerate());
    let work = || {
        // The lock is not held while a snapshot is encoded.
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::iter::from_fn(next).try_for_each(|(order, snapshot)| add(order, snapshot))
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads()).map(|_| scope.spawn(work)).collect();
        let mine = work();
        // A user's panic is caught where it is encoded.
        let theirs = helpers.into_iter().filter_map(|helper| helper.join().ok());
        theirs.fold(mine, Result::and)
    })
}

/// Ends a state file, and returns all that the checkpoint needs.
fn add(
    store: &CheckpointStore,
    chain: &mut Chain,
    file: StateFile<'_>,
) -> Result<Vec<FileEntry>, CheckpointError> {
    let (entry, written) = file.finish()?;
    chain.remember(&written);
    let index: Vec<_> = written.into_iter().map(|Written { entry, .. }| entry).collect();
    chain.add(entry, &index).map_err(|error| CheckpointError::Store {
        location: store.location(),
        error: format!("{error}; this is a bug in Thalweg, please report it").into(),
    })
}
