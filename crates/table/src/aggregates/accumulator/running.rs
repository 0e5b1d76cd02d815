//! Results of accumulators that go on: one row after the other, and a column in the end.

use arrow::array::ArrayRef;
use arrow::compute::concat;
use arrow::error::ArrowError;

use super::super::Function;
use super::{Accumulator, Aggregation};

/// The results of one call, row by row, while what it gathers changes from row to row.
#[derive(Default)]
pub struct Running {
    /// What gives the results, where that is small.
    kept: Vec<Accumulator>,
    /// The results, where it is not.
    made: Vec<ArrayRef>,
}

impl Running {
    /// What `accumulator` comes to now, for the next `times` rows.
    ///
    /// # Errors
    /// If what was kept cannot be read.
    pub fn push(
        &mut self,
        aggregation: &Aggregation,
        accumulator: &Accumulator,
        times: usize,
    ) -> Result<(), ArrowError> {
        match aggregation.small(accumulator) {
            Some(small) => self.kept.extend(std::iter::repeat_n(small, times)),
            None => {
                let result = aggregation.results(&[accumulator])?;
                self.made.extend(std::iter::repeat_n(result, times));
            }
        }
        Ok(())
    }

    /// All results, as a column.
    ///
    /// # Errors
    /// If what was kept cannot be read.
    pub fn finish(self, aggregation: &Aggregation) -> Result<ArrayRef, ArrowError> {
        match self.made.is_empty() {
            true => aggregation.results(&self.kept.iter().collect::<Vec<_>>()),
            false => concat(&self.made.iter().map(|result| &**result).collect::<Vec<_>>()),
        }
    }
}

impl Aggregation {
    /// An accumulator that gives the same result and is small, if there is one.
    fn small(&self, of: &Accumulator) -> Option<Accumulator> {
        use Function::{Count, FirstValue, LastValue, Max, Min};
        match (of, self.function) {
            (Accumulator::Counted(_) | Accumulator::List(_), Min | Max | FirstValue | LastValue) => {
                Some(Accumulator::One(self.one(of).cloned()))
            }
            (Accumulator::Distinct(values), Count) => Some(Accumulator::Count(values.len())),
            (
                Accumulator::Counted(_)
                | Accumulator::List(_)
                | Accumulator::Made(_)
                | Accumulator::Distinct(_),
                _,
            ) => None,
            (small, _) => Some(small.clone()),
        }
    }
}
