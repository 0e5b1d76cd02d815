//! When the stream is cut: the barrier cadence of a job.
//!
//! One job has one cadence, the greatest common divisor of its batch intervals (or, without batches, the checkpoint
//! interval); each cut says which batches it closes, by its time, and whether it is a checkpoint.
//!
//! A job without batches that goes on after a restart is cut sooner at first, at distances that double up to its interval: its readers
//! have been waiting. A cut that has nothing new costs next to nothing.

use super::config::JobConfig;
use crate::barrier::Then;
use crate::checkpoint::protocol::Cut;
use crate::error::JobError;
use crate::tell;
use crate::time::{Timestamp, whole_millis};

/// So many batches may be made up for when the job is behind; those before are skipped. Checkpoints are never made up for: the next one
/// says what they would have said.
const CATCH_UP: i64 = 10;

/// The distance of the first two cuts after a restart, in milliseconds.
const SOON: i64 = 20;

/// The cuts of one attempt, in milliseconds.
#[derive(Debug)]
pub(crate) struct Cadence {
    /// `None`: no cuts but those asked for.
    every: Option<i64>,
    checkpoint_every: Option<i64>,
    next: Timestamp,
    /// After a restart: when to cut before `next`, and how long after that to do it again.
    soon: Option<(Timestamp, i64)>,
    /// Between two cuts, if these close batches.
    batches: Option<i64>,
    /// So many cuts may be made up for.
    catch_up: i64,
    /// Whether somebody is to be told that batch times are skipped: once, and not of a job without batches.
    tells_of_skips: bool,
}

impl Cadence {
    /// The cuts from `now` on, of a job whose last cut before was at `last`. Batch times only grow: the last cut of a job that was
    /// stopped, and is started again at once, was ahead of the clock; it is further ahead if the clock has been set back since.
    pub(crate) fn new(
        config: &JobConfig,
        batch_intervals: &[i64],
        now: Timestamp,
        last: Option<Timestamp>,
    ) -> Result<Self, JobError> {
        let batches = batch_intervals.iter().copied().reduce(greatest_common_divisor);
        let interval = config.checkpoint.as_ref().map(|checkpoint| checkpoint.interval);
        let checkpoint = interval.and_then(whole_millis).filter(|interval| *interval >= 1);
        if let (Some(interval), None) = (interval, checkpoint) {
            let reason = format!(
                "a checkpoint interval of {interval:?}; it must be a whole number of milliseconds, and at least one"
            );
            return Err(JobError::Config(reason));
        }
        let every = batches.or(checkpoint);
        let checkpoint_every = match (checkpoint, batches) {
            (Some(checkpoint), Some(batch)) => Some(round_up(checkpoint, batch)),
            (checkpoint, _) => checkpoint,
        };
        let next = every.map_or(now, |every| {
            let after = last.map_or(now, |last| last.max(now));
            (after.div_euclid(every) + 1).saturating_mul(every)
        });
        let catch_up = if batches.is_some() { CATCH_UP } else { 0 };
        // Whoever moves the clock by hand says when it is time for a cut.
        let hurries = batches.is_none() && last.is_some_and(|last| last < now) && !config.clock.is_manual();
        let soon = hurries.then_some((now, SOON));
        let tells_of_skips = batches.is_some();
        Ok(Self { every, checkpoint_every, next, soon, batches, catch_up, tells_of_skips })
    }

    /// The time between two cuts that close batches, in milliseconds; none in a job without batches.
    pub(crate) fn batch_interval(&self) -> Option<i64> {
        self.batches
    }

    /// The time of the first cut.
    pub(crate) fn start(&self) -> Timestamp {
        self.next
    }

    /// How far the clock has to be set forward, in milliseconds, lest the first cut is waited for longer than for one that was ahead of
    /// the clock when the job was stopped.
    pub(crate) fn skew(&self, now: Timestamp) -> Option<i64> {
        let every = self.every?;
        let wait = self.next.saturating_sub(now);
        (wait > every.saturating_mul(2)).then(|| wait - every)
    }

    /// When the next cut is due, if there is a cadence.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.every.map(|_| self.soon.map_or(self.next, |(soon, _)| soon.min(self.next)))
    }

    /// The cut that is due at `now`, if one is.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Cut> {
        if let Some((soon, distance)) = self.soon
            && soon <= now
            && now < self.next
        {
            self.soon = Some((now + distance, distance * 2));
            return Some(Cut { time: now, checkpoint: true, then: Then::Continue });
        }
        let every = self.every.filter(|_| self.next <= now)?;
        self.soon = self.soon.filter(|(_, distance)| *distance < every);
        let behind = (now - self.next) / every;
        if behind > self.catch_up {
            // It may be so at every batch from now on.
            if std::mem::take(&mut self.tells_of_skips) {
                tell::warn(format_args!(
                    "the job is {} behind its batch interval of {}: batch times are skipped; its batches take longer than that",
                    tell::span(now - self.next),
                    tell::span(every)
                ));
            }
            self.next += (behind - self.catch_up) * every;
        }
        let time = self.next;
        self.next += every;
        let checkpoint = self.checkpoint_every.is_some_and(|interval| time.rem_euclid(interval) == 0);
        Some(Cut { time, checkpoint, then: Then::Continue })
    }

    /// A cut that is made now, out of turn. The last of a job that finishes closes all batches, at the time of
    /// the cut that would be next. Any other closes none, as batches end when it is their time: its own is the
    /// millisecond before.
    pub(crate) fn now(&mut self, checkpoint: bool, then: Then) -> Cut {
        let time = match (then, self.every) {
            (Then::Finish, _) => self.next,
            (_, Some(2..)) => self.next - 1,
            // Batches of a millisecond leave no time between them.
            (_, every) => {
                self.next += every.unwrap_or(0);
                self.next - every.unwrap_or(0)
            }
        };
        Cut { time, checkpoint, then }
    }
}

