//! What takes results out of an `Rdd`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

use super::Rdd;

impl<T> Rdd<T> {
    /// The number of records.
    pub fn count(&self) -> usize {
        self.partitions.iter().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.partitions.iter().all(Vec::is_empty)
    }

    /// All records.
    pub fn collect(self) -> Vec<T> {
        self.partitions.into_iter().flatten().collect()
    }

    /// The records, borrowed.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.partitions.iter().flatten()
    }

    /// The first record.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }

    /// The first `n` records.
    pub fn take(&self, n: usize) -> Vec<T>
    where
        T: Clone,
    {
        self.iter().take(n).cloned().collect()
    }

    /// The `n` largest records, the largest first.
    pub fn top(&self, n: usize) -> Vec<T>
    where
        T: Ord + Clone,
    {
        self.take_ordered(n, |record| Reverse(record.clone()))
    }

    /// The `n` records with the smallest keys, the smallest first.
    ///
    /// ```
    /// use thalweg_dstream::Rdd;
    ///
    /// let counts = Rdd::parallelize(vec![("deep", 2), ("fast", 5)], 1);
    /// assert_eq!(counts.take_ordered(1, |(_, n)| std::cmp::Reverse(*n)), [("fast", 5)]);
    /// ```
    pub fn take_ordered<K: Ord>(&self, n: usize, key: impl Fn(&T) -> K) -> Vec<T>
    where
        T: Clone,
    {
        let mut records: Vec<&T> = self.iter().collect();
        records.sort_by_key(|record| key(record));
        records.into_iter().take(n).cloned().collect()
    }

    /// All records combined, or `None` if there are none.
    pub fn reduce(self, function: impl Fn(T, T) -> T) -> Option<T> {
        self.partitions.into_iter().flatten().reduce(function)
    }

    /// All records added to `initial`.
    pub fn fold<A>(self, initial: A, function: impl FnMut(A, T) -> A) -> A {
        self.partitions.into_iter().flatten().fold(initial, function)
    }

    /// How often each record occurs.
    pub fn count_by_value(self) -> HashMap<T, usize>
    where
        T: Hash + Eq,
    {
        self.fold(HashMap::new(), |mut counts, record| {
            *counts.entry(record).or_insert(0) += 1;
            counts
        })
    }

    /// Calls `function` on every record.
    pub fn for_each(self, function: impl FnMut(T)) {
        self.partitions.into_iter().flatten().for_each(function);
    }

    /// Calls `function` on every partition: the place to open one connection for many records.
    pub fn for_each_partition(self, mut function: impl FnMut(std::vec::IntoIter<T>)) {
        self.partitions.into_iter().for_each(|partition| function(partition.into_iter()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_a_few_records() {
        let rdd = Rdd::from_partitions(vec![vec![3, 1], vec![], vec![2, 3]]);
        assert_eq!((rdd.count(), rdd.is_empty(), rdd.first()), (4, false, Some(&3)));
        assert_eq!((rdd.top(2), rdd.take(3)), (vec![3, 3], vec![3, 1, 2]));
        assert_eq!(rdd.clone().reduce(|a, b| a + b), Some(9));
        assert_eq!(rdd.clone().count_by_value()[&3], 2);
        let mut sizes = Vec::new();
        rdd.for_each_partition(|partition| sizes.push(partition.len()));
        assert_eq!(sizes, [2, 0, 2]);
        assert_eq!(Rdd::<u8>::from_partitions(vec![]).reduce(|a, _| a), None);
    }
}
