//! Runs: what a session holds, in the order in which it came.
//!
//! A record may join sessions of one key that grew side by side. Their accumulators can be merged, but not so that each record
//! counts in its turn, unless it is known which records came in between. So a session holds accumulators of *runs*: of records
//! that came one after the other, with none for another session of the key among them. That is one run for as long as a key has
//! no more than one session, or if the aggregate is [commutative](AggregateFunction::COMMUTATIVE).

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use super::TimeWindow;
use super::aggregate::AggregateFunction;
use crate::state::StateData;

/// The sessions of one key, the earliest first. They do not touch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Sessions<A: StateData> {
    /// The number of the run that was begun last.
    pub(super) latest: u64,
    pub(super) sessions: Row<(TimeWindow, Runs<A>)>,
}

impl<A: StateData> Default for Sessions<A> {
    fn default() -> Self {
        Self { latest: 0, sessions: Row::default() }
    }
}

impl<A: StateData> Sessions<A> {
    /// The first session that ends so late, or later: its index.
    pub(super) fn first_ending(&self, end: i64) -> usize {
        self.sessions.partition_point(|(session, _)| session.end < end)
    }
}

/// So many sessions of a key need no room elsewhere: the one that goes on, and one that waits for the watermark.
const FEW: usize = 2;

/// A list, in most cases of few. In a checkpoint it is a list.
#[derive(Clone, Debug)]
pub(super) enum Row<T> {
    /// No more than [`FEW`].
    Few(SmallVec<[T; FEW]>),
    Many(VecDeque<T>),
}

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl<T> Row<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(row) => row.len(),
            Self::Many(row) => row.len(),
        }
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        match self {
            Self::Few(row) => row.get(index),
            Self::Many(row) => row.get(index),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match self {
            Self::Few(row) => row.get_mut(index),
            Self::Many(row) => row.get_mut(index),
        }
    }

    /// How many from the first on `is_before` holds for.
    #[inline]
    pub(super) fn partition_point(&self, mut is_before: impl FnMut(&T) -> bool) -> usize {
        match self {
            Self::Few(row) => row.iter().take_while(|item| is_before(item)).count(),
            Self::Many(row) => row.partition_point(is_before),
        }
    }

    /// All of them, from the first on.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (few, many) = match self {
            Self::Few(row) => (Some(row), None),
            Self::Many(row) => (None, Some(row)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    #[inline]
    pub(super) fn insert(&mut self, index: usize, item: T) {
        match self {
            Self::Few(row) if row.len() < FEW => row.insert(index, item),
            _ => self.many().insert(index, item),
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<T> {
        match self {
            Self::Few(row) => (!row.is_empty()).then(|| row.remove(0)),
            Self::Many(row) => row.pop_front(),
        }
    }

    /// Takes out a range, which is not empty.
    pub(super) fn drain(&mut self, range: Range<usize>) -> impl Iterator<Item = T> {
        let (few, many) = match self {
            Self::Few(row) => (Some(row.drain(range)), None),
            Self::Many(row) => (None, Some(row.drain(range))),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    #[cold]
    fn many(&mut self) -> &mut VecDeque<T> {
        if let Self::Few(row) = self {
            *self = Self::Many(row.drain(..).collect());
        }
        match self {
            Self::Many(row) => row,
            Self::Few(_) => unreachable!("made many just now"),
        }
    }
}

impl<T> FromIterator<T> for Row<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut row = Self::default();
        items.into_iter().for_each(|item| row.insert(row.len(), item));
        row
    }
}

impl<T: Serialize> Serialize for Row<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Few(row) => row.as_slice().serialize(serializer),
            Self::Many(row) => row.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Row<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::shape_of;

    proptest! {
        #[test]
        fn a_row_is_a_list_also_in_a_checkpoint(steps in prop::collection::vec((0_u8..6, 0_usize..5), 0..40)) {
            let (mut row, mut list): (Row<usize>, VecDeque<usize>) = (Row::default(), VecDeque::new());
            for (number, (step, at)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let at = at.min(list.len());
                        row.insert(at, number);
                        list.insert(at, number);
                    }
                    2 => prop_assert_eq!(row.pop_front(), list.pop_front()),
                    3 if at < list.len() => {
                        let taken: Vec<usize> = row.drain(at..list.len()).collect();
                        prop_assert_eq!(taken, list.drain(at..).collect::<Vec<_>>());
                    }
                    3 | 4 => {}
                    _ => {
                        let bytes = postcard::to_allocvec(&row).unwrap();
                        prop_assert_eq!(&bytes, &postcard::to_allocvec(&list).unwrap());
                        row = postcard::from_bytes(&bytes).unwrap();
                        prop_assert_eq!(row.len() <= FEW, matches!(row, Row::Few(_)));
                    }
                }
                prop_assert_eq!(row.iter().copied().collect::<Vec<_>>(), list.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(row.len(), list.len());
                prop_assert_eq!((row.get(at).copied(), row.get_mut(at).copied()), (list.get(at).copied(), list.get(at).copied()));
                let is_before = |item: &usize| list.iter().take(at).any(|before| before == item);
                prop_assert_eq!(row.partition_point(is_before), at.min(list.len()));
            }
        }
    }

    #[test]
    fn a_row_has_the_shape_of_a_list() {
        assert_eq!(shape_of::<Row<u32>>(), shape_of::<Vec<u32>>());
    }
}
