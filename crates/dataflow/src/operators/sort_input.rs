//! `sort_input`: all records of a bounded stream, key by key, each key's in the order of their times: the input of keyed operators in batch mode.
//!
//! - **Records** are collected, in memory; those of one key and time keep their order.
//! - **The last watermark** hands them on, sorted, and passes. Others are dropped: in batch mode there are none.
//! - **Barriers, the end**: pass.
//! - **State**: none. A job in batch mode has no checkpoints; it is run again.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::SortInput;
//! use thalweg_dataflow::record::Keyed;
//!
//! let mut harness = Harness::new(SortInput::new());
//! for (key, n) in [('a', 3), ('b', 1), ('a', 1)] {
//!     harness.push(Keyed::new(key, n), n);
//! }
//! assert!(harness.values().is_empty());
//! harness.end();
//! let sorted: Vec<(char, i64)> = harness.values().into_iter().map(|keyed| (keyed.key, keyed.value)).collect();
//! assert!(sorted == [('a', 1), ('a', 3), ('b', 1)] || sorted == [('b', 1), ('a', 1), ('a', 3)]);
//! ```

use crate::error::BoxError;
use crate::operator::{Cancelled, Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Keyed, Record};
use crate::state::Key;
use crate::time::{MAX_WATERMARK, Timestamp};

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct SortInput<K, T> {
    records: Vec<Record<Keyed<K, T>>>,
    cancelled: Cancelled,
}

impl<K, T> Default for SortInput<K, T> {
    fn default() -> Self {
        Self { records: Vec::new(), cancelled: Cancelled::default() }
    }
}

impl<K: Key, T> SortInput<K, T> {
    /// Sorts by the hash of the key, then by time.
    pub fn new() -> Self {
        Self::default()
    }
}

/// So many records are handed on between two looks for a cancel.
const LOOK: usize = 10_000;

impl<K: Key, T: Send + 'static> Operator for SortInput<K, T> {
    type In = Keyed<K, T>;
    type Out = Keyed<K, T>;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.cancelled = context.cancelled.clone();
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Self::Out>) -> Result<(), BoxError> {
        self.records.append(&mut batch.records);
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Self::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if watermark != MAX_WATERMARK {
            return Ok(None);
        }
        let mut records = std::mem::take(&mut self.records);
        // Two keys of one hash, one in eighteen quintillions, would be mixed, which does no harm: each key's records are in order.
        records.sort_by_key(|record| (record.value.hash, record.timestamp));
        for (n, Record { value, timestamp }) in records.into_iter().enumerate() {
            if n % LOOK == 0 {
                self.cancelled.check()?;
            }
            output.push(value, timestamp);
        }
        Ok(Some(watermark))
    }
}
