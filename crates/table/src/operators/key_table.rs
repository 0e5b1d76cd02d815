//! Keys that have been seen, each with a number, over many chunks: columns of them, and a table from the values of a row to its number.
//!
//! Keys of whole numbers, times and texts are kept as they are; of others there are the bytes of their rows ([`rows`](crate::rows)).

use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, BinaryArray, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use hashbrown::HashTable;

use super::key_columns::{KeyColumns, Values};
use crate::rows::RowCodec;

/// The keys. Numbers are given from 0 on, in the order in which keys first come.
#[derive(Clone)]
pub(super) struct KeyTable {
    plan: Arc<Plan>,
    /// One for each column, or one of bytes.
    columns: Vec<Kept>,
    known: HashTable<u32>,
    hashes: Vec<u64>,
}

struct Plan {
    types: Vec<DataType>,
    codec: RowCodec,
    /// Whether keys are kept as they are.
    as_they_are: bool,
}

/// The values of one column, a place for each key.
#[derive(Clone)]
enum Kept {
    Ints(Vec<i32>, Nulls),
    Longs(Vec<i64>, Nulls),
    /// Where each ends, and their bytes.
    Texts(Vec<i32>, Vec<u8>, Nulls),
}

/// Which places hold NULL: up to the last of them.
#[derive(Clone, Default)]
struct Nulls(Vec<bool>);

impl Nulls {
    #[inline]
    fn is_null(&self, place: usize) -> bool {
        self.0.get(place).is_some_and(|null| *null)
    }

    fn set(&mut self, place: usize) {
        self.0.resize(place, false);
        self.0.push(true);
    }

    fn buffer(&self, length: usize) -> Option<NullBuffer> {
        (!self.0.is_empty()).then(|| (0..length).map(|place| !self.is_null(place)).collect())
    }
}

impl Kept {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) => {
                Self::Ints(Vec::new(), Nulls::default())
            }
            DataType::Utf8 | DataType::Binary => Self::Texts(Vec::new(), Vec::new(), Nulls::default()),
            _ => Self::Longs(Vec::new(), Nulls::default()),
        }
    }

    fn nulls(&mut self) -> &mut Nulls {
        match self {
            Self::Ints(_, nulls) | Self::Longs(_, nulls) | Self::Texts(_, _, nulls) => nulls,
        }
    }

    #[inline]
    fn is_equal(&self, place: usize, own: &KeyColumns, column: usize, row: usize) -> bool {
        let (values, is_null) = own.at(column, row);
        let (Self::Ints(_, nulls) | Self::Longs(_, nulls) | Self::Texts(_, _, nulls)) = self;
        if is_null || nulls.is_null(place) {
            return is_null && nulls.is_null(place);
        }
        match (self, values) {
            (Self::Ints(kept, _), Values::Ints(values)) => kept[place] == values[row],
            (Self::Longs(kept, _), Values::Longs(values)) => kept[place] == values[row],
            (Self::Texts(ends, bytes, _), Values::Texts(..)) => {
                let start = if place == 0 { 0 } else { ends[place - 1] as usize };
                bytes[start..ends[place] as usize] == *values.text(row)
            }
            _ => false,
        }
    }

    fn push(&mut self, place: usize, own: &KeyColumns, column: usize, row: usize) {
        let (values, is_null) = own.at(column, row);
        if is_null {
            self.nulls().set(place);
        }
        match (self, values) {
            (Self::Ints(kept, _), Values::Ints(values)) => kept.push(values[row]),
            (Self::Longs(kept, _), Values::Longs(values)) => kept.push(values[row]),
            (Self::Texts(ends, bytes, _), values) => {
                if !is_null {
                    bytes.extend_from_slice(values.text(row));
                }
                ends.push(bytes.len() as i32);
            }
            // Columns are of the types that this was made for.
            (Self::Ints(kept, _), _) => kept.push(0),
            (Self::Longs(kept, _), _) => kept.push(0),
        }
    }

    /// The values as a column of this type.
    fn into_array(self, data_type: &DataType, length: usize) -> Result<ArrayRef, ArrowError> {
        let data = ArrayData::builder(data_type.clone()).len(length);
        let (data, nulls) = match self {
            Self::Ints(values, nulls) => (data.add_buffer(Buffer::from_vec(values)), nulls),
            Self::Longs(values, nulls) => (data.add_buffer(Buffer::from_vec(values)), nulls),
            Self::Texts(mut ends, bytes, nulls) => {
                ends.insert(0, 0);
                (data.add_buffer(Buffer::from_vec(ends)).add_buffer(Buffer::from_vec(bytes)), nulls)
            }
        };
        Ok(make_array(data.nulls(nulls.buffer(length)).build()?))
    }
}

