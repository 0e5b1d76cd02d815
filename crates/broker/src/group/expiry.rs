//! What nobody has asked for in a long time is forgotten: offsets after `offsets.retention.minutes`, and then the
//! groups that have neither members nor offsets.
//!
//! The time runs from the last commit, or, in a classic group, from when its last member has gone. Offsets of topics
//! that members read are kept whatever their age, and so are those that an open transaction may still change.

use crate::group::classic::{Classic, Phase};
use crate::group::events::Event;
use crate::group::groups::Inner;
use crate::group::offsets::{Committed, Place};
use crate::group::{Group, Members};

/// From when on the age of an offset counts; `None` if it does not age.
fn aging_since(classic: &Classic, offset: &Committed) -> Option<i64> {
    if classic.protocol_type.is_empty() {
        // It never had members: someone who assigns partitions by itself keeps its offsets here.
        return Some(offset.at_ms);
    }
    match classic.phase {
        Phase::Empty => Some(classic.empty_since_ms.unwrap_or(offset.at_ms)),
        Phase::Stable if classic.subscribed_topics().is_some() => Some(offset.at_ms),
        _ => None,
    }
}

impl Group {
    /// The partitions whose offsets have been kept long enough.
    fn expired(&self, now_ms: i64, retention_ms: i64) -> Vec<Place> {
        let is_old = |offset: &Committed| {
            let since_ms = match &self.members {
                Members::Classic(classic) => aging_since(classic, offset),
                Members::Consumer(_) => Some(offset.at_ms),
            };
            since_ms.is_some_and(|since_ms| match offset.until_ms {
                Some(until_ms) => until_ms <= now_ms,
                None => now_ms.saturating_sub(since_ms) >= retention_ms,
            })
        };
        let expired = self.offsets.iter().filter(|(place, offset)| {
            is_old(offset) && !self.offsets.is_unstable(place) && !self.members.reads(&place.0)
        });
        expired.map(|(place, _)| place.clone()).collect()
    }
}

impl Inner {
    /// Forgets what is old enough.
    pub(super) fn clean(&mut self, now_ms: i64, retention_ms: i64) {
        let mut events = Vec::new();
        for (id, group) in &self.by_id {
            let places = group.expired(now_ms, retention_ms);
            let nothing_left = places.len() == group.offsets.len() && !group.offsets.has_pending();
            if nothing_left && group.members.is_empty() {
                events.push(Event::Delete { group: id.clone() });
            } else if !places.is_empty() {
                events.push(Event::Forget { group: id.clone(), places });
            }
        }
        for event in events {
            tracing::info!(?event, "old offsets of a group are forgotten");
            if let Err(error) = self.record(event) {
                tracing::warn!(%error, "old offsets cannot be forgotten now");
                return;
            }
        }
    }
}
