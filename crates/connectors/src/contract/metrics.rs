//! What a connector counts, under the same names everywhere.

use std::sync::Arc;

use thalweg_dataflow::metrics::{Counter, OperatorMetrics};

/// The counters of one subtask of a connector. Records are counted by the engine (`records_in` of a sink, `records_out` of a source).
///
/// | name | |
/// |---|---|
/// | `bytes` | read or written, as they are on the wire or the disk |
/// | `retries` | attempts after the first, successful or not |
/// | `lag` | how much of what is there has not been read, in the unit that the source says |
#[derive(Clone, Debug)]
pub struct ConnectorMetrics {
    operator: Arc<OperatorMetrics>,
    retries: Arc<Counter>,
}

impl ConnectorMetrics {
    /// Those of the subtask whose [context](thalweg_dataflow::source::SourceContext::metrics) this is of. To be made once, in `open`.
    pub fn of(operator: &Arc<OperatorMetrics>) -> Self {
        Self { operator: operator.clone(), retries: operator.counter("retries") }
    }

    /// So many bytes more.
    pub fn bytes(&self, bytes: u64) {
        self.operator.bytes.add(bytes);
    }

    /// One more attempt after the first.
    pub fn retry(&self) {
        self.retries.add(1);
    }

    /// How much is left to be read. It costs a lock: once a poll, not once a record.
    pub fn lag(&self, lag: f64) {
        self.operator.set_gauge("lag", lag);
    }
}
