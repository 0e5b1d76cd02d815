//! Trying again: with growing pauses, so that a system that is down is not kept there by those who wait for it.

use std::time::{Duration, Instant};

use thalweg_dataflow::operator::{Cancelled, RunId};

use super::error::{ConnectorError, Failure, Place};
use super::metrics::ConnectorMetrics;

/// How often, and after which pauses, something is tried again.
///
/// The pause doubles from the first to the longest; a random part of up to a half is taken off each, so that many who failed together do not come back
/// together. Only what [may pass](Failure::passing) is tried again.
#[derive(Clone, Debug)]
pub struct Retry {
    attempts: u32,
    first: Duration,
    longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl Retry {
    /// Six attempts, with pauses of 100 ms to 5 s: about three seconds in all.
    pub const fn new() -> Self {
        Self { attempts: 6, first: Duration::from_millis(100), longest: Duration::from_secs(5) }
    }

    /// How many attempts, the first one included; at least one.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// It is tried for ever.
    #[must_use]
    pub const fn for_ever(self) -> Self {
        self.attempts(u32::MAX)
    }

    /// The pause after the first attempt. Default: 100 ms.
    #[must_use]
    pub const fn first_pause(mut self, pause: Duration) -> Self {
        self.first = pause;
        self
    }

    /// No pause is longer. Default: 5 s.
    #[must_use]
    pub const fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest = pause;
        self
    }

    /// The pauses, one after each attempt that may be followed by another.
    pub fn pauses(&self) -> Pauses {
        Pauses { left: self.attempts.saturating_sub(1), next: self.first, longest: self.longest }
    }

    /// Calls `attempt`, with the number of attempts before, until it succeeds, fails for good, or no attempt is left. It blocks.
    ///
    /// # Errors
    /// What the last attempt failed with, as a message that is complete.
    pub fn run<T>(
        &self,
        place: &Place,
        what: &str,
        attempt: impl FnMut(u32) -> Result<T, Failure>,
    ) -> Result<T, ConnectorError> {
        self.run_unless(
            place,
            what,
            None,
            |pause| {
                std::thread::sleep(pause);
                false
            },
            attempt,
        )
    }

    /// As [`run`](Self::run), counting what is tried again. `wait` waits for so long, and returns whether to give up: for sinks that have to see that their job
    /// is [cancelled](thalweg_dataflow::operator::OperatorContext::cancelled), and receivers ([`Store::wait`](thalweg_dataflow::source::Store::wait)).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_unless<T>(
        &self,
        place: &Place,
        what: &str,
        metrics: Option<&ConnectorMetrics>,
        mut wait: impl FnMut(Duration) -> bool,
        mut attempt: impl FnMut(u32) -> Result<T, Failure>,
    ) -> Result<T, ConnectorError> {
        let (since, mut pauses, mut attempts) = (Instant::now(), self.pauses(), 0);
        loop {
            let failure = match attempt(attempts) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            attempts += 1;
            let pause = if failure.passes { pauses.next() } else { None };
            if pause.is_none_or(&mut wait) {
                let (place, what, within) = (place.clone(), what.to_owned(), since.elapsed());
                return Err(ConnectorError { place, what, attempts, within, failure });
            }
            metrics.iter().for_each(|metrics| metrics.retry());
        }
    }
}

/// A way to wait for [`Retry::run_unless`]: until the pause is over, or the job is cancelled.
pub fn wait_unless(cancelled: &Cancelled) -> impl FnMut(Duration) -> bool + use<'_> {
    const TICK: Duration = Duration::from_millis(50);
    |pause| {
        let until = Instant::now() + pause;
        while !cancelled.is_set() && Instant::now() < until {
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        cancelled.is_set()
    }
}

/// See [`Retry::pauses`].
#[derive(Clone, Debug)]
pub struct Pauses {
    left: u32,
    next: Duration,
    longest: Duration,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let pause = self.next.min(self.longest);
        self.next = pause.saturating_mul(2);
        let off = f64::from(RunId::token() as u32) / f64::from(u32::MAX) / 2.0;
        Some(pause.mul_f64(1.0 - off))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_more_than_halved() {
        let retry = Retry::new()
            .attempts(5)
            .first_pause(Duration::from_millis(100))
            .longest_pause(Duration::from_millis(300));
        for _ in 0..100 {
            let pauses: Vec<Duration> = retry.pauses().collect();
            assert_eq!(pauses.len(), 4);
            for (pause, full) in pauses.iter().zip([100, 200, 300, 300].map(Duration::from_millis)) {
                assert!(*pause <= full && *pause >= full / 2, "{pause:?} of {full:?}");
            }
        }
        assert_eq!(Retry::new().attempts(0).pauses().count(), 0);
        let long = Retry::new().for_ever().first_pause(Duration::MAX).pauses().take(3);
        assert!(long.into_iter().all(|pause| pause <= Duration::from_secs(5)));
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_only_as_often_as_said() {
        let place = Place::new("a system", "here");
        let retry = Retry::new().attempts(3);
        let run = |fail: fn(u32) -> Result<u32, Failure>| {
            let (mut pauses, metrics) = (0, ConnectorMetrics::of(&std::sync::Arc::default()));
            let done = retry.run_unless(
                &place,
                "do it",
                Some(&metrics),
                |_| {
                    pauses += 1;
                    false
                },
                fail,
            );
            (done.map_err(|error| (error.attempts, error.passes())), pauses)
        };
        assert_eq!(run(|n| if n < 2 { Err(Failure::passing("busy")) } else { Ok(n) }), (Ok(2), 2));
        assert_eq!(run(|_| Err(Failure::passing("busy"))), (Err((3, true)), 2));
        assert_eq!(run(|_| Err(Failure::lasting("wrong password"))), (Err((1, false)), 0));
        let given_up =
            retry.run_unless(&place, "do it", None, |_| true, |_| Err::<(), _>(Failure::passing("busy")));
        assert_eq!(given_up.unwrap_err().attempts, 1);
    }
}
