//! Which checkpoint: its number, and who wrote it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::barrier::Epoch;

/// The how-many-th owner of a job's checkpoints: every instance that starts is one more. 0 stands for whoever wrote
/// checkpoints when owners were not counted yet.
pub type Generation = u64;

/// No checkpoint has a higher number. A million a second for a hundred thousand years do not get there; damage and bad jokes do.
pub(crate) const MAX_EPOCH: Epoch = 1 << 62;

/// Names one checkpoint: two owners may each have one of the same number, and only one of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckpointId {
    /// Who wrote it.
    pub generation: Generation,
    /// Its number.
    pub epoch: Epoch,
}

impl CheckpointId {
    /// The name of its folder: `chk-41-3`, or `chk-41` of generation 0.
    pub(crate) fn folder(self) -> String {
        match self.generation {
            0 => format!("chk-{}", self.epoch),
            generation => format!("chk-{}-{generation}", self.epoch),
        }
    }

    /// Reads the name of a folder. What no owner would have written is none of ours.
    pub(crate) fn of_folder(name: &str) -> Option<Self> {
        let numbers = name.strip_prefix("chk-")?;
        let (epoch, generation) = match numbers.split_once('-') {
            Some((epoch, generation)) => (epoch.parse().ok()?, generation.parse().ok()?),
            None => (numbers.parse().ok()?, 0),
        };
        let id = Self { generation, epoch };
        (epoch <= MAX_EPOCH && generation <= MAX_EPOCH && id.folder() == name).then_some(id)
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_and_recognised() {
        for (id, name) in [((3, 41), "chk-41-3"), ((0, 41), "chk-41")] {
            let id = CheckpointId { generation: id.0, epoch: id.1 };
            assert_eq!((id.folder().as_str(), CheckpointId::of_folder(name)), (name, Some(id)));
        }
        for other in [
            "chk-",
            "chk-1-0",
            "chk-01",
            "chk--1",
            "chk-1-2-3",
            "chk-18446744073709551615",
            "owners",
            "chk-+1",
        ] {
            assert_eq!(CheckpointId::of_folder(other), None, "{other}");
        }
    }
}
