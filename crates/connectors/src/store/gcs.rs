//! Google's Cloud Storage.

use std::io;

use object_store::gcp::GoogleCloudStorageBuilder;

use super::{Retries, Store, http};

/// A bucket, with settings and credentials from the environment.
pub(super) fn store(bucket: &str, retries: Retries) -> io::Result<Store> {
    let builder =
        GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(http::retry(retries));
    let store = builder.build().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(Store::of(store, "Cloud Storage", &format!("gs://{bucket}")))
}
