//! Columns of a key as they are: compared and hashed without making bytes of every row.
//!
//! The bytes that state knows keys by ([`rows`](crate::rows)) are made of each key once in a chunk, and of keys of whole numbers and times
//! without Arrow's help.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use super::grouping::hash_of;

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// NULL, among the values that are hashed.
const NULL: u64 = 0x1319_8A2E_0370_7344;

/// One column.
struct KeyColumn {
    values: Values,
    nulls: Option<NullBuffer>,
}

pub(super) enum Values {
    /// Four bytes each.
    Ints(ScalarBuffer<i32>),
    /// Eight bytes each.
    Longs(ScalarBuffer<i64>),
    /// Where each begins, and after the last where it ends; and their bytes.
    Texts(ScalarBuffer<i32>, Buffer),
}

/// The columns of a key, if all of them are whole numbers, times, or texts.
pub(super) struct KeyColumns {
    columns: Vec<KeyColumn>,
    rows: usize,
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// A hash of a text, the same in every chunk and in no state. Most are short: such are read in two pieces, which may overlap.
#[inline]
fn hash_of_text(bytes: &[u8]) -> u64 {
    let long = |from: &[u8]| from.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let int = |from: &[u8]| from.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    let length = bytes.len();
    let (first, last) = match length {
        0..4 => match bytes {
            [] => (0, 0),
            [first, .., last] => (u64::from(*first) | u64::from(bytes[length / 2]) << 8, u64::from(*last)),
            [only] => (u64::from(*only), 0),
        },
        4..8 => (int(bytes), int(&bytes[length - 4..])),
        8..=16 => (long(bytes), long(&bytes[length - 8..])),
        _ => return hash_of(bytes),
    };
    fold(first ^ MULTIPLIER, last ^ NULL ^ (length as u64) << 56)
}

#[inline]
fn text<'a>(offsets: &[i32], bytes: &'a [u8], row: usize) -> &'a [u8] {
    &bytes[offsets[row] as usize..offsets[row + 1] as usize]
}

impl Values {
    /// The bytes of a row; of what is no text there are none.
    #[inline]
    pub(super) fn text(&self, row: usize) -> &[u8] {
        match self {
            Self::Texts(offsets, bytes) => text(offsets, bytes, row),
            _ => &[],
        }
    }
}

impl KeyColumn {
    fn of(column: &ArrayRef) -> Option<Self> {
        let (data, rows) = (column.to_data(), column.len());
        let buffer = || data.buffers().first().cloned();
        let values = match column.data_type() {
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) => {
                Values::Ints(ScalarBuffer::new(buffer()?, data.offset(), rows))
            }
            DataType::Int64 | DataType::Timestamp(..) | DataType::Time64(_) => {
                Values::Longs(ScalarBuffer::new(buffer()?, data.offset(), rows))
            }
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                Values::Texts(texts.offsets().inner().clone(), texts.values().clone())
            }
            DataType::Binary => {
                let bytes = column.as_binary::<i32>();
                Values::Texts(bytes.offsets().inner().clone(), bytes.values().clone())
            }
            _ => return None,
        };
        Some(Self { values, nulls: column.nulls().filter(|nulls| nulls.null_count() > 0).cloned() })
    }

    #[inline]
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Mixes the values of this column into the hashes of the rows.
    fn mix(&self, hashes: &mut [u64]) {
        let mix = |hash: &mut u64, value: u64| *hash = fold(*hash ^ value, MULTIPLIER);
        match &self.values {
            Values::Ints(values) if self.nulls.is_none() => {
                hashes.iter_mut().zip(&**values).for_each(|(hash, n)| mix(hash, *n as u64));
            }
            Values::Longs(values) if self.nulls.is_none() => {
                hashes.iter_mut().zip(&**values).for_each(|(hash, n)| mix(hash, *n as u64));
            }
            values => {
                for (row, hash) in hashes.iter_mut().enumerate() {
                    let value = match values {
                        _ if self.is_null(row) => NULL,
                        Values::Ints(values) => values[row] as u64,
                        Values::Longs(values) => values[row] as u64,
                        Values::Texts(offsets, bytes) => hash_of_text(text(offsets, bytes, row)),
                    };
                    mix(hash, value);
                }
            }
        }
    }

    #[inline]
    fn is_equal(&self, one: usize, other: usize) -> bool {
        if self.nulls.is_some() && (self.is_null(one) || self.is_null(other)) {
            return self.is_null(one) && self.is_null(other);
        }
        match &self.values {
            Values::Ints(values) => values[one] == values[other],
            Values::Longs(values) => values[one] == values[other],
            Values::Texts(offsets, bytes) => text(offsets, bytes, one) == text(offsets, bytes, other),
        }
    }
}

