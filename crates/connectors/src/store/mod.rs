//! Object stores and HDFS: one abstraction of the file systems that are not on this machine.
//!
//! | scheme | feature | how an output file appears, once and whole |
//! |---|---|---|
//! | `s3://bucket/…` | `s3` | a multipart upload is completed |
//! | `az://container/…`, `abfss://container@account.dfs.core.windows.net/…` | `azure` | a list of blocks is committed |
//! | `gs://bucket/…` | `gcs` | a multipart upload is completed |
//! | `hdfs://namenode:port/…`, `hdfs://nameservice/…` | `hdfs` | a hidden file is renamed |
//!
//! - **Read** them with a path: [`TextFileSource::new("s3://bucket/logs/*.gz")`](crate::files::TextFileSource), and whatever of the faces takes a path to read from.
//! - **Write** them with a [`StoreSink`].
//! - **Checkpoints** and savepoints in them: [`checkpoint_storage`].
//!
//! Any other [`ObjectStore`] does as well: [`Store::of`]. What talks to it runs on a small runtime of its own; operators wait for it.
//!
//! | store | tested against, started by a script of the project |
//! |---|---|
//! | S3 | moto's server (`scripts/s3`), with kills of the job, and a server that does not answer for a while |
//! | Azure | Azurite, Microsoft's own emulator (`scripts/azure`), with the same |
//! | HDFS | a Hadoop 3.5 of two processes (`scripts/hdfs`), with kills of either side |
//! | Cloud Storage | nothing |
//!
//! **Not tested against the real thing**:
//!
//! - **Amazon's S3** itself: moto speaks its protocol, but answers at once, from memory, and refuses no rate.
//! - **Azure's Blob Storage** itself, nor a hierarchical namespace (Data Lake Storage), nor any credentials but an account's key.
//! - **Google's Cloud Storage**, at all: `gs://` leads to it, and its multipart interface (`XML API`) has to do what S3's does. No emulator was found that has one.
//! - **Kerberos** in HDFS: the client has it (by `libgssapi_krb5`, which it loads when it needs it, and a ticket of `kinit`), and no test here has a key distribution centre.
//! - **High availability** in HDFS, two NameNodes behind a name service: the client has it, and no test here has two.
//!
//! Each request is tried again as [`Retry`] says. Wrong credentials and buckets that are not there are not tried again, nor is the job restarted for them.

#[cfg(feature = "azure")]
mod azure;
mod error;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "hdfs")]
mod hdfs;
#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
mod http;
mod read;
pub(crate) mod runtime;
#[cfg(feature = "s3")]
mod s3;
pub mod sink;
mod upload;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;

use error::failure;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
pub use sink::StoreSink;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::CheckpointError;
use thalweg_dataflow::operator::Cancelled;

use crate::contract::{
    ConnectorError, ConnectorMetrics, Failure, Place, Retry, wait_unless, without_credentials,
};

/// A store, and where it begins. Cloning it makes another handle to the same one.
#[derive(Clone)]
pub struct Store {
    store: Arc<dyn ObjectStore>,
    publishing: Publishing,
    /// `s3://bucket`, `hdfs://namenode:8020`.
    base: Arc<str>,
    place: Place,
    retry: Retry,
    asking: Asking,
}

/// Who makes the requests.
#[derive(Clone, Default)]
struct Asking {
    metrics: Option<ConnectorMetrics>,
    cancelled: Cancelled,
}

/// Who tries a request again that has failed.
#[derive(Clone, Copy)]
enum Retries {
    Ours,
    /// The store's client does: nobody else would, for checkpoints.
    Theirs,
}

/// How a file that is complete becomes visible.
#[derive(Clone)]
enum Publishing {
    /// It is uploaded in parts; when the upload is completed, it is there.
    Upload(Arc<dyn MultipartStore>),
    /// It is renamed.
    Rename,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)
    }
}

