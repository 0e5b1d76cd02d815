//! What `thalweg run` shows of its jobs on stderr: one line that is drawn anew on a terminal, a line for each job elsewhere.

use std::io::{IsTerminal, Write as _, stderr};
use std::time::{Duration, Instant};

use thalweg::dataflow::metrics::Totals;
use thalweg::dataflow::runtime::{JobHandle, JobView, Progress};

use crate::position;
use crate::terminal::width;

/// How often the line is drawn on a terminal, unless somebody says otherwise.
const FRAME: Duration = Duration::from_secs(1);

/// The lines of some jobs.
pub(crate) struct Status {
    jobs: Vec<Line>,
    /// `None`: nothing is shown.
    every: Option<Duration>,
    in_place: bool,
    /// When that was last.
    drawn: Instant,
    /// Whether a line stands on the terminal, with the cursor behind it: what others write there comes after it, and nothing is
    /// drawn over.
    stands: bool,
}

struct Line {
    name: String,
    job: JobView,
    before: Totals,
}

impl Status {
    /// Lines that are shown `every` so often, if that is given. If it is not, they are shown on a terminal, unless it `is_taken` by
    /// rows.
    pub(crate) fn new(every: Option<Duration>, is_taken: bool) -> Self {
        let in_place = stderr().is_terminal() && !is_taken;
        let every = every.or(in_place.then_some(FRAME));
        Self { jobs: Vec::new(), every, in_place, drawn: Instant::now(), stands: false }
    }

    /// One more job.
    pub(crate) fn add(&mut self, name: &str, job: &JobHandle) {
        self.jobs.push(Line { name: name.to_owned(), job: job.view(), before: Totals::default() });
    }

    /// Shows how far they are, if it is time.
    pub(crate) fn update(&mut self) {
        let passed = self.drawn.elapsed();
        if self.every.is_none_or(|every| passed < every) {
            return;
        }
        self.drawn = Instant::now();
        let now = position::now();
        let lines: Vec<String> = self.jobs.iter_mut().map(|job| job.line(passed, now)).collect();
        if self.in_place {
            // Past the width of the terminal it would be two lines, and no longer drawn over.
            let line: String = lines.join(" | ").chars().take(width().saturating_sub(3)).collect();
            eprint!("\r\x1b[K{line}  ");
            self.stands = true;
        } else {
            lines.iter().for_each(|line| eprintln!("{line}"));
        }
        // A terminal that has gone away is no reason to stop.
        let _ = stderr().flush();
    }

    /// Takes the line away: the jobs have ended.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.stands) {
            eprint!("\r\x1b[K");
        }
    }
}

impl Line {
    fn line(&mut self, passed: Duration, now: i64) -> String {
        let (metrics, progress) = (self.job.metrics(), self.job.progress());
        let totals = metrics.totals();
        let disk = metrics.memory.as_ref().map_or(0, |memory| memory.on_disk());
        let before = std::mem::replace(&mut self.before, totals.clone());
        let line = line(&totals, &before, &progress, passed, now);
        let disk = if disk > 0 { format!("  {} keys on disk", grouped(disk)) } else { String::new() };
        format!("{}  {line}{disk}", self.name)
    }
}

/// What there is to say of a job: what came in and went out, in all and each second; what it is behind.
fn line(totals: &Totals, before: &Totals, progress: &Progress, passed: Duration, now: i64) -> String {
    // After a restart counters begin anew.
    let rate =
        |now: u64, before: u64| (now.saturating_sub(before) as f64 / passed.as_secs_f64()).round() as u64;
    let mut line = format!(
        "{} in ({}/s)  {} out ({}/s)",
        grouped(totals.records_in),
        grouped(rate(totals.records_in, before.records_in)),
        grouped(totals.records_out),
        grouped(rate(totals.records_out, before.records_out)),
    );
    if let Some(lag) = totals.lag {
        line.push_str(&format!("  lag {}", grouped(lag)));
    }
    if let Some(watermark) = totals.watermark {
        let behind = Duration::from_millis(now.saturating_sub(watermark).max(0).unsigned_abs());
        let behind = match behind.as_secs() {
            0 => "now".to_owned(),
            seconds => format!("{} behind", humantime::format_duration(Duration::from_secs(seconds))),
        };
        line.push_str(&format!("  watermark {behind}"));
    }
    for (count, what) in [(totals.late, "late"), (totals.skipped, "skipped")] {
        if count > 0 {
            line.push_str(&format!("  {} {what}", grouped(count)));
        }
    }
    if progress.committed_epoch > 0 {
        line.push_str(&format!("  checkpoint {}", progress.committed_epoch));
    }
    match progress.restarts {
        0 => {}
        1 => line.push_str("  1 restart"),
        n => line.push_str(&format!("  {n} restarts")),
    }
    line
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_line_says_what_there_is_to_say() {
        let before = Totals { records_in: 1000, records_out: 10, ..Totals::default() };
        let totals = Totals {
            records_in: 5000,
            records_out: 30,
            late: 2,
            skipped: 0,
            lag: Some(12_000),
            watermark: Some(1_000_000),
        };
        let progress = Progress { committed_epoch: 7, restarts: 1, ..Progress::default() };
        let shown = line(&totals, &before, &progress, Duration::from_secs(2), 1_061_900);
        assert_eq!(
            shown,
            "5,000 in (2,000/s)  30 out (10/s)  lag 12,000  watermark 1m 1s behind  2 late  checkpoint 7  1 restart"
        );
        let shown = line(&Totals::default(), &before, &Progress::default(), Duration::from_secs(1), 0);
        assert_eq!(shown, "0 in (0/s)  0 out (0/s)");
    }
}
