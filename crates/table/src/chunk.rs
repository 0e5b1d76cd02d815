//! The unit that travels: some rows in columns, each an addition or a retraction.
//!
//! A row is always the full row, also where it is retracted, so nothing depends on what stands next to what: the table that a stream
//! of chunks describes is the sum of its rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thalweg_dataflow::record::{Divisible, Owners};

use crate::needs::nothing;
use crate::rows::RowBytes;

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
        let columns =
            self.rows.columns().iter().map(|column| taken(column, indices)).collect::<Result<_, _>>()?;
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

/// The values of a column in rows of these numbers, NULL where there is no number. A column that nobody reads costs next to nothing.
pub(crate) fn taken(column: &ArrayRef, numbers: &UInt32Array) -> Result<ArrayRef, ArrowError> {
    match column.null_count() == column.len() {
        true => Ok(nothing(column.data_type(), numbers.len())),
        false => arrow::compute::take(column, numbers, None),
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

/// What is written of a chunk that is under way at a checkpoint: its rows in Arrow's IPC format, with their schema. Hashes follow from the rows.
#[derive(Serialize, Deserialize)]
struct Written {
    rows: RowBytes,
    retractions: Option<Vec<bool>>,
}

impl Serialize for Chunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let write = || {
            let mut writer = StreamWriter::try_new(Vec::new(), &self.rows.schema())?;
            writer.write(&self.rows)?;
            writer.into_inner()
        };
        let rows = RowBytes::new(&write().map_err(serde::ser::Error::custom)?);
        let retractions = self.retractions.as_ref().map(|of| of.iter().map(|of| of == Some(true)).collect());
        Written { rows, retractions }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Chunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { rows, retractions } = Written::deserialize(deserializer)?;
        let read = || StreamReader::try_new(&*rows, None)?.next().transpose();
        let rows = read().map_err(serde::de::Error::custom)?;
        let rows = rows.ok_or_else(|| serde::de::Error::custom("a chunk without rows"))?;
        let fits = retractions.as_ref().is_none_or(|of| of.len() == rows.num_rows());
        let retractions = retractions.filter(|_| fits).map(BooleanArray::from);
        if fits {
            Ok(Self::new(rows, retractions))
        } else {
            Err(serde::de::Error::custom("a chunk whose signs are not those of its rows"))
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;
    use thalweg_dataflow::hash::key_hash;

    use thalweg_dataflow::Output;
    use thalweg_dataflow::error::BoxError;
    use thalweg_dataflow::operator::Operator;
    use thalweg_dataflow::record::{Batch, Keyed};
    use thalweg_dataflow::state::States;
    use thalweg_testkit::Harness;

    use super::*;

    /// Keeps chunks in its state, and hands them out at the end.
    #[derive(Clone, Default)]
    struct Keep(Vec<Chunk>);

    impl Operator for Keep {
        type In = Keyed<u8, Chunk>;
        type Out = Chunk;

        fn states(&mut self, states: &mut States<'_>) {
            states.list("chunks", &mut self.0);
        }

        fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Chunk>) -> Result<(), BoxError> {
            self.0.extend(batch.records.drain(..).map(|record| record.value.value));
            Ok(())
        }

        fn end(&mut self, output: &mut Output<Chunk>) -> Result<(), BoxError> {
            self.0.drain(..).for_each(|chunk| output.push(chunk, 0));
            Ok(())
        }
    }

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

    #[test]
    fn a_chunk_comes_back_from_a_checkpoint_with_its_signs_and_without_columns_too() {
        let numbers: Int32Array = [Some(1), None, Some(3)].into_iter().collect();
        let rows =
            RecordBatch::try_from_iter_with_nullable([("n", Arc::new(numbers) as ArrayRef, true)]).unwrap();
        let signs = BooleanArray::from(vec![false, true, false]);
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(2));
        let none =
            RecordBatch::try_new_with_options(Arc::new(arrow::datatypes::Schema::empty()), vec![], &options);
        for chunk in [Chunk::new(rows, Some(signs)), Chunk::additions(none.unwrap())] {
            let mut harness = Harness::new(Keep::default());
            harness.push(Keyed::new(0, chunk.clone()), 0);
            harness.checkpoint(1);
            let mut harness = harness.restore(Keep::default(), 1);
            harness.end();
            let read = harness.values();
            assert_eq!(read[0].rows(), chunk.rows());
            assert_eq!(read[0].retractions(), chunk.retractions());
        }
    }
}
