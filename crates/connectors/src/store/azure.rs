//! Azure's Blob Storage, and Data Lake Storage, which is the same by another door.

use std::io;

use object_store::azure::MicrosoftAzureBuilder;

use super::{Retries, Store, http};

/// A container, `container` or `container@account.dfs.core.windows.net`, with settings and credentials from the environment.
pub(super) fn store(scheme: &str, container: &str, retries: Retries) -> io::Result<Store> {
    let endpoint = std::env::var("AZURE_STORAGE_ENDPOINT").or_else(|_| std::env::var("AZURE_ENDPOINT"));
    let mut builder = MicrosoftAzureBuilder::from_env()
        // This scheme has both kinds of container.
        .with_url(format!("abfss://{container}"))
        .with_retry(http::retry(retries));
    if let Ok(endpoint) = endpoint {
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
    }
    let store = builder.build().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(Store::of(store, "Azure", &format!("{scheme}://{container}")))
}
