//! For tests of readers.

use std::sync::Arc;

use super::{SourceContext, SourceOutput, SourceReader, SourceStatus, Waker};
use crate::error::OperatorName;
use crate::time::{Clock, ManualClock};

/// The place of a subtask, with a clock that stands at 0.
pub(crate) fn context(subtask: usize, parallelism: usize) -> SourceContext {
    SourceContext {
        operator: OperatorName { uid: "source".into(), name: "source".into(), subtask },
        parallelism,
        clock: Clock::Manual(ManualClock::new(0)),
        metrics: Arc::default(),
        waker: Waker::new(|| {}),
        job: "job".into(),
        queued_bytes: None,
    }
}

/// What a reader has in so many polls, or until it ends or has nothing.
pub(crate) fn drain<R: SourceReader>(reader: &mut R, polls: usize) -> Vec<R::Item> {
    drain_into(reader, &mut SourceOutput::new(), polls)
}

/// The same, of a reader that is polled again: what it knows of its splits is in `output`.
pub(crate) fn drain_into<R: SourceReader>(
    reader: &mut R,
    output: &mut SourceOutput<R::Item>,
    polls: usize,
) -> Vec<R::Item> {
    let mut items = Vec::new();
    for _ in 0..polls {
        let status = reader.poll(output).unwrap();
        items.extend(output.take().into_iter().map(|record| record.value));
        if status != SourceStatus::Ready {
            break;
        }
    }
    items
}
