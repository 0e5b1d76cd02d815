//! Memory for the requests that are being read, charged as their bytes arrive.
//!
//! Whoever only announces a long request holds nothing. When the memory is used up, requests wait before they read on,
//! and one of them may go beyond the limit, so that there is always one that comes to its end. Whoever stands still
//! meanwhile loses the place: its connection is closed. An address has half of the memory at most, but always one
//! request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a request may stand still while others wait for memory.
const STILL: Duration = Duration::from_secs(5);
/// How often those who wait look for one that does.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes by which a request has to grow to have moved.
pub(super) const STEP: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    ledger: Mutex<Ledger>,
    /// Told when some is given back.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Ledger {
    used: usize,
    of_address: HashMap<IpAddr, usize>,
    /// The share that may go beyond the limit.
    beyond: Option<u64>,
    next_id: u64,
    holders: HashMap<u64, Arc<Holder>>,
}

/// What others may see of a share.
#[derive(Debug)]
struct Holder {
    held: AtomicUsize,
    moved: Mutex<Instant>,
    state: AtomicU8,
    lost: Notify,
}

/// Its client has to send more.
const READING: u8 = 0;
/// It waits for memory, or for us.
const WAITING: u8 = 1;
/// It has been told to go.
const LOST: u8 = 2;

/// What one request holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    memory: &'a Memory,
    address: IpAddr,
    id: u64,
    holder: Arc<Holder>,
    /// Bytes that had come when it moved last.
    seen: usize,
}

impl Memory {
    /// So many bytes for all requests together.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ledger: Mutex::default(), freed: Notify::new() }
    }

    /// A share that holds nothing yet.
    pub(crate) fn share(&self, address: IpAddr) -> Share<'_> {
        let holder = Arc::new(Holder {
            held: AtomicUsize::new(0),
            moved: Mutex::new(Instant::now()),
            state: AtomicU8::new(READING),
            lost: Notify::new(),
        });
        let mut ledger = self.ledger();
        let id = ledger.next_id;
        ledger.next_id += 1;
        ledger.holders.insert(id, Arc::clone(&holder));
        Share { memory: self, address, id, holder, seen: 0 }
    }

    /// Tells the one that has stood still for longest, if there is one that has for too long.
    fn take_from_who_stands_still(&self) {
        let now = Instant::now();
        let ledger = self.ledger();
        let still = ledger.holders.values().filter(|holder| {
            holder.held.load(Ordering::Relaxed) > 0
                && holder.state.load(Ordering::Relaxed) == READING
                && holder.moved() + STILL <= now
        });
        if let Some(holder) = still.min_by_key(|holder| holder.moved()) {
            holder.state.store(LOST, Ordering::Relaxed);
            holder.lost.notify_one();
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    fn moved(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn move_now(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Share<'_> {
    /// Waits until there is memory for `bytes` of its request in all. Returns whether it had to wait.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        if self.try_grow(bytes) {
            return false;
        }
        self.holder.state.store(WAITING, Ordering::Relaxed);
        loop {
            let mut freed = pin!(self.memory.freed.notified());
            // Before the look, or what is given back in between would be missed.
            freed.as_mut().enable();
            if self.try_grow(bytes) {
                break;
            }
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(LOOK) => self.memory.take_from_who_stands_still(),
            }
        }
        // The time that it took is not the client's.
        self.holder.move_now();
        self.holder.state.store(READING, Ordering::Relaxed);
        true
    }

    fn try_grow(&mut self, bytes: usize) -> bool {
        let held = self.holder.held.load(Ordering::Relaxed);
        let Some(more) = bytes.checked_sub(held).filter(|more| *more > 0) else { return true };
        let mut ledger = self.memory.ledger();
        let of_address = ledger.of_address.get(&self.address).copied().unwrap_or(0);
        let is_its_only_one = of_address == held;
        let fits = ledger.used.saturating_add(more) <= self.memory.limit
            && (is_its_only_one || of_address + more <= self.memory.limit / 2);
        if !fits {
            if ledger.beyond.is_some_and(|id| id != self.id) {
                return false;
            }
            ledger.beyond = Some(self.id);
        }
        ledger.used += more;
        ledger.of_address.insert(self.address, of_address + more);
        self.holder.held.store(bytes, Ordering::Relaxed);
        true
    }

    /// So many bytes of its request have come, which may be all of them.
    pub(crate) fn received(&mut self, bytes: usize, is_all: bool) {
        if is_all {
            self.holder.state.store(WAITING, Ordering::Relaxed);
        }
        if bytes >= self.seen + STEP {
            self.seen = bytes;
            self.holder.move_now();
        }
    }

    /// Sleeps until it has stood still for too long while others waited.
    pub(crate) async fn lost(&self) {
        self.holder.lost.notified().await;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let held = self.holder.held.load(Ordering::Relaxed);
        let mut ledger = self.memory.ledger();
        ledger.holders.remove(&self.id);
        ledger.used -= held;
        if let Some(of_address) = ledger.of_address.get_mut(&self.address) {
            *of_address -= held;
            if *of_address == 0 {
                ledger.of_address.remove(&self.address);
            }
        }
        if ledger.beyond == Some(self.id) {
            ledger.beyond = None;
        }
        drop(ledger);
        self.memory.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const THIRD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

    #[test]
    fn an_address_has_half_of_it_and_always_one_request() {
        let memory = Memory::new(1_000);
        let mut first = memory.share(ONE);
        assert!(first.try_grow(400));
        let mut second = memory.share(ONE);
        assert!(second.try_grow(100));
        // The one that may go beyond.
        assert!(second.try_grow(200));
        let mut third = memory.share(ONE);
        assert!(!third.try_grow(1));
        let mut other = memory.share(OTHER);
        assert!(other.try_grow(400));
        assert!(!other.try_grow(401), "there is no more");
        drop(second);
        assert!(other.try_grow(600), "alone it is not held to its half");
        drop((first, third, other));
        let ledger = memory.ledger();
        assert!(
            (ledger.used, ledger.of_address.len(), ledger.holders.len(), ledger.beyond) == (0, 0, 0, None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_goes_when_others_wait_and_not_before() {
        let memory = Memory::new(1_000);
        let (mut still, mut beyond) = (memory.share(ONE), memory.share(OTHER));
        assert!(!still.grow(900).await && !beyond.grow(900).await);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let mut waits = memory.share(THIRD);
        let begun = Instant::now();
        let moving = async {
            let mut sent = 0;
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                sent += STEP;
                beyond.received(sent, false);
            }
        };
        tokio::select! {
            () = moving => {}
            () = still.lost() => {}
            waited = waits.grow(100) => unreachable!("{waited}"),
        }
        assert!(begun.elapsed() <= LOOK + Duration::from_millis(100));
        drop(still);
        assert!(!waits.grow(100).await, "there is memory again");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_that_wait_all_come_to_their_end() {
        let memory = Memory::new(1_000);
        let request = |n: u8| {
            let memory = &memory;
            async move {
                let mut share = memory.share(IpAddr::from([10, 0, 0, n % 3]));
                for bytes in (100..=800).step_by(100) {
                    share.grow(bytes).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        };
        let all = async {
            let requests: Vec<_> = (0..20).map(|n| Box::pin(request(n))).collect();
            let mut left = requests;
            // All at once, by hand: polled in turn until none is left.
            std::future::poll_fn(|context| {
                left.retain_mut(|request| request.as_mut().poll(context).is_pending());
                if left.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
        assert_eq!(memory.ledger().used, 0);
    }
}
