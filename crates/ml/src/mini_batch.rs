//! Mini-batches by count: a learner of batches among learners of records.
//!
//! Flink ML's online estimators learn a batch of `globalBatchSize` records at a time. A [`MiniBatch`] keeps records until there are so
//! many, and then has its learner learn them as one batch; between batches it predicts with the model of the last.
//!
//! - **Learns** what its learner does. **Refuses** what that refuses to predict from, and targets that it could not learn; what a whole
//!   batch turns out to refuse is left out.
//! - **Numbers**: with [`StreamingKMeans`](crate::cluster::StreamingKMeans) and
//!   [`OnlineLogisticRegression`](crate::linear::OnlineLogisticRegression) in it, those of Flink ML (`tests/learners/flink.rs`).
//!
//! ```
//! use thalweg_ml::cluster::StreamingKMeans;
//! use thalweg_ml::{Learner, MiniBatch};
//!
//! let k_means = StreamingKMeans::new(2).set_initial_centers(vec![vec![0.0], vec![1.0]], vec![0.0, 0.0])?;
//! let mut model = MiniBatch::new(k_means, 3);
//! for x in [-1.0, 9.0, 11.0, 500.0] {
//!     model.learn_one(&vec![x], &())?;
//! }
//! assert_eq!(model.learner().cluster_centers(), [vec![-1.0], vec![10.0]]);
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};
use thalweg_dataflow::state::StateData;

use crate::scratch::Spare;
use crate::{Learner, Rejected};

/// The learner of batches as a learner of records. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "L: Serialize, X: Serialize, Y: Serialize",
    deserialize = "L: Deserialize<'de>, X: Deserialize<'de>, Y: Deserialize<'de>"
))]
pub struct MiniBatch<L, X, Y> {
    learner: L,
    size: usize,
    batch: Vec<(X, Y)>,
    /// Space of the records of batches before.
    #[serde(skip)]
    spare: Spare<Vec<(X, Y)>>,
}

impl<L, X, Y> MiniBatch<L, X, Y> {
    /// Has `learner` learn batches of `size` records (Flink ML's `globalBatchSize`, which is 32 there).
    pub fn new(learner: L, size: usize) -> Self {
        Self { learner, size: size.max(1), batch: Vec::new(), spare: Spare::default() }
    }

    /// The learner, as it was after the last batch.
    pub fn learner(&self) -> &L {
        &self.learner
    }
}

impl<X: StateData, L: Learner<X>> Learner<X> for MiniBatch<L, X, L::Target> {
    type Target = L::Target;
    type Prediction = L::Prediction;

    fn learn_one(&mut self, x: &X, y: &L::Target) -> Result<(), Rejected> {
        self.learner.check_target(y)?;
        match self.learner.predict_one(x) {
            // What cannot predict yet may learn.
            Ok(_) | Err(Rejected::NotReady(_)) => {}
            Err(reason) => return Err(reason),
        }
        let record = match self.spare.0.pop() {
            Some(mut space) => {
                space.0.clone_from(x);
                space.1.clone_from(y);
                space
            }
            None => (x.clone(), y.clone()),
        };
        self.batch.push(record);
        if self.batch.len() >= self.size {
            self.learner.learn_batch(&self.batch, &mut |_, _| {});
            self.spare.0.append(&mut self.batch);
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<L::Prediction, Rejected> {
        self.learner.predict_one(x)
    }

    fn check_target(&self, y: &L::Target) -> Result<(), Rejected> {
        self.learner.check_target(y)
    }
}
