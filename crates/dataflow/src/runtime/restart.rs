//! Whether, and when, a failed job is started again from its last completed checkpoint.

use std::time::Duration;

/// What to do when a job fails (Flink's restart strategies).
#[derive(Clone, Debug, PartialEq)]
pub enum RestartStrategy {
    /// The failure ends the job.
    None,
    /// Up to `attempts` restarts, `delay` after each failure.
    FixedDelay {
        /// The number of restarts allowed.
        attempts: u32,
        /// The wait before each.
        delay: Duration,
    },
    /// Restarts for ever, each after a longer wait; a job that has run for `reset_after` without a failure starts over.
    Exponential {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        max: Duration,
        /// What the wait is multiplied by after each failure; at least 1.
        multiplier: f64,
        /// After so long without a failure the next wait is the first again.
        reset_after: Duration,
    },
}

/// Counts failures.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    total: u32,
    /// Of those, so many that the strategy knows of.
    counted: u32,
    in_a_row: u32,
}

impl Restarts {
    /// How often the job has been restarted.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// After an attempt that has run for `ran`: the wait before the next, or `None` if there is to be none.
    pub(crate) fn after_failure(&mut self, strategy: &RestartStrategy, ran: Duration) -> Option<Duration> {
        let wait = match strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay } => (self.counted < *attempts).then_some(*delay),
            RestartStrategy::Exponential { initial, max, multiplier, reset_after } => {
                if ran >= *reset_after {
                    self.in_a_row = 0;
                }
                let factor = multiplier.max(1.0).powi(i32::try_from(self.in_a_row).unwrap_or(i32::MAX));
                let wait = initial.as_secs_f64() * factor;
                // An overflow of the power is a very long wait, which the maximum cuts.
                Some(if wait < max.as_secs_f64() { Duration::from_secs_f64(wait) } else { *max })
            }
        };
        if wait.is_some() {
            self.total += 1;
            self.counted += 1;
            self.in_a_row += 1;
        }
        wait
    }

    /// One more that is none of the strategy's business.
    pub(crate) fn not_a_failure(&mut self) {
        self.total += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_number_of_restarts_or_ever_longer_waits() {
        let second = Duration::from_secs(1);
        let mut restarts = Restarts::default();
        let fixed = RestartStrategy::FixedDelay { attempts: 2, delay: second };
        let waits = [0; 3].map(|_| restarts.after_failure(&fixed, second));
        assert_eq!((waits, restarts.total()), ([Some(second), Some(second), None], 2));
        let reset_after = 100 * second;
        let longer =
            RestartStrategy::Exponential { initial: second, max: 3 * second, multiplier: 2.0, reset_after };
        let mut restarts = Restarts::default();
        let waits = [1, 1, 1, 1, 100].map(|ran| restarts.after_failure(&longer, ran * second));
        assert_eq!(waits.map(|wait| wait.unwrap().as_secs()), [1, 2, 3, 3, 1]);
        assert_eq!(Restarts::default().after_failure(&RestartStrategy::None, second), None);
    }
}
