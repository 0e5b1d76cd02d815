//! Aggregates: what a window, or a running aggregation, keeps of the records of a key.

pub mod average;
pub mod count;
pub mod elements;
pub mod extremum;
pub mod field;
pub mod reduce;
pub mod sum;

pub use average::Average;
pub use count::Count;
pub use elements::Elements;
pub use extremum::{Max, Min};
pub use field::{CombineFields, FieldAggregate};
pub use reduce::ReduceAggregate;
pub use sum::Sum;

use crate::record::Data;
use crate::state::StateData;

/// Aggregates values step by step (Flink's `AggregateFunction`).
///
/// ```
/// use thalweg_dataflow::window::aggregate::AggregateFunction;
///
/// /// The number of distinct letters that words begin with.
/// #[derive(Clone)]
/// struct Initials;
///
/// impl AggregateFunction for Initials {
///     type In = &'static str;
///     type Accumulator = std::collections::BTreeSet<char>;
///     type Out = usize;
///
///     fn create_accumulator(&mut self) -> Self::Accumulator {
///         Self::Accumulator::new()
///     }
///     fn add(&mut self, accumulator: &mut Self::Accumulator, word: Self::In) {
///         accumulator.extend(word.chars().next());
///     }
///     fn merge(&mut self, mut a: Self::Accumulator, b: Self::Accumulator) -> Self::Accumulator {
///         a.extend(b);
///         a
///     }
///     fn get_result(&mut self, accumulator: &Self::Accumulator) -> usize {
///         accumulator.len()
///     }
/// }
/// let mut accumulator = Initials.create_accumulator();
/// ["deep", "fast", "dark"].into_iter().for_each(|word| Initials.add(&mut accumulator, word));
/// assert_eq!(Initials.get_result(&accumulator), 2);
/// ```
pub trait AggregateFunction: Clone + Send + 'static {
    /// What is aggregated.
    type In: Data;
    /// What is kept.
    type Accumulator: StateData;
    /// What comes out.
    type Out;

    /// Whether the result is the same in whatever order values are added and accumulators merged, as that of a sum is.
    ///
    /// Sliding windows then keep an accumulator for each stretch of time that they have in common, and merge those when they
    /// fire. Otherwise each window has its own, to which values are added in the order of arrival; so does a session that is
    /// joined out of several: it is merged out of runs of values, in the order of arrival. To be on the safe side, that is
    /// how it is unless an aggregate says otherwise.
    const COMMUTATIVE: bool = false;

    /// The accumulator of nothing.
    fn create_accumulator(&mut self) -> Self::Accumulator;

    /// Adds a value.
    fn add(&mut self, accumulator: &mut Self::Accumulator, value: Self::In);

    /// The accumulator of what went into either: into `a` first, unless the aggregate is [commutative](Self::COMMUTATIVE). Sliding
    /// and session windows need it.
    fn merge(&mut self, a: Self::Accumulator, b: Self::Accumulator) -> Self::Accumulator;

    /// The result of what went in. The accumulator may grow after that, and be asked again.
    fn get_result(&mut self, accumulator: &Self::Accumulator) -> Self::Out;
}

/// Two aggregates of the same values, side by side.
impl<A, B> AggregateFunction for (A, B)
where
    A: AggregateFunction,
    B: AggregateFunction<In = A::In>,
{
    type In = A::In;
    type Accumulator = (A::Accumulator, B::Accumulator);
    type Out = (A::Out, B::Out);
    const COMMUTATIVE: bool = A::COMMUTATIVE && B::COMMUTATIVE;

    fn create_accumulator(&mut self) -> Self::Accumulator {
        (self.0.create_accumulator(), self.1.create_accumulator())
    }

    #[inline]
    fn add(&mut self, accumulator: &mut Self::Accumulator, value: Self::In) {
        self.0.add(&mut accumulator.0, value.clone());
        self.1.add(&mut accumulator.1, value);
    }

    fn merge(&mut self, a: Self::Accumulator, b: Self::Accumulator) -> Self::Accumulator {
        (self.0.merge(a.0, b.0), self.1.merge(a.1, b.1))
    }

    fn get_result(&mut self, accumulator: &Self::Accumulator) -> Self::Out {
        (self.0.get_result(&accumulator.0), self.1.get_result(&accumulator.1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn result_of<A: AggregateFunction<In = i64>>(mut aggregate: A, values: &[i64], split: usize) -> A::Out {
        let mut of = |values: &[i64]| {
            let mut accumulator = aggregate.create_accumulator();
            values.iter().for_each(|value| aggregate.add(&mut accumulator, *value));
            accumulator
        };
        let (left, right) = values.split_at(split % (values.len() + 1));
        let (left, right) = (of(left), of(right));
        let merged = aggregate.merge(left, right);
        aggregate.get_result(&merged)
    }

    proptest! {
        #[test]
        fn parts_make_the_whole(values in prop::collection::vec(-99_i64..99, 0..20), split in 0_usize..21) {
            let sum: i64 = values.iter().sum();
            let mean = (!values.is_empty()).then(|| sum as f64 / values.len() as f64);
            prop_assert_eq!(result_of(Count::new(), &values, split), values.len() as u64);
            prop_assert_eq!(result_of(Sum::new(|n: &i64| *n), &values, split), (!values.is_empty()).then_some(sum));
            prop_assert_eq!(result_of(Min::new(|n: &i64| *n), &values, split), values.iter().min().copied());
            prop_assert_eq!(result_of(Max::new(|n: &i64| *n), &values, split), values.iter().max().copied());
            prop_assert_eq!(result_of(ReduceAggregate::new(|a: i64, b: i64| a + b), &values, split), (!values.is_empty()).then_some(sum));
            prop_assert_eq!(result_of(Elements::new(), &values, split), values.clone());
            let average = result_of(Average::new(|n: &i64| *n as f64), &values, split);
            prop_assert_eq!(average.map(|a| (a * 1e6).round()), mean.map(|a| (a * 1e6).round()));
            prop_assert_eq!(result_of((Count::new(), Min::new(|n: &i64| *n)), &values, split).0, values.len() as u64);
        }
    }
}
