//! S3, and what speaks its protocol.

use std::io;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut, S3CopyIfNotExists};

use super::{Retries, Store, http};

/// A bucket, with settings and credentials from the environment.
pub(super) fn store(scheme: &str, bucket: &str, retries: Retries) -> io::Result<Store> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL_S3").or_else(|_| std::env::var("AWS_ENDPOINT_URL")).ok();
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // How a new owner of a job takes over the files of a former one, in checkpoints.
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .with_retry(http::retry(retries));
    if let Some(endpoint) = endpoint {
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(Store::of(store, "S3", &format!("{scheme}://{bucket}")))
}
