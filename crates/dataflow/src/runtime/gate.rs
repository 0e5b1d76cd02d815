//! The gate of a task: its bounded input channels, and its mail.
//!
//! One lock for all channels of a task; it is taken once a batch, not once a record. A writer waits when its
//! channel is full: that is the only back-pressure there is. During alignment a channel is *blocked*: it fills
//! up, and then its writer waits.
//!
//! **What is full** is a matter of time. A barrier waits for what is queued before it, so what may be queued is about what the
//! reader gets through in [`UNDER_WAY`], all channels together (Flink's *buffer debloating*): the reader says how long it takes for a record
//! ([`Pace`]), and its writers hold back, and make smaller batches, when that is long. A fast reader's channels hold a fixed number
//! of batches. And it is a matter of bytes: all channels of a gate together hold [`QUEUED_BYTES`] (less where the job has less memory), as far as the sources
//! know what their records [weigh](crate::source::SourceOutput::weigh), and one batch each beyond that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::barrier::{Barrier, Epoch};
use crate::collector::Control;
use crate::error::Failure;
use crate::record::{BATCH_SIZE, Batch};

/// What may be queued at a gate is so much work for its reader.
const UNDER_WAY: Duration = Duration::from_millis(200);

/// And one batch is so much.
const ONE_BATCH: Duration = Duration::from_millis(20);

/// So many bytes may be queued at a gate, unless it is said otherwise.
pub(crate) const QUEUED_BYTES: u64 = 16 << 20;

/// As long as nobody knows how long a record takes, batches are small, and few of them.
pub(super) const BEGINNING: usize = 64;

/// What travels on a channel.
pub(crate) enum Event<T> {
    Batch(Batch<T>),
    /// One of watermark, idle, barrier, end.
    Control(Control),
}

impl<T> Event<T> {
    fn records(&self) -> usize {
        match self {
            Event::Batch(batch) => batch.len(),
            Event::Control(_) => 0,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Event::Batch(batch) => batch.origin.bytes,
            Event::Control(_) => 0,
        }
    }
}

/// What the coordinator, or a waker, tells a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// To a source: cut here.
    Barrier(Barrier),
    /// To a source: behave as if the input had ended.
    Finish,
    /// To everybody.
    Committed(Epoch),
}

/// What a task does next.
pub(crate) enum Next<T> {
    Mail(Mail),
    Event(usize, Event<T>),
    /// All that was [put in front](Gate::recover) of the channels has been read.
    Recovered,
    /// A barrier that [overtakes](Gate::overtake) has come in all channels. For each of them, and then for each channel that was put in front of
    /// them: what it has passed by. That is to be [given back](Gate::give_back).
    Overtaken(Barrier, Vec<VecDeque<Event<T>>>),
    /// Somebody called the waker.
    Woken,
    /// Nothing until the deadline.
    Timeout,
    Cancelled,
}

/// The reading end. Clones are handles to the same gate.
pub(crate) struct Gate<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Gate<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<T> {
    state: Mutex<State<T>>,
    readable: Condvar,
    /// In events, of a channel.
    capacity: usize,
    /// In bytes, of all channels.
    bytes: u64,
    /// In records, of a batch.
    batch_limit: AtomicUsize,
}

struct State<T> {
    channels: Vec<Channel<T>>,
    /// What was under way when the checkpoint was taken that was restored: it is read before anything else.
    recovered: Vec<Recovered<T>>,
    recovering: bool,
    /// The barrier that is to overtake what is queued.
    overtaking: Option<Epoch>,
    /// The last barrier that the reader has passed on.
    passed: Epoch,
    mail: VecDeque<Mail>,
    woken: bool,
    cancelled: bool,
    reader_waits: bool,
    /// Where the next look for an event begins, so that no channel starves the others.
    turn: usize,
    /// How many records a channel may hold, beside the one batch that always finds room.
    record_limit: usize,
    /// How many bytes are queued, in all channels.
    bytes: u64,
    /// Whether a writer found its channel not full, but too many bytes queued in others.
    writer_waits_for_bytes: bool,
}

/// A channel of old.
struct Recovered<T> {
    /// Those that are older go first.
    age: u32,
    queue: VecDeque<Event<T>>,
}

struct Channel<T> {
    queue: VecDeque<Event<T>>,
    /// How many there are in it.
    records: usize,
    blocked: bool,
    writer_waits: bool,
    writable: Arc<Condvar>,
    /// The edge that it belongs to, if a barrier may overtake records on it.
    lane: Option<Arc<str>>,
    /// The barrier that is queued. There is one under way at a time.
    barrier: Option<Barrier>,
}

