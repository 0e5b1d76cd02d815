//! The manifest: what a checkpoint consists of. A checkpoint exists when, and only when, its manifest does.
//!
//! `manifest.json` is JSON with a checksum of itself as its last field. Version 2 says who wrote it, and of each file where it
//! lies (it may be in the folder of an earlier checkpoint), how long it is, and its checksum. Version 1, which had neither,
//! is still read.

use serde::{Deserialize, Serialize};

use super::id::{CheckpointId, Generation, MAX_EPOCH};
use super::sealed;
use crate::barrier::Epoch;
use crate::error::BoxError;
use crate::time::Timestamp;

/// The version of the manifest's format that this build writes. It counts for the checkpoint as a whole.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// What a checkpoint consists of: `manifest.json`, written last, and only if there is none: the checkpoint exists when this does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub format_version: u32,
    /// The job's id.
    pub job: String,
    /// The number of the checkpoint.
    pub epoch: Epoch,
    /// The how-many-th owner of the job wrote it; 0 before owners were counted.
    pub generation: Generation,
    /// The instance that wrote it; empty before owners were counted.
    pub instance: String,
    /// The epoch that was the last to be committed when this one was cut; 0 if none had been.
    pub committed: Epoch,
    /// Where the transactional sink keeps its marker, in its own words; `None` without such a sink.
    #[serde(default)]
    pub marker: Option<String>,
    /// The time of its barrier.
    pub time: Timestamp,
    /// The number of key groups; it cannot change over a restore.
    pub max_parallelism: u16,
    /// Every operator of the job, stateful or not.
    pub operators: Vec<OperatorEntry>,
    /// The state files.
    pub files: Vec<FileEntry>,
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it is: of a checkpoint, below the job's folder (`chk-41-3/state-3`); of a savepoint, a name in its folder.
    pub path: String,
    /// What is known of its contents; `None` of version 1.
    #[serde(flatten)]
    pub contents: Option<Contents>,
}

/// What tells a file from another under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Its length, in bytes.
    pub length: u64,
    /// CRC-32C of all of it.
    pub crc32c: u32,
}

/// One operator of a checkpointed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorEntry {
    /// Its stable id.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// How many subtasks it had.
    pub parallelism: usize,
    /// What else tells it from others; `None` of checkpoints of the time when uids went by the order of operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<OperatorIdentity>,
}

/// What tells an operator from others, beside its uid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorIdentity {
    /// What it is and where it hangs, whatever the uids of the sources.
    pub structure: String,
    /// The names of its state; `None` if it did not tell them before it was opened.
    pub states: Option<Vec<String>>,
}

/// Version 1.
#[derive(Deserialize)]
struct ManifestV1 {
    job: String,
    epoch: Epoch,
    #[serde(default)]
    committed: Epoch,
    time: Timestamp,
    max_parallelism: u16,
    operators: Vec<OperatorEntry>,
    /// Names in the folder of the manifest.
    files: Vec<String>,
}

/// Why a manifest cannot be used.
pub(super) enum Unusable {
    Corrupt(String),
    /// It is of a newer version.
    Version {
        epoch: Epoch,
        found: u32,
    },
}

impl Manifest {
    /// Which checkpoint it is.
    pub fn id(&self) -> CheckpointId {
        CheckpointId { generation: self.generation, epoch: self.epoch }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, BoxError> {
        sealed::seal(self)
    }

    /// Reads a manifest, and believes nothing that an owner would not have written. `folder` is where the files of a
    /// version 1 are, below the job's folder.
    pub(super) fn read(text: &[u8], folder: Option<&str>) -> Result<Self, Unusable> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
            #[serde(default)]
            epoch: Epoch,
            checksum: Option<serde::de::IgnoredAny>,
        }
        let corrupt = |error: serde_json::Error| Unusable::Corrupt(error.to_string());
        let version: Version = serde_json::from_slice(text).map_err(corrupt)?;
        let manifest = match version.format_version {
            // A bit may have fallen out of the version.
            0 | 1 if version.checksum.is_none() => {
                let v1: ManifestV1 = serde_json::from_slice(text).map_err(corrupt)?;
                Self::of_version_1(v1, folder)
            }
            FORMAT_VERSION => sealed::open(text).map_err(Unusable::Corrupt)?,
            newer if newer > FORMAT_VERSION && version.checksum.is_none() => {
                return Err(Unusable::Version { epoch: version.epoch, found: newer });
            }
            other => {
                sealed::open::<serde_json::Value>(text).map_err(Unusable::Corrupt)?;
                return Err(Unusable::Version { epoch: version.epoch, found: other });
            }
        };
        manifest.check(folder.is_none()).map_err(Unusable::Corrupt)?;
        Ok(manifest)
    }

    fn of_version_1(v1: ManifestV1, folder: Option<&str>) -> Self {
        let ManifestV1 { job, epoch, committed, time, max_parallelism, operators, files } = v1;
        let path = |name: String| folder.map_or_else(|| name.clone(), |folder| format!("{folder}/{name}"));
        let files = files.into_iter().map(|name| FileEntry { path: path(name), contents: None }).collect();
        Self {
            format_version: 1,
            job,
            epoch,
            generation: 0,
            instance: String::new(),
            committed,
            marker: None,
            time,
            max_parallelism,
            operators,
            files,
        }
    }

    fn check(&self, savepoint: bool) -> Result<(), String> {
        if self.epoch > MAX_EPOCH || self.committed > MAX_EPOCH || self.generation > MAX_EPOCH {
            return Err(format!(
                "its number {} is higher than any checkpoint has",
                self.epoch.max(self.committed)
            ));
        }
        match self.files.iter().find(|file| !file.is_within(savepoint)) {
            Some(file) => Err(format!("it names the file `{}`, which is not one of a checkpoint", file.path)),
            None => Ok(()),
        }
    }
}

