//! Files of a store, as the sources of files read them.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path as FilePath;

use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use tokio::task::JoinHandle;

use super::error::failure;
use super::{Store, runtime};
use crate::contract::Failure;
use crate::files::system::is_hidden;
use crate::files::{Entry, FileSystem};

/// So much is asked for at once; as much again is fetched while that is read.
const CHUNK: u64 = 4 << 20;

impl FileSystem for Store {
    fn list(&self, path: &FilePath, recursive: bool) -> io::Result<Vec<Entry>> {
        let key = self.key(path)?;
        // A name may be that of a file and of a folder at the same time; then it is the file.
        if !key.as_ref().is_empty()
            && let Some(file) = self.head(&key)?
        {
            return Ok(vec![self.entry(&file)]);
        }
        let listed: Vec<ObjectMeta> = self.request(&format!("list `{key}`"), || async {
            match recursive {
                true => self.store.list(Some(&key)).try_collect().await,
                false => Ok(self.store.list_with_delimiter(Some(&key)).await?.objects),
            }
        })?;
        let depth = key.parts().count();
        let is_seen =
            |file: &&ObjectMeta| !file.location.parts().skip(depth).any(|part| is_hidden(part.as_ref()));
        Ok(listed.iter().filter(is_seen).map(|file| self.entry(file)).collect())
    }

    fn open(&self, path: &FilePath, from: u64) -> io::Result<Box<dyn Read + Send>> {
        let key = self.key(path)?;
        let Some(file) = self.head(&key)? else { return Err(not_found(&key)) };
        let left = from.min(file.size)..file.size;
        Ok(Box::new(StoreReader { store: self.clone(), key, left, chunk: Bytes::new(), ahead: None }))
    }

    fn range(&self, path: &FilePath, from: u64, length: u64) -> io::Result<Vec<u8>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let key = self.key(path)?;
        let bytes =
            self.request(&format!("read `{key}`"), || self.store.get_range(&key, from..from + length))?;
        Ok(bytes.to_vec())
    }

    fn has_folders(&self) -> bool {
        false
    }
}

impl Store {
    fn entry(&self, file: &ObjectMeta) -> Entry {
        let ObjectMeta { location, last_modified, size, .. } = file;
        Entry {
            path: self.address(location).into(),
            length: *size,
            modified: last_modified.timestamp_millis(),
        }
    }
}

fn not_found(key: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no `{key}`"))
}

/// Reads a file, one chunk ahead.
struct StoreReader {
    store: Store,
    key: Path,
    /// What has not been asked for.
    left: Range<u64>,
    chunk: Bytes,
    ahead: Option<(Range<u64>, JoinHandle<object_store::Result<Bytes>>)>,
}

impl StoreReader {
    /// Asks for the next chunk, if there is one.
    fn ask(&mut self) -> io::Result<()> {
        if self.left.is_empty() || self.ahead.is_some() {
            return Ok(());
        }
        let range = self.left.start..self.left.end.min(self.left.start + CHUNK);
        self.left.start = range.end;
        let (store, key, asked) = (self.store.store.clone(), self.key.clone(), range.clone());
        let fetch = async move { store.get_range(&key, asked).await };
        self.ahead = Some((range, runtime::handle()?.spawn(fetch)));
        Ok(())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        self.ask()?;
        let Some((range, ahead)) = self.ahead.take() else { return Ok(()) };
        let (runtime, mut ahead) = (runtime::handle()?, Some(ahead));
        let Self { store, key, .. } = self;
        let attempt = |_| {
            let fetched = match ahead.take() {
                Some(ahead) => runtime.block_on(ahead).map_err(Failure::passing)?,
                None => runtime.block_on(store.store.get_range(key, range.clone())),
            };
            fetched.map_err(failure)
        };
        let what = format!("read `{key}` from byte {}", range.start);
        self.chunk = store.retry.run(&store.place, &what, attempt).map_err(super::of_store)?;
        self.ask()
    }
}

impl Read for StoreReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.next_chunk()?;
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Drop for StoreReader {
    fn drop(&mut self) {
        if let Some((_, ahead)) = &self.ahead {
            ahead.abort();
        }
    }
}
