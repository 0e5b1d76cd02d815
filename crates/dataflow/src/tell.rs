//! What a job tells of itself without being asked: that it resumes, restarts, loses records, waits.
//!
//! It is a `tracing` event. As long as the program has set up no subscriber, nobody would ever see it, so it is written on stderr.

use std::fmt::Display;

/// Tells what is as it should be.
pub fn info(text: impl Display) {
    if tracing::dispatcher::has_been_set() {
        tracing::info!("{text}");
    } else {
        on_stderr(&text);
    }
}

/// Tells what somebody should look at.
pub fn warn(text: impl Display) {
    if tracing::dispatcher::has_been_set() {
        tracing::warn!("{text}");
    } else {
        on_stderr(&text);
    }
}

#[expect(clippy::print_stderr, reason = "this is what it is for")]
fn on_stderr(text: &dyn Display) {
    // It panics when stderr cannot be written to, which is no reason for a job to end.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eprintln!("thalweg: {text}")));
}

/// A time span in milliseconds, as people say it.
pub(crate) fn span(millis: i64) -> String {
    match millis.max(0) {
        ms @ 0..1000 => format!("{ms} ms"),
        ms @ 1000..120_000 => format!("{} s", ms / 1000),
        ms @ 120_000..7_200_000 => format!("{} min", ms / 60_000),
        ms @ 7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} days", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_are_said_in_one_unit() {
        let shown = [-5, 12, 12_345, 119_999, 120_000, 7_200_000, 200_000_000].map(span);
        assert_eq!(shown, ["0 ms", "12 ms", "12 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}
