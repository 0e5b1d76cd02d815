//! Waiting for something async in a thread that is not.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until the future is ready or the time has come. The future must not need a runtime.
pub(super) fn wait<F: Future>(future: F, until: Instant) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn it_ends_when_the_future_is_ready_or_the_time_has_come() {
        let (sender, receiver) = oneshot::channel();
        let sending = std::thread::spawn(move || sender.send(7).unwrap());
        assert_eq!(wait(receiver, Instant::now() + Duration::from_secs(20)), Some(Ok(7)));
        sending.join().unwrap();
        assert_eq!(wait(std::future::pending::<()>(), Instant::now()), None);
    }
}
