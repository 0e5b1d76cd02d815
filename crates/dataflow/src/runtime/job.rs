//! A job that is being built: its graph and its settings, shared by everything that adds to them.

use std::sync::{Arc, Mutex, PoisonError};

use super::{JobConfig, JobHandle, JobResult, run, start};
use crate::error::JobError;
use crate::graph::StreamGraph;

/// A job that is being built. Clones build the same job: so both faces of Thalweg can be in one.
#[derive(Clone)]
pub struct Job {
    graph: StreamGraph,
    config: Arc<Mutex<JobConfig>>,
}

impl Job {
    /// An empty job with these settings.
    pub fn new(config: JobConfig) -> Self {
        Self { graph: StreamGraph::new(), config: Arc::new(Mutex::new(config)) }
    }

    /// Its graph.
    pub fn graph(&self) -> &StreamGraph {
        &self.graph
    }

    /// Changes its settings.
    pub fn configure(&self, change: impl FnOnce(&mut JobConfig)) {
        change(&mut self.config.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Its settings, as they are now.
    pub fn config(&self) -> JobConfig {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs it to its end: what has been added to it since it was last run or started, and all that this reads from.
    ///
    /// # Errors
    /// What ended it, if that was not the end of its input.
    pub fn run(&self) -> Result<JobResult, JobError> {
        run(&self.graph.next_execution()?, self.config())
    }

    /// Starts it: what has been added to it since it was last run or started, and all that this reads from.
    ///
    /// # Errors
    /// When nothing has been added, or a thread cannot be started.
    pub fn start(&self) -> Result<JobHandle, JobError> {
        start(&self.graph.next_execution()?, self.config())
    }
}
