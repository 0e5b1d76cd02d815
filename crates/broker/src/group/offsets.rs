//! Offsets that a group has committed, and those that wait for a transaction to end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// Topic and partition.
pub(crate) type Place = (String, i32);

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    #[serde(rename = "epoch", default = "no_epoch", skip_serializing_if = "is_no_epoch")]
    pub(crate) leader_epoch: i32,
    #[serde(rename = "meta", default, skip_serializing_if = "String::is_empty")]
    pub(crate) metadata: String,
    /// When it was committed.
    #[serde(rename = "at", default = "unknown_time")]
    pub(crate) at_ms: i64,
    /// Until when the client wants it to be kept, where it has said so: until version 4 of OffsetCommit.
    #[serde(rename = "until", default, skip_serializing_if = "Option::is_none")]
    pub(crate) until_ms: Option<i64>,
}

impl Committed {
    /// An offset that is committed now, and kept as long as the settings say.
    pub(crate) fn new(offset: i64, leader_epoch: i32, metadata: String, now_ms: i64) -> Self {
        Self { offset, leader_epoch, metadata, at_ms: now_ms, until_ms: None }
    }
}

/// Of an offset that was written down without its time: it does not age until it is committed again.
fn unknown_time() -> i64 {
    i64::MAX
}

fn no_epoch() -> i32 {
    -1
}

fn is_no_epoch(epoch: &i32) -> bool {
    *epoch == no_epoch()
}

/// Offsets by partition; a list, because JSON has no keys but strings.
pub(crate) type Commits = Vec<(String, i32, Committed)>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<Place, Committed>,
    pending: HashMap<i64, BTreeMap<Place, Committed>>,
}

impl Offsets {
    pub(crate) fn commit(&mut self, offsets: Commits) {
        self.committed.extend(by_place(offsets));
    }

    pub(crate) fn hold(&mut self, producer_id: i64, offsets: Commits) {
        self.pending.entry(producer_id).or_default().extend(by_place(offsets));
    }

    pub(crate) fn end(&mut self, producer_id: i64, commit: bool) {
        if let Some(offsets) = self.pending.remove(&producer_id)
            && commit
        {
            self.committed.extend(offsets);
        }
    }

    pub(crate) fn forget(&mut self, place: &Place) {
        self.committed.remove(place);
        for offsets in self.pending.values_mut() {
            offsets.remove(place);
        }
    }

    pub(crate) fn get(&self, place: &Place) -> Option<&Committed> {
        self.committed.get(place)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Place, &Committed)> {
        self.committed.iter()
    }

    /// The partitions of a topic that have an offset, or may get one from an open transaction.
    pub(crate) fn places_of(&self, topic: &str) -> BTreeSet<Place> {
        let pending = self.pending.values().flat_map(BTreeMap::keys);
        self.committed.keys().chain(pending).filter(|place| place.0 == topic).cloned().collect()
    }

    /// Whether an open transaction may still change this offset.
    pub(crate) fn is_unstable(&self, place: &Place) -> bool {
        self.pending.values().any(|offsets| offsets.contains_key(place))
    }

    pub(crate) fn has_pending_of(&self, producer_id: i64) -> bool {
        self.pending.contains_key(&producer_id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// How many partitions have a committed offset.
    pub(crate) fn len(&self) -> usize {
        self.committed.len()
    }

    /// Whether a transaction is open that will commit offsets.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What counts now.
    pub(crate) fn committed(&self) -> Commits {
        list(&self.committed)
    }

    /// What waits for the end of a transaction, by its producer.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (i64, Commits)> {
        self.pending.iter().map(|(producer, offsets)| (*producer, list(offsets)))
    }
}

fn list(offsets: &BTreeMap<Place, Committed>) -> Commits {
    offsets.iter().map(|((topic, partition), at)| (topic.clone(), *partition, at.clone())).collect()
}

/// Of each partition that is named again and again, what was said last.
pub(super) fn last_of_each(offsets: Commits) -> Commits {
    if offsets.len() < 2 { offsets } else { list(&by_place(offsets).collect()) }
}

fn by_place(offsets: Commits) -> impl Iterator<Item = (Place, Committed)> {
    offsets.into_iter().map(|(topic, partition, at)| ((topic, partition), at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Commits {
        vec![("t".to_owned(), 0, Committed::new(offset, -1, String::new(), 0))]
    }

    #[test]
    fn offsets_of_a_transaction_count_when_it_commits() {
        let place = ("t".to_owned(), 0);
        let mut offsets = Offsets::default();
        offsets.commit(at(1));
        offsets.hold(7, at(2));
        assert!(offsets.is_unstable(&place));
        assert_eq!(offsets.places_of("t"), [place.clone()].into());
        assert_eq!(offsets.get(&place).unwrap().offset, 1);
        offsets.end(7, false);
        assert_eq!((offsets.is_unstable(&place), offsets.get(&place).unwrap().offset), (false, 1));
        offsets.hold(7, at(3));
        offsets.end(7, true);
        assert_eq!(offsets.get(&place).unwrap().offset, 3);
    }
}
