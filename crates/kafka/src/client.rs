//! What librdkafka has to say, on its way to the log.

use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::KafkaError as ClientError;

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
}