/// Checkpoints are taken at the end of whole batches.
fn round_up(checkpoint: i64, batch: i64) -> i64 {
    (checkpoint.saturating_add(batch - 1) / batch).saturating_mul(batch)
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checkpoint::CheckpointStorage;
    use crate::runtime::CheckpointConfig;

    #[test]
    fn batches_of_two_lengths_and_a_checkpoint_every_other_batch() {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(350), storage));
        let config = JobConfig { checkpoint, ..JobConfig::new("job") };
        let mut cadence = Cadence::new(&config, &[600, 400], 1050, None).unwrap();
        let mut cuts = Vec::new();
        for now in [1199, 1200, 1399, 1400, 1600] {
            cuts.extend(cadence.due(now).map(|cut| (cut.time, cut.checkpoint)));
        }
        assert_eq!(cuts, [(1200, true), (1400, false), (1600, true)]);
    }

    #[test]
    fn a_cut_out_of_turn_closes_no_batch_unless_it_is_the_last() {
        let mut cadence = Cadence::new(&JobConfig::new("job"), &[400], 1050, None).unwrap();
        assert_eq!(cadence.now(true, Then::Continue).time, 1199);
        assert_eq!(cadence.now(true, Then::Suspend).time, 1199);
        assert_eq!(cadence.due(1200).map(|cut| cut.time), Some(1200));
        assert_eq!(cadence.now(true, Then::Finish).time, 1600);
    }

    #[test]
    fn a_batch_time_does_not_come_twice() {
        let job = JobConfig::new("job");
        let start = |now, last| Cadence::new(&job, &[400], now, last).unwrap().start();
        let skew = |now, last| Cadence::new(&job, &[400], now, last).unwrap().skew(now);
        // Stopped at 1050, with the batch that would have ended at 1200; started again at 1100.
        assert_eq!(start(1100, Some(1200)), 1600);
        assert_eq!(start(1100, Some(1199)), 1200, "suspended");
        assert_eq!(start(1100, Some(800)), 1200);
        // The clock was set back: batch times go on from where they were, and are not waited for.
        assert_eq!((start(1100, Some(9000)), skew(1100, Some(9000))), (9200, Some(7700)));
        assert_eq!([skew(1100, Some(1200)), skew(1100, Some(800)), skew(1100, None)], [None; 3]);
    }

    #[test]
    fn checkpoints_that_are_overdue_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(100), storage));
        let config = JobConfig { checkpoint, ..JobConfig::new("job") };
        let mut cadence = Cadence::new(&config, &[], 0, None).unwrap();
        let times: Vec<i64> = std::iter::from_fn(|| cadence.due(1050)).map(|cut| cut.time).collect();
        assert_eq!((times, cadence.next_at()), (vec![1000], Some(1100)));
    }

    #[test]
    fn after_a_restart_the_first_checkpoints_come_sooner() {
        let folder = tempfile::tempdir().unwrap();
        let storage = CheckpointStorage::local(folder.path()).unwrap();
        let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(1000), storage));
        let config = JobConfig { checkpoint, ..JobConfig::new("job") };
        let cuts = |last, batches: &[i64]| {
            let mut cadence = Cadence::new(&config, batches, 10_300, last).unwrap();
            let due =
                (10_300..13_000).filter_map(|now| cadence.due(now).map(|cut| (cut.time, cut.checkpoint)));
            due.filter_map(|(time, checkpoint)| checkpoint.then_some(time)).collect::<Vec<_>>()
        };
        let soon = [10_300, 10_320, 10_360, 10_440, 10_600, 10_920, 11_000, 12_000];
        assert_eq!(cuts(Some(9000), &[]), soon);
        assert_eq!(cuts(None, &[]), [11_000, 12_000], "a fresh job");
        assert_eq!(cuts(Some(9000), &[500]), [11_000, 12_000], "one with batches");
        assert_eq!(cuts(Some(10_500), &[]), [11_000, 12_000], "one whose last cut was ahead of the clock");
    }

    #[test]
    fn a_job_that_slept_skips_what_it_cannot_make_up_for() {
        let mut cadence = Cadence::new(&JobConfig::new("job"), &[1], 0, None).unwrap();
        let times: Vec<i64> = std::iter::from_fn(|| cadence.due(1000)).map(|cut| cut.time).collect();
        assert_eq!(times, (990..=1000).collect::<Vec<_>>());
    }
}
