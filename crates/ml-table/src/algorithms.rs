//! Which learner an `algorithm` is, and its options.
//!
//! | algorithm | options |
//! |---|---|
//! | **classes** | |
//! | `logistic-regression`, `one-vs-rest` (of it) | `optimizer`, `learning-rate`, `l2`, `intercept-learning-rate` |
//! | `softmax-regression` | `optimizer`, `learning-rate`, `l2` |
//! | `passive-aggressive` | `c` (1), `variant` (`pa-1`; `pa`, `pa-2`) |
//! | `gaussian-nb` | |
//! | `multinomial-nb`, `bernoulli-nb` | `alpha` (1), of the latter `threshold` (0) |
//! | `hoeffding-tree` | `grace-period` (200), `delta` (1e-7), `tau` (0.05), `max-depth`, `leaf-prediction` (`adaptive`; `majority`, `naive-bayes`) |
//! | `hoeffding-adaptive-tree` | the same, `bootstrap` (true), `seed` (0) |
//! | `bagging` (of Hoeffding trees) | those of `hoeffding-tree`, `models` (10), `seed` (0) |
//! | `adaptive-random-forest` | `models` (10), `seed` (0) |
//! | `k-nearest-neighbors` | `k` (5), `window` (1000) |
//! | **numbers** | |
//! | `linear-regression` | as `logistic-regression` |
//! | `passive-aggressive-regressor` | `c` (1), `variant`, `epsilon` (0.1) |
//! | `recursive-least-squares` | `ridge` (1), `forgetting` (1) |
//! | `hoeffding-tree-regressor` | `grace-period` (200), `delta` (1e-7), `max-depth`, `leaf-prediction` (`adaptive`; `mean`, `model`) |
//! | `bagging-regressor` (of Hoeffding trees) | the same, `models` (10), `seed` (0) |
//! | `adaptive-random-forest-regressor` | `models` (10), `seed` (0) |
//! | `k-nearest-neighbors-regressor` | `k` (5), `window` (1000) |
//! | **clusters** | |
//! | `mini-batch-k-means` | `k`, `start` (10 × k: how many records the first centres are made of), `seed` (0) |
//! | `streaming-k-means` (from a file, for `ML_PREDICT`) | |
//! | `dbstream` | `radius` (1), `fading` (0.01), `cleanup-interval` (2), `intersection-factor` (0.3), `minimum-weight` (1) |
//! | `clustream` | `k` (5), `max-micro-clusters` (100), `window` (1000), `gap` (100), `seed` (0) |
//! | **anomalies** | |
//! | `half-space-trees` | `trees` (10), `height` (8), `window` (250), `seed` (0) |
//!
//! `optimizer` is `sgd` (`learning-rate` 0.01), `ada-grad` (0.1), or `ftrl-proximal` (`learning-rate` 0.05, `beta` 1, `ftrl-l1` 0, `ftrl-l2` 1).

use serde::de::DeserializeOwned;
use thalweg_ml::anomaly::HalfSpaceTrees;
use thalweg_ml::cluster::{CluStream, DbStream, MiniBatchKMeans, StreamingKMeans};
use thalweg_ml::ensemble::{
    AdaptiveRandomForestClassifier, AdaptiveRandomForestRegressor, Bagging, OneVsRest,
};
use thalweg_ml::linear::{
    LinearRegression, LogisticRegression, Optimizer, PassiveAggressiveClassifier, PassiveAggressiveRegressor,
    RecursiveLeastSquares, SoftmaxRegression, Variant,
};
use thalweg_ml::naive_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use thalweg_ml::neighbors::{KNearestClassifier, KNearestRegressor};
use thalweg_ml::preprocessing::{Imputer, MinMaxScaler, StandardScaler};
use thalweg_ml::tree::{
    HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier, HoeffdingTreeRegressor, LeafPrediction,
    RegressionLeaf,
};
use thalweg_ml::{Pipeline, from_any_json};
use thalweg_table::error::SqlError;

use crate::any::{Classifier, Clusterer, Detector, Regressor};
use crate::options::Options;
use crate::prepare::{Prepare, Prepared, Scaler};

