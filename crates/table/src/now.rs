//! The time, as functions see it: the processing time and the watermark of the operator that evaluates them.
//!
//! Functions have no place where they are told either; so an operator sets them for its thread before it evaluates.

use std::cell::Cell;

use thalweg_dataflow::time::{MIN_WATERMARK, Timestamp};

thread_local! {
    static PROCESSING_TIME: Cell<Timestamp> = const { Cell::new(0) };
    static WATERMARK: Cell<Timestamp> = const { Cell::new(MIN_WATERMARK) };
}

/// The processing time of the batch that is being worked on, in milliseconds since the epoch.
pub fn processing_time() -> Timestamp {
    PROCESSING_TIME.get()
}

/// The watermark of the operator at work, or [`MIN_WATERMARK`].
pub fn watermark() -> Timestamp {
    WATERMARK.get()
}

pub(crate) fn set_processing_time(now: Timestamp) {
    PROCESSING_TIME.set(now);
}

pub(crate) fn set_watermark(watermark: Timestamp) {
    WATERMARK.set(watermark);
}
