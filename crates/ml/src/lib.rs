//! Learning from streams: learners as operators of the Thalweg engine, their models as checkpointed state, every prediction scored
//! before its label is learnt.
//!
//! - A [`Learner`] is pure and deterministic: [one page each](#the-shelf), with its source, what it refuses, an example, and a test
//!   against the numbers of the program that
//!   people know it from. A [`Transformer`] makes features for it.
//! - [`operators`] run learners; [`dstream`] and [`datastream`] are their faces.
//! - [`metrics`] say how good a model is, over all records, over the last, and fading; [`drift`] says when that changes.
//! - [`to_json`] and [`from_json`] carry models out of a job and into one.
//!
//! # The shelf
//!
//! | for | here |
//! |---|---|
//! | classes | [`linear`], [`naive_bayes`], [`tree`], [`neighbors`], [`ensemble`] |
//! | numbers | [`linear`], [`tree`], [`neighbors`], [`ensemble`] |
//! | clusters | [`cluster`] |
//! | features | [`preprocessing`] |
//! | recommendations | [`recommend`] |
//! | anomalies | [`anomaly`] |
//! | forecasts | [`forecast`] |
//! | answers out of little memory | [`sketch`] |
//!
//! # What is learnt in parallel
//!
//! [`Mergeable`] learners train on `DStream`s in all subtasks, and merge at the barrier; sums are exact, so the model does not depend
//! on the parallelism, to the last bit: [`StreamingKMeans`](cluster::StreamingKMeans),
//! [`GaussianNb`](naive_bayes::GaussianNb), [`MultinomialNb`](naive_bayes::MultinomialNb), [`BernoulliNb`](naive_bayes::BernoulliNb),
//! [`LeastSquares`](linear::LeastSquares), [`OnlineLogisticRegression`](linear::OnlineLogisticRegression),
//! [`StandardScaler`](preprocessing::StandardScaler) and [`MinMaxScaler`](preprocessing::MinMaxScaler). All others learn from one record after the other, and so in one
//! subtask, or one model for each key in all of them.

pub mod anomaly;
pub mod classification;
pub mod cluster;
pub mod datastream;
pub mod drift;
pub mod dstream;
pub mod ensemble;
pub mod exact_sum;
pub mod export;
pub mod features;
pub mod forecast;
pub mod learner;
pub mod linear;
pub mod metrics;
pub mod mini_batch;
pub mod moments;
pub mod naive_bayes;
pub mod neighbors;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod operators;
mod pairs;
pub mod preprocessing;
pub mod recommend;
pub mod rng;
pub mod scratch;
pub mod sketch;
pub mod tree;

pub use classification::{Class, Classes, Classification, MAX_CLASS};
pub use export::{ExportError, from_any_json, from_json, to_json};
pub use features::{Dense, Features, Sparse};
pub use learner::{Chain, Learner, MAX_MAGNITUDE, Mergeable, Pipeline, Rejected, Transformer};
pub use mini_batch::MiniBatch;

/// The README's program runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