impl Store {
    /// The store that an address is in, with the settings and credentials that are found where its own tools look for them: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL` and the like, web identities and instance profiles for `s3://`;
    /// `AZURE_STORAGE_ACCOUNT_NAME` (unless the address has it), `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, `AZURE_CLIENT_ID` and the like, workload and managed
    /// identities for `az://`, `abfs://`, `abfss://`, `wasb://` and `wasbs://`, which are the same; `GOOGLE_APPLICATION_CREDENTIALS`, `GOOGLE_SERVICE_ACCOUNT`, and the
    /// machine's service account for `gs://`; `HADOOP_CONF_DIR`, `HADOOP_USER_NAME` for `hdfs://`.
    ///
    /// # Errors
    /// When the scheme is not known, or its feature is not built in; when a setting cannot be.
    pub fn at(address: &str) -> io::Result<Self> {
        Self::found(address, Retries::Ours)
    }

    fn found(address: &str, retries: Retries) -> io::Result<Self> {
        let shown = without_credentials(address);
        let Some((scheme, rest)) = address.split_once("://") else {
            let text = format!(
                "`{shown}` has no scheme; an address of a store begins with s3://, az://, gs:// or hdfs://"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let authority = rest.split('/').next().unwrap_or_default();
        match scheme {
            #[cfg(feature = "s3")]
            "s3" | "s3a" | "s3n" => s3::store(scheme, authority, retries),
            #[cfg(feature = "azure")]
            "az" | "abfs" | "abfss" | "wasb" | "wasbs" => azure::store(scheme, authority, retries),
            #[cfg(feature = "gcs")]
            "gs" => gcs::store(authority, retries),
            #[cfg(feature = "hdfs")]
            "hdfs" => hdfs::store(authority),
            #[cfg(not(feature = "s3"))]
            "s3" | "s3a" | "s3n" => Err(not_built_in(&shown, "s3")),
            #[cfg(not(feature = "azure"))]
            "az" | "abfs" | "abfss" | "wasb" | "wasbs" => Err(not_built_in(&shown, "azure")),
            #[cfg(not(feature = "gcs"))]
            "gs" => Err(not_built_in(&shown, "gcs")),
            #[cfg(not(feature = "hdfs"))]
            "hdfs" => Err(not_built_in(&shown, "hdfs")),
            _ => {
                let text = format!(
                    "`{shown}`: no file system has the scheme `{scheme}`; there are s3://, az://, gs:// and hdfs://"
                );
                let _ = (authority, retries);
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }

    /// A store in which files become visible by a multipart upload that is completed, as in S3 and its like. `base` is what its addresses begin with: `memory://test`.
    pub fn of<S: ObjectStore + MultipartStore>(store: S, system: &'static str, base: &str) -> Self {
        let store = Arc::new(store);
        Self::new(store.clone(), Publishing::Upload(store), system, base)
    }

    /// A store in which files become visible by a rename, which has to be atomic, as in HDFS.
    pub fn renaming<S: ObjectStore>(store: S, system: &'static str, base: &str) -> Self {
        Self::new(Arc::new(store), Publishing::Rename, system, base)
    }

    fn new(store: Arc<dyn ObjectStore>, publishing: Publishing, system: &'static str, base: &str) -> Self {
        let base = base.trim_end_matches('/');
        let (place, retry, asking) = (Place::new(system, base), Retry::new(), Asking::default());
        Self { store, publishing, base: base.into(), place, retry, asking }
    }

    /// How a request is tried again. Default: [`Retry::new`].
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Writes a small file, whole, in place of one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, address: &FilePath, bytes: &[u8]) -> io::Result<()> {
        let key = self.key(address)?;
        let put = || self.store.put(&key, bytes::Bytes::copy_from_slice(bytes).into());
        self.request(&format!("write `{key}`"), put).map(drop)
    }

    /// What is at an address of this store.
    fn key(&self, address: &FilePath) -> io::Result<Path> {
        let address = address.to_string_lossy();
        let Some(key) = address.strip_prefix(&*self.base) else {
            let text = format!("`{}` is not in {}", without_credentials(&address), self.place);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let key = key.trim_matches('/');
        Ok(Path::parse(key).unwrap_or_else(|_| Path::from(key)))
    }

    /// The address of what is in the store.
    fn address(&self, key: &Path) -> String {
        format!("{}/{key}", self.base)
    }

    /// Makes a request, as often as it takes.
    fn request<T, F>(&self, what: &str, mut request: impl FnMut() -> F) -> io::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let runtime = runtime::handle()?;
        self.attempt(what, || runtime.block_on(request()).map_err(failure)).map_err(of_store)
    }

    /// Does something as often as it takes, unless the job is cancelled.
    fn attempt<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, ConnectorError> {
        let Asking { metrics, cancelled } = &self.asking;
        self.retry.run_unless(&self.place, what, metrics.as_ref(), wait_unless(cancelled), |_| attempt())
    }

    /// Whether there is a file; `None` if not.
    fn head(&self, key: &Path) -> io::Result<Option<object_store::ObjectMeta>> {
        self.request(&format!("look for `{key}`"), || async {
            match self.store.head(key).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                head => head.map(Some),
            }
        })
    }
}

#[cfg(not(all(feature = "s3", feature = "azure", feature = "gcs", feature = "hdfs")))]
fn not_built_in(address: &str, feature: &str) -> io::Error {
    let text = format!(
        "`{address}` wants the feature `{feature}`, which this build does not have; build it with it"
    );
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// As the sources and sinks of files want it.
fn of_store(error: ConnectorError) -> io::Error {
    let kind = error::kind(&error);
    io::Error::new(kind, error)
}

/// A single thing that went wrong at a place.
fn lasting(place: &Place, what: &str, error: &str) -> ConnectorError {
    ConnectorError::once(place, what, Failure::lasting(error))
}

/// A place for checkpoints and savepoints, by its address: in a store, or, without a scheme, a folder of this machine.
///
/// In S3 it needs conditional puts (`If-None-Match`), by which instances agree on who owns the job: S3 itself and most of its like have them.
///
/// ```
/// use thalweg_connectors::store::checkpoint_storage;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let local = checkpoint_storage(path)?;
/// let error = checkpoint_storage("gopher://there/checkpoints").unwrap_err().to_string();
/// assert!(error.contains("no file system has the scheme `gopher`"), "{error}");
/// # let _ = local;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When there is no such store, or the folder cannot be made.
pub fn checkpoint_storage(address: impl AsRef<FilePath>) -> Result<CheckpointStorage, CheckpointError> {
    let address = address.as_ref();
    if let Some(folder) = local(address) {
        return CheckpointStorage::local(folder);
    }
    let (store, key) = in_store(address).map_err(|error| failed(address, error))?;
    Ok(CheckpointStorage::object_store(store.store, key.as_ref()))
}

/// The names of the jobs that have checkpoints at an address, and perhaps of other folders there.
///
/// # Errors
/// When it cannot be read.
pub fn jobs_with_checkpoints(address: impl AsRef<FilePath>) -> Result<Vec<String>, CheckpointError> {
    let address = address.as_ref();
    let names = match local(address) {
        Some(folder) => std::fs::read_dir(folder).and_then(|entries| {
            let mut names = Vec::new();
            for entry in entries {
                let entry = entry?;
                names.extend(entry.file_name().into_string().ok().filter(|_| entry.path().is_dir()));
            }
            Ok(names)
        }),
        None => in_store(address).and_then(|(store, key)| {
            let list = || store.store.list_with_delimiter(Some(&key));
            let listed = store.request(&format!("list `{key}`"), list)?;
            let names = listed.common_prefixes.iter().filter_map(Path::filename);
            Ok(names.map(str::to_owned).collect())
        }),
    };
    names.map_err(|error| failed(address, error))
}

fn in_store(address: &FilePath) -> io::Result<(Store, Path)> {
    let store = Store::found(&address.to_string_lossy(), Retries::Theirs)?;
    let key = store.key(address)?;
    Ok((store, key))
}

/// The folder of this machine that an address is, if it is one.
fn local(address: &FilePath) -> Option<&FilePath> {
    match address.to_str().and_then(|text| text.split_once("://")) {
        None => Some(address),
        Some(("file", folder)) => Some(FilePath::new(folder)),
        Some(_) => None,
    }
}

fn failed(address: &FilePath, error: io::Error) -> CheckpointError {
    let location = without_credentials(&address.to_string_lossy()).into_owned();
    CheckpointError::Store { location, error: error.into() }
}
