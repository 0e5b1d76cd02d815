//! The jobs of a shell.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use thalweg::dataflow::runtime::JobHandle;
use thalweg_table::parser::StopJob;
use thalweg_table::tableau::tableau;

use crate::interrupt::Interrupt;
use crate::job_config::storage;

/// A job in the background.
struct Running {
    id: String,
    name: String,
    job: Option<JobHandle>,
    status: &'static str,
}

/// All of them, in the order in which they were started.
#[derive(Default)]
pub(super) struct Jobs(Vec<Running>);

/// How often it is looked whether a job has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Until a job ends; Ctrl-C brings it to its end.
pub(super) fn wait_for(job: JobHandle, interrupt: &Interrupt) -> anyhow::Result<()> {
    let mut stopped = false;
    while !job.is_finished() {
        if interrupt.is_set() && !std::mem::replace(&mut stopped, true) {
            job.stop();
        }
        std::thread::sleep(LOOK);
    }
    job.wait()?;
    Ok(())
}

impl Jobs {
    pub(super) fn add(&mut self, id: String, name: String, job: JobHandle) {
        self.0.push(Running { id, name, job: Some(job), status: "RUNNING" });
    }

    /// Takes note of jobs that have ended.
    fn look(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        for running in &mut self.0 {
            let Some(job) = running.job.take_if(|job| job.is_finished()) else { continue };
            running.status = match job.wait() {
                Ok(_) if running.status == "RUNNING" => "FINISHED",
                Ok(_) => running.status,
                Err(error) => {
                    failures.push(format!("the job `{}` has failed: {error}", running.id));
                    "FAILED"
                }
            };
        }
        failures
    }

    /// What has failed since this was asked last is told.
    pub(super) fn tell_of_failures(&mut self) {
        self.look().iter().for_each(|failure| eprintln!("error: {failure}"));
    }

    /// What `SHOW JOBS` shows.
    pub(super) fn table(&mut self) -> String {
        self.tell_of_failures();
        let row =
            |running: &Running| vec![running.id.clone(), running.name.clone(), running.status.to_owned()];
        tableau(&["job id", "job name", "status"], &self.0.iter().map(row).collect::<Vec<_>>())
    }

    /// `STOP JOB`: with what was read worked off, and, with `DRAIN`, as if the input had ended.
    pub(super) fn stop(&mut self, stop: &StopJob, savepoints: Option<PathBuf>) -> anyhow::Result<String> {
        self.tell_of_failures();
        let id = &stop.id.value;
        let Some(running) = self.0.iter_mut().find(|running| running.id == *id) else {
            bail!("there is no job `{id}`: SHOW JOBS");
        };
        let Some(job) = running.job.take() else {
            bail!("the job `{id}` has ended already: {}", running.status);
        };
        let mut said = String::new();
        if stop.savepoint {
            let Some(folder) = savepoints else {
                running.job = Some(job);
                bail!("where is the savepoint to be? SET 'execution.checkpointing.savepoint-dir' = 'folder'");
            };
            let folder = folder.join(id);
            let saved = storage(&folder).and_then(|storage| Ok(job.savepoint(storage)?));
            if let Err(error) = saved {
                running.job = Some(job);
                return Err(error);
            }
            said = format!("The savepoint is in {}. ", folder.display());
        }
        if stop.drain {
            job.stop()
        } else {
            job.suspend()
        }
        running.status = "STOPPED";
        job.wait()?;
        Ok(format!("{said}The job `{id}` has stopped."))
    }

    /// Until all have ended; Ctrl-C brings them to their end.
    pub(super) fn wait(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        for running in &mut self.0 {
            if let Some(job) = running.job.take() {
                wait_for(job, interrupt)?;
            }
        }
        Ok(())
    }

    /// Ends those that still run.
    pub(super) fn cancel(&mut self) {
        for job in self.0.iter_mut().filter_map(|running| running.job.take()) {
            job.cancel();
            // How it ended is of no interest to somebody who has left.
            let _ = job.wait();
        }
    }
}
