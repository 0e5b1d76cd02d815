//! `Rdd<(K, V)>`: what Spark gives to pairs.

use std::collections::HashMap;
use std::hash::Hash;

use thalweg_dataflow::hash::key_hash;

use super::Rdd;

/// What two batches have under one key: all values of the one, and all of the other.
pub type CoGrouped<V, W> = (Vec<V>, Vec<W>);

impl<K, V> Rdd<(K, V)> {
    /// The keys.
    pub fn keys(self) -> Rdd<K>
    where
        K: Send,
        V: Send,
    {
        self.map(|(key, _)| key)
    }

    /// The values.
    pub fn values(self) -> Rdd<V>
    where
        K: Send,
        V: Send,
    {
        self.map(|(_, value)| value)
    }

    /// Another value for each.
    pub fn map_values<U: Send>(self, function: impl Fn(V) -> U + Sync) -> Rdd<(K, U)>
    where
        K: Send,
        V: Send,
    {
        self.map(|(key, value)| (key, function(value)))
    }
}

impl<K: Hash + Eq, V> Rdd<(K, V)> {
    /// Pairs of the same key in the same partition.
    fn by_key(self) -> Self {
        let count = self.partitions.len().max(1);
        let mut partitions: Vec<Vec<(K, V)>> = (0..count).map(|_| Vec::new()).collect();
        for pair in self.partitions.into_iter().flatten() {
            partitions[(key_hash(&pair.0) % count as u64) as usize].push(pair);
        }
        Rdd { partitions, batch: self.batch }
    }

    /// One pair for each key: its values combined.
    #[must_use]
    pub fn reduce_by_key(self, function: impl Fn(V, V) -> V) -> Self {
        let Rdd { partitions, batch } = self.by_key();
        let reduce = |partition: Vec<(K, V)>| {
            let mut reduced: HashMap<K, Option<V>> = HashMap::new();
            for (key, value) in partition {
                let slot = reduced.entry(key).or_default();
                *slot = Some(match slot.take() {
                    Some(before) => function(before, value),
                    None => value,
                });
            }
            reduced.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
        };
        Rdd { partitions: partitions.into_iter().map(reduce).collect(), batch }
    }

    /// One pair for each key: all its values.
    pub fn group_by_key(self) -> Rdd<(K, Vec<V>)> {
        let Rdd { partitions, batch } = self.by_key();
        let group = |partition: Vec<(K, V)>| {
            let mut groups: HashMap<K, Vec<V>> = HashMap::new();
            for (key, value) in partition {
                groups.entry(key).or_default().push(value);
            }
            groups.into_iter().collect()
        };
        Rdd { partitions: partitions.into_iter().map(group).collect(), batch }
    }

    /// For each key, all values of both.
    pub fn cogroup<W>(self, other: Rdd<(K, W)>) -> Rdd<(K, CoGrouped<V, W>)> {
        let count = self.partitions.len().max(1);
        let batch = self.batch.clone();
        let mut partitions: Vec<HashMap<K, CoGrouped<V, W>>> = (0..count).map(|_| HashMap::new()).collect();
        let place = |key: &K| (key_hash(key) % count as u64) as usize;
        for (key, value) in self.partitions.into_iter().flatten() {
            let groups = &mut partitions[place(&key)];
            groups.entry(key).or_insert_with(|| (Vec::new(), Vec::new())).0.push(value);
        }
        for (key, value) in other.partitions.into_iter().flatten() {
            let groups = &mut partitions[place(&key)];
            groups.entry(key).or_insert_with(|| (Vec::new(), Vec::new())).1.push(value);
        }
        Rdd { partitions: partitions.into_iter().map(|groups| groups.into_iter().collect()).collect(), batch }
    }

    /// Each pair of values that have the same key.
    pub fn join<W: Clone>(self, other: Rdd<(K, W)>) -> Rdd<(K, (V, W))>
    where
        K: Clone,
        V: Clone,
    {
        let Rdd { partitions, batch } = self.cogroup(other);
        let pairs = |(key, (left, right)): (K, CoGrouped<V, W>)| {
            let pair = move |left: V| {
                let key = key.clone();
                right.clone().into_iter().map(move |right| (key.clone(), (left.clone(), right)))
            };
            left.into_iter().flat_map(pair)
        };
        let partitions =
            partitions.into_iter().map(|groups| groups.into_iter().flat_map(pairs).collect()).collect();
        Rdd { partitions, batch }
    }

    /// How many pairs each key has.
    pub fn count_by_key(self) -> HashMap<K, usize> {
        self.fold(HashMap::new(), |mut counts, (key, _)| {
            *counts.entry(key).or_insert(0) += 1;
            counts
        })
    }

    /// The pairs as a map; of several with the same key the last.
    pub fn collect_as_map(self) -> HashMap<K, V> {
        self.collect().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_meet(
            left in prop::collection::vec((0_u8..6, any::<i16>()), 0..40),
            right in prop::collection::vec((0_u8..6, any::<i16>()), 0..40),
            partitions in 1_usize..5,
        ) {
            let rdd = Rdd::parallelize(left.clone(), partitions);
            let mut sums = BTreeMap::new();
            for (key, value) in &left {
                *sums.entry(*key).or_insert(0_i32) += i32::from(*value);
            }
            let reduced = rdd.clone().map_values(i32::from).reduce_by_key(|a, b| a + b);
            prop_assert_eq!(reduced.collect().into_iter().collect::<BTreeMap<_, _>>(), sums.clone());
            let grouped = rdd.clone().group_by_key().map_values(|values| values.into_iter().map(i32::from).sum::<i32>());
            prop_assert_eq!(grouped.collect().into_iter().collect::<BTreeMap<_, _>>(), sums);
            let mut joined = rdd.clone().join(Rdd::parallelize(right.clone(), 3)).collect();
            joined.sort();
            let mut expected: Vec<(u8, (i16, i16))> = left
                .iter()
                .flat_map(|(key, a)| right.iter().filter(move |(other, _)| other == key).map(|(_, b)| (*key, (*a, *b))))
                .collect();
            expected.sort();
            prop_assert_eq!(joined, expected);
            prop_assert_eq!(rdd.count_by_key().values().sum::<usize>(), left.len());
        }
    }
}
