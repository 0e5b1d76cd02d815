//! `transform`: a batch out of a batch, by anything that an `Rdd` can do.

use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::StateData;
use thalweg_dataflow::time::Timestamp;

use crate::{DStream, Rdd};

impl<T: StateData> DStream<T> {
    /// Each batch becomes what `function` makes of it, given the batch's time in milliseconds; it is called
    /// for empty batches too. The batch is brought together in one place: what can be said record by record
    /// or key by key is better said so.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("hottest", Duration::from_millis(100));
    /// let hottest = ssc.queue_stream(vec![vec![3, 9, 4], vec![7, 1]]).transform(|rdd, _time| {
    ///     rdd.sort_by(|degrees| *degrees, false).zip_with_index().filter(|(_, rank)| *rank == 0)
    /// });
    /// let (sender, results) = std::sync::mpsc::channel();
    /// hottest.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|(degrees, _)| sender.send(degrees)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let mut hottest: Vec<i32> = results.try_iter().collect();
    /// hottest.sort();
    /// assert_eq!(hottest, [7, 9]);
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn transform<U: Data>(
        &self,
        mut function: impl FnMut(Rdd<T>, Timestamp) -> Rdd<U> + Clone + Send + 'static,
    ) -> DStream<U> {
        self.over_batches("transform", move |rdd, time, out| {
            function(rdd, time).for_each(|record| out.collect(record));
            Ok(())
        })
    }

    /// Each batch becomes what `function` makes of it and of the other stream's batch of the same time.
    pub fn transform_with<W: StateData, U: Data>(
        &self,
        other: &DStream<W>,
        mut function: impl FnMut(Rdd<T>, Rdd<W>, Timestamp) -> Rdd<U> + Clone + Send + 'static,
    ) -> DStream<U> {
        self.check_interval("transform_with", other);
        let left = self.stream.map("left", |record| (Some(record), None));
        let right = other.stream.map("right", |record| (None, Some(record)));
        self.then(left.union(&right)).over_batches("transform-with", move |rdd, time, out| {
            let batch = rdd.batch.clone();
            let (left, right) = rdd.glom().into_iter().map(sides).unzip();
            let (left, right) =
                (Rdd { partitions: left, batch: batch.clone() }, Rdd { partitions: right, batch });
            function(left, right, time).for_each(|record| out.collect(record));
            Ok(())
        })
    }
}

/// One partition of two streams, as that of each.
fn sides<T, W>(partition: Vec<(Option<T>, Option<W>)>) -> (Vec<T>, Vec<W>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (one, other) in partition {
        left.extend(one);
        right.extend(other);
    }
    (left, right)
}
