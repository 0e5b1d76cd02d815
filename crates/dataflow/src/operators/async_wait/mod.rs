//! Async I/O: a request for each record, many under way at a time (Flink's `AsyncWaitOperator`).
//!
//! - **Records**: a future is made for each, and what it comes to is handed on with the record's event time: in the order of the
//!   records, or *unordered*, as soon as it is there. When as many requests as the capacity are under way, or done and waiting for their turn, the
//!   operator waits, and with it its input.
//! - **Watermarks** are not overtaken, nor do they overtake: one is passed on when all requests of records before it are done, and until
//!   then what came after it waits. The last watermark waits for everything.
//! - **Barriers** pass at once. The input of every request that is not done, or whose result has not been handed on, is in the checkpoint; after
//!   a restore these requests are made again.
//! - **Errors**, and panics, of a future fail the job. So does a request that takes longer than the timeout, with all its attempts, unless
//!   [`AsyncFunction::timeout`] has a result for it.
//! - **State**: list, `requests`.
//!
//! **Where futures run.** On the program's own tokio runtime, if the stream was built on one (of the multi-threaded kind): there clients have their
//! connections. Else on a thread of the operator's, one a subtask, with a runtime of its own. The operator's task is woken when one is done; it
//! never polls a future itself.
//!
//! ```
//! use std::time::Duration;
//!
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::AsyncWait;
//!
//! let ask = |id: u32| async move {
//!     tokio::time::sleep(Duration::from_millis(40 - u64::from(id))).await;
//!     Ok::<_, BoxError>([format!("user {id}")])
//! };
//! let mut harness = Harness::new(AsyncWait::ordered(ask, Duration::from_secs(60), 100));
//! (0..40).for_each(|id| harness.push(id, 0));
//! harness.end();
//! assert_eq!(harness.values(), (0..40).map(|id| format!("user {id}")).collect::<Vec<_>>());
//! ```

mod executor;
mod queue;
mod retry;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

pub use retry::AsyncRetryStrategy;

use self::executor::{Executor, Outcome};
use self::queue::Queue;
use crate::barrier::Barrier;
use crate::error::BoxError;
use crate::operator::{Operator, OperatorContext};
use crate::output::Output;
use crate::record::{Batch, Record};
use crate::state::{StateData, States};
use crate::time::{MAX_WATERMARK, Timestamp};
use crate::type_name::own_name;

/// Makes a request of each record. A closure that returns a future is one.
///
/// ```
/// use std::future::Future;
///
/// use thalweg_dataflow::error::BoxError;
/// use thalweg_dataflow::operators::AsyncFunction;
///
/// /// Has an answer also when it takes too long to get one.
/// #[derive(Clone)]
/// struct Population;
///
/// impl AsyncFunction<String> for Population {
///     type Out = (String, Option<u64>);
///     type Results = Option<Self::Out>;
///
///     fn async_invoke(&mut self, city: String) -> impl Future<Output = Result<Self::Results, BoxError>> + Send + 'static {
///         async move { Ok(Some((city, Some(1_500_000)))) }
///     }
///
///     fn timeout(&mut self, city: String) -> Result<Self::Results, BoxError> {
///         Ok(Some((city, None)))
///     }
/// }
/// ```
pub trait AsyncFunction<In>: Clone + Send + 'static {
    /// What is handed on.
    type Out: Send + 'static;
    /// What a request comes to: none, one or many records. A `Vec`, an `Option`, an array.
    type Results: IntoIterator<Item = Self::Out> + Send + 'static;

    /// Called once for each subtask, before anything else: for clients that requests are made with.
    ///
    /// # Errors
    /// Fail the job.
    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    /// Makes the request.
    fn async_invoke(
        &mut self,
        input: In,
    ) -> impl Future<Output = Result<Self::Results, BoxError>> + Send + 'static;

    /// What a request comes to that took too long.
    ///
    /// # Errors
    /// Fail the job, which is what it does unless it is written otherwise.
    fn timeout(&mut self, _input: In) -> Result<Self::Results, BoxError> {
        Err("a request took longer than its timeout: give it more time, or a result in `AsyncFunction::timeout`"
            .into())
    }
}

impl<In, F, Future_, R, E> AsyncFunction<In> for F
where
    F: FnMut(In) -> Future_ + Clone + Send + 'static,
    Future_: Future<Output = Result<R, E>> + Send + 'static,
    R: IntoIterator + Send + 'static,
    R::Item: Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    type Out = R::Item;
    type Results = R;

    fn async_invoke(&mut self, input: In) -> impl Future<Output = Result<R, BoxError>> + Send + 'static {
        let request = self(input);
        async move { request.await.map_err(Into::into) }
    }
}

/// The operator. See the [module](self).
pub struct AsyncWait<In, F: AsyncFunction<In>> {
    function: F,
    ordered: bool,
    timeout: Duration,
    capacity: usize,
    retry: Option<AsyncRetryStrategy<F::Results>>,
    program: Option<tokio::runtime::Handle>,
    executor: Option<Executor<F::Results>>,
    queue: Queue<In, F::Results>,
    /// At a checkpoint, and after a restore until they have been made again.
    requests: Vec<(In, Timestamp)>,
    restored: bool,
    context: Option<OperatorContext>,
}

// A clone has made no request.
impl<In, F: AsyncFunction<In>> Clone for AsyncWait<In, F> {
    fn clone(&self) -> Self {
        Self {
            retry: self.retry.clone(),
            program: self.program.clone(),
            ..Self::new(self.function.clone(), self.ordered, self.timeout, self.capacity)
        }
    }
}

