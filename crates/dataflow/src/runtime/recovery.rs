//! Where an attempt continues: which checkpoint counts, and whether it fits the job.
//!
//! First, while another instance may still run, everything is looked at that can be ([`Recovery::look`]). Then this one takes the
//! job over, fences what is left of others in the sink's system, and only then looks for what counts. Of two that start at once
//! the store says which one owns the job; the other may have been the last to fence, and then the owner takes its place back.

use super::config::{JobConfig, MemoryConfig, RestoreFrom};
use crate::barrier::Epoch;
use crate::checkpoint::claims::{Claimant, Claims, RestoreReport, claim};
use crate::checkpoint::committer::{Committer, CommitterContext, Marker};
use crate::checkpoint::{
    CheckpointId, CheckpointStorage, CheckpointStore, Generation, Manifest, OperatorEntry, OperatorIdentity,
    Restore, random,
};
use crate::debug_hook::reach;
use crate::error::{CheckpointError, JobError};
use crate::graph::GraphData;
use crate::graph::identity::{Identity, path};
use crate::graph::node::{Node, NodeKind};
use crate::graph::plan;

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
    /// Where the committer keeps its marker.
    pub(super) marker: Option<String>,
    /// Of this run of the job: what it has in common with the others, and the how-many-th owner it is.
    pub(super) lineage: String,
    pub(super) generation: Generation,
    /// Whether it goes on from the latest checkpoint that counts.
    pub(super) resumed: bool,
    /// What became of the state of the checkpoint.
    pub(super) report: RestoreReport,
}

/// Finds where to continue, attempt after attempt.
#[derive(Default)]
pub(super) struct Recovery {
    /// The job's own last checkpoint when this run of it started. As long as there is none after it, a restart
    /// begins where the run began.
    found_first: Option<Option<CheckpointId>>,
    /// What was read before the job was taken over, so that it is not read twice.
    looked_at: Option<(CheckpointId, Restore)>,
    /// Without a store.
    lineage: Option<String>,
}

/// While we look at a checkpoint its owner may remove it, as there is a newer one.
const LOOKS: u32 = 5;

