//! ApiVersions: what a client may ask for.
//!
//! A version that we do not know is answered in version 0 with those that we do, and with nothing else, so that the client
//! asks again (KIP-511). Told of everything, some would go on without asking, and not hear of the features.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Call, Refused, decode};
use crate::protocol::SUPPORTED;

/// What is more than the versions of requests say: names, and the versions in use, which are the latest there are.
const FEATURES: &[(&str, i16)] = &[("group.version", 1), ("transaction.version", 2)];

/// Returns the version to answer in as well.
pub(super) fn handle(call: &Call<'_>, body: Bytes) -> Result<(i16, ApiVersionsResponse), Refused> {
    let version = call.version;
    if !is_supported(version) {
        let mut known = api_keys();
        known.retain(|known| known.api_key == ApiKey::ApiVersions as i16);
        let unsupported = ResponseError::UnsupportedVersion.code();
        return Ok((0, ApiVersionsResponse::default().with_error_code(unsupported).with_api_keys(known)));
    }
    let request: ApiVersionsRequest = decode(call, body)?;
    if version >= 3 && !(is_name(&request.client_software_name) && is_name(&request.client_software_version))
    {
        let invalid = ResponseError::InvalidRequest.code();
        return Ok((version, ApiVersionsResponse::default().with_error_code(invalid)));
    }
    Ok((version, answer(version)))
}

fn is_supported(version: i16) -> bool {
    SUPPORTED.iter().any(|&(key, min, max)| key == ApiKey::ApiVersions && (min..=max).contains(&version))
}

/// Names and versions of clients are of letters, digits, `.` and `-`, and neither begin nor end with those two.
fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    name.bytes().all(inner)
        && !name.is_empty()
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-'])
}

fn api_keys() -> Vec<ApiVersion> {
    let told = |&(key, min, max): &(ApiKey, i16, i16)| {
        // librdkafka before 2.10 compresses with zstd only for brokers that claim version 0, which nobody
        // sends. Kafka claims it too.
        let min = if key == ApiKey::Produce { 0 } else { min };
        ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
    };
    SUPPORTED.iter().map(told).collect()
}

fn answer(version: i16) -> ApiVersionsResponse {
    let mut response = ApiVersionsResponse::default()
        .with_api_keys(api_keys())
        .with_finalized_features_epoch(0)
        .with_finalized_features(FEATURES.iter().map(finalized).collect());
    // Before version 4 a feature could not have a version 0, and clients would not understand one.
    if version >= 4 {
        response.supported_features = FEATURES.iter().map(supported).collect();
    }
    response
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
