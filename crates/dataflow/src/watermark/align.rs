//! Alignment: sources of one group do not run further ahead of each other in event time than they are allowed to (Flink's
//! `withWatermarkAlignment`).
//!
//! What joins a fast and a slow source keeps all that the fast one is ahead; so the fast one waits. A subtask waits while its own watermark is more than
//! the drift above the lowest of the group. The one that has the lowest never waits, so that cannot lock up; who is idle or has ended is not waited
//! for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::time::{MAX_WATERMARK, MIN_WATERMARK, Timestamp};

/// The groups of one attempt of a job, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlignmentGroups(Arc<Mutex<HashMap<String, Arc<Group>>>>);

#[derive(Debug, Default)]
struct Group(Mutex<Vec<Timestamp>>);

impl Group {
    fn lock(&self) -> MutexGuard<'_, Vec<Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subtask of a source in its group.
#[derive(Debug)]
pub(crate) struct Member {
    group: Arc<Group>,
    index: usize,
    /// Milliseconds.
    max_drift: i64,
}

impl AlignmentGroups {
    /// One more member of a group. All of them are to join before any says how far it is.
    pub(crate) fn join(&self, name: &str, max_drift: i64) -> Member {
        let group =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone();
        let mut members = group.lock();
        members.push(MIN_WATERMARK);
        let index = members.len() - 1;
        drop(members);
        Member { group, index, max_drift }
    }
}

impl Member {
    /// It has come so far; [`MAX_WATERMARK`] if it is not to be waited for.
    pub(crate) fn reached(&self, watermark: Timestamp) {
        self.group.lock()[self.index] = watermark;
    }

    /// Whether it has to wait for others.
    pub(crate) fn is_ahead(&self) -> bool {
        let members = self.group.lock();
        let own = members[self.index];
        let lowest = members.iter().copied().min().unwrap_or(MIN_WATERMARK);
        own != MAX_WATERMARK && own > lowest.saturating_add(self.max_drift)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.reached(MAX_WATERMARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ahead_waits_until_the_slowest_has_come_or_gone() {
        let groups = AlignmentGroups::default();
        let (fast, slow, other) = (groups.join("g", 10), groups.join("g", 10), groups.join("other", 0));
        fast.reached(5);
        other.reached(1_000);
        assert!(fast.is_ahead() && !slow.is_ahead() && !other.is_ahead(), "the slow one has not begun");
        slow.reached(0);
        assert!(!fast.is_ahead());
        fast.reached(11);
        assert!(fast.is_ahead() && !slow.is_ahead());
        slow.reached(MAX_WATERMARK);
        assert!(!fast.is_ahead() && !slow.is_ahead(), "idle");
        slow.reached(0);
        assert!(fast.is_ahead());
        drop(slow);
        assert!(!fast.is_ahead());
    }
}
