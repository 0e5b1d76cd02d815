//! HDFS, by its own protocol: no Java, no libhdfs.

use std::io;

use hdfs_native_object_store::HdfsObjectStoreBuilder;

use super::{Store, runtime};

/// A NameNode, or a name service of the configuration in `HADOOP_CONF_DIR`.
pub(super) fn store(authority: &str) -> io::Result<Store> {
    let base = format!("hdfs://{authority}");
    let mut builder = HdfsObjectStoreBuilder::new().with_url(&base).with_io_runtime(runtime::handle()?);
    if authority.contains(':') {
        // A single NameNode has nobody to fail over to: requests are tried again by us, so that it is told and counted.
        builder = builder.with_config([("dfs.client.failover.max.attempts", "0")]);
    }
    let store = builder.build().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(Store::renaming(store, "HDFS", &base))
}
