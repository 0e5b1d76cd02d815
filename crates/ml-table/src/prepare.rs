//! What is done to features before the learner gets them: missing ones are filled in, then all are scaled.

use serde::{Deserialize, Serialize};
use thalweg_ml::preprocessing::{Imputer, MinMaxScaler, StandardScaler};
use thalweg_ml::{Dense, Learner, Pipeline, Rejected, Transformer};

/// What scales.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Scaler {
    None,
    Standard(StandardScaler),
    MinMax(MinMaxScaler),
}

/// What is done before the learner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prepare {
    pub(crate) imputer: Option<Imputer>,
    pub(crate) scaler: Scaler,
}

impl Prepare {
    fn scaled(&self, x: &[f64]) -> Result<Dense, Rejected> {
        match &self.scaler {
            Scaler::None => Ok(x.iter().copied().collect()),
            Scaler::Standard(scaler) => scaler.transform(&x),
            Scaler::MinMax(scaler) => scaler.transform(&x),
        }
    }
}

impl Transformer<Vec<f64>> for Prepare {
    type Out = Dense;

    fn learn(&mut self, x: &Vec<f64>) -> Result<(), Rejected> {
        let filled = match &mut self.imputer {
            None => None,
            Some(imputer) => {
                imputer.learn(x)?;
                Some(imputer.transform(x)?)
            }
        };
        let x: &[f64] = filled.as_ref().map_or(x, |filled| filled);
        match &mut self.scaler {
            Scaler::None => Ok(()),
            Scaler::Standard(scaler) => scaler.learn(&x),
            Scaler::MinMax(scaler) => scaler.learn(&x),
        }
    }

    fn transform(&self, x: &Vec<f64>) -> Result<Dense, Rejected> {
        match &self.imputer {
            None => self.scaled(x),
            Some(imputer) => self.scaled(&imputer.transform(x)?),
        }
    }
}

/// A learner and what is before it.
pub(crate) type Prepared<L> = Pipeline<Prepare, L>;

/// A learner of features as rows give them.
pub(crate) trait OfRows: Learner<Vec<f64>> {}
impl<L: Learner<Vec<f64>>> OfRows for L {}
