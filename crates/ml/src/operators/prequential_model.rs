//! A model with what is known of it: its scores, its drift detectors, and the model that may take its place. What
//! [`Learn`](super::Learn) keeps of each key.
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::linear::{LinearRegression, Optimizer};
//! use thalweg_ml::metrics::RegressionMetric;
//! use thalweg_ml::operators::{PrequentialModel, PrequentialSettings};
//!
//! let settings = PrequentialSettings::new(LinearRegression::with(Optimizer::sgd(0.1)));
//! let mut model = PrequentialModel::<_, RegressionMetric>::new(&settings);
//! for _ in 0..100 {
//!     let prediction = model.learner().predict_one(&[1.0])?;
//!     model.learn(&settings, &[1.0], &3.0, &prediction)?;
//! }
//! assert_eq!((model.learnt(), model.scored()), (100, 100));
//! assert!(model.report().window.mae < 0.5);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};

use super::OnDrift;
use crate::drift::DriftDetector;
use crate::metrics::{Metric, Prequential, Report};
use crate::{Learner, Rejected};

/// How models are scored and looked after.
#[derive(Clone, Debug)]
pub struct PrequentialSettings<L> {
    /// What a model begins as, and begins anew.
    pub learner: L,
    /// Over how many records the scores of the window are.
    pub window: usize,
    /// By how much scores fade with each record (0 to 1).
    pub fading: f64,
    /// Looks for drift in the errors of predictions.
    pub drift: Option<DriftDetector>,
    /// What happens then.
    pub on_drift: OnDrift,
}

impl<L> PrequentialSettings<L> {
    /// Scores over all, the last 200 and fading by 0.999; no drift is looked for.
    pub fn new(learner: L) -> Self {
        Self { learner, window: 200, fading: 0.999, drift: None, on_drift: OnDrift::Tell }
    }
}

/// A model, its scores and its drift detectors. See the [module](self).
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "L: Serialize", deserialize = "L: serde::de::DeserializeOwned"))]
pub struct PrequentialModel<L, M: Metric> {
    learner: L,
    learnt: u64,
    scored: u64,
    scores: Prequential<M>,
    drift: Option<DriftDetector>,
    warning: Option<DriftDetector>,
    second: Option<L>,
}

impl<L: Clone, M: Metric> PrequentialModel<L, M> {
    /// One that has learnt nothing here.
    pub fn new(settings: &PrequentialSettings<L>) -> Self {
        Self {
            learner: settings.learner.clone(),
            learnt: 0,
            scored: 0,
            scores: Prequential::new(settings.window, settings.fading),
            drift: settings.drift.clone(),
            warning: match &settings.on_drift {
                OnDrift::Swap(warning) => Some(warning.clone()),
                OnDrift::Tell | OnDrift::Reset => None,
            },
            second: None,
        }
    }

    /// The model.
    pub fn learner(&self) -> &L {
        &self.learner
    }

    /// How many records it has learnt here: its version.
    pub fn learnt(&self) -> u64 {
        self.learnt
    }

    /// How many predictions were scored.
    pub fn scored(&self) -> u64 {
        self.scored
    }

    /// The scores.
    pub fn report(&self) -> Report<M::Report> {
        self.scores.report()
    }

    /// Learns a record for which `prediction` was made, and scores it. Says whether there is a drift, and if so, whether the model was
    /// replaced.
    ///
    /// # Errors
    /// When the record cannot be learnt: neither model nor scores have changed then.
    pub fn learn<X>(
        &mut self,
        settings: &PrequentialSettings<L>,
        x: &X,
        y: &L::Target,
        prediction: &L::Prediction,
    ) -> Result<Option<bool>, Rejected>
    where
        L: Learner<X>,
        M: Metric<Target = L::Target, Prediction = L::Prediction>,
    {
        let error = M::error(y, prediction);
        if error.is_some_and(|error| error.is_nan() || error > 1e150) {
            return Err(Rejected::Diverges);
        }
        // The prediction was made before; so learning first, which may refuse the record, makes no difference to the score.
        self.learner.learn_one(x, y)?;
        self.learnt += 1;
        self.scores.update(y, prediction);
        self.scored += 1;
        if let Some(second) = &mut self.second {
            // What the first could learn, the second may still refuse: it is then the poorer by one record.
            let _ = second.learn_one(x, y);
        }
        let (Some(detector), Some(error)) = (&mut self.drift, error) else { return Ok(None) };
        if self.warning.as_mut().is_some_and(|warning| warning.update(error)) {
            self.second = Some(settings.learner.clone());
        }
        if !detector.update(error) {
            return Ok(None);
        }
        match &settings.on_drift {
            OnDrift::Tell => Ok(Some(false)),
            OnDrift::Reset | OnDrift::Swap(_) => {
                self.learner = self.second.take().unwrap_or_else(|| settings.learner.clone());
                Ok(Some(true))
            }
        }
    }
}
