//! Where an attempt continues: which checkpoint counts, and whether it fits the job.

use super::config::{JobConfig, RestoreFrom};
use crate::barrier::Epoch;
use crate::checkpoint::committer::{Committer, CommitterContext};
use crate::checkpoint::{CheckpointStore, Restore};
use crate::error::{CheckpointError, JobError};
use crate::graph::GraphData;

/// What an attempt starts with.
#[derive(Default)]
pub(super) struct Recovered {
    pub(super) committer: Option<Box<dyn Committer>>,
    pub(super) restore: Option<Restore>,
    /// The epochs of the attempt are numbered from the next one on. No number is given twice, also if the job
    /// was sent back to an older checkpoint: so the newest is always the one to resume from, and no file is
    /// written over.
    pub(super) last_epoch: Epoch,
    /// The last epoch that this job has committed, as far as it continues from there; 0 if from nothing, or from a savepoint.
    pub(super) committed: Epoch,
}

/// Finds where to continue, attempt after attempt.
#[derive(Default)]
pub(super) struct Recovery {
    /// The job's own last epoch when this run of it started. As long as there is none after it, a restart
    /// begins where the run began.
    found_first: Option<Option<Epoch>>,
}

impl Recovery {
    /// Fences what is left of earlier instances, and reads the checkpoint that counts.
    pub(super) fn recover(
        &mut self,
        graph: &GraphData,
        config: &JobConfig,
        store: Option<&CheckpointStore>,
    ) -> Result<Recovered, JobError> {
        // Whoever was taken over while it waited for a restart must not fence the instance that did it.
        if let Some(store) = store {
            store.check_owner()?;
        }
        let mut committer = committer(graph, config)?;
        // Fencing comes first: only then is the marker final.
        let marker =
            committer.as_mut().map(|committer| committer.recover()).transpose().map_err(JobError::Commit)?;
        let Some(store) = store else { return Ok(Recovered::default()) };
        let latest = store.latest()?;
        if let (Some(None), Some(latest)) = (marker, latest) {
            check_never_committed(config, store, latest)?;
        }
        let own = marker.unwrap_or(latest);
        let begins = *self.found_first.get_or_insert(own) == own;
        let epoch = match &config.restore {
            RestoreFrom::Epoch(epoch) if begins => match marker.flatten() {
                Some(committed) if committed != *epoch => {
                    return Err(JobError::Config(format!(
                        "the sink has committed epoch {committed}, and the job is to be restored from {epoch}: its output would \
                         be doubled; give the job another id to replay on purpose"
                    )));
                }
                _ => Some(*epoch),
            },
            RestoreFrom::Nothing if begins => None,
            _ => own,
        };
        let restore = match (epoch, &config.restore) {
            (Some(epoch), _) => Some(load(store, epoch, marker.is_some())?),
            (None, RestoreFrom::Savepoint(savepoint)) => Some(CheckpointStore::load_savepoint(savepoint)?),
            (None, _) => None,
        };
        if let Some(restore) = &restore {
            check_fit(graph, restore, config.max_parallelism)?;
        }
        let restored = restore.as_ref().map_or(0, Restore::epoch);
        if let Some(committer) = &mut committer {
            committer.start(restored).map_err(JobError::Commit)?;
        }
        let last_epoch = restored.max(latest.unwrap_or(0));
        Ok(Recovered { committer, restore, last_epoch, committed: epoch.unwrap_or(0) })
    }
}

fn committer(graph: &GraphData, config: &JobConfig) -> Result<Option<Box<dyn Committer>>, JobError> {
    let Some((key, factory)) = &graph.committer else { return Ok(None) };
    let Some(checkpoint) = &config.checkpoint else {
        return Err(JobError::Config(format!(
            "the sink to `{key}` is exactly-once, which needs checkpoints: set a checkpoint interval and storage"
        )));
    };
    let context =
        CommitterContext { job: config.id.as_str().into(), checkpoint_interval: checkpoint.interval };
    factory.make(&context).map(Some).map_err(JobError::Commit)
}

/// The transactional sink knows of no commit. That is so before the first one, and then checkpoints do not
/// count. Later it means that its marker is lost, and a fresh start would count everything once more.
fn check_never_committed(config: &JobConfig, store: &CheckpointStore, latest: Epoch) -> Result<(), JobError> {
    if matches!(config.restore, RestoreFrom::Epoch(_) | RestoreFrom::Nothing) {
        return Ok(());
    }
    match store.manifest(latest)?.committed {
        0 => Ok(()),
        committed => Err(JobError::Config(format!(
            "the sink knows of no commit of this job, but checkpoint {latest} says that epoch {committed} was committed: the marker is \
             lost (another transactional id or topic, or its offset has expired). To go on from the checkpoint, set \
             RestoreFrom::Epoch({latest}); to begin anew, RestoreFrom::Nothing"
        ))),
    }
}

/// Reads a checkpoint; if it is damaged, says what else there is. What a transactional sink has committed must
/// not be committed again.
fn load(store: &CheckpointStore, epoch: Epoch, transactional: bool) -> Result<Restore, CheckpointError> {
    match store.load(epoch) {
        Err(CheckpointError::Corrupt { epoch, file, reason, .. }) if !transactional => {
            let others = store.before(epoch)?;
            Err(CheckpointError::Corrupt { epoch, file, reason, others })
        }
        result => result,
    }
}

/// A checkpoint fits a job that has at least its operators, and as many key groups.
fn check_fit(graph: &GraphData, restore: &Restore, max_parallelism: u16) -> Result<(), JobError> {
    let uids = graph.uids()?;
    let manifest = restore.manifest();
    for operator in &manifest.operators {
        if restore.has_state(&operator.uid) && !uids.iter().any(|uid| **uid == *operator.uid) {
            let known: Vec<&str> = uids.iter().map(|uid| &**uid).collect();
            let reason = format!(
                "the checkpoint has state of it (named `{}`), and the job has no operator of that uid; the job's are {}. \
                 Set .uid(\"{}\") on the operator that is to have this state, or start from nothing",
                operator.name,
                known.join(", "),
                operator.uid
            );
            return Err(restore.mismatch(&operator.uid, reason).into());
        }
    }
    if manifest.max_parallelism != max_parallelism {
        return Err(JobError::Config(format!(
            "the checkpoint has {} key groups, the job has {max_parallelism}; set max_parallelism to {}",
            manifest.max_parallelism, manifest.max_parallelism
        )));
    }
    Ok(())
}