impl KeyTable {
    /// For keys of these types.
    ///
    /// # Errors
    /// If values of a type can be no key.
    pub(super) fn new(types: Vec<DataType>) -> Result<Self, ArrowError> {
        let as_they_are = !types.is_empty() && types.iter().all(KeyColumns::takes);
        let codec = RowCodec::new(&types)?;
        let plan = Arc::new(Plan { types, codec, as_they_are });
        let columns = plan.columns();
        Ok(Self { plan, columns, known: HashTable::new(), hashes: Vec::new() })
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The number of the key of each row, for all rows, in `groups`.
    ///
    /// # Errors
    /// If the columns have other types.
    pub(super) fn add(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        groups: &mut Vec<u32>,
    ) -> Result<(), ArrowError> {
        groups.clear();
        groups.reserve(rows);
        let Self { plan, columns: kept, known, hashes } = self;
        let bytes: ArrayRef;
        let own = if plan.as_they_are {
            KeyColumns::of(columns)
        } else if plan.types.is_empty() {
            if hashes.is_empty() && rows > 0 {
                hashes.push(0);
            }
            groups.resize(rows, 0);
            return Ok(());
        } else {
            let encoded: BinaryArray = plan.codec.encode(columns)?.try_into_binary()?;
            bytes = Arc::new(encoded);
            KeyColumns::of(std::slice::from_ref(&bytes))
        };
        let own = own.ok_or_else(|| ArrowError::SchemaError("columns of a key have other types".into()))?;
        let of_rows = own.hashes();
        for (row, hash) in of_rows.into_iter().enumerate() {
            let same = |place: &u32| {
                hashes[*place as usize] == hash
                    && kept
                        .iter()
                        .enumerate()
                        .all(|(column, kept)| kept.is_equal(*place as usize, &own, column, row))
            };
            let place = match known.find(hash, same) {
                Some(place) => *place,
                None => {
                    let place = hashes.len();
                    kept.iter_mut()
                        .enumerate()
                        .for_each(|(column, kept)| kept.push(place, &own, column, row));
                    hashes.push(hash);
                    known.insert_unique(hash, place as u32, |place| hashes[*place as usize]);
                    place as u32
                }
            };
            groups.push(place);
        }
        Ok(())
    }

    /// Takes out all keys, in columns, in the order of their numbers.
    ///
    /// # Errors
    /// None that keys give rise to.
    pub(super) fn take(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let length = self.hashes.len();
        self.known.clear();
        self.hashes.clear();
        let kept = std::mem::replace(&mut self.columns, self.plan.columns());
        if self.plan.as_they_are {
            let each = kept.into_iter().zip(&self.plan.types);
            return each.map(|(kept, data_type)| kept.into_array(data_type, length)).collect();
        }
        let Some(Kept::Texts(ends, bytes, _)) = kept.into_iter().next() else { return Ok(Vec::new()) };
        let starts = std::iter::once(0).chain(ends.iter().copied());
        self.plan.codec.decode(starts.zip(&ends).map(|(start, end)| &bytes[start as usize..*end as usize]))
    }
}

impl Plan {
    fn columns(&self) -> Vec<Kept> {
        match self.as_they_are {
            true => self.types.iter().map(Kept::of).collect(),
            false if self.types.is_empty() => Vec::new(),
            false => vec![Kept::of(&DataType::Binary)],
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray,
    };
    use arrow::compute::take;

    use super::*;

    /// Whatever the types: the key of a row's number is the key of the row, and no two numbers have the same.
    #[test]
    fn a_number_stands_for_a_key() {
        let every = |n: i64, by: i64| (n % by != 0).then_some(n % 7 - 3);
        let texts = |n: i64| every(n, 4).map(|n| "x".repeat(n.unsigned_abs() as usize));
        let columns: Vec<ArrayRef> = vec![
            Arc::new((0..300).map(|n| every(n, 5)).collect::<Int64Array>()),
            Arc::new((0..300).map(|n| every(n, 3).map(|n| n as i32)).collect::<Int32Array>()),
            Arc::new((0..300).map(|n| Some(n % 2)).collect::<TimestampMillisecondArray>()),
            Arc::new((0..300).map(|n| every(n, 11).map(|n| n as i32)).collect::<Date32Array>()),
            Arc::new((0..300).map(texts).collect::<StringArray>()),
            Arc::new((0..300).map(|n| every(n, 6).map(|n| n > 0)).collect::<BooleanArray>()),
        ];
        for key in [&[0][..], &[1, 2], &[4], &[5], &[0, 1, 2, 3], &[3, 4], &[0, 1, 2, 3, 4, 5], &[]] {
            let of: Vec<ArrayRef> = key.iter().map(|column| columns[*column].clone()).collect();
            let types: Vec<DataType> = of.iter().map(|column| column.data_type().clone()).collect();
            let codec = RowCodec::new(&types).unwrap();
            let mut table = KeyTable::new(types).unwrap();
            // Twice: after it was emptied it begins anew.
            for _ in 0..2 {
                let mut groups = Vec::new();
                for part in [0..120, 120..121, 121..300] {
                    let columns: Vec<ArrayRef> =
                        of.iter().map(|column| column.slice(part.start, part.len())).collect();
                    let mut own = Vec::new();
                    table.add(&columns, part.len(), &mut own).unwrap();
                    groups.extend(own);
                }
                let count = table.len();
                let keys = table.take().unwrap();
                assert_eq!(keys.len(), key.len());
                if key.is_empty() {
                    assert_eq!((count, groups), (1, vec![0; 300]));
                    continue;
                }
                let places = arrow::array::UInt32Array::from(groups);
                for (kept, column) in keys.iter().zip(&of) {
                    assert_eq!(&take(kept, &places, None).unwrap(), column, "{key:?}");
                }
                let rows = codec.encode(&keys).unwrap();
                let different: std::collections::BTreeSet<_> = rows.iter().map(|row| row.owned()).collect();
                assert_eq!(different.len(), count, "{key:?}");
            }
        }
    }
}
