//! One file on its way into a store: written in parts, complete but not visible, visible.
//!
//! In memory there are the part that is being filled and those that are under way, at most [`UNDER_WAY`] of them.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, ObjectStoreExt, RenameOptions, RenameTargetMode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thalweg_dataflow::barrier::Epoch;
use tokio::task::JoinHandle;

use super::error::failure;
use super::{Publishing, Store, lasting, of_store, runtime};
use crate::contract::{ConnectorError, Failure};

/// Of this size is every part but the last. S3 wants 5 MiB at least, and 10,000 at most.
pub(super) const PART: usize = 8 << 20;

/// So many parts of a file are on their way at once.
const UNDER_WAY: usize = 2;

/// A file that is being written.
pub(super) struct Writing {
    /// What is not on its way yet.
    buffer: Vec<u8>,
    pub(super) bytes: u64,
    visible: Path,
    /// Where it is until then, if it is renamed.
    hidden: Path,
    /// From the first part on.
    upload: Option<Upload>,
}

enum Upload {
    Parts(Parts),
    Hidden(Box<dyn MultipartUpload>),
}

/// An upload that is known by an id, so that whoever has the id can complete it.
struct Parts {
    store: Arc<dyn MultipartStore>,
    id: MultipartId,
    done: Vec<String>,
    under_way: VecDeque<(Bytes, JoinHandle<object_store::Result<PartId>>)>,
}

/// A file that is complete, and not yet visible.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Complete {
    pub(super) epoch: Epoch,
    visible: String,
    /// Of an upload: its id and its parts.
    upload: String,
    parts: Vec<String>,
    /// Of a file that is renamed: what it is called until then.
    hidden: String,
}

impl Writing {
    /// A file that will be called `visible`; if the store has no uploads, `hidden` until then.
    pub(super) fn new(visible: Path, hidden: Path) -> Self {
        Self { buffer: Vec::new(), bytes: 0, visible, hidden, upload: None }
    }

    /// How much of it is in memory.
    pub(super) fn in_memory(&self) -> usize {
        let under_way = match &self.upload {
            Some(Upload::Parts(parts)) => parts.under_way.len() * PART,
            _ => 0,
        };
        self.buffer.len() + under_way
    }

    pub(super) fn write(&mut self, store: &Store, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        let mut bytes = bytes;
        while self.buffer.len() + bytes.len() >= PART {
            let (now, later) = bytes.split_at(PART - self.buffer.len());
            self.buffer.extend_from_slice(now);
            bytes = later;
            self.send(store)?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends a part on its way.
    fn send(&mut self, store: &Store) -> io::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        if self.upload.is_none() {
            self.upload = Some(self.begin(store)?);
        }
        match &mut self.upload {
            Some(Upload::Parts(parts)) => parts.send(store, &self.visible, part),
            // A file that is written in a row cannot go back to a part that has failed.
            Some(Upload::Hidden(upload)) => {
                let put = upload.put_part(part.into());
                runtime::handle()?.block_on(put).map_err(|error| once(store, "write", &self.hidden, error))
            }
            None => Ok(()),
        }
    }

    fn begin(&self, store: &Store) -> io::Result<Upload> {
        let (key, hidden) = (&self.visible, &self.hidden);
        match &store.publishing {
            Publishing::Upload(uploads) => {
                let id = store
                    .request(&format!("begin an upload to `{key}`"), || uploads.create_multipart(key))?;
                let (done, under_way) = (Vec::new(), VecDeque::new());
                Ok(Upload::Parts(Parts { store: uploads.clone(), id, done, under_way }))
            }
            Publishing::Rename => {
                let create = || store.store.put_multipart(hidden);
                Ok(Upload::Hidden(store.request(&format!("create `{hidden}`"), create)?))
            }
        }
    }

    /// All of it is with the store when this returns.
    pub(super) fn finish(mut self, store: &Store, epoch: Epoch) -> io::Result<Complete> {
        if !self.buffer.is_empty() || self.upload.is_none() {
            self.send(store)?;
        }
        let visible = self.visible.to_string();
        let hidden = self.hidden.to_string();
        match self.upload.take() {
            Some(Upload::Parts(mut parts)) => {
                while !parts.under_way.is_empty() {
                    parts.settle(store, &self.visible)?;
                }
                let (upload, parts) = (std::mem::take(&mut parts.id), std::mem::take(&mut parts.done));
                Ok(Complete { epoch, visible, upload, parts, hidden: String::new() })
            }
            Some(Upload::Hidden(mut upload)) => {
                let complete = runtime::handle()?.block_on(upload.complete());
                complete.map_err(|error| once(store, "write", &self.hidden, error))?;
                Ok(Complete { epoch, visible, upload: String::new(), parts: Vec::new(), hidden })
            }
            None => Err(io::Error::other("an upload that has not begun")),
        }
    }

    /// Nobody will want it.
    pub(super) fn abort(self) {
        let Ok(runtime) = runtime::handle() else { return };
        // What cannot be removed now is left to the store's own rules, or to the next run.
        match self.upload {
            Some(Upload::Parts(Parts { store, id, .. })) => {
                drop(runtime.spawn(async move { store.abort_multipart(&self.visible, &id).await }));
            }
            Some(Upload::Hidden(mut upload)) => {
                drop(runtime.spawn(async move { upload.abort().await }));
            }
            None => {}
        }
    }
}

impl Parts {
    fn send(&mut self, store: &Store, key: &Path, part: Bytes) -> io::Result<()> {
        if self.under_way.len() == UNDER_WAY {
            self.settle(store, key)?;
        }
        let index = self.done.len() + self.under_way.len();
        let (uploads, key, id, data) = (self.store.clone(), key.clone(), self.id.clone(), part.clone());
        let put = async move { uploads.put_part(&key, &id, index, data.into()).await };
        self.under_way.push_back((part, runtime::handle()?.spawn(put)));
        Ok(())
    }

