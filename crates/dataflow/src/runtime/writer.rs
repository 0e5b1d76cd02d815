//! The thread that writes checkpoints and commits them, so that neither the tasks nor the coordinator wait for
//! a disk or a broker.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::barrier::Epoch;
use crate::checkpoint::committer::Committer;
use crate::checkpoint::protocol::Event;
use crate::checkpoint::{CheckpointId, CheckpointStorage, CheckpointStore, FileEntry, Manifest, StateFile};
use crate::collector::OperatorSnapshot;
use crate::debug_hook::reach;
use crate::error::{CheckpointError, JobError, panic_message};

/// Something to do, in order.
pub(crate) enum Work {
    /// Encode and write the state of all subtasks: (subtask, state).
    WriteState(Epoch, Vec<(usize, OperatorSnapshot)>),
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
    done: impl Fn(Result<Event, JobError>) + Send + 'static,
) -> Result<(Sender<Work>, std::thread::JoinHandle<()>), JobError> {
    let (sender, receiver): (Sender<Work>, Receiver<Work>) = channel();
    let run = move || {
        let mut files = Vec::new();
        for work in receiver {
            let committing = matches!(work, Work::Flush(..) | Work::Commit(_));
            let perform = || perform(work, store.as_deref(), committer.as_deref_mut(), &mut files);
            // A store or a committer that panics must not leave the job waiting for it. Neither is called again
            // after that.
            match catch_unwind(AssertUnwindSafe(perform)) {
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
    // Of the checkpoint under way, as they have been written.
    files: &mut Vec<FileEntry>,
) -> Result<Option<Event>, JobError> {
    match (work, store, committer) {
        (Work::WriteState(epoch, snapshots), Some(store), _) => {
            let mut file = StateFile::new();
            let failed = |error| CheckpointError::Store { location: store.location(), error };
            for (subtask, snapshot) in snapshots {
                file.add(subtask, snapshot)?;
            }
            *files = vec![store.write_state(epoch, file.finish().map_err(failed)?)?];
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