impl FileEntry {
    /// Whether it is where a checkpoint's files are: nowhere else is read from, or removed.
    fn is_within(&self, savepoint: bool) -> bool {
        let plain = |name: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !name.is_empty() && !name.starts_with('.') && name.chars().all(fine)
        };
        match self.path.split_once('/') {
            None => savepoint && plain(&self.path),
            Some((folder, name)) => !savepoint && CheckpointId::of_folder(folder).is_some() && plain(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str) -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            job: "job".to_owned(),
            epoch: 41,
            generation: 3,
            instance: "me".to_owned(),
            committed: 40,
            marker: None,
            time: 1,
            max_parallelism: 128,
            operators: vec![OperatorEntry {
                uid: "a".into(),
                name: "A".into(),
                parallelism: 2,
                identity: None,
            }],
            files: vec![FileEntry {
                path: path.to_owned(),
                contents: Some(Contents { length: 1, crc32c: 2 }),
            }],
        }
    }

    fn refused(manifest: &Manifest, folder: Option<&str>) -> String {
        match Manifest::read(&manifest.to_bytes().unwrap(), folder) {
            Err(Unusable::Corrupt(reason)) => reason,
            _ => panic!("it was taken"),
        }
    }

    #[test]
    fn what_was_written_is_read_and_a_flipped_bit_is_not() {
        let (written, folder) = (manifest("chk-40-3/state-3"), Some("chk-41-3"));
        let bytes = written.to_bytes().unwrap();
        assert!(Manifest::read(&bytes, folder).ok().unwrap() == written);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::read(&flipped, folder).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_number_that_overflows_is_refused() {
        let reason = refused(&Manifest { epoch: u64::MAX, ..manifest("chk-40-3/state-3") }, Some("chk-41-3"));
        assert!(reason.contains("18446744073709551615"), "{reason}");
    }

    #[test]
    fn a_file_outside_of_the_jobs_folder_is_refused() {
        for path in [
            "../x",
            "/etc/passwd",
            "chk-1-1/../../x",
            "chk-1-1/.x",
            "other/state",
            "state",
            "chk-1-1/a/b",
            "chk-1-1/",
        ] {
            assert!(refused(&manifest(path), Some("chk-41-3")).contains(path), "{path}");
        }
        for path in ["..", "../x", "chk-1-1/state", "/x", ""] {
            assert!(refused(&manifest(path), None).contains(path), "{path}");
        }
        assert!(Manifest::read(&manifest("state-3").to_bytes().unwrap(), None).is_ok());
    }

    #[test]
    fn version_1_is_read_and_a_newer_one_is_told_from_damage() {
        let v1 = br#"{"format_version": 1, "job": "j", "epoch": 7, "time": 5, "max_parallelism": 128, "operators": [], "files": ["state-1-2"]}"#;
        let read = Manifest::read(v1, Some("chk-7")).ok().unwrap();
        assert_eq!(
            (read.id(), read.files[0].path.as_str()),
            (CheckpointId { generation: 0, epoch: 7 }, "chk-7/state-1-2")
        );
        let newer = Manifest { format_version: 3, ..manifest("chk-40-3/state-3") }.to_bytes().unwrap();
        let newer = Manifest::read(&newer, Some("chk-41-3"));
        assert!(matches!(newer, Err(Unusable::Version { epoch: 41, found: 3 })));
    }
}
