//! One result for each batch of a stream without keys: `count`, `reduce`, `count_by_value`.
//!
//! Every subtask reduces its share of the batch as it arrives; one brings the shares together when the batch
//! closes.

use thalweg_dataflow::operators::BatchFold;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::{Key, StateData};

use crate::DStream;

impl<T: Data> DStream<T> {
    /// One record for each batch: how many records it has, 0 for an empty one.
    pub fn count(&self) -> DStream<u64> {
        self.count_for("")
    }

    /// The same, as a part of an operation: `what` tells it from others.
    pub(crate) fn count_for(&self, what: &str) -> DStream<u64> {
        self.fold("count", what, 0_u64, |n, _| n + 1, |a, b| a + b)
    }

    /// One record for each batch that is not empty: its records combined by `function`, which must be
    /// associative and commutative.
    #[must_use]
    pub fn reduce(&self, function: impl FnMut(T, T) -> T + Clone + Send + 'static) -> Self
    where
        T: StateData,
    {
        self.reduce_for("", function)
    }

    /// The same, as a part of an operation: `what` tells it from others.
    pub(crate) fn reduce_for(
        &self,
        what: &str,
        mut function: impl FnMut(T, T) -> T + Clone + Send + 'static,
    ) -> Self
    where
        T: StateData,
    {
        let mut merge = function.clone();
        let add = move |sum: Option<T>, record| {
            Some(match sum {
                Some(sum) => function(sum, record),
                None => record,
            })
        };
        let merge = move |a: Option<T>, b: Option<T>| match (a, b) {
            (Some(a), Some(b)) => Some(merge(a, b)),
            (a, b) => a.or(b),
        };
        let reduced = self.fold("reduce", what, None, add, merge);
        reduced.flat_map(|reduced| reduced).name("reduced").with_part("fold", &reduced)
    }

    /// Of each batch, how often each record occurs in it.
    pub fn count_by_value(&self) -> DStream<(T, u64)>
    where
        T: Key,
    {
        self.map(|record| (record, 1)).reduce_by_key(|a, b| a + b)
    }

    /// One value for each batch, folded by every subtask and then brought together by one. `what` tells it from others of its
    /// name on the same stream.
    pub(crate) fn fold<A: StateData>(
        &self,
        name: &str,
        what: &str,
        initial: A,
        add: impl FnMut(A, T) -> A + Clone + Send + 'static,
        merge: impl FnMut(A, A) -> A + Clone + Send + 'static,
    ) -> DStream<A> {
        let share = BatchFold::new(initial.clone(), add, merge.clone(), self.interval);
        let whole = BatchFold::new(initial, merge.clone(), merge, self.interval);
        let shares = self.stream.apply("share", share).described(format!("{name} {what}").trim_end());
        let shares = self.then(shares);
        let whole = shares.stream.apply(name, whole).described(what).parallelism(1);
        self.then(whole).with_part("share", &shares)
    }
}
