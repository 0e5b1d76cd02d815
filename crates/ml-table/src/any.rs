//! Learners whose type is known when a statement is read, not before: one of several, by what they predict.

use serde::{Deserialize, Serialize};
use thalweg_ml::anomaly::HalfSpaceTrees;
use thalweg_ml::cluster::{Assignment, CluStream, DbStream, MiniBatchKMeans, StreamingKMeans};
use thalweg_ml::ensemble::{
    AdaptiveRandomForestClassifier, AdaptiveRandomForestRegressor, Bagging, OneVsRest,
};
use thalweg_ml::linear::{
    LinearRegression, LogisticRegression, PassiveAggressiveClassifier, PassiveAggressiveRegressor,
    RecursiveLeastSquares, SoftmaxRegression,
};
use thalweg_ml::naive_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use thalweg_ml::neighbors::{KNearestClassifier, KNearestRegressor};
#[cfg(feature = "onnx")]
use thalweg_ml::onnx::{OnnxClassifier, OnnxRegressor};
use thalweg_ml::tree::{HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier, HoeffdingTreeRegressor};
use thalweg_ml::{Class, Classification, Dense, Learner, Rejected};

/// An enum of learners of one kind, that is a learner.
macro_rules! any {
    ($(#[$doc:meta])* $name:ident, $target:ty, $prediction:ty, $($(#[$cfg:meta])* $variant:ident($learner:ty)),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) enum $name {
            $($(#[$cfg])* $variant($learner)),+
        }

        impl Learner<Dense> for $name {
            type Target = $target;
            type Prediction = $prediction;

            fn check_target(&self, y: &$target) -> Result<(), Rejected> {
                match self {
                    $($(#[$cfg])* Self::$variant(learner) => Learner::<Dense>::check_target(learner, y)),+
                }
            }

            fn learn_one(&mut self, x: &Dense, y: &$target) -> Result<(), Rejected> {
                match self {
                    $($(#[$cfg])* Self::$variant(learner) => learner.learn_one(x, y)),+
                }
            }

            fn predict_one(&self, x: &Dense) -> Result<$prediction, Rejected> {
                match self {
                    $($(#[$cfg])* Self::$variant(learner) => learner.predict_one(x)),+
                }
            }
        }

        $($(#[$cfg])* impl From<$learner> for $name {
            fn from(learner: $learner) -> Self {
                Self::$variant(learner)
            }
        })+
    };
}

any!(
    /// Predicts classes.
    Classifier, Class, Classification,
    Logistic(LogisticRegression),
    PassiveAggressive(PassiveAggressiveClassifier),
    Softmax(SoftmaxRegression),
    OneVsRest(OneVsRest<LogisticRegression>),
    Gaussian(GaussianNb),
    Multinomial(MultinomialNb),
    Bernoulli(BernoulliNb),
    Tree(HoeffdingTreeClassifier),
    AdaptiveTree(HoeffdingAdaptiveTreeClassifier),
    Forest(AdaptiveRandomForestClassifier),
    Bag(Bagging<HoeffdingTreeClassifier>),
    Nearest(KNearestClassifier),
    #[cfg(feature = "onnx")]
    Onnx(OnnxClassifier),
);

any!(
    /// Predicts numbers.
    Regressor, f64, f64,
    Linear(LinearRegression),
    PassiveAggressive(PassiveAggressiveRegressor),
    RecursiveLeastSquares(RecursiveLeastSquares),
    Tree(HoeffdingTreeRegressor),
    Forest(AdaptiveRandomForestRegressor),
    Bag(Bagging<HoeffdingTreeRegressor>),
    Nearest(KNearestRegressor),
    #[cfg(feature = "onnx")]
    Onnx(OnnxRegressor),
);

any!(
    /// Puts records into clusters.
    Clusterer, (), Assignment,
    MiniBatchKMeans(MiniBatchKMeans),
    StreamingKMeans(StreamingKMeans),
    DbStream(DbStream),
    CluStream(CluStream),
);

any!(
    /// Says how strange records are.
    Detector, (), f64,
    HalfSpaceTrees(HalfSpaceTrees),
);