impl Recovery {
    /// Finds out what would keep the job from running, before it takes the place of an instance that does run.
    pub(super) fn look(
        &mut self,
        graph: &GraphData,
        config: &JobConfig,
        store: &CheckpointStore,
    ) -> Result<(), JobError> {
        if let Some((factory, context)) = committer_context(graph, config, store)? {
            factory.check(&context).map_err(JobError::Commit)?;
        }
        let mut looks = 0;
        let found = loop {
            looks += 1;
            let candidate = match &config.restore {
                RestoreFrom::Nothing => return Ok(()),
                RestoreFrom::Epoch(epoch) => store.lineage()?.into_iter().find(|id| id.epoch == *epoch),
                RestoreFrom::Latest | RestoreFrom::Savepoint(_) => store.latest()?,
            };
            match candidate.map(|id| Ok((id, store.load(id)?))).transpose() {
                Err(CheckpointError::Corrupt { .. } | CheckpointError::Missing { .. }) if looks < LOOKS => {}
                found => break found,
            }
        };
        match found {
            Ok(Some((id, restore))) => {
                if let (RestoreFrom::Savepoint(savepoint), None) = (&config.restore, &graph.committer) {
                    check_savepoint(store, savepoint, id)?;
                }
                fit(graph, &restore, config)?;
                self.looked_at = Some((id, restore));
            }
            Ok(None) => {
                if let RestoreFrom::Savepoint(savepoint) = &config.restore {
                    fit(graph, &CheckpointStore::load_savepoint(savepoint)?, config)?;
                }
            }
            // Whether that checkpoint counts, only the sink knows.
            Err(CheckpointError::Corrupt { .. } | CheckpointError::Missing { .. })
                if graph.committer.is_some() => {}
            Err(CheckpointError::Corrupt { epoch, file, reason, .. }) => {
                return Err(with_others(
                    store,
                    graph,
                    CheckpointError::Corrupt { epoch, file, reason, others: Vec::new() },
                )?);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Fences what is left of earlier instances, and reads the checkpoint that counts.
    pub(super) fn recover(
        &mut self,
        graph: &GraphData,
        config: &JobConfig,
        store: Option<&CheckpointStore>,
    ) -> Result<Recovered, JobError> {
        let looked_at = self.looked_at.take();
        let Some(store) = store else {
            check_has_store(graph)?;
            let lineage = self.lineage.get_or_insert_with(|| format!("{:016x}", random())).clone();
            return Ok(Recovered { lineage, ..Recovered::default() });
        };
        // Whoever was taken over while it waited for a restart must not fence the instance that did it.
        store.check_owner()?;
        reach("before-fencing");
        let mut committer = match committer_context(graph, config, store)? {
            Some((factory, context)) => Some(factory.make(&context).map_err(JobError::Commit)?),
            None => None,
        };
        // Fencing comes first: only then is the marker final.
        let marker =
            committer.as_mut().map(|committer| committer.recover()).transpose().map_err(JobError::Commit)?;
        let place = committer.as_ref().map(|committer| committer.place());
        reach("fenced");
        let latest = store.latest()?;
        if let (Some(None), Some(latest), Some(place)) = (&marker, latest, &place) {
            check_never_committed(config, store, latest, place)?;
        }
        let committed = marker.as_ref().and_then(|marker| marker.as_ref());
        let own = if marker.is_some() { committed.map(Marker::checkpoint) } else { latest };
        let begins = *self.found_first.get_or_insert(own) == own;
        let from = match &config.restore {
            RestoreFrom::Epoch(epoch) if begins => match committed {
                Some(committed) if committed.epoch != *epoch => {
                    return Err(JobError::Config(format!(
                        "the sink has committed epoch {}, and the job is to be restored from {epoch}: its output would \
                         be doubled; give the job another id to replay on purpose",
                        committed.epoch
                    )));
                }
                _ => Some(of_epoch(store, own, *epoch)?),
            },
            RestoreFrom::Nothing if begins => None,
            _ => own,
        };
        let mut savepoint_id = match (&config.restore, own) {
            (RestoreFrom::Savepoint(savepoint), Some(own)) if begins => {
                Some(check_savepoint(store, savepoint, own)?)
            }
            _ => None,
        };
        let mut restore = match (from, &config.restore) {
            (Some(id), _) => Some(match looked_at.filter(|(looked_at, _)| *looked_at == id) {
                Some((_, restore)) => restore,
                None => load(store, id, graph, committed)?,
            }),
            (None, RestoreFrom::Savepoint(savepoint)) => {
                savepoint_id = Some(CheckpointStore::identify_savepoint(savepoint)?.0);
                Some(CheckpointStore::load_savepoint(savepoint)?)
            }
            (None, _) => None,
        };
        let mut report = RestoreReport::default();
        if let Some(restore) = &mut restore {
            let claims = fit(graph, restore, config)?;
            restore.set_claims(claims.of);
            report = claims.report;
            check_same_instance(restore, committed.filter(|_| from == own))?;
        }
        let restored = restore.as_ref().map_or(0, Restore::epoch);
        let last_epoch = restored.max(store.highest()?);
        let lineage =
            store.begin(from, last_epoch, savepoint_id.or_else(|| from.and_then(|_| origin(store))))?;
        reach("begun");
        if let (Some(_), Some(restore)) = (from, &mut restore) {
            restore.continue_from_it();
        }
        if let Some(committer) = &mut committer {
            committer.start(restored).map_err(JobError::Commit)?;
        }
        let (committed, generation) = (from.map_or(0, |id| id.epoch), store.generation());
        let resumed = from.is_some() && from == own;
        Ok(Recovered {
            committer,
            restore,
            last_epoch,
            committed,
            marker: place,
            lineage,
            generation,
            resumed,
            report,
        })
    }
}

type Factory<'a> = &'a dyn crate::graph::AnyCommitterFactory;

/// What makes the committer of the job, if it is to have one.
fn committer_context<'a>(
    graph: &'a GraphData,
    config: &JobConfig,
    store: &CheckpointStore,
) -> Result<Option<(Factory<'a>, CommitterContext)>, JobError> {
    let (Some((_, factory)), Some(checkpoint)) = (&graph.committer, &config.checkpoint) else {
        return Ok(None);
    };
    let context = CommitterContext {
        job: config.id.as_str().into(),
        checkpoint_interval: checkpoint.interval,
        generation: store.generation(),
        instance: store.instance().into(),
        queued_bytes: config.memory.as_ref().map(MemoryConfig::queued),
    };
    Ok(Some((&**factory, context)))
}

pub(super) fn check_has_store(graph: &GraphData) -> Result<(), JobError> {
    match &graph.committer {
        None => Ok(()),
        Some((key, _)) => Err(JobError::Config(format!(
            "the sink to `{key}` is exactly-once, which needs checkpoints: set a checkpoint interval and storage"
        ))),
    }
}

/// The checkpoint of this number: the one that was committed, or the newest of those that count.
fn of_epoch(
    store: &CheckpointStore,
    own: Option<CheckpointId>,
    epoch: Epoch,
) -> Result<CheckpointId, CheckpointError> {
    let counts = own.filter(|id| id.epoch == epoch);
    let found = counts
        .map_or_else(|| Ok(store.lineage()?.into_iter().find(|id| id.epoch == epoch)), |id| Ok(Some(id)));
    found?.ok_or_else(|| CheckpointError::Missing { location: store.location(), epoch: Some(epoch) })
}

/// The transactional sink knows of no commit. That is so before the first one, and then checkpoints do not
/// count. Later it means that its marker is lost, and a fresh start would count everything once more.
fn check_never_committed(
    config: &JobConfig,
    store: &CheckpointStore,
    latest: CheckpointId,
    place: &str,
) -> Result<(), JobError> {
    if matches!(config.restore, RestoreFrom::Epoch(_) | RestoreFrom::Nothing) {
        return Ok(());
    }
    let manifest = store.manifest(latest)?;
    let reason = match (manifest.committed, &manifest.marker) {
        (0, Some(before)) if *before != *place => format!(
            "was written when the sink kept its marker at {before}, and now it looks at {place}: whether epoch {latest} was committed \
             cannot be told"
        ),
        (0, _) => return Ok(()),
        (committed, _) => format!(
            "says that epoch {committed} was committed: the marker is lost (another transactional id or topic, or its offset has expired)"
        ),
    };
    Err(JobError::Config(format!(
        "the sink knows of no commit of this job, but checkpoint {latest} {reason}. To go on from the checkpoint, set \
         RestoreFrom::Epoch({latest}); to begin anew, RestoreFrom::Nothing"
    )))
}

/// The job has checkpoints of its own, and is to begin at a savepoint. It goes on from its own if they come after that savepoint.
/// Returns what identifies the savepoint.
fn check_savepoint(
    store: &CheckpointStore,
    savepoint: &CheckpointStorage,
    own: CheckpointId,
) -> Result<String, JobError> {
    let (identity, taken) = CheckpointStore::identify_savepoint(savepoint)?;
    let began = origin(store);
    // Before owners were counted nobody wrote down where a job began.
    if began.as_ref() == Some(&identity) || taken == own || (began.is_none() && own.generation == 0) {
        tracing::info!(
            checkpoint = own.epoch,
            ?savepoint,
            "the job goes on from its own checkpoint, which is newer than the savepoint"
        );
        return Ok(identity);
    }
    let what = if taken.epoch < own.epoch { "is older" } else { "is another" };
    Err(JobError::Config(format!(
        "the job is to begin at the savepoint at {savepoint:?}, but has checkpoints of its own, at {}, which do not come after it: the \
         savepoint (checkpoint {}) {what} than what the job has committed (checkpoint {}), and what came since would be given again. To \
         begin at the savepoint on purpose, give the job another id; to go on from its own checkpoint, leave the savepoint out",
        store.location(),
        taken.epoch,
        own.epoch,
    )))
}

/// The savepoint that the job's own checkpoints go back to.
fn origin(store: &CheckpointStore) -> Option<String> {
    let begins = store.begins().ok()?;
    begins.into_values().next_back().and_then(|begin| begin.savepoint)
}

/// What the sink has committed must have come of this checkpoint, and not of one that happens to have the same number.
fn check_same_instance(restore: &Restore, committed: Option<&Marker>) -> Result<(), JobError> {
    let Some(committed) = committed else { return Ok(()) };
    let manifest = restore.manifest();
    if committed.instance == manifest.instance {
        return Ok(());
    }
    Err(JobError::Config(format!(
        "the sink's last commit, epoch {}, was made by instance {}, and checkpoint {} of these checkpoints by {}: two jobs share a \
         transactional id, or the job's checkpoints are elsewhere. Give each job an id of its own, and the place of its own checkpoints",
        committed.epoch, committed.instance, manifest.epoch, manifest.instance
    )))
}

/// Reads a checkpoint; if it is damaged, says what else there is.
fn load(
    store: &CheckpointStore,
    id: CheckpointId,
    graph: &GraphData,
    committed: Option<&Marker>,
) -> Result<Restore, JobError> {
    match store.load(id) {
        Err(error @ CheckpointError::Corrupt { .. }) => Err(with_others(store, graph, error)?),
        Err(CheckpointError::Missing { .. }) if committed.is_some() => Err(JobError::Config(format!(
            "the sink's last commit of this job is epoch {}, made by owner {} of its checkpoints, and {} does not have that checkpoint: \
             the job's checkpoints are elsewhere or were removed, or two jobs share a transactional id. Set the place of the job's own \
             checkpoints; to begin anew in spite of what is committed, give the job another id",
            id.epoch,
            id.generation,
            store.location()
        ))),
        result => Ok(result?),
    }
}

/// Tells of older checkpoints. What a transactional sink has committed must not be committed again.
fn with_others(
    store: &CheckpointStore,
    graph: &GraphData,
    error: CheckpointError,
) -> Result<JobError, CheckpointError> {
    match error {
        CheckpointError::Corrupt { epoch, file, reason, .. } if graph.committer.is_none() => {
            let lineage = store.lineage()?;
            let older = lineage.into_iter().filter(|older| older.epoch < epoch);
            // The file may be part of them, too.
            let others = older.filter(|older| !store.needs(*older, &file)).map(|id| id.epoch).collect();
            Ok(CheckpointError::Corrupt { epoch, file, reason, others }.into())
        }
        other => Ok(other.into()),
    }
}

/// Who is who in the job.
pub(super) fn claimants(graph: &GraphData) -> Result<Vec<Claimant>, JobError> {
    let identities = graph.identities()?;
    let claimant = |(index, (node, identity)): (usize, (&Node, Identity))| Claimant {
        name: node.name.clone(),
        uid: identity.uid,
        structure: identity.structure,
        explicit: node.uid.is_some(),
        is_source: matches!(node.kind, NodeKind::Source(_)),
        states: node.states().map(<[_]>::to_vec),
        path: path(graph, index),
    };
    Ok(graph.nodes.iter().zip(identities).enumerate().map(claimant).collect())
}

/// What all manifests of this job have in common.
pub(super) fn manifest(
    graph: &GraphData,
    config: &JobConfig,
    store: Option<&CheckpointStore>,
    marker: Option<String>,
) -> Result<Manifest, JobError> {
    let parallelisms = plan::parallelisms(graph, config)?;
    let operators = claimants(graph)?.into_iter().zip(parallelisms).map(|(operator, parallelism)| {
        let Claimant { name, uid, structure, states, .. } = operator;
        let states = states.map(|states| states.into_iter().map(str::to_owned).collect());
        let identity = Some(OperatorIdentity { structure: structure.to_string(), states });
        OperatorEntry { uid: uid.to_string(), name, parallelism, identity }
    });
    Ok(Manifest {
        format_version: crate::checkpoint::FORMAT_VERSION,
        job: config.id.clone(),
        epoch: 0,
        generation: store.map_or(0, CheckpointStore::generation),
        instance: store.map(|store| store.instance().to_owned()).unwrap_or_default(),
        committed: 0,
        marker,
        time: 0,
        max_parallelism: config.max_parallelism,
        operators: operators.collect(),
        // The writer knows them.
        files: Vec::new(),
    })
}

/// A checkpoint fits a job that has somebody for all of its state, or may drop it, and as many key groups.
fn fit(graph: &GraphData, restore: &Restore, config: &JobConfig) -> Result<Claims, JobError> {
    let manifest = restore.manifest();
    let unclear = |reason| restore.mismatch("", reason);
    let claims = claim(&manifest.operators, &restore.holdings(), &claimants(graph)?).map_err(unclear)?;
    if let Some((uid, _)) = claims.report.way_out.first()
        && !config.allow_non_restored_state
    {
        return Err(restore.mismatch(uid, unclaimed(&claims.report)).into());
    }
    if manifest.max_parallelism != config.max_parallelism {
        return Err(JobError::Config(format!(
            "the checkpoint has {} key groups, the job has {}; set max_parallelism to {}",
            manifest.max_parallelism, config.max_parallelism, manifest.max_parallelism
        )));
    }
    Ok(claims)
}

/// What to do about state that nobody claims.
fn unclaimed(report: &RestoreReport) -> String {
    let ways: Vec<String> =
        report.way_out.iter().map(|(uid, way)| format!("\n  - state of uid {uid}: {way}")).collect();
    format!(
        "the checkpoint has state that no operator of the job claims:\n{report}\nTo keep it:{}\nTo go on without it: set \
         allow_non_restored_state, which drops it for good at the next checkpoint; or start from nothing",
        ways.concat()
    )
}
