//! A map in order that is small in most places: most keys of a join have one row.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// So many entries lie beside each other; more of them in a tree, whose smallest piece has room for eleven.
const FEW: usize = 8;

/// Entries in the order of their keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SmallMap<K, V> {
    Few(SmallVec<[(K, V); 1]>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(entries) => entries.is_empty(),
            Self::Many(entries) => entries.is_empty(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Few(entries) => entries.iter().find(|(own, _)| own == key).map(|(_, value)| value),
            Self::Many(entries) => entries.get(key),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Few(entries) => entries.iter_mut().find(|(own, _)| own == key).map(|(_, value)| value),
            Self::Many(entries) => entries.get_mut(key),
        }
    }

    /// The value of a key, made where there was none.
    pub(super) fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if let Self::Few(entries) = self
            && entries.len() >= FEW
            && !entries.iter().any(|(own, _)| *own == key)
        {
            *self = Self::Many(std::mem::take(entries).into_iter().collect());
        }
        match self {
            Self::Few(entries) => {
                let place = entries.iter().position(|(own, _)| *own >= key).unwrap_or(entries.len());
                if entries.get(place).is_none_or(|(own, _)| *own != key) {
                    entries.insert(place, (key, V::default()));
                }
                &mut entries[place].1
            }
            Self::Many(entries) => entries.entry(key).or_default(),
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        match self {
            Self::Few(entries) => entries.retain(|(own, _)| own != key),
            Self::Many(entries) => drop(entries.remove(key)),
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        match self {
            Self::Few(entries) => entries.retain(|(_, value)| keep(value)),
            Self::Many(entries) => entries.retain(|_, value| keep(value)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(entries) => (Some(entries.iter()), None),
            Self::Many(entries) => (None, Some(entries.iter())),
        };
        few.into_iter().flatten().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }
}

impl<K: Ord + Serialize, V: Serialize> Serialize for SmallMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for SmallMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries: Vec<(K, V)> = Vec::deserialize(deserializer)?;
        Ok(match entries.len() > FEW {
            true => Self::Many(entries.into_iter().collect()),
            false => Self::Few(entries.into_iter().collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_in_order_however_many_there_are() {
        let (mut map, mut tree) = (SmallMap::<i64, i64>::default(), BTreeMap::new());
        for n in 0..200_i64 {
            let (key, is_removed) = (n * 7 % 23, n % 5 > 2);
            match is_removed {
                true => {
                    map.remove(&key);
                    tree.remove(&key);
                }
                false => {
                    *map.or_default(key) += n;
                    *tree.entry(key).or_default() += n;
                }
            }
            assert!(map.iter().eq(tree.iter()), "{n}");
            assert_eq!((map.get(&key), map.is_empty()), (tree.get(&key), tree.is_empty()));
            let text = serde_json::to_string(&map).unwrap();
            let read: SmallMap<i64, i64> = serde_json::from_str(&text).unwrap();
            assert!(read.iter().eq(map.iter()));
        }
        map.retain(|value| value % 2 == 0);
        tree.retain(|_, value| *value % 2 == 0);
        assert!(map.iter().eq(tree.iter()));
    }
}
