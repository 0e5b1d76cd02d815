//! Models in SQL: the provider `thalweg`, which runs the learners of [`thalweg_ml`] in `ML_PREDICT` and `ML_LEARN`.
//!
//! ```
//! use thalweg_table::environment::TableEnvironment;
//!
//! let mut environment = TableEnvironment::new();
//! thalweg_ml_table::register(&mut environment);
//! let script = "
//!     CREATE TABLE payments (amount DOUBLE, country INT, was_fraud BOOLEAN)
//!         WITH ('connector' = 'datagen', 'number-of-rows' = '100');
//!     CREATE MODEL fraud INPUT (amount DOUBLE, country INT) OUTPUT (is_fraud BOOLEAN, confidence DOUBLE)
//!         WITH ('provider' = 'thalweg', 'algorithm' = 'logistic-regression', 'scaler' = 'standard', 'optimizer' = 'ada-grad', 'learning-rate' = '0.1');
//!     CREATE TABLE scored (amount DOUBLE, is_fraud BOOLEAN, confidence DOUBLE, version BIGINT) WITH ('connector' = 'blackhole');
//!     INSERT INTO scored SELECT amount, is_fraud, confidence, model_version
//!         FROM ML_LEARN(TABLE payments, MODEL fraud, DESCRIPTOR(amount, country), DESCRIPTOR(was_fraud));
//! ";
//! environment.execute_script(script, |_, _, _| Ok(()))?;
//! # Ok::<(), thalweg_table::error::SqlError>(())
//! ```
//!
//! # Options
//!
//! | option | says | unless it is set |
//! |---|---|---|
//! | `provider` | `thalweg` | |
//! | `algorithm` | which learner: see [`algorithms`] | of an ONNX file, none |
//! | `path` | a file with a model that has learnt: JSON of [`to_json`](thalweg_ml::to_json), or ONNX (feature `onnx`). `ML_PREDICT` wants one; `ML_LEARN` goes on from it | |
//! | `format` | `json`, `onnx` | by the ending of `path` |
//! | `name` | the name that the JSON has to carry | any |
//! | `task` | of an ONNX file: `classification`, `regression` | as many outputs as classes: `classification` |
//! | `classes` | the names of the classes, from 0: `'no,yes'` | learnt in the order in which they appear |
//! | `scaler` | before the learner: `none`, `standard`, `min-max` | `none`; of a JSON, what is in it |
//! | `missing` | NULL and NaN among features: `reject`, `mean`, `previous`, `zero` | `reject` |
//! | `bad-records` | rows that cannot be predicted or learnt: `fail`; or `null`: they go on, their outputs NULL, and nothing is learnt of them. They are counted (`bad_records`) | `fail` |
//! | `drift-detector` | with `ML_LEARN`: `none`, `adwin`, `ddm`, `page-hinkley`, `kswin` | `none` |
//! | `on-drift` | `tell` (the metric `drifts`), `reset` | `tell` |
//!
//! and those of the algorithm. Other options are refused, with the nearest that is known.
//!
//! # Columns
//!
//! Inputs are numbers and BOOLEAN, or arrays of numbers, one after the other; or one array alone. Outputs go by their types:
//!
//! | of | output |
//! |---|---|
//! | classes | an integer, BOOLEAN or STRING: the class, by number, whether it is 1, by name; DOUBLE: its probability; `ARRAY<DOUBLE>`: that of each class |
//! | numbers | a number |
//! | clusters | an integer: the cluster; DOUBLE: how far its centre is |
//! | anomalies | DOUBLE: the score |
//!
//! A label is of the type of the class or number. Scores of predictions (accuracy, MAE, … over all, over the last and fading) are among the metrics of the job;
//! in SQL they are an aggregate over label and output. Rows of a key are learnt in the order in which they come; where several subtasks read the input, that is not
//! the same in every run.

pub mod algorithms;
mod any;
mod columns;
mod learn_rows;
mod options;
mod predict_rows;
mod prepare;
mod provider;

use std::sync::Arc;

pub use provider::Thalweg;
use thalweg_table::environment::TableEnvironment;

/// Makes the provider `thalweg` known to a session.
pub fn register(environment: &mut TableEnvironment) {
    environment.register_model_provider("thalweg", Arc::new(Thalweg));
}
