//! Requests to the outside, many at a time (Flink's `AsyncDataStream`).
//!
//! ```
//! use std::time::Duration;
//!
//! use thalweg_datastream::{AsyncDataStream, BoxError, StreamExecutionEnvironment};
//!
//! let env = StreamExecutionEnvironment::new();
//! let users = env.from_collection((1..=100).collect::<Vec<u32>>());
//! let ask = |id| async move {
//!     tokio::time::sleep(Duration::from_millis(10)).await; // a database would be asked here
//!     Ok::<_, BoxError>(Some((id, format!("user {id}"))))
//! };
//! let names = AsyncDataStream::ordered_wait(&users, ask, Duration::from_secs(5), 50);
//! assert_eq!(names.execute_and_collect("names")?[41], (42, "user 42".to_owned()));
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

use std::future::Future;
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operators::{AsyncFunction, AsyncRetryStrategy, AsyncWait};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::StateData;

use crate::DataStream;

/// Makes a request of each record of a stream. A function returns a future; what that comes to, none, one or many records, is handed on.
/// A request that takes longer than the `timeout` fails the job (zero is no timeout), and each subtask has up to `capacity` requests under way.
/// Those that are under way at a checkpoint are in it, and are made again after a restore. Where futures run, and how a
/// request that takes too long can have a result nevertheless, says [`AsyncWait`], which [`apply`](Self::apply) takes.
pub struct AsyncDataStream;

impl AsyncDataStream {
    /// Hands results on in the order of the records.
    pub fn ordered_wait<T, U, F, R, E>(
        stream: &DataStream<T>,
        function: impl FnMut(T) -> F + Clone + Send + 'static,
        timeout: Duration,
        capacity: usize,
    ) -> DataStream<U>
    where
        T: Data + StateData,
        U: Data,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: IntoIterator<Item = U> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        Self::apply(stream, AsyncWait::ordered(function, timeout, capacity))
    }

    /// Hands results on as soon as they are there, and never beyond a watermark.
    pub fn unordered_wait<T, U, F, R, E>(
        stream: &DataStream<T>,
        function: impl FnMut(T) -> F + Clone + Send + 'static,
        timeout: Duration,
        capacity: usize,
    ) -> DataStream<U>
    where
        T: Data + StateData,
        U: Data,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: IntoIterator<Item = U> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        Self::apply(stream, AsyncWait::unordered(function, timeout, capacity))
    }

    /// [`ordered_wait`](Self::ordered_wait), with requests made again that come to nothing. The timeout is for all attempts together.
    pub fn ordered_wait_with_retry<T, U, F, R, E>(
        stream: &DataStream<T>,
        function: impl FnMut(T) -> F + Clone + Send + 'static,
        timeout: Duration,
        capacity: usize,
        strategy: AsyncRetryStrategy<R>,
    ) -> DataStream<U>
    where
        T: Data + StateData,
        U: Data,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: IntoIterator<Item = U> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        Self::apply(stream, AsyncWait::ordered(function, timeout, capacity).with_retry(strategy))
    }

    /// [`unordered_wait`](Self::unordered_wait), with requests made again that come to nothing. The timeout is for all attempts together.
    pub fn unordered_wait_with_retry<T, U, F, R, E>(
        stream: &DataStream<T>,
        function: impl FnMut(T) -> F + Clone + Send + 'static,
        timeout: Duration,
        capacity: usize,
        strategy: AsyncRetryStrategy<R>,
    ) -> DataStream<U>
    where
        T: Data + StateData,
        U: Data,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: IntoIterator<Item = U> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        Self::apply(stream, AsyncWait::unordered(function, timeout, capacity).with_retry(strategy))
    }

    /// An operator as it was made: with an [`AsyncFunction`] that opens clients, or has a result for requests that take too long.
    pub fn apply<T, F>(stream: &DataStream<T>, operator: AsyncWait<T, F>) -> DataStream<F::Out>
    where
        T: Data + StateData,
        F: AsyncFunction<T>,
        F::Out: Data,
    {
        stream.then(stream.stream.apply("async-wait", operator))
    }
}
