//! Which keys are due when: made of the state anew after a restore, so it is in no checkpoint.

use std::collections::BTreeMap;

use thalweg_dataflow::time::Timestamp;

use crate::rows::RowBytes;

/// Keys by the time at which something is to be done about them.
#[derive(Clone, Debug, Default)]
pub(super) struct Due(BTreeMap<Timestamp, Vec<(u64, RowBytes)>>);

impl Due {
    /// Something is to be done about `key` at `time`.
    pub(super) fn add(&mut self, time: Timestamp, hash: u64, key: RowBytes) {
        self.0.entry(time).or_default().push((hash, key));
    }

    /// The next time at which something is to be done.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.keys().next().copied()
    }

    /// Takes out those that are due at the earliest time up to `time`.
    pub(super) fn pop(&mut self, time: Timestamp) -> Option<(Timestamp, Vec<(u64, RowBytes)>)> {
        let entry = self.0.first_entry().filter(|entry| *entry.key() <= time)?;
        Some(entry.remove_entry())
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
