//! What operators have in common that wait for times: how far time has come, which keys are due when, and what is late.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_dataflow::metrics::OperatorMetrics;
use thalweg_dataflow::operator::OperatorContext;
use thalweg_dataflow::state::States;
use thalweg_dataflow::time::Timestamp;
use thalweg_dataflow::watermark::CurrentWatermark;

use crate::rows::RowBytes;

/// The times that an operator waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    pub(super) due: Due,
    pub(super) late: Late,
    watermark: CurrentWatermark,
}

impl Deadlines {
    pub(super) fn open(&mut self, context: &OperatorContext) {
        self.late.open(context);
    }

    /// Names the watermark to the engine. Returns whether state is being restored: then it is to be said anew what is due.
    pub(super) fn states(&mut self, states: &mut States<'_>) -> bool {
        self.watermark.states(states);
        let restores = states.epoch().is_none();
        if restores {
            self.due.clear();
        }
        restores
    }

    /// The watermark that has been reached.
    pub(super) fn watermark(&self) -> Timestamp {
        self.watermark.get()
    }

    pub(super) fn advance(&mut self, watermark: Timestamp) {
        self.watermark.advance(watermark);
    }

    /// Whether the watermark has passed a time.
    pub(super) fn is_over(&self, time: Timestamp) -> bool {
        time <= self.watermark()
    }

    /// When the next window ends by the clock: the millisecond after its last one.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.due.next().map(|last| last + 1)
    }
}

/// Counts rows that are late.
#[derive(Clone, Debug, Default)]
pub(super) struct Late(Option<Arc<OperatorMetrics>>);

impl Late {
    pub(super) fn open(&mut self, context: &OperatorContext) {
        self.0 = Some(context.metrics.clone());
    }

    /// So many are dropped.
    pub(super) fn dropped(&self, rows: usize) {
        if let Some(metrics) = &self.0 {
            metrics.late_records.add(rows as u64);
            metrics.late_dropped.add(rows as u64);
        }
    }
}

/// Keys by the time at which something is to be done about them. It is made of the state anew after a restore, so it is in no checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Due(BTreeMap<Timestamp, Vec<(u64, RowBytes)>>);

impl Due {
    /// Something is to be done about `key` at `time`.
    pub(super) fn add(&mut self, time: Timestamp, hash: u64, key: RowBytes) {
        self.0.entry(time).or_default().push((hash, key));
    }

    /// The next time at which something is to be done.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.keys().next().copied()
    }

    /// Takes out those that are due at the earliest time up to `time`.
    pub(super) fn pop(&mut self, time: Timestamp) -> Option<(Timestamp, Vec<(u64, RowBytes)>)> {
        let entry = self.0.first_entry().filter(|entry| *entry.key() <= time)?;
        Some(entry.remove_entry())
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
