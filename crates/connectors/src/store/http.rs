//! What the stores have in common that are asked over HTTP.

use object_store::RetryConfig;

use super::Retries;

/// How a store's client tries requests again: as we do, so that it is told and counted, or by itself. It is told before there is a client, which finds TLS made ready.
pub(super) fn retry(retries: Retries) -> RetryConfig {
    // TLS wants one for the process; that another one is there already is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match retries {
        Retries::Ours => RetryConfig { max_retries: 0, ..RetryConfig::default() },
        Retries::Theirs => RetryConfig::default(),
    }
}
