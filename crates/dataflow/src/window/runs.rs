//! Runs: what a session holds, in the order in which it came.
//!
//! A record may join sessions of one key that grew side by side. Their accumulators can be merged, but not so that each record
//! counts in its turn, unless it is known which records came in between. So a session holds accumulators of *runs*: of records
//! that came one after the other, with none for another session of the key among them. That is one run for as long as a key has
//! no more than one session, or if the aggregate is [commutative](AggregateFunction::COMMUTATIVE).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::TimeWindow;
use super::aggregate::AggregateFunction;
use crate::state::StateData;

/// The sessions of one key, the earliest first. They do not touch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Sessions<A: StateData> {
    /// The number of the run that was begun last.
    pub(super) latest: u64,
    pub(super) sessions: VecDeque<(TimeWindow, Runs<A>)>,
}

impl<A: StateData> Default for Sessions<A> {
    fn default() -> Self {
        // Most keys have one session at a time.
        Self { latest: 0, sessions: VecDeque::with_capacity(1) }
    }
}

impl<A: StateData> Sessions<A> {
    /// The first session that ends so late, or later: its index.
    pub(super) fn first_ending(&self, end: i64) -> usize {
        self.sessions.partition_point(|(session, _)| session.end < end)
    }
}

/// The accumulators of one session, with the numbers of their runs, rising.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Runs<A: StateData> {
    One(u64, A),
    Several(Vec<(u64, A)>),
}

impl<A: StateData> Runs<A> {
    /// Adds a value, which is number `sequence` of all.
    pub(super) fn add<F: AggregateFunction<Accumulator = A>>(
        &mut self,
        aggregate: &mut F,
        value: F::In,
        sequence: u64,
        latest: &mut u64,
    ) {
        let (run, accumulator) = match self {
            Self::One(run, accumulator) => (*run, accumulator),
            Self::Several(runs) => match runs.last_mut() {
                Some((run, accumulator)) => (*run, accumulator),
                None => unreachable!("a session has a record, and so a run"),
            },
        };
        if F::COMMUTATIVE || run == *latest {
            aggregate.add(accumulator, value);
            return;
        }
        *latest = sequence;
        self.push(Self::of(aggregate, value, sequence));
    }

    /// A run of one value.
    pub(super) fn of<F: AggregateFunction<Accumulator = A>>(
        aggregate: &mut F,
        value: F::In,
        sequence: u64,
    ) -> Self {
        let mut accumulator = aggregate.create_accumulator();
        aggregate.add(&mut accumulator, value);
        Self::One(sequence, accumulator)
    }

    fn push(&mut self, other: Self) {
        let mut runs = std::mem::replace(self, Self::Several(Vec::new())).into_vec();
        runs.extend(other.into_vec());
        *self = Self::Several(runs);
    }

    fn into_vec(self) -> Vec<(u64, A)> {
        match self {
            Self::One(run, accumulator) => vec![(run, accumulator)],
            Self::Several(runs) => runs,
        }
    }

    /// The runs of two sessions that are one from now on.
    pub(super) fn join<F: AggregateFunction<Accumulator = A>>(self, aggregate: &mut F, other: Self) -> Self {
        match (self, other) {
            (Self::One(run, a), Self::One(other, b)) if F::COMMUTATIVE => {
                Self::One(run.min(other), aggregate.merge(a, b))
            }
            (mut joined, other) => {
                joined.push(other);
                if let Self::Several(runs) = &mut joined {
                    runs.sort_by_key(|(run, _)| *run);
                }
                joined
            }
        }
    }

    /// Makes one run out of all, when there is no other session of the key any more that could have come in between.
    pub(super) fn close<F: AggregateFunction<Accumulator = A>>(&mut self, aggregate: &mut F, latest: u64) {
        if let Self::Several(runs) = self {
            let merged =
                std::mem::take(runs).into_iter().reduce(|(_, a), (_, b)| (latest, aggregate.merge(a, b)));
            if let Some((_, accumulator)) = merged {
                *self = Self::One(latest, accumulator);
            }
        }
    }

    /// The result of all runs.
    pub(super) fn result<F: AggregateFunction<Accumulator = A>>(&self, aggregate: &mut F) -> F::Out {
        match self {
            Self::One(_, accumulator) => aggregate.get_result(accumulator),
            Self::Several(runs) => {
                let accumulators = runs.iter().map(|(_, accumulator)| accumulator.clone());
                match accumulators.reduce(|a, b| aggregate.merge(a, b)) {
                    Some(accumulator) => aggregate.get_result(&accumulator),
                    None => unreachable!("a session has a record, and so a run"),
                }
            }
        }
    }

    /// The number of the last run.
    pub(super) fn last(&self) -> u64 {
        match self {
            Self::One(run, _) => *run,
            Self::Several(runs) => runs.last().map_or(0, |(run, _)| *run),
        }
    }
}
