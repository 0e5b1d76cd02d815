//! The rows of a chunk, by key: each key once, and for each row the number of its key.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take_arrays;
use arrow::error::ArrowError;
use hashbrown::HashTable;
use thalweg_dataflow::hash::key_hash;

use super::key_columns::{FixedKey, KeyColumns};
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// The hash of a key: where it is kept, and by whom.
#[inline]
pub(super) fn hash_of(key: &[u8]) -> u64 {
    key_hash(key)
}

/// The hash of the key of each row.
///
/// # Errors
/// If the columns have other types than `codec` is for.
pub(super) fn hashes(chunk: &Chunk, key: &[usize], codec: &RowCodec) -> Result<Vec<u64>, ArrowError> {
    if key.is_empty() {
        return Ok(vec![hash_of(&[]); chunk.len()]);
    }
    let columns: Vec<ArrayRef> = key.iter().map(|column| chunk.rows().column(*column).clone()).collect();
    if let Some(columns) = KeyColumns::of(&columns)
        && let Some(width) = columns.width()
    {
        let mut key = FixedKey::new(width);
        return Ok((0..chunk.len()).map(|row| hash_of(key.of(&columns, row))).collect());
    }
    Ok(codec.encode(&columns)?.iter().map(|row| hash_of(row.data())).collect())
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
        if key.is_empty() {
            let (keys, hashes) = (vec![RowBytes::default()], vec![hash_of(&[])]);
            return Ok(Self { keys, hashes, firsts: vec![0], group_of: vec![0; chunk.len()] });
        }
        let columns: Vec<ArrayRef> = key.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        match KeyColumns::of(&columns) {
            Some(own) => Self::by_values(&columns, &own, codec),
            None => Self::by_bytes(&columns, codec),
        }
    }

    /// By the values as they are: bytes are made of each key once.
    fn by_values(columns: &[ArrayRef], own: &KeyColumns, codec: &RowCodec) -> Result<Self, ArrowError> {
        let of_rows = own.hashes();
        let mut known: HashTable<u32> = HashTable::with_capacity(of_rows.len().min(1024));
        let (mut firsts, mut group_of): (Vec<u32>, _) = (Vec::new(), Vec::with_capacity(of_rows.len()));
        for (row, hash) in of_rows.iter().enumerate() {
            let same = |group: &u32| own.is_equal(firsts[*group as usize] as usize, row);
            let group = match known.find(*hash, same) {
                Some(group) => *group,
                None => {
                    let group = firsts.len() as u32;
                    firsts.push(row as u32);
                    known.insert_unique(*hash, group, |group| of_rows[firsts[*group as usize] as usize]);
                    group
                }
            };
            group_of.push(group);
        }
        let keys: Vec<RowBytes> = match own.width() {
            Some(width) => {
                let mut key = FixedKey::new(width);
                firsts.iter().map(|row| RowBytes::new(key.of(own, *row as usize))).collect()
            }
            None if firsts.len() == of_rows.len() => {
                codec.encode(columns)?.iter().map(|row| RowBytes::new(row.data())).collect()
            }
            None => {
                let each = take_arrays(columns, &UInt32Array::from(firsts.clone()), None)?;
                codec.encode(&each)?.iter().map(|row| RowBytes::new(row.data())).collect()
            }
        };
        let hashes = keys.iter().map(|key| hash_of(key)).collect();
        Ok(Self { keys, hashes, firsts, group_of })
    }

    fn by_bytes(columns: &[ArrayRef], codec: &RowCodec) -> Result<Self, ArrowError> {
        let (mut keys, mut hashes, mut firsts): (Vec<RowBytes>, Vec<u64>, Vec<u32>) = Default::default();
        let rows = codec.encode(columns)?;
        let mut known: HashTable<u32> = HashTable::new();
        let mut group_of = Vec::with_capacity(rows.num_rows());
        for (number, row) in rows.iter().enumerate() {
            let bytes = row.data();
            let hash = hash_of(bytes);
            let same = |group: &u32| hashes[*group as usize] == hash && *keys[*group as usize] == *bytes;
            let group = match known.find(hash, same) {
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

    /// The rows, key by key.
    pub(super) fn members(&self) -> Members {
        let mut ends = vec![0_u32; self.len()];
        self.group_of.iter().for_each(|group| ends[*group as usize] += 1);
        let mut total = 0;
        for end in &mut ends {
            // Where they begin, until all of them are there.
            total += std::mem::replace(end, total);
        }
        let mut rows = vec![0; self.group_of.len()];
        for (row, group) in (0_u32..).zip(&self.group_of) {
            let end = &mut ends[*group as usize];
            rows[*end as usize] = row;
            *end += 1;
        }
        Members { rows, ends }
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

/// The rows of a chunk, those of one key after those of the other, in their order.
pub(super) struct Members {
    rows: Vec<u32>,
    ends: Vec<u32>,
}

impl Members {
    /// Those of a key.
    pub(super) fn of(&self, group: usize) -> &[u32] {
        let begin = if group == 0 { 0 } else { self.ends[group - 1] };
        &self.rows[begin as usize..self.ends[group] as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Date32Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    };

    use super::*;

    /// Keys are found by their values, and by their bytes, the same way.
    #[test]
    fn values_are_grouped_as_their_bytes_are() {
        let every = |n: i64, by: i64| (n % by != 0).then_some(n % 7 - 3);
        let columns: Vec<ArrayRef> = vec![
            Arc::new((0..200).map(|n| every(n, 5)).collect::<Int64Array>()),
            Arc::new((0..200).map(|n| every(n, 3).map(|n| n as i32)).collect::<Int32Array>()),
            Arc::new((0..200).map(|n| Some(n % 2)).collect::<TimestampMillisecondArray>()),
            Arc::new((0..200).map(|n| every(n, 11).map(|n| n as i32)).collect::<Date32Array>()),
            Arc::new(
                (0..200)
                    .map(|n| every(n, 4).map(|n| "x".repeat(n.unsigned_abs() as usize)))
                    .collect::<StringArray>(),
            ),
        ];
        let named = columns.iter().enumerate().map(|(place, column)| (format!("c{place}"), column.clone()));
        let rows = RecordBatch::try_from_iter(named).unwrap();
        // From its middle, too, where columns do not begin at the beginning of their memory.
        for rows in [rows.clone(), rows.slice(17, 101)] {
            for key in [&[0][..], &[1, 2], &[4], &[0, 1, 2, 3], &[3, 4], &[0, 1, 2, 3, 4]] {
                let chunk = Chunk::additions(rows.clone());
                let codec = RowCodec::of_columns(&rows.schema(), key).unwrap();
                let columns: Vec<ArrayRef> = key.iter().map(|column| rows.column(*column).clone()).collect();
                let (by_values, by_bytes) = (
                    Grouping::new(&chunk, key, &codec).unwrap(),
                    Grouping::by_bytes(&columns, &codec).unwrap(),
                );
                assert_eq!(by_values.keys, by_bytes.keys, "{key:?}");
                assert_eq!(by_values.hashes, by_bytes.hashes);
                assert_eq!(by_values.firsts, by_bytes.firsts);
                assert_eq!(by_values.group_of, by_bytes.group_of);
                let members = by_values.members();
                for group in 0..by_values.len() {
                    let own = (0..chunk.len() as u32)
                        .filter(|row| by_values.group_of[*row as usize] == group as u32);
                    assert!(members.of(group).iter().copied().eq(own), "{key:?}");
                }
                let of_rows: Vec<u64> =
                    by_bytes.group_of.iter().map(|group| by_bytes.hashes[*group as usize]).collect();
                assert_eq!(hashes(&chunk, key, &codec).unwrap(), of_rows);
            }
        }
    }
}
