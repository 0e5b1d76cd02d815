//! One-vs-rest: a learner of two classes for each class, against all others.
//!
//! - **Source**: Rifkin and Klautau, "In defense of one-vs-all classification", JMLR 2004.
//! - **Learns** any classes, of which new ones may appear at any time, by any learner of two. **Refuses** what that does. Where a step
//!   of one class would diverge, that class
//!   is not taught the record, and the others are.
//! - **Parallel**: one subtask, or one model for each key.
//! - **Numbers** agree with river's `OneVsRestClassifier` to 1e-9 (`tests/learners/linear.rs`).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::ensemble::OneVsRest;
//! use thalweg_ml::linear::{LogisticRegression, Optimizer};
//!
//! let mut model = OneVsRest::new(LogisticRegression::with(Optimizer::sgd(0.1)));
//! for n in 0..3000_u32 {
//!     let angle = f64::from(n % 3) * 2.1;
//!     model.learn_one(&[angle.cos(), angle.sin()], &(n % 3))?;
//! }
//! assert_eq!(model.predict_one(&[1.0, 0.1])?.class(), Some(0));
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::classification::{Appearance, check_class};
use crate::{Class, Classification, Learner, Rejected};

/// The learner. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneVsRest<L> {
    learner: L,
    classes: Vec<Option<L>>,
    appearance: Appearance,
}

impl<L> OneVsRest<L> {
    /// With a copy of `learner` for each class.
    pub fn new(learner: L) -> Self {
        Self { learner, classes: Vec::new(), appearance: Appearance::default() }
    }
}

impl<X, L> Learner<X> for OneVsRest<L>
where
    L: Learner<X, Target = Class, Prediction = Classification>,
{
    type Target = Class;
    type Prediction = Classification;

    #[inline]
    fn check_target(&self, y: &Class) -> Result<(), Rejected> {
        check_class(*y)
    }

    fn learn_one(&mut self, x: &X, y: &Class) -> Result<(), Rejected> {
        check_class(*y)?;
        let class = *y as usize;
        // Its own class first, which may refuse the record for all.
        if let Some(Some(own)) = self.classes.get_mut(class) {
            own.learn_one(x, &1)?;
        } else {
            let mut own = self.learner.clone();
            own.learn_one(x, &1)?;
            if self.classes.len() <= class {
                self.classes.resize(class + 1, None);
            }
            self.classes[class] = Some(own);
            self.appearance.see(*y);
        }
        for (other, learner) in self.classes.iter_mut().enumerate() {
            if other != class
                && let Some(learner) = learner
            {
                let _ = learner.learn_one(x, &0);
            }
        }
        Ok(())
    }

    fn predict_one(&self, x: &X) -> Result<Classification, Rejected> {
        let mut votes: crate::classification::Votes = SmallVec::new();
        for learner in &self.classes {
            votes.push(match learner {
                Some(learner) => learner.predict_one(x)?.probability(1),
                None => 0.0,
            });
        }
        if votes.is_empty() {
            // What the learner says of the features, it says also before there are classes.
            self.learner.predict_one(x)?;
        }
        if votes.iter().sum::<f64>() == 0.0 {
            let known = self.classes.iter().flatten().count() as f64;
            votes =
                self.classes.iter().map(|class| if class.is_some() { 1.0 / known } else { 0.0 }).collect();
        }
        Ok(Classification::from_votes(votes).of_equals_the_first(self.appearance.iter()))
    }
}
