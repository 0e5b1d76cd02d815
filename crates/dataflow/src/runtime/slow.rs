//! Tells of checkpoints that take much longer than their interval: once for each step that it may be due to, with what helps.

use std::time::{Duration, Instant};

use crate::barrier::Epoch;

/// Checkpoints that take no longer than this are quick enough, whatever their interval.
const QUICK: Duration = Duration::from_millis(500);

/// What a checkpoint is waited for, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its barrier has not passed all operators.
    Passing,
    WritingState,
    Flushing,
    WritingManifest,
    Committing,
}

impl Step {
    fn explain(self, location: &str) -> String {
        match self {
            Step::Passing => "until its barrier had passed all operators: one of them takes long for a record, or for a batch (unaligned checkpoints do not wait for the records before it)".to_owned(),
            Step::WritingState | Step::WritingManifest => {
                format!("to write it to {location}: what is there is slow, or the state that changes between two checkpoints is large")
            }
            Step::Flushing => "until the sinks had handed their records over: their system is slow".to_owned(),
            Step::Committing => "to commit it: the sinks' system is slow".to_owned(),
        }
    }
}

/// The steps of the checkpoint under way.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    under_way: Option<(Step, Instant)>,
    took: Vec<(Step, Duration)>,
}

impl Steps {
    /// A checkpoint begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        (self.under_way, self.took) = (Some((Step::Passing, now)), Vec::new());
    }

    /// The step under way is over, and this one begins.
    pub(crate) fn enter(&mut self, step: Step, now: Instant) {
        if let Some((before, since)) = self.under_way.replace((step, now)) {
            self.took.push((before, now.saturating_duration_since(since)));
        }
    }

    /// The checkpoint is through. Returns what it is to be told of it, and of which step that is, if it was slow.
    pub(crate) fn end(
        &mut self,
        epoch: Epoch,
        interval: Duration,
        location: &str,
        now: Instant,
    ) -> Option<(Step, String)> {
        let (last, since) = self.under_way.take()?;
        self.took.push((last, now.saturating_duration_since(since)));
        let total: Duration = self.took.iter().map(|(_, took)| *took).sum();
        if total <= QUICK || total <= 2 * interval {
            return None;
        }
        let (step, longest) = self.took.iter().copied().max_by_key(|(_, took)| *took)?;
        let text = format!(
            "checkpoint {epoch} took {:.1} s, the interval is {:.1} s. It took {:.1} s {}. Records go on meanwhile; what they lead to is \
             committed that much later",
            total.as_secs_f64(),
            interval.as_secs_f64(),
            longest.as_secs_f64(),
            step.explain(location)
        );
        Some((step, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_checkpoint_is_told_with_the_step_that_it_is_due_to() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let run = |written| {
            let mut steps = Steps::default();
            steps.begin(at(0));
            steps.enter(Step::WritingState, at(100));
            steps.enter(Step::Committing, at(written));
            steps.end(41, Duration::from_millis(200), "/data", at(written + 50))
        };
        assert_eq!(run(400), None);
        let (step, text) = run(2_950).unwrap();
        assert_eq!(step, Step::WritingState);
        assert!(
            text.starts_with(
                "checkpoint 41 took 3.0 s, the interval is 0.2 s. It took 2.9 s to write it to /data"
            ),
            "{text}"
        );
        assert_eq!(Steps::default().end(1, Duration::ZERO, "", at(9_000)), None);
    }
}
