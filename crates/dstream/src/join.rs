//! `cogroup` and the joins made of it: what two streams of pairs have under the same key, in the same batch.

use thalweg_dataflow::operators::{CoGroup, Collect};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::{Key, StateData};

use crate::{CoGrouped, DStream};

impl<K: Key, V: StateData> DStream<(K, V)> {
    /// Of each batch, one pair for each key that either stream has: all its values, here and there.
    pub fn cogroup<W: StateData>(&self, other: &DStream<(K, W)>) -> DStream<(K, CoGrouped<V, W>)> {
        self.cogrouped("cogroup", other)
    }

    /// Of each batch, each pair of values that have the same key, one from each stream.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("orders", Duration::from_millis(100));
    /// let orders = ssc.queue_stream(vec![vec![(1, "two pears"), (2, "a plum")]]);
    /// let payments = ssc.queue_stream(vec![vec![(1, 90), (3, 15)]]);
    /// let orders = orders.map_values(str::to_owned);
    /// let (sender, results) = std::sync::mpsc::channel();
    /// orders.join(&payments).foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|paid| sender.send(paid)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// assert_eq!(results.try_iter().collect::<Vec<_>>(), [(1, ("two pears".to_owned(), 90))]);
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn join<W: StateData>(&self, other: &DStream<(K, W)>) -> DStream<(K, (V, W))> {
        self.joined("join", other, |key, left, right, out| pairs(&key, left, &right, out))
    }

    /// As [`join`](Self::join), with `None` beside values that the other stream has no key for.
    pub fn left_outer_join<W: StateData>(&self, other: &DStream<(K, W)>) -> DStream<(K, (V, Option<W>))> {
        self.joined("left-outer-join", other, |key, left, right, out| pairs(&key, left, &outer(right), out))
    }

    /// As [`join`](Self::join), with `None` beside values of the other stream that this one has no key for.
    pub fn right_outer_join<W: StateData>(&self, other: &DStream<(K, W)>) -> DStream<(K, (Option<V>, W))> {
        self.joined("right-outer-join", other, |key, left, right, out| pairs(&key, outer(left), &right, out))
    }

    /// As [`join`](Self::join), with `None` beside values of either stream that the other one has no key for.
    #[expect(clippy::type_complexity, reason = "it is what a join of pairs gives")]
    pub fn full_outer_join<W: StateData>(
        &self,
        other: &DStream<(K, W)>,
    ) -> DStream<(K, (Option<V>, Option<W>))> {
        self.joined("full-outer-join", other, |key, left, right, out| {
            pairs(&key, outer(left), &outer(right), out);
        })
    }

    fn joined<W: StateData, U: Data>(
        &self,
        name: &str,
        other: &DStream<(K, W)>,
        emit: fn(K, Vec<V>, Vec<W>, &mut Collect<'_, U>),
    ) -> DStream<U> {
        let groups = self.cogrouped(name, other);
        let pairs = groups.stream.flat_map("pairs", move |(key, (left, right)), out| {
            emit(key, left, right, out);
            Ok(())
        });
        self.then(pairs).with_part("co-group", &groups)
    }

    fn cogrouped<W: StateData>(&self, name: &str, other: &DStream<(K, W)>) -> DStream<(K, CoGrouped<V, W>)> {
        self.check_interval(name, other);
        let both = self.keyed().either(&other.keyed()).exchange();
        self.then(both.apply(name, CoGroup::new(self.interval)))
    }
}

/// Each of these with each of those.
fn pairs<K: Data, A: Data, B: Data>(key: &K, left: Vec<A>, right: &[B], out: &mut Collect<'_, (K, (A, B))>) {
    for left in left {
        right.iter().for_each(|right| out.collect((key.clone(), (left.clone(), right.clone()))));
    }
}

/// The values, or that there are none.
fn outer<T>(values: Vec<T>) -> Vec<Option<T>> {
    if values.is_empty() { vec![None] } else { values.into_iter().map(Some).collect() }
}
