//! No metric: for learners whose predictions are not scored against targets, such as anomaly scores and recommendations.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use thalweg_dataflow::state::StateData;

use super::{Metric, Names};

/// Counts nothing.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Unscored<Y, P>(PhantomData<fn() -> (Y, P)>);

impl<Y, P> Clone for Unscored<Y, P> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<Y, P> Default for Unscored<Y, P> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Y: StateData, P: StateData> Metric for Unscored<Y, P> {
    type Target = Y;
    type Prediction = P;
    type Report = ();

    fn update(&mut self, _: &Y, _: &P, _: f64) {}

    fn scale(&mut self, _: f64) {}

    fn merge(&mut self, _: &Self) {}

    fn report(&self) {}

    fn error(_: &Y, _: &P) -> Option<f64> {
        None
    }

    fn values((): &()) -> Vec<(Names, f64)> {
        Vec::new()
    }
}