impl<In, F: AsyncFunction<In>> AsyncWait<In, F> {
    fn new(function: F, ordered: bool, timeout: Duration, capacity: usize) -> Self {
        Self {
            function,
            ordered,
            timeout,
            capacity: capacity.max(1),
            retry: None,
            program: executor::of_program(),
            executor: None,
            queue: Queue::new(ordered),
            requests: Vec::new(),
            restored: false,
            context: None,
        }
    }

    /// Hands results on in the order of the records. A `timeout` of zero is none; a subtask has up to `capacity` requests under way.
    pub fn ordered(function: F, timeout: Duration, capacity: usize) -> Self {
        Self::new(function, true, timeout, capacity)
    }

    /// Hands results on as they come.
    pub fn unordered(function: F, timeout: Duration, capacity: usize) -> Self {
        Self::new(function, false, timeout, capacity)
    }

    /// Makes a request again that comes to nothing. The timeout is for all attempts together.
    #[must_use]
    pub fn with_retry(self, strategy: AsyncRetryStrategy<F::Results>) -> Self {
        Self { retry: Some(strategy), ..self }
    }
}

impl<In: StateData, F: AsyncFunction<In>> AsyncWait<In, F> {
    fn start(&mut self, input: In, timestamp: Timestamp) -> Result<(), BoxError> {
        let Some(executor) = &self.executor else { return Err("it has not been opened".into()) };
        let id = self.queue.add(input.clone(), timestamp);
        match &self.retry {
            None => executor.spawn(id, self.timeout, self.function.async_invoke(input)),
            Some(strategy) => {
                let (mut function, strategy) = (self.function.clone(), strategy.clone());
                executor.spawn(id, self.timeout, async move {
                    let mut attempt = 1;
                    loop {
                        let result = function.async_invoke(input.clone()).await;
                        let Some(pause) = strategy.pause(attempt, &result) else { return result };
                        tokio::time::sleep(pause).await;
                        attempt += 1;
                    }
                });
            }
        }
        Ok(())
    }

    /// Hands on what is done, as far as its turn has come.
    fn hand_on(&mut self, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        let Self { executor: Some(executor), queue, function, .. } = self else { return Ok(()) };
        for (id, outcome) in executor.done() {
            let results = match outcome {
                Outcome::Done(results) => results?,
                Outcome::TimedOut => match queue.input(id) {
                    Some(input) => function.timeout(input)?,
                    None => continue,
                },
                Outcome::Lost => {
                    return Err(
                        "a request was not made to its end: its future panicked, or its runtime was \
                                shut down"
                            .into(),
                    );
                }
            };
            queue.complete(id, results, output);
        }
        Ok(())
    }

    /// Waits until something is done.
    fn wait(&mut self, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        output.pass_on();
        if let (Some(executor), Some(context)) = (&self.executor, &self.context) {
            context.cancelled.check()?;
            executor.wait();
        }
        self.hand_on(output)
    }

    fn wait_for_all(&mut self, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.resume(output)?;
        while self.queue.len() > 0 {
            self.wait(output)?;
        }
        Ok(())
    }

    fn admit(
        &mut self,
        input: In,
        timestamp: Timestamp,
        output: &mut Output<F::Out>,
    ) -> Result<(), BoxError> {
        if self.queue.len() >= self.capacity {
            self.hand_on(output)?;
        }
        while self.queue.len() >= self.capacity {
            self.wait(output)?;
        }
        self.start(input, timestamp)
    }

    /// Makes the requests again that were under way at the checkpoint.
    fn resume(&mut self, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        if std::mem::take(&mut self.restored) {
            for (input, timestamp) in std::mem::take(&mut self.requests) {
                self.admit(input, timestamp, output)?;
            }
        }
        Ok(())
    }
}

impl<In: StateData, F: AsyncFunction<In>> Operator for AsyncWait<In, F> {
    type In = In;
    type Out = F::Out;

    fn identity(&self) -> String {
        own_name::<F>().to_owned()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.context = Some(context.clone());
        self.executor = Some(Executor::new(self.program.clone(), context)?);
        self.function.open(context)
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.list("requests", &mut self.requests);
        if states.is_opening() {
            self.queue.clear();
            self.restored = true;
        }
    }

    fn holds_records(&self) -> bool {
        self.queue.len() > 0 || self.restored && !self.requests.is_empty()
    }

    fn process(&mut self, batch: &mut Batch<In>, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.resume(output)?;
        for Record { value, timestamp } in batch.records.drain(..) {
            self.admit(value, timestamp, output)?;
        }
        self.hand_on(output)
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<F::Out>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.resume(output)?;
        self.hand_on(output)?;
        if watermark == MAX_WATERMARK {
            self.wait_for_all(output)?;
        }
        if self.queue.len() == 0 {
            return Ok(Some(watermark));
        }
        self.queue.watermark(watermark);
        Ok(None)
    }

    fn woken(&mut self, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.hand_on(output)
    }

    /// Only to make requests again, though nothing comes.
    fn next_timer(&self) -> Option<Timestamp> {
        (self.restored && !self.requests.is_empty()).then_some(Timestamp::MIN)
    }

    fn processing_time(&mut self, _: Timestamp, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.resume(output)
    }

    fn barrier(&mut self, barrier: &Barrier, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.resume(output)?;
        self.hand_on(output)?;
        if barrier.checkpoint {
            self.requests = self.queue.inputs();
        }
        Ok(())
    }

    fn end(&mut self, output: &mut Output<F::Out>) -> Result<(), BoxError> {
        self.wait_for_all(output)
    }
}
