//! How a job of a script or of the shell is run: what was said on the command line, and what is `SET`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use thalweg::connectors::store::checkpoint_storage;
use thalweg::dataflow::checkpoint::CheckpointStorage;
use thalweg::dataflow::runtime::{CheckpointConfig, JobConfig};
use thalweg_table::environment::TableEnvironment;
use thalweg_table::options;
use thalweg_table::settings::Settings;

use crate::usage::Usage;

/// What was said on the command line; it counts more than what is `SET`.
#[derive(Clone, Default)]
pub(crate) struct Given {
    pub(crate) parallelism: Option<usize>,
    pub(crate) checkpoint_dir: Option<PathBuf>,
    pub(crate) checkpoint_interval: Option<Duration>,
}

/// Sets what was given as `KEY=VALUE`s.
pub(crate) fn set(environment: &mut TableEnvironment, given: &[String]) -> Result<(), Usage> {
    for setting in given {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(Usage(format!("`{setting}` is no KEY=VALUE")));
        };
        environment.settings().set(key.trim(), value.trim()).map_err(|error| Usage(error.to_string()))?;
    }
    Ok(())
}

/// The time between checkpoints, unless it is given.
const INTERVAL: Duration = Duration::from_secs(10);

/// The configuration of the job `id`.
pub(crate) fn config(id: &str, settings: &Settings, given: &Given) -> anyhow::Result<JobConfig> {
    let mut config = JobConfig::new(settings.get("pipeline.name").unwrap_or(id));
    let parallelism =
        settings.get("parallelism.default").or(settings.get("table.exec.resource.default-parallelism"));
    let parallelism = match parallelism.filter(|text| *text != "-1") {
        Some(text) => Some(text.parse().map_err(|_| Usage(format!("`{text}` is no parallelism")))?),
        None => None,
    };
    if let Some(parallelism) = given.parallelism.or(parallelism) {
        config.parallelism = parallelism;
    }
    let folder = settings.get("execution.checkpointing.dir").or(settings.get("state.checkpoints.dir"));
    let folder = folder.map(|folder| PathBuf::from(folder.trim_start_matches("file://")));
    let interval = settings.get("execution.checkpointing.interval").and_then(options::duration);
    if let Some(folder) = given.checkpoint_dir.clone().or(folder) {
        let interval = interval.or(given.checkpoint_interval).unwrap_or(INTERVAL);
        config.checkpoint = Some(CheckpointConfig::new(interval, storage(&folder)?));
    }
    config.unaligned_after = settings.unaligned_after();
    Ok(config)
}

/// A folder for checkpoints: of this machine, which is made if it is not there, or of a store, by its address.
pub(crate) fn storage(folder: &Path) -> anyhow::Result<CheckpointStorage> {
    if !folder.to_string_lossy().contains("://") {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    Ok(checkpoint_storage(folder)?)
}
