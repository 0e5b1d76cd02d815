//! Models in and out of a job: as JSON, with a name and a version, so that what is read is what was written.
//!
//! A model that was exported begins a job as any other learner does (a warm start), or predicts in one. JSON knows no NaN; nor do models.
//!
//! ```
//! use thalweg_ml::linear::{LinearRegression, LogisticRegression};
//! use thalweg_ml::{Learner, from_json, to_json};
//!
//! let mut model = LinearRegression::new();
//! model.learn_one(&[1.0, 2.0], &3.0)?;
//! let json = to_json("prices", &model)?;
//! assert_eq!(from_json::<LinearRegression>("prices", &json)?, model);
//! assert!(from_json::<LinearRegression>("costs", &json).is_err());
//! assert!(from_json::<LogisticRegression>("prices", "{}").is_err());
//! # Ok::<(), thalweg_dataflow::error::BoxError>(())
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the envelope.
const FORMAT: u32 = 1;

/// Why a model could not be written or read.
#[derive(Debug, Error)]
pub enum ExportError {
    /// It is no JSON, or that of another type of model.
    #[error("the model is not of the type asked for: {0}")]
    Json(#[from] serde_json::Error),
    /// Another model.
    #[error("this is the model '{found}', not '{expected}'")]
    Name {
        /// As asked for.
        expected: String,
        /// As found.
        found: String,
    },
    /// Written by a later version.
    #[error("the model was written in format {0}, which this version does not know; update Thalweg")]
    Format(u32),
}

#[derive(Serialize, Deserialize)]
struct Envelope<M> {
    format: u32,
    name: String,
    model: M,
}

/// Writes a model as JSON, under a name.
///
/// # Errors
/// When it holds what JSON cannot say.
pub fn to_json<M: Serialize>(name: &str, model: &M) -> Result<String, ExportError> {
    Ok(serde_json::to_string(&Envelope { format: FORMAT, name: name.to_owned(), model })?)
}

/// Reads what [`to_json`] wrote, whatever its name, which is given too.
///
/// # Errors
/// When it is a model of another type, or none.
pub fn from_any_json<M: DeserializeOwned>(json: &str) -> Result<(String, M), ExportError> {
    let envelope: Envelope<serde_json::Value> = serde_json::from_str(json)?;
    if envelope.format > FORMAT {
        return Err(ExportError::Format(envelope.format));
    }
    Ok((envelope.name, serde_json::from_value(envelope.model)?))
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// When it is another model, or none.
pub fn from_json<M: DeserializeOwned>(name: &str, json: &str) -> Result<M, ExportError> {
    // Whether it is the model asked for comes before whether it is of the type.
    let (found, model) = from_any_json::<serde_json::Value>(json)?;
    if found != name {
        return Err(ExportError::Name { expected: name.to_owned(), found });
    }
    Ok(serde_json::from_value(model)?)
}
