//! Predictions that wait for their labels, and labels that came before: by id, and by the time at which the wait ends.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thalweg_dataflow::time::Timestamp;

/// What waits under one id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Half<X, Y, P> {
    /// A prediction, with the features to learn from, and the version of the model that made it.
    Predicted(X, P, u64),
    /// A label that came before its features.
    Label(Y),
}

/// All that waits under one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Waiting<I: Ord, X, Y, P> {
    by_id: BTreeMap<I, (Timestamp, Half<X, Y, P>)>,
    by_deadline: BTreeSet<(Timestamp, I)>,
}

impl<I: Ord, X, Y, P> Default for Waiting<I, X, Y, P> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), by_deadline: BTreeSet::new() }
    }
}

impl<I: Ord + Clone, X, Y, P> Waiting<I, X, Y, P> {
    /// Adds; what waited under the id is given back.
    pub(super) fn insert(
        &mut self,
        id: I,
        deadline: Timestamp,
        half: Half<X, Y, P>,
    ) -> Option<Half<X, Y, P>> {
        self.by_deadline.insert((deadline, id.clone()));
        let (before, half) = self.by_id.insert(id.clone(), (deadline, half))?;
        if before != deadline {
            self.by_deadline.remove(&(before, id));
        }
        Some(half)
    }

    pub(super) fn remove(&mut self, id: &I) -> Option<Half<X, Y, P>> {
        let (deadline, half) = self.by_id.remove(id)?;
        self.by_deadline.remove(&(deadline, id.clone()));
        Some(half)
    }

    /// Takes out what has waited until `time`, the longest first.
    pub(super) fn pop_due(&mut self, time: Timestamp) -> Option<(I, Half<X, Y, P>)> {
        let (deadline, _) = self.by_deadline.first()?;
        if *deadline > time {
            return None;
        }
        let (_, id) = self.by_deadline.pop_first()?;
        let (_, half) = self.by_id.remove(&id)?;
        Some((id, half))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
