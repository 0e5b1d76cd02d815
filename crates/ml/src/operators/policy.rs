//! What happens to a record that a learner refuses: the model stays as it was, and nobody is left in the dark.

use serde::{Deserialize, Serialize};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::metrics::OperatorMetrics;

use crate::Rejected;

/// What to do with a record that cannot be learnt or predicted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRecordPolicy {
    /// Fail the job, with the reason and the origin of the record.
    #[default]
    Fail,
    /// Leave it out: it is counted (`bad_records` of the operator), and goes to the operator's `bad` side output, where one is read.
    Skip,
}

/// A record that was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BadRecord<I> {
    /// Which one.
    pub id: I,
    /// Why.
    pub reason: Rejected,
}

impl BadRecordPolicy {
    /// Decides over one record: an error fails the job.
    pub(crate) fn decide(self, reason: &Rejected, metrics: Option<&OperatorMetrics>) -> Result<(), BoxError> {
        match self {
            Self::Fail => Err(format!("{reason} (BadRecordPolicy::Skip leaves such records out)").into()),
            Self::Skip => {
                if let Some(metrics) = metrics {
                    metrics.bad_records.add(1);
                }
                Ok(())
            }
        }
    }
}