impl<T> Channel<T> {
    fn wake_writer(&mut self) {
        if std::mem::take(&mut self.writer_waits) {
            self.writable.notify_one();
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Gate<T> {
    /// A gate whose channels hold `capacity` events each.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::bounded(capacity, QUEUED_BYTES)
    }

    /// One whose channels hold so many bytes, all together.
    pub(crate) fn bounded(capacity: usize, bytes: u64) -> Self {
        let state = State {
            channels: Vec::new(),
            recovered: Vec::new(),
            recovering: false,
            overtaking: None,
            passed: 0,
            mail: VecDeque::new(),
            woken: false,
            cancelled: false,
            reader_waits: false,
            turn: 0,
            record_limit: BEGINNING,
            bytes: 0,
            writer_waits_for_bytes: false,
        };
        let (state, readable, capacity) = (Mutex::new(state), Condvar::new(), capacity.max(1));
        Self { shared: Arc::new(Shared { state, readable, capacity, bytes, batch_limit: BEGINNING.into() }) }
    }

    /// From now on, batches of so many records are made for this gate, and so many records wait in each channel.
    fn limit(&self, batch: usize, records: usize) {
        self.shared.batch_limit.store(batch, Relaxed);
        let mut state = self.shared.lock();
        state.record_limit = records;
        state.channels.iter_mut().for_each(Channel::wake_writer);
    }

    /// Adds a channel, and returns its writing end.
    #[cfg(test)]
    pub(crate) fn add_channel(&self) -> Sender<T> {
        self.add_channel_of(None)
    }

    /// Adds a channel, of an edge on which a barrier may overtake records if that is named.
    pub(crate) fn add_channel_of(&self, lane: Option<Arc<str>>) -> Sender<T> {
        let writable = Arc::new(Condvar::new());
        let mut state = self.shared.lock();
        let channel = state.channels.len();
        let queue = VecDeque::with_capacity(self.shared.capacity.min(64));
        state.channels.push(Channel {
            queue,
            records: 0,
            blocked: false,
            writer_waits: false,
            writable: writable.clone(),
            lane,
            barrier: None,
        });
        Sender { shared: self.shared.clone(), channel, writable }
    }

    /// The number of channels.
    pub(crate) fn channels(&self) -> usize {
        self.shared.lock().channels.len()
    }

    /// What is next, without waiting.
    pub(crate) fn try_next(&self) -> Option<Next<T>> {
        self.shared.lock().take()
    }

    /// What is next; waits until `deadline`, or for ever.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Next<T> {
        let mut state = self.shared.lock();
        loop {
            if let Some(next) = state.take() {
                return next;
            }
            state.reader_waits = true;
            state = match deadline {
                None => self.shared.readable.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.reader_waits = false;
                        return Next::Timeout;
                    }
                    self.shared.readable.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.reader_waits = false;
        }
    }

    /// Reads nothing from `channel` until the barrier is [passed](Self::pass).
    pub(crate) fn block(&self, channel: usize) {
        self.shared.lock().channels[channel].blocked = true;
    }

    /// The reader has passed a barrier on: it reads from all channels again.
    pub(crate) fn pass(&self, epoch: Epoch) {
        let mut state = self.shared.lock();
        state.channels.iter_mut().for_each(|channel| channel.blocked = false);
        state.passed = epoch;
        state.overtaking = state.overtaking.filter(|overtaking| *overtaking > epoch);
    }

    /// Puts what was under way before a restore in front of everything: each queue with its age, those of one age beside each other.
    pub(crate) fn recover(&self, queues: Vec<(u32, VecDeque<Event<T>>)>) {
        let mut state = self.shared.lock();
        state.recovered = queues.into_iter().map(|(age, queue)| Recovered { age, queue }).collect();
        state.recovering = true;
    }

    /// Puts what was read from a channel, or the rest of it, back to its front.
    pub(crate) fn put_back(&self, channel: usize, event: Event<T>) {
        let mut state = self.shared.lock();
        if let Some(own) = state.channels.get_mut(channel) {
            own.records += event.records();
            state.bytes += event.bytes();
        }
        state.front_of(channel).push_front(event);
    }

    /// Puts what a barrier has passed by back to the front of its channel. It has counted as queued all the time, lest its writer takes
    /// the room for free.
    pub(crate) fn give_back(&self, channel: usize, mut events: VecDeque<Event<T>>) {
        let mut state = self.shared.lock();
        let queue = state.front_of(channel);
        events.append(queue);
        *queue = events;
    }

    /// The edge that a channel belongs to, if a barrier may overtake records on it.
    pub(crate) fn lane(&self, channel: usize) -> Option<Arc<str>> {
        self.shared.lock().channels.get(channel).and_then(|channel| channel.lane.clone())
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Next<T>> {
        if self.cancelled {
            return Some(Next::Cancelled);
        }
        if let Some(mail) = self.mail.pop_front() {
            return Some(Next::Mail(mail));
        }
        if std::mem::take(&mut self.woken) {
            return Some(Next::Woken);
        }
        if let Some(barrier) = self.overtakes() {
            return Some(self.overtake(barrier));
        }
        let count = self.channels.len();
        if self.recovering {
            let left = self.recovered.iter().filter(|old| !old.queue.is_empty());
            let Some(age) = left.map(|old| old.age).max() else {
                (self.recovering, self.recovered) = (false, Vec::new());
                return Some(Next::Recovered);
            };
            let mut turns = (0..self.recovered.len()).map(|step| (self.turn + step) % self.recovered.len());
            let is_next = |old: &Recovered<T>| old.age == age && !old.queue.is_empty();
            let index = turns.find(|index| is_next(&self.recovered[*index]))?;
            self.turn = index + 1;
            return self.recovered[index].queue.pop_front().map(|event| Next::Event(count + index, event));
        }
        for step in 0..count {
            let index = (self.turn + step) % count;
            let channel = &mut self.channels[index];
            if channel.blocked {
                continue;
            }
            if let Some(event) = channel.queue.pop_front() {
                channel.records -= event.records();
                if matches!(event, Event::Control(Control::Barrier(_))) {
                    channel.barrier = None;
                }
                channel.wake_writer();
                if event.bytes() > 0 && self.writer_waits_for_bytes {
                    self.writer_waits_for_bytes = false;
                    self.channels.iter_mut().for_each(Channel::wake_writer);
                }
                self.bytes -= event.bytes();
                self.turn = (index + 1) % count;
                return Some(Next::Event(index, event));
            }
        }
        None
    }

    /// The barrier that is to overtake what is queued, if it has come in all channels.
    fn overtakes(&self) -> Option<Barrier> {
        let epoch = self.overtaking?;
        // One that has been read has nothing left to overtake.
        let has_come =
            |channel: &Channel<T>| channel.blocked || (channel.lane.is_some() && channel.barrier.is_some());
        let barrier = self.channels.iter().find_map(|channel| channel.barrier)?;
        (barrier.epoch == epoch && self.channels.iter().all(has_come)).then_some(barrier)
    }

    fn overtake(&mut self, barrier: Barrier) -> Next<T> {
        let mut passed_by = Vec::with_capacity(self.channels.len() + self.recovered.len());
        for channel in &mut self.channels {
            if channel.barrier.take().is_none() {
                passed_by.push(VecDeque::new());
                continue;
            }
            let is_barrier = |event: &Event<T>| matches!(event, Event::Control(Control::Barrier(_)));
            let before = channel.queue.iter().position(is_barrier).unwrap_or(channel.queue.len());
            let behind = channel.queue.split_off(before);
            let events = std::mem::replace(&mut channel.queue, behind);
            channel.queue.pop_front();
            passed_by.push(events);
        }
        passed_by.extend(self.recovered.iter_mut().map(|old| std::mem::take(&mut old.queue)));
        Next::Overtaken(barrier, passed_by)
    }

    /// The queue of a channel, or of one of old.
    fn front_of(&mut self, channel: usize) -> &mut VecDeque<Event<T>> {
        let own = self.channels.len();
        match channel.checked_sub(own) {
            None => &mut self.channels[channel].queue,
            Some(old) => &mut self.recovered[old].queue,
        }
    }
}

/// The mailbox of a task, whatever its records are.
pub(crate) trait Mailbox: Send + Sync {
    /// Sends mail. It is read before records.
    fn send(&self, mail: Mail);
    /// Ends the next wait of the task.
    fn wake(&self);
    /// From now on the barrier of this epoch overtakes what is queued, where it may; writers do not wait for room until they have sent it.
    fn overtake(&self, epoch: Epoch);
    /// Makes every wait of the task, and of those who write to it, fail.
    fn cancel(&self);
}

impl<T: Send> Mailbox for Gate<T> {
    fn send(&self, mail: Mail) {
        self.shared.lock().mail.push_back(mail);
        // Whoever is woken wants the lock: it is free by now, here and wherever somebody is woken.
        self.shared.readable.notify_one();
    }

    fn wake(&self) {
        let mut state = self.shared.lock();
        state.woken = true;
        let reader_waits = state.reader_waits;
        drop(state);
        if reader_waits {
            self.shared.readable.notify_one();
        }
    }

    fn overtake(&self, epoch: Epoch) {
        let mut state = self.shared.lock();
        if state.passed >= epoch || state.channels.iter().all(|channel| channel.lane.is_none()) {
            return;
        }
        state.overtaking = Some(epoch);
        state.channels.iter_mut().for_each(Channel::wake_writer);
        drop(state);
        self.shared.readable.notify_one();
    }

    fn cancel(&self) {
        let mut state = self.shared.lock();
        state.cancelled = true;
        self.shared.readable.notify_one();
        state.channels.iter().for_each(|channel| channel.writable.notify_one());
    }
}

/// The writing end of one channel.
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
    channel: usize,
    writable: Arc<Condvar>,
}

impl<T> Sender<T> {
    /// So many records are a full batch.
    pub(crate) fn batch_limit(&self) -> usize {
        self.shared.batch_limit.load(Relaxed)
    }

