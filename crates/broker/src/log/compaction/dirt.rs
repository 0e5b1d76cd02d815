//! How much of a log there is to compact, and whether that is worth it.

use crate::log::partition::{Log, Partition};
use crate::log::retention::newest_ms;
use crate::log::segment::Segment;
use crate::settings::topic::TopicConfig;

/// What of a log can be compacted now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dirt {
    /// Everything before it is compacted.
    pub(super) first_dirty: i64,
    /// Where the first segment begins that has to stay as it is.
    pub(super) bound: i64,
    clean_bytes: u64,
    dirty_bytes: u64,
    /// Whether something has been uncompacted for too long.
    overdue: bool,
    more_at_ms: Option<i64>,
}

impl Dirt {
    /// The dirty part of what could be clean.
    pub(crate) fn ratio(&self) -> f64 {
        let all = self.clean_bytes + self.dirty_bytes;
        if all == 0 { 0.0 } else { self.dirty_bytes as f64 / all as f64 }
    }

    /// When the clock alone may make more of it, in milliseconds since 1970.
    pub(super) fn more_at_ms(&self) -> Option<i64> {
        self.more_at_ms
    }

    /// Whether it is time.
    pub(super) fn is_due(&self, config: &TopicConfig) -> bool {
        self.dirty_bytes > 0 && (self.overdue || self.ratio() > config.min_cleanable_dirty_ratio)
    }
}

impl Partition {
    /// What can be compacted; `None` if that is not wanted, or cannot be done.
    pub(crate) fn dirt(&self, config: &TopicConfig, now_ms: i64) -> Option<Dirt> {
        if !config.compact {
            return None;
        }
        let log = self.log();
        (!log.deleted && !log.uncleanable).then(|| log.dirt(config, now_ms))
    }

    /// Whether a compaction has failed, so that it is not tried again before the next start.
    pub(crate) fn is_uncleanable(&self) -> bool {
        self.log().uncleanable
    }
}

impl Log {
    fn dirt(&self, config: &TopicConfig, now_ms: i64) -> Dirt {
        let first_dirty = match self.clean_offset {
            clean if clean <= self.next_offset => clean.max(self.start_offset),
            // The end of the log is lost, and something else may come there.
            _ => self.start_offset,
        };
        let closed = &self.segments[..self.segments.len() - 1];
        let ends = || self.segments[1..].iter().map(Segment::base_offset);
        let dirty_from = ends().take_while(|end| *end <= first_dirty).count();

        // Neither what is appended to, nor what belongs to an open transaction, nor what is too young.
        let stable = self.bounds().last_stable;
        let mut bound = ends().take_while(|end| *end <= stable).count();
        let mut more_at_ms = None;
        if config.min_compaction_lag_ms > 0 {
            let old_at_ms =
                |segment| newest_ms(segment).map(|ms| ms.saturating_add(config.min_compaction_lag_ms));
            let young = |segment| old_at_ms(segment).filter(|at_ms| *at_ms > now_ms);
            let dirty = closed.iter().enumerate().skip(dirty_from);
            if let Some((n, at_ms)) = dirty.clone().find_map(|(n, segment)| Some((n, young(segment)?))) {
                bound = bound.min(n);
                more_at_ms = Some(at_ms);
            }
        }
        let bytes = |segments: &[Segment]| segments.iter().map(Segment::size).sum();
        let dirty_bytes = if dirty_from < bound { bytes(&closed[dirty_from..bound]) } else { 0 };
        let clean = closed.partition_point(|segment| segment.base_offset() < first_dirty);

        let first_ms = closed[dirty_from..].iter().map(|segment| segment.summary().first_timestamp);
        let due_at_ms =
            first_ms.filter(|ms| *ms > 0).min().map(|ms| ms.saturating_add(config.max_compaction_lag_ms));
        let overdue = due_at_ms.is_some_and(|at_ms| at_ms < now_ms);
        if let Some(at_ms) = due_at_ms.filter(|at_ms| !overdue && *at_ms < i64::MAX && dirty_bytes > 0) {
            more_at_ms = Some(more_at_ms.map_or(at_ms + 1, |other: i64| other.min(at_ms + 1)));
        }
        Dirt {
            first_dirty,
            bound: self.segments[bound].base_offset(),
            clean_bytes: bytes(&closed[..clean]),
            dirty_bytes,
            overdue,
            more_at_ms,
        }
    }
}