/// The names of all, by what they predict.
pub(crate) const NAMES: [&str; 24] = [
    "logistic-regression",
    "one-vs-rest",
    "softmax-regression",
    "passive-aggressive",
    "gaussian-nb",
    "multinomial-nb",
    "bernoulli-nb",
    "hoeffding-tree",
    "hoeffding-adaptive-tree",
    "bagging",
    "adaptive-random-forest",
    "k-nearest-neighbors",
    "linear-regression",
    "passive-aggressive-regressor",
    "recursive-least-squares",
    "hoeffding-tree-regressor",
    "bagging-regressor",
    "adaptive-random-forest-regressor",
    "k-nearest-neighbors-regressor",
    "mini-batch-k-means",
    "streaming-k-means",
    "dbstream",
    "clustream",
    "half-space-trees",
];

/// A learner of the kind that the algorithm is of.
pub(crate) enum Built {
    Classes(Prepared<Classifier>),
    Numbers(Prepared<Regressor>),
    Clusters(Prepared<Clusterer>),
    Anomalies(Prepared<Detector>),
}

/// Where a learner comes from: its options, or a file.
struct Source<'a> {
    options: &'a Options<'a>,
    prepare: Prepare,
    /// The content of the file, and the name that it has to carry.
    json: Option<(&'a str, Option<&'a str>)>,
}

/// Makes the learner that the options say; out of the file, where there is one.
pub(crate) fn build(options: &Options<'_>, prepare: Prepare, json: Option<&str>) -> Result<Built, SqlError> {
    let Some(algorithm) = options.text("algorithm") else {
        return Err(options.wrong("the option `algorithm` says which learner it is".to_owned()));
    };
    let source = Source { options, prepare, json: json.map(|json| (json, options.text("name"))) };
    let o = options;
    Ok(match algorithm {
        "logistic-regression" => Built::Classes(source.learner(|| logistic(o))?),
        "one-vs-rest" => Built::Classes(source.learner(|| Ok(OneVsRest::new(logistic(o)?)))?),
        "softmax-regression" => Built::Classes(
            source.learner(|| Ok(SoftmaxRegression::with(optimizer(o)?).l2(o.number("l2", 0.0)?)))?,
        ),
        "passive-aggressive" => Built::Classes(
            source.learner(|| Ok(PassiveAggressiveClassifier::new(o.number("c", 1.0)?, variant(o)?)))?,
        ),
        "gaussian-nb" => Built::Classes(source.learner(|| Ok(GaussianNb::default()))?),
        "multinomial-nb" => {
            Built::Classes(source.learner(|| Ok(MultinomialNb::new(o.number("alpha", 1.0)?)))?)
        }
        "bernoulli-nb" => Built::Classes(
            source.learner(|| Ok(BernoulliNb::new(o.number("alpha", 1.0)?, o.number("threshold", 0.0)?)))?,
        ),
        "hoeffding-tree" => Built::Classes(source.learner(|| tree(o))?),
        "hoeffding-adaptive-tree" => Built::Classes(source.learner(|| adaptive_tree(o))?),
        "bagging" => Built::Classes(source.learner(|| Ok(Bagging::new(tree(o)?, models(o)?, seed(o)?)))?),
        "adaptive-random-forest" => {
            Built::Classes(source.learner(|| Ok(AdaptiveRandomForestClassifier::new(models(o)?, seed(o)?)))?)
        }
        "k-nearest-neighbors" => Built::Classes(
            source.learner(|| neighbors(o).map(|(k, window)| KNearestClassifier::new(k, window)))?,
        ),
        "linear-regression" => Built::Numbers(source.learner(|| linear(o))?),
        "passive-aggressive-regressor" => Built::Numbers(source.learner(|| {
            let epsilon = o.number("epsilon", 0.1)?;
            Ok(PassiveAggressiveRegressor::new(o.number("c", 1.0)?, variant(o)?, epsilon))
        })?),
        "recursive-least-squares" => Built::Numbers(source.learner(|| {
            Ok(RecursiveLeastSquares::new(o.number("ridge", 1.0)?, o.number("forgetting", 1.0)?))
        })?),
        "hoeffding-tree-regressor" => Built::Numbers(source.learner(|| tree_regressor(o))?),
        "bagging-regressor" => {
            Built::Numbers(source.learner(|| Ok(Bagging::new(tree_regressor(o)?, models(o)?, seed(o)?)))?)
        }
        "adaptive-random-forest-regressor" => {
            Built::Numbers(source.learner(|| Ok(AdaptiveRandomForestRegressor::new(models(o)?, seed(o)?)))?)
        }
        "k-nearest-neighbors-regressor" => Built::Numbers(
            source.learner(|| neighbors(o).map(|(k, window)| KNearestRegressor::new(k, window)))?,
        ),
        "mini-batch-k-means" => Built::Clusters(source.learner(|| {
            let k = required_k(o)?;
            let start = o.whole("start", k.saturating_mul(10))?;
            Ok(MiniBatchKMeans::new(k as usize, start as usize, seed(o)?))
        })?),
        "streaming-k-means" => Built::Clusters(source.learner(|| {
            Err::<StreamingKMeans, _>(
                o.wrong(
                    "`streaming-k-means` has centres from a file, `path`; `mini-batch-k-means` finds its own"
                        .to_owned(),
                ),
            )
        })?),
        "dbstream" => Built::Clusters(source.learner(|| {
            let (fading, interval) = (o.number("fading", 0.01)?, o.whole("cleanup-interval", 2)?);
            let density = (o.number("intersection-factor", 0.3)?, o.number("minimum-weight", 1.0)?);
            let model = DbStream::new(o.number("radius", 1.0)?).fading(fading, interval);
            Ok(model.density(density.0, density.1))
        })?),
        "clustream" => Built::Clusters(source.learner(|| {
            let (k, micro) = (o.whole("k", 5)?, o.whole("max-micro-clusters", 100)?);
            let (window, gap) = (o.whole("window", 1000)?, o.whole("gap", 100)?);
            let model = CluStream::new(k as usize, micro as usize, seed(o)?);
            Ok(model.time(window.into(), gap.into()))
        })?),
        "half-space-trees" => Built::Anomalies(source.learner(|| {
            let (trees, height) = (o.whole("trees", 10)? as usize, o.whole("height", 8)?);
            Ok(HalfSpaceTrees::new(trees, height, o.whole("window", 250)?, seed(o)?))
        })?),
        other => {
            let names = NAMES.join(", ");
            return Err(options
                .wrong(format!("there is no algorithm `{other}`"))
                .help(format!("there are: {names}")));
        }
    })
}

