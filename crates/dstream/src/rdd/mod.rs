//! `Rdd`: one batch, whole, in memory, partitioned as its stream is (Spark's `RDD`, as far as a batch needs it).
//!
//! It is what `transform` and `foreach_rdd` are handed. Everything is computed at once, in the order in which
//! it is written; partitions of some size are worked on side by side, on threads of their own.

mod actions;
mod object;
mod pairs;
mod publish;
mod text;

use std::collections::HashSet;
use std::hash::Hash;

pub use pairs::CoGrouped;
pub(crate) use publish::{BatchContext, FileSet, Publish, Saver, refuse_link, saved};

/// One batch of `T`.
///
/// ```
/// use thalweg_dstream::Rdd;
///
/// let lines = Rdd::parallelize(vec!["deep and fast", "fast and deep"], 2);
/// let words = lines.flat_map(|line| line.split(' '));
/// let mut counts = words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b).collect();
/// counts.sort();
/// assert_eq!(counts, [("and", 2), ("deep", 2), ("fast", 2)]);
/// ```
#[derive(Clone, Debug)]
pub struct Rdd<T> {
    pub(crate) partitions: Vec<Vec<T>>,
    /// The batch that it belongs to, if it was handed out by a stream.
    pub(crate) batch: Option<BatchContext>,
}

/// Below so many records, threads cost more than they bring.
const WORTH_THREADS: usize = 20_000;

impl<T> Rdd<T> {
    /// Made by hand, of these partitions. What it saves is published at once.
    pub fn from_partitions(partitions: Vec<Vec<T>>) -> Self {
        Self { partitions, batch: None }
    }

    /// Made by hand, of these records, in so many partitions of about the same size.
    pub fn parallelize(records: Vec<T>, partitions: usize) -> Self {
        Self::from_partitions(divide(records, partitions))
    }

    /// Other records in the same batch: what is saved out of them becomes visible when that is committed.
    pub fn in_same_batch<U>(&self, partitions: Vec<Vec<U>>) -> Rdd<U> {
        Rdd { partitions, batch: self.batch.clone() }
    }

    pub(crate) fn of_batch(partitions: Vec<Vec<T>>, batch: BatchContext) -> Self {
        Self { partitions, batch: Some(batch) }
    }

    fn with<U>(batch: Option<BatchContext>, partitions: Vec<Vec<U>>) -> Rdd<U> {
        Rdd { partitions, batch }
    }

    /// The partitions.
    pub fn partitions(&self) -> &[Vec<T>] {
        &self.partitions
    }

    /// The partitions, by value (Spark's `glom`).
    pub fn glom(self) -> Vec<Vec<T>> {
        self.partitions
    }

    /// The number of partitions.
    pub fn num_partitions(&self) -> usize {
        self.partitions.len()
    }

    /// One record for each.
    pub fn map<U: Send>(self, function: impl Fn(T) -> U + Sync) -> Rdd<U>
    where
        T: Send,
    {
        self.map_partitions(|partition| partition.into_iter().map(&function).collect())
    }

    /// None, one or many records for each.
    pub fn flat_map<U: Send, I: IntoIterator<Item = U>>(self, function: impl Fn(T) -> I + Sync) -> Rdd<U>
    where
        T: Send,
    {
        self.map_partitions(|partition| partition.into_iter().flat_map(&function).collect())
    }

    /// The records for which `predicate` holds.
    #[must_use]
    pub fn filter(self, predicate: impl Fn(&T) -> bool + Sync) -> Self
    where
        T: Send,
    {
        self.map_partitions(|partition| partition.into_iter().filter(|record| predicate(record)).collect())
    }

    /// A partition for each.
    pub fn map_partitions<U: Send>(self, function: impl Fn(Vec<T>) -> Vec<U> + Sync) -> Rdd<U>
    where
        T: Send,
    {
        let batch = self.batch.clone();
        let large = self.partitions.iter().filter(|partition| partition.len() >= WORTH_THREADS).count() > 1;
        if !large {
            return Self::with(batch, self.partitions.into_iter().map(function).collect());
        }
        let function = &function;
        let mapped = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .partitions
                .into_iter()
                .map(|partition| scope.spawn(move || function(partition)))
                .collect();
            // A panic of the user's function goes on in the caller, whose operator it fails.
            let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<U>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        Self::with(batch, mapped)
    }

