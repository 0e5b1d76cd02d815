//! What became of transactions, while their batches are walked from the front: which batches were aborted, and which
//! markers are still needed.

use std::collections::{HashMap, HashSet};

use crate::log::batch::{BatchHeader, Marker, marker_of};
use crate::log::producers::AbortedTransaction;

/// See the module.
#[derive(Debug)]
pub(super) struct Transactions {
    /// Those that were aborted, by their first offsets, the last first.
    coming: Vec<AbortedTransaction>,
    /// Aborted ones whose marker is still to come, by producer, and whether a batch of them is left.
    aborted: HashMap<i64, (AbortedTransaction, bool)>,
    /// Producers with a batch of no transaction that is known to be aborted, whose marker is still to come. It says commit,
    /// or ends what came before the first offset that can be read, of which nothing more is known.
    others: HashSet<i64>,
    /// Those aborted ones that a reader has to know of.
    needed: Vec<AbortedTransaction>,
}

impl Transactions {
    /// Goes through a log where these were aborted.
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
        Self { coming: aborted, aborted: HashMap::new(), others: HashSet::new(), needed: Vec::new() }
    }

    /// Whether the next batch, of records, was aborted.
    pub(super) fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.reach(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some((_, left)) = self.aborted.get_mut(&header.producer_id) {
            *left = true;
            return true;
        }
        self.others.insert(header.producer_id);
        false
    }

    /// Whether the next batch is a marker of a transaction that has nothing left.
    pub(super) fn is_needless(&mut self, header: &BatchHeader, batch: &[u8]) -> bool {
        self.reach(header.last_offset());
        match marker_of(batch) {
            Some(Marker::Abort) => match self.aborted.remove(&header.producer_id) {
                Some((aborted, true)) => {
                    self.needed.push(aborted);
                    false
                }
                Some((_, false)) => true,
                None => !self.others.remove(&header.producer_id),
            },
            Some(Marker::Commit) => !self.others.remove(&header.producer_id),
            // It has been emptied, since nothing was left.
            None => header.record_count == 0,
        }
    }

    /// The aborted transactions whose markers have come since the last call, and who had a batch left.
    pub(super) fn take_needed(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.needed)
    }

    fn reach(&mut self, offset: i64) {
        while let Some(aborted) = self.coming.pop_if(|aborted| aborted.first_offset <= offset) {
            self.aborted.entry(aborted.producer_id).or_insert((aborted, false));
        }
    }
}
