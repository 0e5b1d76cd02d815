//! Removing checkpoints that are of no more use: those before the newest, and what crashed or former owners have left.
//!
//! A file may be part of several checkpoints. So manifests go first, then every file that no manifest names which is kept. A
//! crash in between leaves files that nobody names; the next time they are cleared away.

use std::collections::HashSet;

use super::id::CheckpointId;
use super::owner::OWNERS;
use super::store::{CheckpointStore, MANIFEST};
use crate::error::CheckpointError;

impl CheckpointStore {
    /// Keeps `newest`, which is ours, and of those before it as many as make `keep`. Nothing of a newer owner is touched.
    pub(crate) fn discard(&self, newest: CheckpointId, keep: usize) -> Result<(), CheckpointError> {
        let failed = |error| self.failed(error);
        let lineage = self.lineage()?;
        let upto = lineage.iter().skip_while(|id| **id != newest).take(keep.max(1));
        let kept: HashSet<CheckpointId> = upto.copied().chain([newest]).collect();
        let mut named = HashSet::new();
        for id in &kept {
            named.extend(self.manifest(*id)?.files.into_iter().map(|file| file.path));
        }
        // What an instance before us writes later, it will have to be cleared of then. What is newer than `newest` and ours is
        // being written.
        let goes = |id: &CheckpointId| !kept.contains(id) && *id < newest;
        let go: Vec<CheckpointId> = self.checkpoints()?.into_iter().filter(goes).collect();
        // Whoever takes over from now on may want what it sees. It sees that manifests are gone before their files are.
        self.check_owner()?;
        for id in &go {
            self.files.delete(&self.path(&format!("{}/{MANIFEST}", id.folder()))).map_err(failed)?;
        }
        for id in &go {
            let folder = self.path(&id.folder());
            let files = self.files.list(&folder).map_err(failed)?.files;
            let path = |name: &String| format!("{}/{name}", id.folder());
            let (wanted, unwanted): (Vec<_>, Vec<_>) =
                files.iter().partition(|name| named.contains(&path(name)));
            for name in unwanted {
                self.files.delete(&self.path(&path(name))).map_err(failed)?;
            }
            if wanted.is_empty() {
                self.files.remove_folder(&folder);
            }
        }
        self.discard_owners(kept.iter().map(|id| id.generation).min().unwrap_or(0))
    }

    /// Removes what tells of the owners before the one that wrote the oldest checkpoint.
    fn discard_owners(&self, oldest: u64) -> Result<(), CheckpointError> {
        let oldest = oldest.min(self.generation());
        let owners = self.owners()?;
        let claims = owners.claims.iter().map(|generation| ("claim", *generation));
        let begins = owners.begins.iter().map(|generation| ("begin", *generation));
        for (what, generation) in claims.chain(begins).filter(|(_, generation)| *generation < oldest) {
            let path = self.folder().join(OWNERS).join(format!("{what}-{generation}"));
            self.files.delete(&path).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }
}
