//! What travels on an edge: batches of records, each batch with its origin.

use std::fmt;
use std::sync::Arc;

use crate::time::Timestamp;

/// How many records a batch holds before it is passed on. Batches travel earlier when the input idles.
pub const BATCH_SIZE: usize = 1024;

/// What a stream may carry: anything that can be cloned (a stream may be read twice) and sent to another thread.
pub trait Data: Clone + Send + 'static {}
impl<T: Clone + Send + 'static> Data for T {}

/// A value and its event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// The user's value.
    pub value: T,
    /// Its event time, or [`NO_TIMESTAMP`](crate::time::NO_TIMESTAMP).
    pub timestamp: Timestamp,
}

/// A value with its key, and the key's hash, computed once where the stream is keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Keyed<K, T> {
    /// [`key_hash`](crate::hash::key_hash) of `key`: decides the key group, and the slot in the state's tables.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// The value.
    pub value: T,
}

impl<K: std::hash::Hash, T> Keyed<K, T> {
    /// Keys `value` by `key`.
    #[inline]
    pub fn new(key: K, value: T) -> Self {
        Self { hash: crate::hash::key_hash(&key), key, value }
    }
}

/// What carries the hash of a key, and can so be sent to the subtask that owns the key.
pub trait Hashed {
    /// The [`key_hash`](crate::hash::key_hash) of the key.
    fn hash(&self) -> u64;
}

/// What holds many rows, each with a key of its own, and can so be divided among the subtasks that own the keys.
pub trait Divisible: Sized {
    /// Hands each part to `take`, with the target that it is for: at most one part for a target, and none without rows. Rows
    /// that go to the same target keep their order.
    fn divide(self, owners: &Owners, take: &mut dyn FnMut(usize, Self));
}

/// Which of the targets of a keyed exchange owns a key.
#[derive(Clone, Debug)]
pub struct Owners {
    /// Of each key group, its owner: a look-up is cheaper than the division.
    pub(crate) of_group: Vec<u16>,
    targets: usize,
}

impl Owners {
    /// The owners of `max_parallelism` key groups among `targets` subtasks.
    pub fn new(max_parallelism: u16, targets: usize) -> Self {
        let of_group = (0..max_parallelism)
            .map(|group| crate::key_group::owner(group, max_parallelism, targets) as u16)
            .collect();
        Self { of_group, targets }
    }

    /// The target that owns the key with this [`key_hash`](crate::hash::key_hash).
    #[inline]
    pub fn of(&self, hash: u64) -> usize {
        usize::from(self.of_group[usize::from(crate::key_group::group_of(hash, self.of_group.len() as u16))])
    }

    /// The number of targets.
    pub fn targets(&self) -> usize {
        self.targets
    }
}

impl<K, T> Hashed for Keyed<K, T> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl<K, T> Keyed<K, T> {
    /// The key, as state wants it.
    #[inline]
    pub fn at(&self) -> CurrentKey<'_, K> {
        CurrentKey { hash: self.hash, key: &self.key }
    }
}

/// The key whose state is read or written, with its hash.
#[derive(Clone, Copy, Debug)]
pub struct CurrentKey<'a, K> {
    pub(crate) hash: u64,
    pub(crate) key: &'a K,
}

/// What knows the key whose state is read or written: a key with its hash, or the context that a keyed function is called with.
pub trait KeyContext<K> {
    /// The key, with its hash.
    fn at_key(&self) -> CurrentKey<'_, K>;
}

impl<K> KeyContext<K> for CurrentKey<'_, K> {
    #[inline]
    fn at_key(&self) -> CurrentKey<'_, K> {
        CurrentKey { hash: self.hash, key: self.key }
    }
}

impl<'a, K> CurrentKey<'a, K> {
    /// The key itself.
    pub fn key(&self) -> &'a K {
        self.key
    }
}

/// Records on their way, and where they came from.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// The records, in the order of the edge.
    pub records: Vec<Record<T>>,
    /// Where they were read.
    pub origin: Origin,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { records: Vec::new(), origin: Origin::default() }
    }
}

impl<T> Batch<T> {
    /// An empty batch with room for [`BATCH_SIZE`] records.
    pub fn new() -> Self {
        Self { records: Vec::with_capacity(BATCH_SIZE), origin: Origin::default() }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Where the records of a batch were read: for error messages, kept per batch so that it costs nothing per record.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Origin {
    split: Option<Arc<str>>,
    first: u64,
    last: u64,
    others: bool,
    /// So many bytes were read for these records, as far as the source knows. What is queued is bounded by it.
    pub(crate) bytes: u64,
}

impl Origin {
    /// Records `first` to `last` (offsets, bytes, lines: as the source counts) of one split of a source.
    pub fn new(split: Arc<str>, first: u64, last: u64) -> Self {
        Self { split: Some(split), first, last, others: false, bytes: 0 }
    }

    /// Makes this the origin of its own records and those of `other`.
    pub fn merge(&mut self, other: &Origin) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.merge_places(other);
    }

    /// The same for some of the records of `other`, whose bytes are counted by who takes them.
    pub(crate) fn merge_places(&mut self, other: &Origin) {
        if self.split.is_none() {
            let bytes = self.bytes;
            self.clone_from(other);
            self.bytes = bytes;
        } else if self.split == other.split {
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
            self.others |= other.others;
        } else if other.split.is_some() {
            self.others = true;
        }
    }

    /// The same for a part of the records, which has so many bytes.
    pub(crate) fn of_part(&self, bytes: u64) -> Self {
        Self { bytes, ..self.clone() }
    }

    /// Whether nothing is known: the records were made by an operator out of its state.
    pub fn is_unknown(&self) -> bool {
        self.split.is_none()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.split {
            None => f.write_str("a record made from state"),
            Some(split) if self.first == self.last => write!(f, "record {} of {split}", self.first),
            Some(split) => write!(f, "a record within {} to {} of {split}", self.first, self.last),
        }?;
        if self.others { f.write_str(", or of another split read at the same time") } else { Ok(()) }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn origins_of_one_split_span_their_range() {
        let mut origin = Origin::new("words-0".into(), 10, 19);
        origin.merge(&Origin::new("words-0".into(), 20, 29));
        assert_eq!(origin.to_string(), "a record within 10 to 29 of words-0");
        origin.merge(&Origin::new("words-1".into(), 5, 5));
        assert_eq!(
            origin.to_string(),
            "a record within 10 to 29 of words-0, or of another split read at the same time"
        );
    }
}
