//! When a request is made again (Flink's `AsyncRetryStrategies`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::BoxError;

type OfResult<R> = Arc<dyn Fn(&R) -> bool + Send + Sync>;
type OfError = Arc<dyn Fn(&BoxError) -> bool + Send + Sync>;

/// How often, and after what pause, a request is made again, and whether it is: after every error, unless something else is said.
///
/// ```
/// use std::time::Duration;
/// use thalweg_dataflow::operators::AsyncRetryStrategy;
///
/// // 100 ms, 200 ms, 400 ms, and then it is given up.
/// let patient: AsyncRetryStrategy<Vec<u32>> =
///     AsyncRetryStrategy::exponential_backoff(3, Duration::from_millis(100), Duration::from_secs(5), 2.0)
///         .if_result(|found: &Vec<u32>| found.is_empty());
/// # let _ = patient;
/// ```
pub struct AsyncRetryStrategy<R> {
    retries: u32,
    pause: Duration,
    longest: Duration,
    multiplier: f64,
    of_result: Option<OfResult<R>>,
    of_error: Option<OfError>,
}

impl<R> Clone for AsyncRetryStrategy<R> {
    fn clone(&self) -> Self {
        let Self { retries, pause, longest, multiplier, of_result, of_error } = self;
        let (of_result, of_error) = (of_result.clone(), of_error.clone());
        Self {
            retries: *retries,
            pause: *pause,
            longest: *longest,
            multiplier: *multiplier,
            of_result,
            of_error,
        }
    }
}

impl<R> fmt::Debug for AsyncRetryStrategy<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRetryStrategy")
            .field("retries", &self.retries)
            .field("pause", &self.pause)
            .field("longest", &self.longest)
            .field("multiplier", &self.multiplier)
            .finish_non_exhaustive()
    }
}

impl<R> AsyncRetryStrategy<R> {
    /// Makes a request again up to `retries` times, each time after the same pause.
    pub fn fixed_delay(retries: u32, pause: Duration) -> Self {
        Self::exponential_backoff(retries, pause, pause, 1.0)
    }

    /// Makes a request again up to `retries` times, after pauses that grow by `multiplier` up to the `longest`.
    pub fn exponential_backoff(retries: u32, first: Duration, longest: Duration, multiplier: f64) -> Self {
        Self { retries, pause: first, longest, multiplier, of_result: None, of_error: None }
    }

    /// Makes it again also after a result for which `predicate` holds.
    #[must_use]
    pub fn if_result(self, predicate: impl Fn(&R) -> bool + Send + Sync + 'static) -> Self {
        Self { of_result: Some(Arc::new(predicate)), ..self }
    }

    /// Of the errors, makes it again only after those for which `predicate` holds.
    #[must_use]
    pub fn if_error(self, predicate: impl Fn(&BoxError) -> bool + Send + Sync + 'static) -> Self {
        Self { of_error: Some(Arc::new(predicate)), ..self }
    }

    /// The pause before the next attempt; `None` if `result` is what it came to.
    pub(super) fn pause(&self, attempt: u32, result: &Result<R, BoxError>) -> Option<Duration> {
        let again = match result {
            Ok(result) => self.of_result.as_ref().is_some_and(|predicate| predicate(result)),
            Err(error) => self.of_error.as_ref().is_none_or(|predicate| predicate(error)),
        };
        if !again || attempt > self.retries {
            return None;
        }
        let seconds = self.pause.as_secs_f64() * self.multiplier.powi(attempt as i32 - 1);
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(self.longest).min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_end() {
        let ms = Duration::from_millis;
        let strategy = AsyncRetryStrategy::exponential_backoff(4, ms(100), ms(350), 2.0)
            .if_error(|error| error.to_string() == "busy")
            .if_result(|found: &Vec<u8>| found.is_empty());
        let pause = |attempt| strategy.pause(attempt, &Err("busy".into()));
        let pauses: Vec<Option<Duration>> = (1..=5).map(pause).collect();
        assert_eq!(pauses, [Some(ms(100)), Some(ms(200)), Some(ms(350)), Some(ms(350)), None]);
        assert_eq!(strategy.pause(1, &Err("no such thing".into())), None);
        assert_eq!((strategy.pause(1, &Ok(vec![])), strategy.pause(1, &Ok(vec![1]))), (Some(ms(100)), None));
    }
}