    /// Whether more waits in its channel than would have found room, if no barrier had overtaken it.
    pub(crate) fn is_crowded(&self) -> bool {
        let state = self.shared.lock();
        let channel = &state.channels[self.channel];
        let is_heavy = state.bytes > self.shared.bytes && channel.records > 0;
        channel.lane.is_some() && (is_heavy || channel.records > state.record_limit.max(1))
    }

    /// Sends an event, waiting while the channel is full. Returns the microseconds it waited.
    pub(crate) fn send(&self, event: Event<T>) -> Result<u64, Failure> {
        let mut state = self.shared.lock();
        let mut since = None;
        loop {
            if state.cancelled {
                return Err(Failure::Cancelled);
            }
            let (records, bytes) = (event.records(), event.bytes());
            let limit = state.record_limit;
            let is_overtaking = state.overtaking.is_some();
            let light = state.bytes.saturating_add(bytes) <= self.shared.bytes;
            let channel = &mut state.channels[self.channel];
            let fits = channel.records == 0 || (light && channel.records.saturating_add(records) <= limit);
            // So a barrier gets past what is in its writer's hands.
            let hurries = is_overtaking && channel.lane.is_some() && channel.barrier.is_none();
            if hurries || (channel.queue.len() < self.shared.capacity && (fits || records == 0)) {
                channel.records += records;
                if let Event::Control(Control::Barrier(barrier)) = &event {
                    channel.barrier = Some(*barrier);
                }
                channel.queue.push_back(event);
                state.bytes += bytes;
                let reader_waits = state.reader_waits && !state.channels[self.channel].blocked;
                drop(state);
                if reader_waits {
                    self.shared.readable.notify_one();
                }
                return Ok(since.map_or(0, |since: Instant| since.elapsed().as_micros() as u64));
            }
            channel.writer_waits = true;
            state.writer_waits_for_bytes |= !light;
            since.get_or_insert_with(Instant::now);
            state = self.writable.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How long a reader takes for a record, as it was of late, and what follows for those who write to it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Nanoseconds a record; 0 before the first.
    cost: f64,
    /// What its gate was told.
    told: f64,
}

impl Pace {
    /// So many records took so long.
    pub(crate) fn took<T>(&mut self, records: usize, time: Duration, gate: &Gate<T>) {
        if records == 0 {
            return;
        }
        if let Some((batch, waiting)) = self.limits(records, time) {
            gate.limit(batch, waiting / gate.channels().max(1));
        }
    }

    /// The number of records of a batch, and of all that may wait, if there is news of them.
    pub(crate) fn limits(&mut self, records: usize, time: Duration) -> Option<(usize, usize)> {
        let cost = time.as_nanos() as f64 / records as f64;
        // Slower is believed at once, as one batch may already be too much; faster by and by.
        self.cost = if cost > self.cost { cost } else { self.cost + (cost - self.cost) / 8.0 };
        if (self.cost - self.told).abs() <= self.told / 4.0 {
            return None;
        }
        self.told = self.cost;
        let fit = |time: Duration| (time.as_nanos() as f64 / self.cost.max(1.0)) as usize;
        Some((fit(ONE_BATCH).clamp(1, BATCH_SIZE), fit(UNDER_WAY).max(1)))
    }

    /// The number of records after which a barrier that overtakes need not wait for the rest of a batch.
    pub(crate) fn piece(&self) -> usize {
        // Nobody knows yet how long one takes.
        if self.told == 0.0 {
            1
        } else {
            ((ONE_BATCH.as_nanos() as f64 / self.told.max(1.0)) as usize).max(1)
        }
    }
}

#[cfg(test)]
mod tests;
