//! Which checkpoint of which folder is meant.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use thalweg::connectors::store::checkpoint_storage;
use thalweg::dataflow::checkpoint::CheckpointId;
use thalweg::dataflow::checkpoint::inspect::CheckpointFolder;

use crate::usage::Usage;

/// One checkpoint.
#[derive(clap::Args)]
pub(super) struct Which {
    /// The folder of the checkpoints, or of a savepoint.
    pub(super) folder: PathBuf,
    /// The job. It need not be said if the folder has one only.
    pub(super) job: Option<String>,
    /// The number of the checkpoint: the newest that counts, unless said otherwise. `41.3` is number 41 of the job's third owner.
    pub(super) checkpoint: Option<String>,
}

/// Opens a folder that is there: looking at something must not make it.
pub(super) fn open(folder: &Path) -> anyhow::Result<CheckpointFolder> {
    if !folder.to_string_lossy().contains("://") && !folder.is_dir() {
        return Err(Usage(format!("there is no folder {}", folder.display())).into());
    }
    Ok(CheckpointFolder::open(checkpoint_storage(folder)?)?)
}

impl Which {
    /// The job and the checkpoint; neither of a savepoint.
    pub(super) fn find(&self, folder: &CheckpointFolder) -> anyhow::Result<(String, Option<CheckpointId>)> {
        if self.job.is_none() && folder.is_savepoint()? {
            return Ok((String::new(), None));
        }
        let jobs = folder.jobs()?;
        let job = match (&self.job, jobs.as_slice()) {
            (Some(job), _) if jobs.contains(job) => job.clone(),
            (None, [only]) => only.clone(),
            (_, []) => return Err(Usage(format!("{} has no checkpoints", self.folder.display())).into()),
            (Some(job), _) => {
                return Err(Usage(format!("there is no job `{job}`; there are {}", jobs.join(", "))).into());
            }
            (None, _) => return Err(Usage(format!("say which job: {}", jobs.join(", "))).into()),
        };
        let id = match &self.checkpoint {
            None => {
                folder.latest(&job)?.with_context(|| format!("job `{job}` has no checkpoint that counts"))?
            }
            Some(number) => find_number(folder, &job, number)?,
        };
        Ok((job, Some(id)))
    }
}

fn find_number(folder: &CheckpointFolder, job: &str, text: &str) -> anyhow::Result<CheckpointId> {
    let wrong = || Usage(format!("`{text}` is no checkpoint; write its number, such as 41 or 41.3"));
    let (epoch, generation) = match text.split_once('.') {
        Some((epoch, generation)) => (epoch, Some(generation.parse::<u64>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let epoch: u64 = epoch.parse().map_err(|_| wrong())?;
    let all = folder.checkpoints(job)?;
    let mut found: Vec<_> = all
        .iter()
        .filter(|info| {
            info.id.epoch == epoch && generation.is_none_or(|generation| info.id.generation == generation)
        })
        .collect();
    // Of two of one number, the one that counts is meant.
    found.sort_by_key(|info| !info.counts);
    match found.as_slice() {
        [first, ..] => Ok(first.id),
        [] => {
            let known: Vec<String> = all.iter().map(|info| info.id.epoch.to_string()).collect();
            Err(Usage(format!("job `{job}` has no checkpoint {text}; it has {}", known.join(", "))).into())
        }
    }
}

/// How long ago a time in milliseconds was, for people.
pub(super) fn age(time: i64) -> String {
    let since = SystemTime::UNIX_EPOCH + Duration::from_millis(time.max(0) as u64);
    match SystemTime::now().duration_since(since) {
        Ok(age) => humantime::format_duration(Duration::from_secs(age.as_secs())).to_string(),
        Err(_) => "0s".to_owned(),
    }
}

/// A size, for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
