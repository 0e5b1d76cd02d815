//! `aggregate`: for each key, an aggregate of all its records so far; a result with every record.
//!
//! - **Records** are added to their key's accumulator; the result is emitted with the record's event time.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `accumulator`: of each key its accumulator.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::Aggregate;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::window::aggregate::Average;
//!
//! let mean = Aggregate::new(Average::new(|n: &f64| *n), |key: &char, mean| (*key, mean));
//! let mut harness = Harness::new(mean);
//! harness.push(Keyed::new('a', 1.0), 0);
//! harness.push(Keyed::new('a', 2.0), 0);
//! assert_eq!(harness.values(), [('a', Some(1.0)), ('a', Some(1.5))]);
//! ```

use std::marker::PhantomData;

use crate::error::BoxError;
use crate::operator::Operator;
use crate::output::Output;
use crate::record::{Batch, Keyed, Record};
use crate::state::{Key, KeyedTable, States};
use crate::time::{MAX_WATERMARK, Timestamp};
use crate::type_name::own_name;
use crate::window::aggregate::AggregateFunction;

/// The operator. See the [module](self).
#[derive(Clone, Debug)]
pub struct Aggregate<K, A: AggregateFunction, R, Out> {
    accumulators: KeyedTable<K, A::Accumulator>,
    aggregate: A,
    result: R,
    at_end: bool,
    out: PhantomData<fn() -> Out>,
}

impl<K: Key, A: AggregateFunction, R: FnMut(&K, A::Out) -> Out, Out> Aggregate<K, A, R, Out> {
    /// Aggregates by `aggregate`; `result` makes a record of a key and its result.
    pub fn new(aggregate: A, result: R) -> Self {
        Self { accumulators: KeyedTable::default(), aggregate, result, at_end: false, out: PhantomData }
    }

    /// Emits each key's result once, at the last watermark, if `at_end`: for jobs in batch mode.
    #[must_use]
    pub fn emitting_at_end(self, at_end: bool) -> Self {
        Self { at_end, ..self }
    }
}

impl<K, A, R, Out> Operator for Aggregate<K, A, R, Out>
where
    K: Key,
    A: AggregateFunction,
    R: FnMut(&K, A::Out) -> Out + Send + 'static,
    Out: Send + 'static,
{
    type In = Keyed<K, A::In>;
    type Out = Out;

    fn identity(&self) -> String {
        own_name::<A>().to_owned()
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("accumulator", &mut self.accumulators);
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<Out>) -> Result<(), BoxError> {
        let Self { accumulators, aggregate, result, at_end, .. } = self;
        for Record { value: Keyed { hash, key, value }, timestamp } in batch.records.drain(..) {
            let (key, accumulator) =
                accumulators.entry(hash, key).or_insert_pair(|| aggregate.create_accumulator());
            aggregate.add(accumulator, value);
            if !*at_end {
                output.push(result(key, aggregate.get_result(accumulator)), timestamp);
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if self.at_end && watermark == MAX_WATERMARK {
            for (key, accumulator) in self.accumulators.drain() {
                output.push((self.result)(&key, self.aggregate.get_result(&accumulator)), MAX_WATERMARK - 1);
            }
        }
        Ok(Some(watermark))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::Harness;
    use crate::window::aggregate::{Count, Max};

    proptest! {
        #[test]
        fn running_results_survive_a_restore(
            records in prop::collection::vec((any::<u8>(), -9_i64..9), 1..100),
            cut in 0_usize..100,
            parallelism in 1_usize..5,
        ) {
            let aggregate = || {
                Aggregate::new((Count::new(), Max::new(|n: &i64| *n)), |key: &u8, (n, max)| (*key, n, max))
            };
            let mut model: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
            let mut harness = Harness::new(aggregate());
            for (index, (key, value)) in records.into_iter().enumerate() {
                if index == cut {
                    harness = harness.restore(aggregate(), parallelism);
                }
                harness.push(Keyed::new(key, value), 0);
                let values = model.entry(key).or_default();
                values.push(value);
                prop_assert_eq!(harness.values(), [(key, values.len() as u64, values.iter().max().copied())]);
            }
        }
    }
}
