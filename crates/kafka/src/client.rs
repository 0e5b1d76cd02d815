//! What librdkafka has to say, on its way to the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;
use thalweg_dataflow::tell;

use crate::error::KafkaError;

/// Between two questions to a cluster that is not ready to answer.
const BACKOFF: Duration = Duration::from_millis(20);

/// Asks again, for so long at the most, where the cluster may answer the next time: a coordinator has just moved, or loads its
/// offsets; a partition has no leader yet. `ask` is told how much time is left.
///
/// # Errors
/// The last one.
pub(crate) fn patiently<T>(
    timeout: Duration,
    ask: impl Fn(Duration) -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ask(left) {
            Err(error) if error.is_retriable() && Instant::now() < deadline => {
                std::thread::sleep(BACKOFF.min(left));
            }
            result => return result,
        }
    }
}

/// Passes a line of librdkafka's log on.
pub(crate) fn log(level: Level, facility: &str, message: &str) {
    match level {
        // Said of every property of a producer that a consumer is given, and the other way round.
        _ if facility == "CONFWARN" => tracing::debug!("librdkafka: {message}"),
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!("librdkafka: {facility}: {message}");
        }
        Level::Warning => tracing::warn!("librdkafka: {facility}: {message}"),
        Level::Notice | Level::Info => tracing::info!("librdkafka: {facility}: {message}"),
        Level::Debug => tracing::debug!("librdkafka: {facility}: {message}"),
    }
}

/// Passes an error on that librdkafka has found by itself. It goes on trying; what is asked of it next fails if
/// that is in vain.
pub(crate) fn log_error(error: &ClientError, reason: &str) {
    tracing::warn!("librdkafka: {error}: {reason}");
    let mut outage = OUTAGE.lock().unwrap_or_else(PoisonError::into_inner);
    match error.rdkafka_error_code() {
        Some(Code::AllBrokersDown) if outage.begins(Instant::now()) => {
            let cause = outage.cause.take().map(|cause| format!(": {cause}")).unwrap_or_default();
            tell::warn(format_args!("waiting for Kafka ({reason}){cause}"));
        }
        Some(Code::BrokerTransportFailure | Code::Resolve) => outage.cause = Some(reason.to_owned()),
        _ => {}
    }
}

/// That brokers are away. Every client of the process finds it out by itself, and again after each broker that came back for a
/// moment; people want to hear of it once.
static OUTAGE: Mutex<Outage> = Mutex::new(Outage { told: None, cause: None });

#[derive(Default)]
struct Outage {
    told: Option<Instant>,
    /// What a client has last found.
    cause: Option<String>,
}

/// So long after it was told, it is news again.
const NEWS: Duration = Duration::from_secs(30);

impl Outage {
    fn begins(&mut self, now: Instant) -> bool {
        let is_news = self.told.is_none_or(|told| now.duration_since(told) > NEWS);
        if is_news {
            self.told = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_whoever_finds_it() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let told = [0, 1, 29, 31, 40, 60].map(|seconds| outage.begins(start + Duration::from_secs(seconds)));
        assert_eq!(told, [true, false, false, true, false, false]);
    }
}