    /// Waits for the first part that is under way; if it failed, sends it again.
    fn settle(&mut self, store: &Store, key: &Path) -> io::Result<()> {
        let Some((part, put)) = self.under_way.pop_front() else { return Ok(()) };
        let (runtime, index, mut put) = (runtime::handle()?, self.done.len(), Some(put));
        let attempt = || {
            let again = || runtime.block_on(self.store.put_part(key, &self.id, index, part.clone().into()));
            match put.take() {
                Some(put) => runtime.block_on(put).map_err(Failure::passing)?,
                None => again(),
            }
            .map_err(failure)
        };
        let what = format!("upload part {index} of `{key}`");
        self.done.push(store.attempt(&what, attempt).map_err(of_store)?.content_id);
        Ok(())
    }
}

fn once(store: &Store, what: &str, key: &Path, error: object_store::Error) -> io::Error {
    of_store(ConnectorError::once(&store.place, format!("{what} `{key}`"), failure(error)))
}

impl Complete {
    /// Makes the file visible, if it is not. `false` if there is nothing of it any more.
    pub(super) fn publish(&self, store: &Store) -> io::Result<bool> {
        let visible = Path::parse(&self.visible).map_err(|_| self.foreign(store))?;
        let published = match (&store.publishing, self.hidden.is_empty()) {
            (Publishing::Upload(uploads), true) => {
                let parts = || self.parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
                let complete = || uploads.complete_multipart(&visible, &self.upload, parts());
                store.request(&format!("complete the upload to `{visible}`"), complete).map(drop)
            }
            (Publishing::Rename, false) => {
                let hidden = Path::parse(&self.hidden).map_err(|_| self.foreign(store))?;
                let mode = || RenameOptions::default().with_target_mode(RenameTargetMode::Create);
                let rename = || store.store.rename_opts(&hidden, &visible, mode());
                store.request(&format!("rename `{hidden}` to `{visible}`"), rename)
            }
            _ => return Err(self.foreign(store)),
        };
        let Err(error) = published else { return Ok(true) };
        // Its name has a random number in it: what is there is this file, and the first answer was lost, or came to a run before this one.
        if store.head(&visible)?.is_some() {
            return Ok(true);
        }
        match error.kind() {
            io::ErrorKind::NotFound => Ok(false),
            _ => Err(error),
        }
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> &str {
        &self.visible
    }

    fn foreign(&self, store: &Store) -> io::Error {
        let what = format!("publish `{}`", self.visible);
        let error = "the checkpoint was taken with a store of another kind; go on with the one that the sink had then";
        of_store(lasting(&store.place, &what, error))
    }
}
