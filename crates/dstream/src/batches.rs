//! Batches as they are divided, and batches that are over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::time::{Timestamp, at_least_millis};

use crate::{DStream, Rdd};

impl<T: StateData> DStream<T> {
    /// Of each batch, one list for each of its partitions.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("partitions", Duration::from_millis(10));
    /// let sums = ssc.queue_stream(vec![vec![1, 2, 3, 4]]).repartition(2).glom().map(|partition| partition.len());
    /// let (sender, results) = std::sync::mpsc::channel();
    /// sums.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|sum| sender.send(sum)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// assert_eq!(results.try_iter().sum::<usize>(), 4);
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn glom(&self) -> DStream<Vec<T>> {
        self.over_batches("glom", |rdd, _, out| {
            rdd.glom().into_iter().for_each(|partition| out.collect(partition));
            Ok(())
        })
    }

    /// Of each batch, what `function` makes of each of its partitions.
    pub fn map_partitions<U: Data, I: IntoIterator<Item = U>>(
        &self,
        mut function: impl FnMut(Vec<T>) -> I + Clone + Send + 'static,
    ) -> DStream<U> {
        self.over_batches("map-partitions", move |rdd, _, out| {
            let partitions = rdd.glom().into_iter();
            partitions.flat_map(&mut function).for_each(|record| out.collect(record));
            Ok(())
        })
    }

    /// The stream itself: what is read twice is computed once in any case. It is there for programs that say it, as Spark's do; there is
    /// no storage level, as nothing is stored.
    #[must_use]
    pub fn cache(&self) -> Self {
        self.clone()
    }

    /// The same as [`cache`](Self::cache).
    #[must_use]
    pub fn persist(&self) -> Self {
        self.clone()
    }

    /// Keeps the batches of so long a time, for [`Remembered::slice`]. It begins with the job, and anew with a restart.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("slices", Duration::from_millis(10));
    /// let remembered = ssc.queue_stream(vec![vec![1, 2], vec![3]]).remember(Duration::from_secs(60));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let batches = remembered.slice(i64::MIN, i64::MAX);
    /// assert_eq!(batches.into_iter().flat_map(|(_, rdd)| rdd.collect()).sum::<i32>(), 6);
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn remember(&self, duration: Duration) -> Remembered<T> {
        let remembered = Remembered { batches: Arc::default() };
        let (batches, keep) = (remembered.batches.clone(), at_least_millis(duration));
        self.foreach_rdd(move |rdd, time| {
            let mut batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
            // A batch that is done again after a failure takes the place of its former self.
            batches.retain(|(other, _)| *other != time && other.saturating_add(keep) > time);
            batches.push_back((time, rdd));
        })
        .name("remember");
        remembered
    }
}

/// Batches that are over.
#[derive(Clone)]
pub struct Remembered<T> {
    batches: Arc<Mutex<Batches<T>>>,
}

/// Each with its time, the oldest first.
type Batches<T> = VecDeque<(Timestamp, Rdd<T>)>;

impl<T: StateData> Remembered<T> {
    /// Those of them whose batch time is from `from` to `to`, both included (milliseconds), with their times.
    pub fn slice(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Rdd<T>)> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.iter().filter(|(time, _)| (from..=to).contains(time)).cloned().collect()
    }
}

impl<K: Key, V: StateData> DStream<(K, V)> {
    /// Of each batch, one pair for each key: what `create` makes of its first value, and `merge` adds the others to. Other than in Spark there is no
    /// third function that combines what partitions have: all values of a key meet in one place.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("means", Duration::from_millis(10));
    /// let readings = ssc.queue_stream(vec![vec![('a', 1.0), ('b', 5.0), ('a', 3.0)]]);
    /// let sums = readings.combine_by_key(|first| (first, 1), |(sum, n), next| (sum + next, n + 1));
    /// let (sender, results) = std::sync::mpsc::channel();
    /// sums.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|sum| sender.send(sum)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let mut means: Vec<(char, f64)> = results.try_iter().map(|(key, (sum, n))| (key, sum / f64::from(n))).collect();
    /// means.sort_by_key(|mean| mean.0);
    /// assert_eq!(means, [('a', 2.0), ('b', 5.0)]);
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn combine_by_key<C: Data>(
        &self,
        mut create: impl FnMut(V) -> C + Clone + Send + 'static,
        mut merge: impl FnMut(C, V) -> C + Clone + Send + 'static,
    ) -> DStream<(K, C)> {
        let groups = self.group_by_key();
        let combine = move |(key, values): (K, Vec<V>)| {
            let mut values = values.into_iter();
            let first = values.next().map(&mut create)?;
            Some((key, values.fold(first, &mut merge)))
        };
        groups.flat_map(combine).name("combine-by-key").with_part("group", &groups)
    }
}
