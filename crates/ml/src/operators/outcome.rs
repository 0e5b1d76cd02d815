//! What goes into learning, and what comes out of it: observations; predictions and what became of them, scores, drifts.

use serde::{Deserialize, Serialize};

use crate::drift::DriftDetector;
use crate::metrics::Report;

/// What a stream says of the world: features, a label, or both. The id tells which belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Observation<I, X, Y> {
    /// Features with their label.
    Example(I, X, Y),
    /// Features to predict from; the label comes later, or never.
    Features(I, X),
    /// The label of features of the same id.
    Label(I, Y),
}

/// What became of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome<Y> {
    /// It was made, and waits for its label.
    Predicted,
    /// It was scored against this label, which was then learnt.
    Scored(Y),
    /// Its label did not come in time.
    Expired,
}

/// A prediction, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction<K, I, P, Y> {
    /// The key of the model.
    pub key: K,
    /// Which observation.
    pub id: I,
    /// What the model said, before it learnt the label.
    pub prediction: P,
    /// The version of the model that said it: the number of records that it had learnt.
    pub version: u64,
    /// What became of it.
    pub outcome: Outcome<Y>,
}

/// The scores of one key's model, after so many records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores<K, R> {
    /// The key of the model.
    pub key: K,
    /// The number of records that were scored.
    pub scored: u64,
    /// The scores.
    pub report: Report<R>,
}

/// A drift that was detected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift<K> {
    /// The key of the model.
    pub key: K,
    /// After how many scored records.
    pub scored: u64,
    /// Whether the model was replaced.
    pub replaced: bool,
}

/// What happens to the model when its errors drift.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum OnDrift {
    /// It is told, and the model goes on.
    #[default]
    Tell,
    /// The model begins anew.
    Reset,
    /// When this detector, more sensitive than the other, finds a drift, a second model begins to learn beside the first; when the other
    /// finds one too, the second takes its place (as trees do in an adaptive random forest). Without a second model, the first begins
    /// anew.
    Swap(DriftDetector),
}
