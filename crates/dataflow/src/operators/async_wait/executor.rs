//! Where requests are made, and where they say that they are done.

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::error::BoxError;
use crate::operator::OperatorContext;
use crate::source::Waker;

/// The multi-threaded runtime that the caller is on, if any. One with a single thread would wait for the job, and the job for it.
pub(super) fn of_program() -> Option<Handle> {
    Handle::try_current().ok().filter(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// What became of a request.
pub(super) enum Outcome<R> {
    Done(Result<R, BoxError>),
    TimedOut,
    /// Its future was dropped before its end.
    Lost,
}

/// Makes the requests of one subtask.
pub(super) struct Executor<R> {
    handle: Handle,
    /// If it is a runtime of its own.
    runtime: Option<Runtime>,
    inbox: Arc<Inbox<R>>,
}

/// Requests that are done, by their number.
struct Inbox<R> {
    done: Mutex<Vec<(u64, Outcome<R>)>>,
    some: Condvar,
    waker: Waker,
}

impl<R> Inbox<R> {
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Outcome<R>)>> {
        // Nothing panics while it holds the lock.
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way: says what became of it, whatever that is.
struct Ticket<R> {
    id: u64,
    inbox: Arc<Inbox<R>>,
    outcome: Outcome<R>,
}

impl<R> Ticket<R> {
    fn hand_in(mut self, outcome: Outcome<R>) {
        self.outcome = outcome;
    }
}

impl<R> Drop for Ticket<R> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Lost);
        let mut done = self.inbox.lock();
        done.push((self.id, outcome));
        let first = done.len() == 1;
        drop(done);
        if first {
            self.inbox.some.notify_one();
            self.inbox.waker.wake();
        }
    }
}

impl<R: Send + 'static> Executor<R> {
    pub(super) fn new(program: Option<Handle>, context: &OperatorContext) -> Result<Self, BoxError> {
        let own = || {
            let mut builder = Builder::new_multi_thread();
            builder
                .worker_threads(1)
                .thread_name(format!("async {}", context.operator.name))
                .enable_all()
                .build()
        };
        let runtime = if program.is_some() { None } else { Some(own()?) };
        let handle = match (program, &runtime) {
            (Some(handle), _) => handle,
            (None, Some(runtime)) => runtime.handle().clone(),
            (None, None) => unreachable!("made just now"),
        };
        let (done, some, waker) = (Mutex::new(Vec::new()), Condvar::new(), context.waker.clone());
        Ok(Self { handle, runtime, inbox: Arc::new(Inbox { done, some, waker }) })
    }

    /// Makes a request, of that number.
    pub(super) fn spawn(
        &self,
        id: u64,
        timeout: Duration,
        request: impl Future<Output = Result<R, BoxError>> + Send + 'static,
    ) {
        let ticket = Ticket { id, inbox: self.inbox.clone(), outcome: Outcome::Lost };
        self.handle.spawn(async move {
            let outcome = if timeout.is_zero() {
                Outcome::Done(request.await)
            } else {
                match tokio::time::timeout(timeout, request).await {
                    Ok(result) => Outcome::Done(result),
                    Err(_) => Outcome::TimedOut,
                }
            };
            ticket.hand_in(outcome);
        });
    }

    /// What has been done since this was last asked.
    pub(super) fn done(&self) -> Vec<(u64, Outcome<R>)> {
        std::mem::take(&mut *self.inbox.lock())
    }

    /// Waits until something is done, or a moment: whoever waits has to look whether the job goes on.
    pub(super) fn wait(&self) {
        let done = self.inbox.lock();
        if done.is_empty() {
            drop(self.inbox.some.wait_timeout(done, Duration::from_millis(50)));
        }
    }
}

impl<R> Drop for Executor<R> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody asks for what is under way any more.
            runtime.shutdown_background();
        }
    }
}
