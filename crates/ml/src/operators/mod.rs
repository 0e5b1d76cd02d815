//! What runs learners: operators of the engine, under both faces.
//!
//! | operator | learns | its model is | for |
//! |---|---|---|---|
//! | [`Learn`] | record by record, after it has predicted and scored | one for each key | `DataStream`: prequential, delayed labels, drift |
//! | [`Train`] | batch by batch, in parallel, merged at the barrier | the same in every subtask | `DStream`: [`Mergeable`](crate::Mergeable) learners |
//! | [`TrainInOne`] | batch by batch, in one subtask | one | `DStream`: all other learners |
//! | [`Predict`] | nothing: it is sent models | the newest, in every subtask | both: predictions beside the training |

pub mod collect_part;
pub mod learn;
pub mod policy;
pub mod predict;
pub mod train;
pub mod train_in_one;
mod waiting;

pub use collect_part::{CollectPart, Part};
pub use learn::{Drift, Learn, Observation, OnDrift, Outcome, Prediction, Scores};
pub use policy::{BadRecord, BadRecordPolicy};
pub use predict::{ModelVersion, Predict, Predicted};
pub use train::Train;
pub use train_in_one::TrainInOne;