impl Source<'_> {
    /// The learner out of the file, or as the options say.
    fn learner<L: DeserializeOwned, A: From<L>>(
        self,
        make: impl FnOnce() -> Result<L, SqlError>,
    ) -> Result<Prepared<A>, SqlError> {
        let Some((json, name)) = self.json else {
            return Ok(Pipeline::new(self.prepare, make()?.into()));
        };
        let Prepare { imputer, scaler } = self.prepare;
        // Alone, or behind a scaler: whichever it is.
        let (found, scaler, learner) = match from_any_json::<L>(json) {
            Ok((found, learner)) => (found, scaler, learner),
            Err(alone) => {
                match (from_parts::<StandardScaler, L>(json), from_parts::<MinMaxScaler, L>(json)) {
                    (Some((found, scaler, learner)), _) => (found, Scaler::Standard(scaler), learner),
                    (None, Some((found, scaler, learner))) => (found, Scaler::MinMax(scaler), learner),
                    (None, None) => {
                        let error = self.options.wrong(format!("the file is of another model: {alone}"));
                        return Err(error.help("`algorithm` is that of the model, which may be in a Pipeline behind a StandardScaler or MinMaxScaler"));
                    }
                }
            }
        };
        match name {
            Some(name) if name != found => {
                Err(self.options.wrong(format!("the file is of the model `{found}`, not `{name}`")))
            }
            _ => Ok(Pipeline::new(Prepare { imputer, scaler }, learner.into())),
        }
    }
}

/// The name, scaler and learner of a pipeline.
fn from_parts<T: DeserializeOwned, L: DeserializeOwned>(json: &str) -> Option<(String, T, L)> {
    #[derive(serde::Deserialize)]
    struct Parts<T, L> {
        transformer: T,
        learner: L,
    }
    let (name, Parts { transformer, learner }) = from_any_json::<Parts<T, L>>(json).ok()?;
    Some((name, transformer, learner))
}

/// What is done before the learner.
pub(crate) fn prepare(options: &Options<'_>) -> Result<Prepare, SqlError> {
    use thalweg_ml::preprocessing::Statistic;
    let missing = [
        ("reject", None),
        ("mean", Some(Statistic::Mean)),
        ("previous", Some(Statistic::Previous)),
        ("zero", Some(Statistic::Constant(0.0))),
    ];
    let imputer = options.one_of("missing", &missing, None)?.map(Imputer::new);
    let scaler = match options.one_of("scaler", &[("none", 0), ("standard", 1), ("min-max", 2)], 0)? {
        0 => Scaler::None,
        1 => Scaler::Standard(StandardScaler::new()),
        _ => Scaler::MinMax(MinMaxScaler::default()),
    };
    Ok(Prepare { imputer, scaler })
}

