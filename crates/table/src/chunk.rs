//! The unit that travels: some rows in columns, each an addition or a retraction.
//!
//! A row is always the full row, also where it is retracted, so nothing depends on what stands next to what: the table that a stream
//! of chunks describes is the sum of its rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_arrays};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use thalweg_dataflow::record::{Divisible, Owners};

/// Some rows of a table's changelog.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{BooleanArray, Int32Array, RecordBatch};
/// use thalweg_table::chunk::Chunk;
///
/// let numbers = RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![1, 2])) as _)])?;
/// let chunk = Chunk::new(numbers, Some(BooleanArray::from(vec![false, true])));
/// assert!(!chunk.is_retraction(0) && chunk.is_retraction(1));
/// # Ok::<(), arrow::error::ArrowError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chunk {
    rows: RecordBatch,
    /// Of each row whether it is a retraction; without it, none is.
    retractions: Option<BooleanArray>,
    /// Of each row the hash of its key, on the way to whom owns it.
    hashes: Option<Arc<[u64]>>,
}

impl Chunk {
    /// These rows; `retractions` says which of them are taken back, absent if none is.
    pub fn new(rows: RecordBatch, retractions: Option<BooleanArray>) -> Self {
        debug_assert!(
            retractions.as_ref().is_none_or(|of| of.len() == rows.num_rows() && of.null_count() == 0)
        );
        let retractions = retractions.filter(|of| of.has_true());
        Self { rows, retractions, hashes: None }
    }

    /// Rows that are all added.
    pub fn additions(rows: RecordBatch) -> Self {
        Self { rows, retractions: None, hashes: None }
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Which rows are retractions; absent if none is.
    pub fn retractions(&self) -> Option<&BooleanArray> {
        self.retractions.as_ref()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether row `row` is taken back.
    #[inline]
    pub fn is_retraction(&self, row: usize) -> bool {
        self.retractions.as_ref().is_some_and(|of| of.value(row))
    }

    /// +1 or −1: what row `row` counts.
    #[inline]
    pub fn sign(&self, row: usize) -> i64 {
        if self.is_retraction(row) { -1 } else { 1 }
    }

    /// The same rows with other columns.
    ///
    /// # Errors
    /// If the columns do not fit the schema.
    pub fn with_columns(&self, schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Self, ArrowError> {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.len()));
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
        Ok(Self { rows, retractions: self.retractions.clone(), hashes: None })
    }

    /// The rows for which `keep` is true.
    ///
    /// # Errors
    /// If `keep` has another length.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self, ArrowError> {
        let rows = filter_record_batch(&self.rows, keep)?;
        let retractions = self.retractions.as_ref().map(|of| arrow::compute::filter(of, keep)).transpose()?;
        Ok(Self::new(rows, retractions.map(|of| BooleanArray::from(of.to_data()))))
    }

    /// The rows with these numbers, in this order.
    ///
    /// # Errors
    /// If there is no row of that number.
    pub fn take(&self, indices: &UInt32Array) -> Result<Self, ArrowError> {
        let columns = take_arrays(self.rows.columns(), indices, None)?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(indices.len()));
        let rows = RecordBatch::try_new_with_options(self.rows.schema(), columns, &options)?;
        let retractions =
            self.retractions.as_ref().map(|of| arrow::compute::take(of, indices, None)).transpose()?;
        Ok(Self::new(rows, retractions.map(|of| BooleanArray::from(of.to_data()))))
    }

    /// The rows that are added, without those that are taken back.
    ///
    /// # Errors
    /// None that a chunk gives rise to.
    pub fn only_additions(&self) -> Result<Self, ArrowError> {
        match &self.retractions {
            None => Ok(self.clone()),
            Some(of) => self.filter(&arrow::compute::not(of)?),
        }
    }

    /// The chunk with the hashes by which it is to be divided.
    #[must_use]
    pub fn with_hashes(mut self, hashes: Arc<[u64]>) -> Self {
        debug_assert_eq!(hashes.len(), self.len());
        self.hashes = Some(hashes);
        self
    }
}

impl Divisible for Chunk {
    fn divide(self, owners: &Owners, take: &mut dyn FnMut(usize, Self)) {
        let Some(hashes) = &self.hashes else {
            debug_assert!(false, "a chunk without hashes at a keyed exchange");
            return take(0, self);
        };
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); owners.targets()];
        for (row, hash) in hashes.iter().enumerate() {
            rows[owners.of(*hash)].push(row as u32);
        }
        for (target, rows) in rows.into_iter().enumerate() {
            if rows.len() == self.len() {
                return take(target, Self { hashes: None, ..self });
            }
            if rows.is_empty() {
                continue;
            }
            // Rows of this very chunk are there.
            if let Ok(part) = self.take(&UInt32Array::from(rows)) {
                take(target, part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;
    use thalweg_dataflow::hash::key_hash;

    use super::*;

    #[test]
    fn every_row_gets_to_its_owner_with_its_sign() {
        let numbers: Int32Array = (0..100).collect();
        let signs: BooleanArray = (0..100).map(|n| Some(n % 3 == 0)).collect();
        let rows = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap();
        let hashes: Arc<[u64]> = (0..100).map(|n: i32| key_hash(&n)).collect();
        let (owners, mut seen) = (Owners::new(128, 3), Vec::new());
        Chunk::new(rows, Some(signs)).with_hashes(hashes).divide(&owners, &mut |target, part| {
            let numbers = part.rows().column(0).as_any().downcast_ref::<Int32Array>().unwrap();
            for (row, n) in numbers.values().iter().enumerate() {
                assert_eq!(owners.of(key_hash(n)), target);
                assert_eq!(part.is_retraction(row), n % 3 == 0);
                seen.push(*n);
            }
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }
}
