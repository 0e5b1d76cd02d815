//! Notices that this process did not run for a while: it was stopped (SIGSTOP, a debugger), its container was frozen, or its machine
//! asleep. What went wrong meanwhile (transactions that timed out, sessions that are gone) is then not the fault of what reports it.

use std::time::{Duration, Instant, SystemTime};

use crate::error::JobError;
use crate::tell;

/// At least so often somebody should [`tick`](Pauses::tick).
pub(super) const TICK: Duration = Duration::from_secs(1);

/// A busy machine lets a thread wait too, but hardly for so long.
const PAUSE: Duration = Duration::from_secs(4);

/// What fails so long after a pause may well come of it: requests and sessions have timed out, one after the other.
const AFTERMATH: Duration = Duration::from_secs(120);

/// Looks at the clocks.
#[derive(Debug)]
pub(super) struct Pauses {
    /// One clock runs on in a process that is stopped, the other also in a machine that sleeps, but may be set.
    last: (Instant, SystemTime),
    /// The last pause, and when it was over.
    pause: Option<(Duration, Instant)>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { last: (Instant::now(), SystemTime::now()), pause: None }
    }
}

impl Pauses {
    /// Looks whether it has been too long since the last time.
    pub(super) fn tick(&mut self) {
        self.tick_at(Instant::now(), SystemTime::now());
    }

    fn tick_at(&mut self, instant: Instant, time: SystemTime) {
        let (last, last_time) = std::mem::replace(&mut self.last, (instant, time));
        let ran = instant.saturating_duration_since(last);
        let gap = ran.max(time.duration_since(last_time).unwrap_or_default());
        if gap >= PAUSE {
            tell::warn(format_args!(
                "this process did not run for {gap:.1?}: it was stopped, or its machine asleep"
            ));
            self.pause = Some((gap, instant));
        }
    }

    /// Says of an error that there has been a pause before it.
    pub(super) fn explain(&self, error: JobError) -> JobError {
        match self.pause {
            Some((paused, over)) if self.last.0.saturating_duration_since(over) < AFTERMATH => {
                JobError::Paused { paused, error: Box::new(error) }
            }
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_of_either_clock_is_a_pause_and_is_told_with_the_error() {
        let (start, time) = (Instant::now(), SystemTime::now());
        let mut pauses = Pauses { last: (start, time), pause: None };
        pauses.tick_at(start + TICK, time + TICK);
        let error = || JobError::Config("x".to_owned());
        assert!(matches!(pauses.explain(error()), JobError::Config(_)));
        // Asleep: only the clock on the wall went on.
        pauses.tick_at(start + 2 * TICK, time + Duration::from_secs(100));
        let text = pauses.explain(error()).to_string();
        assert!(text.contains("was paused for 99s") && text.ends_with("not valid: x"), "{text}");
        // Stopped, and the clock was set back.
        pauses.tick_at(start + Duration::from_secs(202), time);
        assert!(pauses.explain(error()).to_string().contains("200s"));
        // Later it is history.
        for second in 203..400 {
            pauses.tick_at(start + Duration::from_secs(second), time);
        }
        assert!(matches!(pauses.explain(error()), JobError::Config(_)));
    }
}
