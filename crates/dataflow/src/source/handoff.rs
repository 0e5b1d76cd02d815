//! What lies between a thread that gets records from somewhere and the source task that hands them on: a bounded queue that wakes
//! the task, and tells the thread how far its records have been committed.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{SourceOutput, SourceStatus, SplitId, Waker};
use crate::barrier::Epoch;
use crate::time::{NO_TIMESTAMP, Timestamp};

/// How often somebody who waits looks whether there is still anything to wait for.
const TICK: Duration = Duration::from_millis(100);

/// The queue.
pub(super) struct Handoff<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

struct State<T> {
    queue: VecDeque<(T, Timestamp)>,
    /// How many have been put in, taken out, and committed.
    put: u64,
    taken: u64,
    committed: u64,
    /// Nothing more will be put in; or why that is.
    ended: bool,
    /// Nobody will take anything out any more.
    closed: bool,
    /// Of the task that has found nothing.
    waiting: Option<Waker>,
    /// What had been taken at the barriers that are not committed yet.
    barriers: VecDeque<(Epoch, u64)>,
}

impl<T> Handoff<T> {
    /// A queue with room for so many.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            queue: VecDeque::new(),
            put: 0,
            taken: 0,
            committed: 0,
            ended: false,
            closed: false,
            waiting: None,
            barriers: VecDeque::new(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity: capacity.max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing of a user's runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one in, and waits as long as there is no room. Gives it back if nobody will take it.
    pub(super) fn put(&self, item: T, timestamp: Timestamp) -> Result<u64, T> {
        let mut state = self.lock();
        while state.queue.len() >= self.capacity && !state.closed {
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.closed {
            return Err(item);
        }
        state.queue.push_back((item, timestamp));
        state.put += 1;
        let number = state.put;
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
        Ok(number)
    }

    /// Puts one in if there is room.
    pub(super) fn try_put(&self, item: T) -> Result<(), T> {
        if self.lock().queue.len() >= self.capacity {
            Err(item)
        } else {
            self.put(item, NO_TIMESTAMP).map(drop)
        }
    }

    /// Waits until so many have been committed; `false` if nobody will.
    pub(super) fn wait_committed(&self, number: u64) -> bool {
        let mut state = self.lock();
        while state.committed < number && !state.closed {
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.committed >= number
    }

    /// Waits, unless it is closed before; returns whether it is.
    pub(super) fn wait_closed(&self, time: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, time, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Nothing more will be put in.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        if let Some(waker) = state.waiting.take() {
            drop(state);
            waker.wake();
        }
    }

    /// Nobody takes anything out any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes out what there is room for. `None` when there will be no more; if there is nothing now, `waker` is called when there is.
    fn take(&self, output: &mut SourceOutput<T>, waker: &Waker) -> Option<usize> {
        let mut state = self.lock();
        let count = state.queue.len().min(output.room());
        if count == 0 {
            if state.ended && state.queue.is_empty() {
                return None;
            }
            state.waiting = Some(waker.clone());
            return Some(0);
        }
        state.queue.drain(..count).for_each(|(item, timestamp)| output.push(item, timestamp));
        state.taken += count as u64;
        drop(state);
        self.changed.notify_all();
        Some(count)
    }

    /// A poll of the reader of the queue, which is one split, called `name`.
    pub(super) fn poll(
        &self,
        output: &mut SourceOutput<T>,
        split: &mut Option<SplitId>,
        name: &str,
        waker: &Waker,
    ) -> SourceStatus {
        let Some(count) = self.take(output, waker) else {
            // Where nothing is read there is no split.
            split.iter().for_each(|split| output.finish_split(*split));
            return SourceStatus::End;
        };
        let split = *split.get_or_insert_with(|| output.add_split(name));
        if count == 0 {
            return SourceStatus::Idle { until: None };
        }
        let taken = self.taken();
        output.origin(split, taken - count as u64, taken - 1);
        SourceStatus::Ready
    }

    /// How many have been taken out.
    pub(super) fn taken(&self) -> u64 {
        self.lock().taken
    }

    pub(super) fn barrier(&self, epoch: Epoch) {
        let mut state = self.lock();
        let taken = state.taken;
        state.barriers.push_back((epoch, taken));
    }

    pub(super) fn committed(&self, epoch: Epoch) {
        let mut state = self.lock();
        while let Some((_, taken)) = state.barriers.front().copied().filter(|(of, _)| *of <= epoch) {
            state.barriers.pop_front();
            state.committed = state.committed.max(taken);
        }
        drop(state);
        self.changed.notify_all();
    }
}
