//! Open files and sockets: how many there may be, and who gets them.
//!
//! The soft limit of the process is raised to the hard one when a broker starts. Of what there is then, some is kept
//! for the logs, which open files when they begin another segment or are read: connections cannot take that, and
//! topics cannot take what some connections need.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How often to count what others have opened in this process.
const RECOUNT: Duration = Duration::from_secs(1);
/// The same while there is plenty.
const SELDOM: Duration = Duration::from_secs(10);
/// What macOS takes where it says that there is no limit.
const OPEN_MAX: u64 = 10_240;
/// Fewer than this are worth a word at the start.
const FEW: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Descriptors {
    limit: usize,
    /// Files of logs, one for each partition on disk.
    logs: AtomicUsize,
    connections: AtomicUsize,
    others: Mutex<Others>,
}

/// What else is open in this process.
#[derive(Debug)]
struct Others {
    count: usize,
    counted: Instant,
}

impl Descriptors {
    /// As many as the process may have, once its limit is raised.
    pub(crate) fn of_process() -> Self {
        let limit = raise();
        if limit < FEW {
            tracing::warn!(
                limit,
                "this process may have few files open, which is the system's hard limit (ulimit -Hn); a partition \
                 needs one, and so does a connection"
            );
        }
        Self::new(limit, open_now())
    }

    fn new(limit: usize, others: usize) -> Self {
        let others = Mutex::new(Others { count: others, counted: Instant::now() });
        Self { limit, logs: AtomicUsize::new(0), connections: AtomicUsize::new(0), others }
    }

    /// Kept for logs that begin another segment or are read; and as many for some connections, whatever topics there are.
    fn kept(&self) -> usize {
        (self.limit / 8).clamp(32, 1_024)
    }

    /// How many connections there may be.
    pub(crate) fn room_for_connections(&self) -> usize {
        let (logs, others) = (self.logs.load(Ordering::Relaxed), self.others());
        self.limit.saturating_sub(others + logs + self.kept())
    }

    /// Whether so many more partitions may have files; the error is a sentence for the client.
    pub(crate) fn have_room_for_logs(&self, more: usize) -> Result<(), String> {
        let (logs, others) = (self.logs.load(Ordering::Relaxed), self.others());
        let room = self.limit.saturating_sub(others + 2 * self.kept());
        if logs.saturating_add(more) <= room {
            return Ok(());
        }
        Err(format!(
            "There is no room for {more} more partition(s): each needs an open file, {logs} are there, and the \
             broker's process may have {} files open, which is its system's hard limit (ulimit -Hn)",
            self.limit
        ))
    }

    pub(crate) fn opened_logs(&self, count: usize) {
        self.logs.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn closed_logs(&self, count: usize) {
        self.logs.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn opened_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed_connection(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Says why there are no more, if that is what is wrong.
    pub(crate) fn explain(&self, error: io::Error) -> io::Error {
        if !is_scarcity(&error) {
            return error;
        }
        let reason = format!(
            "{error}: this process may have {} files open, which is its system's hard limit (ulimit -Hn)",
            self.limit
        );
        io::Error::new(error.kind(), reason)
    }

    /// What is open in this process and is neither a log nor a connection.
    fn others(&self) -> usize {
        let ours = self.logs.load(Ordering::Relaxed) + self.connections.load(Ordering::Relaxed);
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let is_plenty = others.count + ours < self.limit / 2;
        if others.counted.elapsed() > if is_plenty { SELDOM } else { RECOUNT } {
            *others = Others { count: open_now().saturating_sub(ours), counted: Instant::now() };
        }
        others.count
    }
}

/// Whether something failed for want of descriptors.
pub(crate) fn is_scarcity(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

/// Raises the soft limit to the hard one; returns what holds then.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let holds = |current: Option<u64>| {
        current.map_or(usize::MAX / 2, |current| usize::try_from(current).unwrap_or(usize::MAX / 2))
    };
    if current.is_none() || current == maximum {
        return holds(current);
    }
    let wanted = [maximum, Some(maximum.unwrap_or(OPEN_MAX).min(OPEN_MAX))];
    for wanted in wanted.into_iter().filter(|wanted| wanted.is_none_or(|wanted| Some(wanted) > current)) {
        if setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }).is_ok() {
            return holds(wanted);
        }
    }
    holds(current)
}

/// What this process has open. Where that cannot be told, it is taken to be little.
fn open_now() -> usize {
    ["/proc/self/fd", "/dev/fd"]
        .iter()
        .find_map(|folder| Some(std::fs::read_dir(folder).ok()?.count()))
        .unwrap_or(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_and_connections_each_leave_the_other_some() {
        let descriptors = Descriptors::new(1_024, 24);
        assert_eq!(descriptors.room_for_connections(), 1_024 - 24 - 128);
        assert_eq!(descriptors.have_room_for_logs(744), Ok(()));
        let refused = descriptors.have_room_for_logs(745).unwrap_err();
        assert!(refused.contains("1024 files open") && refused.contains("ulimit -Hn"), "{refused}");
        descriptors.opened_logs(744);
        assert_eq!(descriptors.room_for_connections(), 128);
        assert!(descriptors.have_room_for_logs(1).is_err());
        descriptors.closed_logs(1);
        assert_eq!(descriptors.have_room_for_logs(1), Ok(()));
    }

    #[test]
    fn it_is_said_what_the_limit_is() {
        let descriptors = Descriptors::new(77, 0);
        let scarce = io::Error::from(rustix::io::Errno::MFILE);
        assert!(descriptors.explain(scarce).to_string().contains("77 files open"));
        let other = io::Error::from(rustix::io::Errno::NOENT);
        assert_eq!(descriptors.explain(other).raw_os_error(), Some(2));
    }
}
