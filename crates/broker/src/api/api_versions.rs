//! ApiVersions: what a client may ask for.
//!
//! A version that we do not know is answered in version 0 with what we do, so that the client can ask again.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

use crate::api::SUPPORTED;

/// Returns the version to answer in as well.
pub(super) fn handle(version: i16) -> (i16, ApiVersionsResponse) {
    let api_keys = SUPPORTED.iter().map(|&(key, min, max)| {
        // librdkafka before 2.10 compresses with zstd only for brokers that claim version 0, which nobody
        // sends. Kafka claims it too.
        let min = if key == ApiKey::Produce { 0 } else { min };
        ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
    });
    let response = ApiVersionsResponse::default().with_api_keys(api_keys.collect());
    let known =
        SUPPORTED.iter().any(|&(key, min, max)| key == ApiKey::ApiVersions && (min..=max).contains(&version));
    if known {
        (version, response)
    } else {
        (0, response.with_error_code(ResponseError::UnsupportedVersion.code()))
    }
}
