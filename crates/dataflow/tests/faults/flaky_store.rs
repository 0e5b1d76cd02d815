//! An object store that is full whenever a test says so.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_core::Stream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// A store with a switch. Clones are the same store.
#[derive(Clone, Debug)]
pub(crate) struct FlakyStore {
    inner: Arc<dyn ObjectStore>,
    /// So many bytes may still be written.
    room: Arc<AtomicI64>,
    /// Whether a write was refused.
    refused: Arc<AtomicBool>,
    /// The name of a file that is removed while it is read.
    vanishing: Arc<Mutex<Option<String>>>,
}

impl FlakyStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            room: Arc::new(AtomicI64::new(i64::MAX)),
            refused: Arc::default(),
            vanishing: Arc::default(),
        }
    }

    /// From now on `bytes` can be written, and no more.
    pub(crate) fn fill_up_after(&self, bytes: i64) {
        self.room.store(bytes, Ordering::SeqCst);
    }

    /// There is space again.
    pub(crate) fn free_space(&self) {
        self.fill_up_after(i64::MAX);
    }

    /// Whoever is the next to read the file of this name finds it, but by then somebody else has removed it.
    pub(crate) fn remove_while_read(&self, name: &str) {
        *self.vanishing.lock().unwrap() = Some(name.to_owned());
    }

    /// Whether that has happened.
    pub(crate) fn has_removed(&self) -> bool {
        self.vanishing.lock().unwrap().is_none()
    }

    /// Writes nonsense to the file in `folder` whose name begins like this. Returns what was there.
    pub(crate) fn damage(&self, folder: &str, name: &str) -> (Path, PutPayload) {
        self.block_on(async {
            let files = self.inner.list_with_delimiter(Some(&Path::from(folder))).await.unwrap().objects;
            let named = |file: &ObjectMeta| file.location.filename().unwrap().starts_with(name);
            let path = files.into_iter().find(named).unwrap().location;
            let bytes = self.inner.get(&path).await.unwrap().bytes().await.unwrap();
            self.inner.put(&path, "nonsense".into()).await.unwrap();
            (path, bytes.into())
        })
    }

    /// Writes what [`damage`](Self::damage) returned.
    pub(crate) fn repair(&self, (path, bytes): (Path, PutPayload)) {
        self.block_on(async { self.inner.put(&path, bytes).await }).unwrap();
    }

    /// The folders in `folder` that have a file of this name.
    pub(crate) fn folders_with(&self, folder: &str, name: &str) -> Vec<Path> {
        self.block_on(async {
            let mut found = Vec::new();
            for path in
                self.inner.list_with_delimiter(Some(&Path::from(folder))).await.unwrap().common_prefixes
            {
                if self.inner.get(&path.clone().join(name)).await.is_ok() {
                    found.push(path);
                }
            }
            found
        })
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    pub(crate) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::SeqCst)
    }
}

impl fmt::Display for FlakyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flaky")
    }
}

#[async_trait]
impl ObjectStore for FlakyStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let length = payload.content_length() as i64;
        if self.room.fetch_sub(length, Ordering::SeqCst) < length {
            self.refused.store(true, Ordering::SeqCst);
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull).into();
            return Err(Error::Generic { store: "flaky", source });
        }
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let vanishes = !options.head
            && self.vanishing.lock().unwrap().take_if(|name| at.filename() == Some(name)).is_some();
        if vanishes {
            self.inner.delete(at).await?;
            // As HDFS has it.
            return Err(Error::Generic { store: "flaky", source: "FileNotFoundException".into() });
        }
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, paths: BoxStream<Path>) -> BoxStream<Path> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<ObjectMeta> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