impl KeyColumns {
    /// These columns; none if one of them has to be made bytes of to be compared.
    pub(super) fn of(columns: &[ArrayRef]) -> Option<Self> {
        let rows = columns.first()?.len();
        Some(Self { columns: columns.iter().map(KeyColumn::of).collect::<Option<_>>()?, rows })
    }

    /// Whether columns of this type are taken as they are.
    pub(super) fn takes(of: &DataType) -> bool {
        use DataType as T;
        matches!(
            of,
            T::Int32
                | T::Date32
                | T::Time32(_)
                | T::Int64
                | T::Timestamp(..)
                | T::Time64(_)
                | T::Utf8
                | T::Binary
        )
    }

    /// A hash of each row, the same in every chunk.
    pub(super) fn hashes(&self) -> Vec<u64> {
        let mut hashes = vec![0x243F_6A88_85A3_08D3; self.rows];
        self.columns.iter().for_each(|column| column.mix(&mut hashes));
        hashes
    }

    /// The values of a column, and whether there is NULL in a row.
    #[inline]
    pub(super) fn at(&self, column: usize, row: usize) -> (&Values, bool) {
        let column = &self.columns[column];
        (&column.values, column.is_null(row))
    }

    /// Whether two rows have the same key.
    #[inline]
    pub(super) fn is_equal(&self, one: usize, other: usize) -> bool {
        self.columns.iter().all(|column| column.is_equal(one, other))
    }

    /// How many bytes each key has, if all have as many, and not too many.
    pub(super) fn width(&self) -> Option<usize> {
        let of = |column: &KeyColumn| match column.values {
            Values::Ints(_) => Some(5),
            Values::Longs(_) => Some(9),
            Values::Texts(..) => None,
        };
        self.columns.iter().map(of).sum::<Option<usize>>().filter(|width| *width <= FixedKey::MOST)
    }
}

/// The bytes of keys that all have as many.
pub(super) struct FixedKey {
    bytes: [u8; Self::MOST],
    width: usize,
}

impl FixedKey {
    const MOST: usize = 48;

    /// For keys of so many bytes.
    pub(super) fn new(width: usize) -> Self {
        Self { bytes: [0; Self::MOST], width: width.min(Self::MOST) }
    }

    /// The bytes of the key of a row: as Arrow's row format has them, ascending and NULLs first.
    #[inline]
    pub(super) fn of(&mut self, columns: &KeyColumns, row: usize) -> &[u8] {
        let mut at = 0;
        for column in &columns.columns {
            let null = column.is_null(row);
            self.bytes[at] = u8::from(!null);
            // The bit of the sign is turned over, so that what is negative comes first. In place of nothing there are zeros.
            match &column.values {
                Values::Ints(values) => {
                    let bits = if null { 0 } else { values[row] as u32 ^ (1 << 31) };
                    self.bytes[at + 1..at + 5].copy_from_slice(&bits.to_be_bytes());
                    at += 5;
                }
                Values::Longs(values) => {
                    let bits = if null { 0 } else { values[row] as u64 ^ (1 << 63) };
                    self.bytes[at + 1..at + 9].copy_from_slice(&bits.to_be_bytes());
                    at += 9;
                }
                // Of texts keys have no width.
                Values::Texts(..) => {}
            }
        }
        &self.bytes[..self.width]
    }
}
