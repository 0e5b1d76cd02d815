//! What the demo shows on stderr: drawn anew in place on a terminal, a line a second elsewhere.

use std::io::{IsTerminal, Write as _, stderr};
use std::time::{Duration, Instant};

use thalweg::dataflow::runtime::JobHandle;
use thalweg::kafka::source::Lag;

use super::pipeline::Seen;
use crate::terminal::width;

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
        let first_result = self.seen.lock().first_result.filter(|_| !self.told_first);
        if let Some(after) = first_result {
            self.told_first = true;
            self.say(&format!("first result {} ms after the start", after.as_millis()));
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
        let mut lines = vec![
            format!("{rate:>10.0} words/s  lag {} lines", self.lag.records()),
            format!(
                "   batches: epoch {}, {} ms after its time; the last with {} words, {} different",
                progress.committed_epoch, progress.batch_delay, shown.batch_words, shown.batch_distinct,
            ),
        ];
        if !self.in_place {
            lines = vec![lines.concat()];
        }
        if let Some((window, words)) = &shown.window
            && (self.in_place || window.start != self.shown_window)
        {
            self.shown_window = window.start;
            let begin = format!("   window of {} s:", (window.end - window.start) / 1000);
            let words = words.iter().map(|(word, n)| format!("  {word} {n}"));
            // A line that the terminal wraps would be two, and no longer drawn over.
            lines.extend(folded(begin, words, if self.in_place { width() } else { usize::MAX }));
        }
        lines.join("\n") + "\n"
    }

    /// Says something that stays, below the last picture.
    pub(crate) fn say(&mut self, text: &str) {
        self.height = 0;
        eprintln!("{text}");
    }
}

/// Words behind each other, on as many lines as they need: what does not fit begins the next one, indented.
fn folded(begin: String, words: impl Iterator<Item = String>, width: usize) -> Vec<String> {
    let mut lines = vec![begin];
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < width => line.push_str(&word),
            _ => lines.push(format!("     {word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn words_that_do_not_fit_begin_another_line() {
        let words = || ["  deep 12", "  and 7", "  fast 5"].map(str::to_owned).into_iter();
        assert_eq!(folded("window:".to_owned(), words(), usize::MAX), ["window:  deep 12  and 7  fast 5"]);
        let two = ["window:  deep 12  and 7", "       fast 5"];
        assert_eq!(folded("window:".to_owned(), words(), 25), two);
    }
}
