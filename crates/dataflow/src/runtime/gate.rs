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

struct Channel<T> {
    queue: VecDeque<Event<T>>,
    /// How many there are in it.
    records: usize,
    blocked: bool,
    writer_waits: bool,
    writable: Arc<Condvar>,
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
    pub(crate) fn add_channel(&self) -> Sender<T> {
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

    /// Reads nothing from `channel` until [`unblock`](Self::unblock).
    pub(crate) fn block(&self, channel: usize) {
        self.shared.lock().channels[channel].blocked = true;
    }

    /// Reads from all channels again.
    pub(crate) fn unblock(&self) {
        self.shared.lock().channels.iter_mut().for_each(|channel| channel.blocked = false);
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
        let count = self.channels.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let channel = &mut self.channels[index];
            if channel.blocked {
                continue;
            }
            if let Some(event) = channel.queue.pop_front() {
                channel.records -= event.records();
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
}

/// The mailbox of a task, whatever its records are.
pub(crate) trait Mailbox: Send + Sync {
    /// Sends mail. It is read before records.
    fn send(&self, mail: Mail);
    /// Ends the next wait of the task.
    fn wake(&self);
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
            let light = state.bytes.saturating_add(bytes) <= self.shared.bytes;
            let channel = &mut state.channels[self.channel];
            let fits = channel.records == 0 || (light && channel.records.saturating_add(records) <= limit);
            if channel.queue.len() < self.shared.capacity && (fits || records == 0) {
                channel.records += records;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_wait_is_a_matter_of_time() {
        let mut pace = Pace::default();
        let ms = Duration::from_millis;
        assert_eq!(pace.limits(1024, Duration::from_micros(100)), Some((BATCH_SIZE, 2_048_000)));
        assert_eq!(pace.limits(1024, Duration::from_micros(110)), None);
        assert_eq!(pace.limits(1000, ms(1000)), Some((20, 200)));
        assert_eq!(pace.limits(1, ms(5000)), Some((1, 1)));
        // It takes a while to be believed that it has become fast.
        assert!(pace.limits(20, Duration::from_micros(2)).is_none_or(|(batch, _)| batch == 1));
        let later = (0..100).filter_map(|_| pace.limits(20, Duration::from_micros(2))).last();
        assert_eq!(later.map(|(batch, _)| batch), Some(BATCH_SIZE));
    }

    #[test]
    fn a_slow_reader_is_sent_no_more_than_it_gets_through_in_time() {
        let gate = Gate::new(16);
        let sender = gate.add_channel();
        Pace::default().took(1, Duration::from_millis(100), &gate);
        assert_eq!(sender.batch_limit(), 1);
        let writer =
            std::thread::spawn(move || (0..9).map(|i| sender.send(batch(i))).collect::<Result<Vec<_>, _>>());
        for read in 0..9 {
            let queued = || gate.shared.lock().channels[0].records;
            while queued() < 2 && read < 8 {
                std::thread::yield_now();
            }
            assert!(queued() <= 2);
            assert_eq!(value(gate.next(None)), Some(read));
        }
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn what_may_wait_is_a_matter_of_bytes_for_all_channels_together() {
        let gate = Gate::new(1000);
        gate.limit(BATCH_SIZE, usize::MAX);
        let senders = [gate.add_channel(), gate.add_channel()];
        let heavy = |value| {
            let Event::Batch(mut batch) = batch(value) else { unreachable!() };
            batch.origin = batch.origin.of_part(1 << 20);
            Event::Batch(batch)
        };
        let full = (QUEUED_BYTES >> 20) as u32;
        let writers: Vec<_> = senders
            .into_iter()
            .map(|sender| {
                std::thread::spawn(move || (0..100).try_for_each(|i| sender.send(heavy(i)).map(drop)))
            })
            .collect();
        for read in 0..200 {
            let queued = || gate.shared.lock().bytes >> 20;
            // Full, but for what no more is sent of; and each channel may have one batch in any case.
            while queued() < u64::from(full.min(200 - read)) {
                std::thread::yield_now();
            }
            assert!(queued() <= u64::from(full) + 1, "{}", queued());
            assert!(value(gate.next(None)).is_some());
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
        assert_eq!(gate.shared.lock().bytes, 0);
    }

    fn batch(value: u32) -> Event<u32> {
        let records = vec![crate::record::Record { value, timestamp: 0 }];
        Event::Batch(Batch { records, ..Batch::default() })
    }

    fn value(next: Next<u32>) -> Option<u32> {
        match next {
            Next::Event(_, Event::Batch(batch)) => Some(batch.records[0].value),
            _ => None,
        }
    }

    #[test]
    fn order_holds_within_a_channel_and_none_starves() {
        let gate = Gate::new(1000);
        let senders = [gate.add_channel(), gate.add_channel()];
        for i in 0..60 {
            senders[0].send(batch(i)).unwrap();
        }
        senders[1].send(batch(1000)).unwrap();
        let first: Vec<u32> = (0..3).filter_map(|_| value(gate.next(None))).collect();
        assert_eq!(first, [0, 1000, 1]);
    }

    #[test]
    fn a_full_channel_makes_its_writer_wait_until_there_is_room() {
        let gate = Gate::new(2);
        let sender = gate.add_channel();
        let writer = std::thread::spawn(move || {
            (0..1000).map(|i| sender.send(batch(i))).collect::<Result<Vec<_>, _>>()
        });
        let received: Vec<u32> = (0..1000).filter_map(|_| value(gate.next(None))).collect();
        assert_eq!(received, (0..1000).collect::<Vec<_>>());
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn a_blocked_channel_is_passed_over() {
        let gate = Gate::new(8);
        let senders = [gate.add_channel(), gate.add_channel()];
        senders[0].send(batch(0)).unwrap();
        senders[1].send(batch(1)).unwrap();
        gate.block(0);
        assert_eq!(value(gate.next(None)), Some(1));
        assert!(matches!(gate.next(Some(Instant::now() + Duration::from_millis(1))), Next::Timeout));
        gate.unblock();
        assert_eq!(value(gate.next(None)), Some(0));
    }

    #[test]
    fn mail_comes_first_and_cancelling_wakes_everybody() {
        let gate = Gate::new(1);
        let sender = gate.add_channel();
        sender.send(batch(0)).unwrap();
        gate.send(Mail::Committed(1));
        assert!(matches!(gate.next(None), Next::Mail(Mail::Committed(1))));
        let writer = std::thread::spawn(move || sender.send(batch(1)).is_err());
        gate.cancel();
        assert!(writer.join().unwrap());
        assert!(matches!(gate.next(None), Next::Cancelled));
    }
}
