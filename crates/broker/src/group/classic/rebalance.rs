//! How a classic group comes to a new generation: everyone joins again, the slow ones are left behind, and whoever
//! then does not ask for its share goes as well.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::group::classic::{Classic, Phase};

/// The first rebalance of a group without members: it waits for more of them to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Initial {
    delay_ms: i64,
    /// How much longer it may take if more and more members come.
    left_ms: i64,
    /// Whether someone has come since the delay began.
    more_came: bool,
}

impl Classic {
    /// Makes everyone join again, unless that is under way.
    pub(super) fn rebalance(&mut self, now_ms: i64) {
        match self.phase {
            Phase::PreparingRebalance { .. } => {}
            Phase::CompletingRebalance => {
                for member in &mut self.members {
                    member.assignment = Bytes::new();
                    if member.syncing.is_some() {
                        member.answer_sync(Err(ResponseError::RebalanceInProgress));
                        member.touch(now_ms);
                    }
                }
                self.prepare(now_ms);
            }
            Phase::Empty | Phase::Stable => self.prepare(now_ms),
        }
        self.complete_join_if_all_are_there(now_ms);
    }

    fn prepare(&mut self, now_ms: i64) {
        self.sync_by_ms = None;
        self.phase = Phase::PreparingRebalance { until_ms: now_ms + self.rebalance_timeout_ms() };
    }

    /// Someone has joined a group without members, or one that is still waiting for its first ones.
    pub(super) fn begin(&mut self, delay_ms: i64, now_ms: i64) {
        if let Some(initial) = &mut self.initial {
            initial.more_came = true;
            return;
        }
        let left_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
        self.initial = Some(Initial { delay_ms, left_ms, more_came: false });
        self.phase = Phase::PreparingRebalance { until_ms: now_ms + delay_ms };
        self.wait_no_more(now_ms);
    }

    /// Completes the join, or leaves a group that is filling up some more time, if the time is up.
    fn wait_no_more(&mut self, now_ms: i64) {
        let Phase::PreparingRebalance { until_ms } = self.phase else { return };
        if until_ms > now_ms {
            return;
        }
        if let Some(initial) = &mut self.initial
            && initial.more_came
            && initial.left_ms > 0
        {
            let wait_ms = initial.delay_ms.min(initial.left_ms);
            initial.left_ms -= wait_ms;
            initial.more_came = false;
            self.phase = Phase::PreparingRebalance { until_ms: now_ms + wait_ms };
            return;
        }
        self.complete_join(now_ms);
    }

    pub(super) fn complete_join_if_all_are_there(&mut self, now_ms: i64) {
        let preparing = matches!(self.phase, Phase::PreparingRebalance { .. }) && self.initial.is_none();
        if preparing && self.pending.is_empty() && self.members.iter().all(|member| member.joining.is_some())
        {
            self.complete_join(now_ms);
        }
    }

    fn complete_join(&mut self, now_ms: i64) {
        self.initial = None;
        // A static member keeps its place until its session ends.
        self.members.retain(|member| member.joining.is_some() || member.instance_id.is_some());
        if self.members.is_empty() {
            self.generation += 1;
            self.unsettled = false;
            self.phase = Phase::Empty;
            (self.empty_since_ms, self.changed) = (Some(now_ms), true);
            (self.protocol, self.leader) = (StrBytes::new(), StrBytes::new());
            return;
        }
        let Some(first) = self.members.iter().find(|member| member.joining.is_some()) else {
            // Only static members are left, and nobody could divide. Their sessions will end, or they will come.
            self.phase = Phase::PreparingRebalance { until_ms: now_ms + self.rebalance_timeout_ms() };
            return;
        };
        if !self.members.iter().any(|member| member.id == self.leader && member.joining.is_some()) {
            self.leader = first.id.clone();
        }
        self.generation += 1;
        self.unsettled = false;
        self.protocol = self.vote();
        self.phase = Phase::CompletingRebalance;
        self.empty_since_ms = None;
        self.sync_by_ms = Some(now_ms + self.rebalance_timeout_ms());
        for n in 0..self.members.len() {
            let joined = self.joined(n);
            let member = &mut self.members[n];
            (member.is_new, member.has_synced) = (false, false);
            member.touch(now_ms);
            member.answer_join(Ok(joined));
        }
    }

    /// The protocol that everyone has and most prefer.
    pub(super) fn vote(&self) -> StrBytes {
        let common = |name: &StrBytes| {
            self.members.iter().all(|member| member.protocols.iter().any(|(other, _)| other == name))
        };
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in &self.members {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| common(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// Ends sessions and rebalances whose time is up; returns the next such time.
    pub(crate) fn tick(&mut self, now_ms: i64) -> Option<i64> {
        self.pending.retain(|_, expires_ms| *expires_ms > now_ms);
        let before = self.members.len();
        for n in (0..self.members.len()).rev() {
            if self.members[n].expires_at().is_some_and(|at_ms| at_ms <= now_ms) {
                tracing::info!(member = %self.members[n].id, "the member was not heard of for its session timeout");
                self.remove(n);
            }
        }
        if self.sync_by_ms.is_some_and(|by_ms| by_ms <= now_ms) {
            self.sync_by_ms = None;
            // They joined and never asked for their share, so they would keep it from the others.
            for n in (0..self.members.len()).rev() {
                if !self.members[n].has_synced {
                    tracing::info!(member = %self.members[n].id, "the member never asked for its share");
                    self.remove(n);
                }
            }
        }
        if self.members.len() < before {
            self.rebalance(now_ms);
        } else {
            self.complete_join_if_all_are_there(now_ms);
        }
        self.wait_no_more(now_ms);
        let sessions = self.members.iter().filter_map(|member| member.expires_at());
        let until_ms = match self.phase {
            Phase::PreparingRebalance { until_ms } => Some(until_ms),
            Phase::Empty | Phase::CompletingRebalance | Phase::Stable => self.sync_by_ms,
        };
        sessions.chain(self.pending.values().copied()).chain(until_ms).min()
    }

    fn rebalance_timeout_ms(&self) -> i64 {
        self.members.iter().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }
}
