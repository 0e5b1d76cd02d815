//! Forecasts of a series, value by value. Each is also a [`Learner`](crate::Learner) whose prediction is the next value, so that it is
//! scored as any other.

pub mod holt_winters;
pub mod snarimax;

use thalweg_dataflow::state::StateData;

pub use holt_winters::HoltWinters;
pub use snarimax::Snarimax;

use crate::Rejected;

/// Foresees a series.
pub trait Forecaster: StateData {
    /// Learns the next value.
    ///
    /// # Errors
    /// When it is no number. Nothing changes then.
    fn learn(&mut self, y: f64) -> Result<(), Rejected>;

    /// The next `horizon` values; none before it has seen enough.
    fn forecast(&self, horizon: usize) -> Vec<f64>;

    /// The next value, if it has seen enough.
    fn next(&self) -> Option<f64>;
}

/// Forecasters as learners: the features are the empty tuple, the target is the next value, which is foreseen as 0 before enough was
/// seen.
macro_rules! forecaster_learns {
    ($name:ty) => {
        impl $crate::Learner<()> for $name {
            type Target = f64;
            type Prediction = f64;

            fn learn_one(&mut self, (): &(), y: &f64) -> Result<(), $crate::Rejected> {
                $crate::forecast::Forecaster::learn(self, *y)
            }

            fn predict_one(&self, (): &()) -> Result<f64, $crate::Rejected> {
                Ok($crate::forecast::Forecaster::next(self).unwrap_or(0.0))
            }
        }
    };
}
pub(crate) use forecaster_learns;
