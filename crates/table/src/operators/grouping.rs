//! The rows of a chunk, by key: each key once, and for each row the number of its key.

use arrow::array::ArrayRef;
use arrow::error::ArrowError;
use hashbrown::HashTable;
use thalweg_dataflow::hash::key_hash;

use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// The hash of a key: where it is kept, and by whom.
#[inline]
pub(super) fn hash_of(key: &[u8]) -> u64 {
    key_hash(key)
}

/// The keys of a chunk.
pub struct Grouping {
    /// The keys, in the order in which they first came.
    pub keys: Vec<RowBytes>,
    /// The hash of each.
    pub hashes: Vec<u64>,
    /// The first row of each.
    pub firsts: Vec<u32>,
    /// For each row the number of its key.
    pub group_of: Vec<u32>,
}

impl Grouping {
    /// Groups the rows of a chunk by these columns.
    ///
    /// # Errors
    /// If the columns have other types than `codec` is for.
    pub fn new(chunk: &Chunk, key: &[usize], codec: &RowCodec) -> Result<Self, ArrowError> {
        let (mut keys, mut hashes, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        if key.is_empty() {
            keys.push(RowBytes::default());
            hashes.push(hash_of(&[]));
            firsts.push(0);
            return Ok(Self { keys, hashes, firsts, group_of: vec![0; chunk.len()] });
        }
        let columns: Vec<ArrayRef> = key.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let rows = codec.encode(&columns)?;
        let mut known: HashTable<u32> = HashTable::new();
        let mut group_of = Vec::with_capacity(chunk.len());
        for (number, row) in rows.iter().enumerate() {
            let bytes = row.data();
            let hash = hash_of(bytes);
            let found =
                known.find(hash, |group| hashes[*group as usize] == hash && *keys[*group as usize] == *bytes);
            let group = match found {
                Some(group) => *group,
                None => {
                    let group = keys.len() as u32;
                    keys.push(RowBytes::new(bytes));
                    hashes.push(hash);
                    firsts.push(number as u32);
                    known.insert_unique(hash, group, |group| hashes[*group as usize]);
                    group
                }
            };
            group_of.push(group);
        }
        Ok(Self { keys, hashes, firsts, group_of })
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
