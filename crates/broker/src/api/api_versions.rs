//! ApiVersions: what a client may ask for.
//!
//! A version that we do not know is answered in version 0 with what we do, so that the client can ask again.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::SUPPORTED;

/// What is more than the versions of requests say: names, and the versions in use, which are the latest there are.
const FEATURES: &[(&str, i16)] = &[("group.version", 1)];

/// Returns the version to answer in as well.
pub(super) fn handle(version: i16) -> (i16, ApiVersionsResponse) {
    let api_keys = SUPPORTED.iter().map(|&(key, min, max)| {
        // librdkafka before 2.10 compresses with zstd only for brokers that claim version 0, which nobody
        // sends. Kafka claims it too.
        let min = if key == ApiKey::Produce { 0 } else { min };
        ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
    });
    let mut response = ApiVersionsResponse::default()
        .with_api_keys(api_keys.collect())
        .with_finalized_features_epoch(0)
        .with_finalized_features(FEATURES.iter().map(finalized).collect());
    // Before version 4 a feature could not have a version 0, and clients would not understand one.
    if version >= 4 {
        response.supported_features = FEATURES.iter().map(supported).collect();
    }
    let known =
        SUPPORTED.iter().any(|&(key, min, max)| key == ApiKey::ApiVersions && (min..=max).contains(&version));
    if known {
        (version, response)
    } else {
        (0, response.with_error_code(ResponseError::UnsupportedVersion.code()))
    }
}

fn supported(&(name, version): &(&'static str, i16)) -> SupportedFeatureKey {
    SupportedFeatureKey::default().with_name(StrBytes::from_static_str(name)).with_max_version(version)
}

fn finalized(&(name, version): &(&'static str, i16)) -> FinalizedFeatureKey {
    FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str(name))
        .with_min_version_level(version)
        .with_max_version_level(version)
}
