//! Windows over batches: every `slide`, one batch made of those of the last `length`.
//!
//! Both are multiples of the batch interval of the stream. The stream returned has batches of `slide`: to
//! join or unite it with another, window that one in the same way.

use std::time::Duration;

use thalweg_dataflow::operators::{BatchWindow, ReduceByKeyAndWindow};
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::time::millis;

use crate::DStream;

impl<T: StateData> DStream<T> {
    /// Every `slide`, all records of the batches of the last `length`.
    #[must_use]
    pub fn window(&self, length: Duration, slide: Duration) -> Self {
        let (length, slide) = self.extent("window", length, slide);
        let window = BatchWindow::new(self.interval, length, slide);
        Self { interval: slide, ..self.then(self.stream.apply("window", window)) }
    }

    /// Every `slide`, the records of the last `length` combined by `function`, which must be associative and
    /// commutative; nothing if there are none. Each batch is reduced once, not once for each window that it
    /// is part of.
    #[must_use]
    pub fn reduce_by_window(
        &self,
        function: impl FnMut(T, T) -> T + Clone + Send + 'static,
        length: Duration,
        slide: Duration,
    ) -> Self {
        let reduced = self.reduce_for(&for_windows(length, slide), function.clone());
        let window = reduced.window(length, slide);
        window.reduce(function).with_part("batch", &reduced).with_part("window", &window)
    }

    /// Every `slide`, how many records there were within the last `length`.
    pub fn count_by_window(&self, length: Duration, slide: Duration) -> DStream<u64> {
        // The counts of the batches are few: there is nothing to be gained by an inverse.
        let counts = self.count_for(&for_windows(length, slide));
        let window = counts.window(length, slide);
        let sums = window.fold("count-by-window", "", 0, |sum, n| sum + n, |a, b| a + b);
        sums.with_part("batch", &counts).with_part("window", &window)
    }

    /// Every `slide`, how often each record occurred within the last `length`. Those that did not are left
    /// out.
    pub fn count_by_value_and_window(&self, length: Duration, slide: Duration) -> DStream<(T, u64)>
    where
        T: Key,
    {
        let ones = self.map(|record| (record, 1));
        ones.reduce_by_key_and_window_with_inverse(|a, b| a + b, |a, b| a - b, length, slide)
    }

    /// Length and slide in milliseconds. What no window can be is refused when the job starts.
    fn extent(&self, what: &str, length: Duration, slide: Duration) -> (i64, i64) {
        let interval = Duration::from_millis(self.interval.max(1).unsigned_abs());
        let fits = |duration: Duration| {
            !duration.is_zero() && duration.as_nanos().is_multiple_of(interval.as_nanos())
        };
        if !fits(length) || !fits(slide) {
            let reason = format!(
                "{what}: a window of {length:?} every {slide:?} over batches of {interval:?}; length and slide must be \
                 multiples of the batch interval"
            );
            self.context.job().graph().refuse(reason);
        }
        (millis(length), millis(slide))
    }
}

/// What the batches are reduced for, to be windowed.
fn for_windows(length: Duration, slide: Duration) -> String {
    format!("for windows of {} ms, every {} ms", millis(length), millis(slide))
}

impl<K: Key, V: StateData> DStream<(K, V)> {
    /// Every `slide`, one pair for each key of the last `length`: its values combined by `function`, which
    /// must be associative and commutative. Each window is reduced out of the results of its batches.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let interval = Duration::from_millis(10);
    /// let ssc = StreamingContext::new("trends", interval);
    /// let tags = ssc.queue_stream(vec![vec!["deep".to_owned()], vec!["deep".to_owned()]]);
    /// let trends = tags.map(|tag| (tag, 1)).reduce_by_key_and_window(|a, b| a + b, 60 * interval, interval);
    /// let (sender, results) = std::sync::mpsc::channel();
    /// trends.foreach_rdd(move |rdd, _time| rdd.collect().into_iter().try_for_each(|trend| sender.send(trend)));
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// let trends: Vec<(String, i32)> = results.try_iter().collect();
    /// assert!(trends.contains(&("deep".to_owned(), 1)) && trends.contains(&("deep".to_owned(), 2)));
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    #[must_use]
    pub fn reduce_by_key_and_window(
        &self,
        function: impl FnMut(V, V) -> V + Clone + Send + 'static,
        length: Duration,
        slide: Duration,
    ) -> Self {
        let (length, slide) = self.extent("reduce_by_key_and_window", length, slide);
        let window = ReduceByKeyAndWindow::new(function.clone(), self.interval, length, slide);
        let windowed = self.combined(function).apply("reduce-by-key-and-window", window);
        Self { interval: slide, ..self.then(windowed) }
    }

    /// As [`reduce_by_key_and_window`](Self::reduce_by_key_and_window), for functions that have an inverse:
    /// `inverse(function(a, b), b)` must be `a`. What comes in is added to the window before and what falls
    /// out is taken off, so that work does not grow with the length of the window. Keys without records in
    /// the window are left out (Spark's `filterFunc` is not needed for that).
    #[must_use]
    pub fn reduce_by_key_and_window_with_inverse(
        &self,
        function: impl FnMut(V, V) -> V + Clone + Send + 'static,
        inverse: impl FnMut(V, V) -> V + Clone + Send + 'static,
        length: Duration,
        slide: Duration,
    ) -> Self {
        let (length, slide) = self.extent("reduce_by_key_and_window_with_inverse", length, slide);
        let window =
            ReduceByKeyAndWindow::with_inverse(function.clone(), inverse, self.interval, length, slide);
        let windowed = self.combined(function).apply("reduce-by-key-and-window", window);
        Self { interval: slide, ..self.then(windowed) }
    }

    /// Every `slide`, one pair for each key of the last `length`: all its values.
    pub fn group_by_key_and_window(&self, length: Duration, slide: Duration) -> DStream<(K, Vec<V>)> {
        let window = self.window(length, slide);
        window.group_by_key().with_part("window", &window)
    }
}
