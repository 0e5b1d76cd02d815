//! What the demo shows on stderr: drawn anew in place on a terminal, a line a second elsewhere.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stderr};
use std::time::{Duration, Instant};

use thalweg::dataflow::runtime::JobHandle;
use thalweg::kafka::source::Lag;

use super::pipeline::Seen;

/// How often the picture is drawn on a terminal.
const FRAME: Duration = Duration::from_millis(200);
/// How often a line is written elsewhere.
const LINE: Duration = Duration::from_secs(1);

pub(crate) struct Display {
    lag: Lag,
    seen: Seen,
    in_place: bool,
    drawn_at: Instant,
    words: u64,
    /// Lines of the last picture.
    height: usize,
    told_first: bool,
    shown_window: i64,
}

impl Display {
    pub(crate) fn new(lag: Lag, seen: Seen) -> Self {
        let in_place = stderr().is_terminal();
        Self {
            lag,
            seen,
            in_place,
            drawn_at: Instant::now(),
            words: 0,
            height: 0,
            told_first: false,
            shown_window: i64::MIN,
        }
    }

    /// Shows what is new, if it is time.
    pub(crate) fn update(&mut self, handle: &JobHandle) {
        if !self.told_first
            && let Some(after) = self.seen.lock().first_result
        {
            self.told_first = true;
            eprintln!("first result {} ms after the start", after.as_millis());
        }
        let passed = self.drawn_at.elapsed();
        if passed < if self.in_place { FRAME } else { LINE } {
            return;
        }
        self.drawn_at = Instant::now();
        let words = handle.metrics().sum("words", |words| words.records_out.get());
        // After a restart counters begin anew.
        let rate = words.saturating_sub(self.words) as f64 / passed.as_secs_f64();
        self.words = words;
        let picture = self.picture(handle, rate);
        if self.in_place && self.height > 0 {
            eprint!("\x1b[{}A\x1b[J", self.height);
        }
        eprint!("{picture}");
        self.height = picture.lines().count();
        // A terminal that has gone away is no reason to stop.
        let _ = stderr().flush();
    }

    fn picture(&mut self, handle: &JobHandle, rate: f64) -> String {
        let (progress, shown) = (handle.progress(), self.seen.lock());
        let mut picture = String::new();
        let lag = self.lag.records();
        let _ = writeln!(
            picture,
            "{:>12.0} words/s  lag {lag} lines  epoch {} ({} ms after its time)  last batch: {} words, {} different",
            rate, progress.committed_epoch, progress.batch_delay, shown.batch_words, shown.batch_distinct,
        );
        if let Some((window, words)) = &shown.window
            && (self.in_place || window.start != self.shown_window)
        {
            self.shown_window = window.start;
            let _ = write!(picture, "      window of {} s:", (window.end - window.start) / 1000);
            for (word, n) in words {
                let _ = write!(picture, " {word} {n}");
            }
            picture.push('\n');
        }
        picture
    }

    /// Leaves the last picture standing.
    pub(crate) fn finish(&mut self) {
        self.height = 0;
    }
}