fn seed(options: &Options<'_>) -> Result<u64, SqlError> {
    options.whole("seed", 0).map(u64::from)
}

fn models(options: &Options<'_>) -> Result<usize, SqlError> {
    options.whole("models", 10).map(|models| models as usize)
}

fn required_k(options: &Options<'_>) -> Result<u32, SqlError> {
    match options.whole("k", 0)? {
        0 => Err(options.wrong("the option `k` says how many clusters there are".to_owned())),
        k => Ok(k),
    }
}

fn neighbors(options: &Options<'_>) -> Result<(usize, usize), SqlError> {
    Ok((options.whole("k", 5)? as usize, options.whole("window", 1000)? as usize))
}

fn optimizer(options: &Options<'_>) -> Result<Optimizer, SqlError> {
    let rate = |default| options.number("learning-rate", default);
    match options.one_of("optimizer", &[("sgd", 0), ("ada-grad", 1), ("ftrl-proximal", 2)], 0)? {
        0 => rate(0.01).map(Optimizer::sgd),
        1 => rate(0.1).map(Optimizer::ada_grad),
        _ => {
            let (l1, l2) = (options.number("ftrl-l1", 0.0)?, options.number("ftrl-l2", 1.0)?);
            Ok(Optimizer::ftrl_proximal(rate(0.05)?, options.number("beta", 1.0)?, l1, l2))
        }
    }
}

fn logistic(o: &Options<'_>) -> Result<LogisticRegression, SqlError> {
    let model = LogisticRegression::with(optimizer(o)?).l2(o.number("l2", 0.0)?);
    Ok(model.intercept_rate(o.number("intercept-learning-rate", 0.01)?))
}

fn linear(o: &Options<'_>) -> Result<LinearRegression, SqlError> {
    let model = LinearRegression::with(optimizer(o)?).l2(o.number("l2", 0.0)?);
    Ok(model.intercept_rate(o.number("intercept-learning-rate", 0.01)?))
}

fn variant(options: &Options<'_>) -> Result<Variant, SqlError> {
    let variants = [("pa", Variant::Pa), ("pa-1", Variant::Pa1), ("pa-2", Variant::Pa2)];
    options.one_of("variant", &variants, Variant::Pa1)
}

fn leaf(options: &Options<'_>) -> Result<LeafPrediction, SqlError> {
    let leaves = [
        ("adaptive", LeafPrediction::NaiveBayesAdaptive),
        ("majority", LeafPrediction::MajorityClass),
        ("naive-bayes", LeafPrediction::NaiveBayes),
    ];
    options.one_of("leaf-prediction", &leaves, LeafPrediction::NaiveBayesAdaptive)
}

/// Sets what all trees of classes have.
macro_rules! tree_of {
    ($tree:expr, $options:expr) => {{
        let o = $options;
        let mut tree = $tree
            .grace_period(o.number("grace-period", 200.0)?)
            .delta(o.number("delta", 1e-7)?)
            .tau(o.number("tau", 0.05)?)
            .leaf_prediction(leaf(o)?);
        if o.text("max-depth").is_some() {
            tree = tree.max_depth(o.whole("max-depth", 0)?);
        }
        tree
    }};
}

fn tree(options: &Options<'_>) -> Result<HoeffdingTreeClassifier, SqlError> {
    Ok(tree_of!(HoeffdingTreeClassifier::new(), options))
}

fn adaptive_tree(options: &Options<'_>) -> Result<HoeffdingAdaptiveTreeClassifier, SqlError> {
    let tree = tree_of!(HoeffdingAdaptiveTreeClassifier::new(seed(options)?), options);
    Ok(tree.bootstrap_sampling(options.flag("bootstrap", true)?))
}

fn tree_regressor(o: &Options<'_>) -> Result<HoeffdingTreeRegressor, SqlError> {
    let leaves = [
        ("adaptive", RegressionLeaf::Adaptive),
        ("mean", RegressionLeaf::Mean),
        ("model", RegressionLeaf::Model),
    ];
    let leaf = o.one_of("leaf-prediction", &leaves, RegressionLeaf::Adaptive)?;
    let mut tree = HoeffdingTreeRegressor::new()
        .grace_period(o.number("grace-period", 200.0)?)
        .delta(o.number("delta", 1e-7)?)
        .leaf_prediction(leaf);
    if o.text("max-depth").is_some() {
        tree = tree.max_depth(o.whole("max-depth", 0)?);
    }
    Ok(tree)
}
