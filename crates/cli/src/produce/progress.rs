//! How far a long input is, on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often it is shown.
const OFTEN: Duration = Duration::from_millis(500);

pub(super) struct Progress {
    shown: bool,
    began: Instant,
    last: Instant,
    drawn: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        Self { shown: !quiet && std::io::stderr().is_terminal(), began: now, last: now, drawn: false }
    }

    /// Whether somebody watches.
    pub(super) fn is_shown(&self) -> bool {
        self.shown
    }

    pub(super) fn update(&mut self, records: u64) {
        if self.shown && self.last.elapsed() >= OFTEN {
            self.last = Instant::now();
            self.drawn = true;
            let rate = records as f64 / self.began.elapsed().as_secs_f64();
            eprint!("\r{records} records, {rate:.0} a second   ");
            let _ = std::io::stderr().flush();
        }
    }

    /// Makes place for other words.
    pub(super) fn clear(&mut self) {
        if self.drawn {
            self.drawn = false;
            eprint!("\r\x1b[K");
        }
    }
}
