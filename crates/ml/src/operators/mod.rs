//! What runs learners: operators of the engine, under both faces.
//!
//! | operator | learns | its model is | for |
//! |---|---|---|---|
//! | [`Learn`] | record by record, after it has predicted and scored | one for each key | `DataStream`: prequential, delayed labels, drift |
//! | [`Train`] | batch by batch, in parallel, merged at the barrier | the same in every subtask | `DStream`: [`Mergeable`](crate::Mergeable) learners |
//! | [`TrainInOne`] | batch by batch, in one subtask | one | `DStream`: all other learners |
//! | [`Predict`] | nothing: it is sent models | the newest, in every subtask | both: predictions beside the training |
//! | [`Evaluate`] | nothing: it scores predictions that were made elsewhere | | both |
//! | [`DetectDrift`] | when the distribution of a number changes | a detector for each key | both |

pub mod collect_part;
pub mod detect_drift;
pub mod evaluate;
pub mod learn;
pub mod outcome;
pub mod policy;
pub mod predict;
pub mod prequential_model;
pub mod train;
pub mod train_in_one;
mod waiting;

pub use collect_part::{CollectPart, Part};
pub use detect_drift::DetectDrift;
pub use evaluate::Evaluate;
pub use learn::Learn;
pub use outcome::{Drift, Observation, OnDrift, Outcome, Prediction, Scores};
pub use policy::{BadRecord, BadRecordPolicy};
pub use predict::{ModelVersion, Predict, Predicted};
pub use prequential_model::{PrequentialModel, PrequentialSettings};
pub use train::Train;
pub use train_in_one::TrainInOne;
