//! `DStream<(K, V)>`: what Spark gives to streams of pairs, batch by batch.

use thalweg_dataflow::operators::{Combine, Emit, Reduce};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::{Key, StateData};

use crate::DStream;

impl<K: Key, V: Data> DStream<(K, V)> {
    /// Of each batch, one pair for each key: its values combined by `function`, which must be associative and commutative.
    pub fn reduce_by_key(&self, function: impl FnMut(V, V) -> V + Clone + Send + 'static) -> Self
    where
        V: StateData,
    {
        let emit = Emit::AtBatch { interval: self.interval };
        let reduce = Reduce::new(function.clone(), |key: &K, value: &V| (key.clone(), value.clone()), emit);
        let partial = self.stream.apply("combine", Combine::new(function));
        self.then(partial.exchange().apply("reduce-by-key", reduce))
    }
}