    /// The records of both, partition after partition.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        self.partitions.extend(other.partitions);
        self
    }

    /// Each record once.
    #[must_use]
    pub fn distinct(self) -> Self
    where
        T: Hash + Eq + Clone,
    {
        let mut seen = HashSet::new();
        let keep = |partition: Vec<T>, seen: &mut HashSet<T>| -> Vec<T> {
            partition.into_iter().filter(|record| seen.insert(record.clone())).collect()
        };
        let partitions = self.partitions.into_iter().map(|partition| keep(partition, &mut seen)).collect();
        Self::with(self.batch, partitions)
    }

    /// The records in the order of a key; equal ones in the order they had.
    #[must_use]
    pub fn sort_by<K: Ord>(self, key: impl Fn(&T) -> K, ascending: bool) -> Self {
        let count = self.partitions.len();
        let mut records: Vec<T> = self.partitions.into_iter().flatten().collect();
        if ascending {
            records.sort_by_key(key);
        } else {
            records.sort_by_key(|record| std::cmp::Reverse(key(record)));
        }
        Self::with(self.batch, divide(records, count))
    }

    /// The same records in so many partitions of about the same size, in order (Spark's `repartition` and
    /// `coalesce`).
    #[must_use]
    pub fn repartition(self, partitions: usize) -> Self {
        let records = self.partitions.into_iter().flatten().collect();
        Self::with(self.batch, divide(records, partitions))
    }

    /// Each record with its position in the batch.
    pub fn zip_with_index(self) -> Rdd<(T, usize)> {
        let mut index = 0;
        let number = |record| {
            index += 1;
            (record, index - 1)
        };
        let mut number = number;
        let partitions = self
            .partitions
            .into_iter()
            .map(|partition| partition.into_iter().map(&mut number).collect())
            .collect();
        Self::with(self.batch, partitions)
    }
}

/// Records in so many parts of about the same size, in order.
fn divide<T>(records: Vec<T>, parts: usize) -> Vec<Vec<T>> {
    let parts = parts.max(1);
    let (size, larger) = (records.len() / parts, records.len() % parts);
    let mut records = records.into_iter();
    (0..parts).map(|part| records.by_ref().take(size + usize::from(part < larger)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn partitions_hold_what_a_vector_would(
            records in prop::collection::vec(any::<i16>(), 0..200),
            partitions in 1_usize..6,
            other in 1_usize..6,
        ) {
            let rdd = Rdd::parallelize(records.clone(), partitions);
            prop_assert_eq!(rdd.num_partitions(), partitions);
            let mapped = rdd.clone().flat_map(|n| [n, n]).filter(|n| n % 2 == 0).map(i32::from).collect();
            let even = records.iter().filter(|n| *n % 2 == 0);
            let expected: Vec<i32> = even.flat_map(|n| [i32::from(*n); 2]).collect();
            prop_assert_eq!(mapped, expected);
            let mut sorted = records.clone();
            sorted.sort();
            prop_assert_eq!(rdd.clone().sort_by(|n| *n, true).collect(), sorted);
            prop_assert_eq!(rdd.clone().repartition(other).collect(), records.clone());
            let distinct = rdd.clone().distinct().collect();
            prop_assert_eq!(distinct.len(), records.iter().collect::<HashSet<_>>().len());
            let zipped = rdd.union(Rdd::parallelize(records.clone(), other)).zip_with_index();
            let zipped: Vec<usize> = zipped.map(|(_, index)| index).collect();
            prop_assert_eq!(zipped, (0..2 * records.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn large_partitions_are_worked_on_by_threads_and_a_panic_passes_through() {
        let rdd = Rdd::parallelize((0..100_000_u64).collect(), 2);
        let threads = rdd.clone().map(|_| std::thread::current().id()).distinct().count();
        assert_eq!(threads, 2);
        let panic = std::panic::catch_unwind(|| rdd.map(|n| assert!(n != 70_000, "cannot bear {n}")).count());
        assert_eq!(panic.unwrap_err().downcast_ref::<String>().unwrap(), "cannot bear 70000");
    }
}
