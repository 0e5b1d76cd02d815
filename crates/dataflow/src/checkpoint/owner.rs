//! Who owns a job's checkpoints, and where it began.
//!
//! Every instance that starts takes the job over with the next *generation*, by putting a file of that number that is not there
//! yet: of two, one has it. The highest generation owns the job. It then writes down, once, which checkpoint it goes on from.
//! So the history of a job is exact: of each former owner those checkpoints count that its successor has seen when it began, and
//! none that it writes later, from whatever sleep it wakes.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};

use super::id::{CheckpointId, Generation};
use crate::barrier::Epoch;

/// The folder of the owners' files, below the job's.
pub(super) const OWNERS: &str = "owners";

/// `owners/claim-<generation>`: an instance has taken the job over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) generation: Generation,
    pub(super) instance: String,
}

/// `owners/begin-<generation>`: where that instance began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) generation: Generation,
    pub(crate) instance: String,
    /// The checkpoint that it goes on from; `None`: from nothing, or a savepoint.
    pub(crate) from: Option<CheckpointId>,
    /// Its own are numbered from the next one on.
    pub(crate) last_epoch: Epoch,
    /// The savepoint that the job's state goes back to, by the checksum of its manifest.
    pub(crate) savepoint: Option<String>,
    /// What all instances of the job have in common, and no other job: [`RunId::lineage`](crate::operator::RunId::lineage).
    pub(crate) lineage: String,
}

/// What `owners/` says.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) claims: Vec<Generation>,
    pub(super) begins: Vec<Generation>,
}

impl Owners {
    /// Reads the names of its files.
    pub(super) fn of_files(names: &[String]) -> Self {
        let numbers = |prefix: &str| {
            let numbers = names.iter().filter_map(|name| name.strip_prefix(prefix)?.parse().ok());
            let mut numbers: Vec<Generation> = numbers.collect();
            numbers.sort_unstable();
            numbers
        };
        Self { claims: numbers("claim-"), begins: numbers("begin-") }
    }

    /// Who owns the job.
    pub(super) fn newest(&self) -> Generation {
        self.claims.last().copied().unwrap_or(0).max(self.begins.last().copied().unwrap_or(0))
    }
}

/// The checkpoints that count, the newest first: of those that are `complete`, what the last owner that began has written, what
/// it went on from, and what came before that.
pub(super) fn lineage(complete: &[CheckpointId], begins: &BTreeMap<Generation, Begin>) -> Vec<CheckpointId> {
    let newest_begun = begins.keys().next_back().copied().unwrap_or(0);
    let newest = complete.iter().map(|id| id.generation).max().unwrap_or(0);
    let mut from = Some(CheckpointId { generation: newest.max(newest_begun), epoch: Epoch::MAX });
    let mut lineage = Vec::new();
    while let Some(upto) = from {
        let mut of_owner: Vec<_> =
            complete.iter().filter(|id| id.generation == upto.generation && id.epoch <= upto.epoch).collect();
        of_owner.sort_unstable();
        lineage.extend(of_owner.into_iter().rev().copied());
        // A file that was made up must not lead in circles.
        from = begins
            .get(&upto.generation)
            .and_then(|begin| begin.from)
            .filter(|before| before.generation < upto.generation);
    }
    lineage
}

/// A number that nobody has had before, and nobody can foresee: the standard library's seed of its hash maps is one.
pub(crate) fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Names this instance: for people, the process and when it was; and unlike any other.
pub(super) fn instance() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    format!("{}-{since}-{:016x}", std::process::id(), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(generation: Generation, epoch: Epoch) -> CheckpointId {
        CheckpointId { generation, epoch }
    }

    fn begun(begins: &[(Generation, Option<CheckpointId>)]) -> BTreeMap<Generation, Begin> {
        let begin = |generation, from| Begin {
            generation,
            instance: "i".into(),
            from,
            last_epoch: 0,
            savepoint: None,
            lineage: String::new(),
        };
        begins.iter().map(|(generation, from)| (*generation, begin(*generation, *from))).collect()
    }

    #[test]
    fn what_a_former_owner_writes_later_does_not_count() {
        let complete = [id(0, 1), id(0, 2), id(1, 3), id(1, 4), id(1, 5), id(2, 4), id(2, 5)];
        assert_eq!(lineage(&complete[..2], &begun(&[])), [id(0, 2), id(0, 1)]);
        // The second owner has seen 3 of the first, and begun there.
        let begins = begun(&[(1, Some(id(0, 2))), (2, Some(id(1, 3)))]);
        assert_eq!(lineage(&complete, &begins), [id(2, 5), id(2, 4), id(1, 3), id(0, 2), id(0, 1)]);
        // Also when it has written none itself.
        assert_eq!(lineage(&complete[..5], &begins), [id(1, 3), id(0, 2), id(0, 1)]);
        // Or when it has begun at nothing.
        assert_eq!(lineage(&complete[..5], &begun(&[(1, None), (2, None)])), []);
        // An owner that has only claimed the job has changed nothing.
        assert_eq!(lineage(&complete[..5], &begun(&[(1, None)]))[0], id(1, 5));
    }

    #[test]
    fn made_up_files_lead_nowhere() {
        assert_eq!(lineage(&[id(2, 5)], &begun(&[(2, Some(id(2, 5)))])), [id(2, 5)]);
        let owners =
            Owners::of_files(&["claim-x".into(), "claim-12".into(), "begin-3".into(), "claim-4".into()]);
        assert_eq!((owners.newest(), owners.claims), (12, vec![4, 12]));
    }
}
