//! Every learner, with parameters that are not the defaults too, on every data set that river and scikit-learn ship and on river's generators.

use std::io::Read;

use serde_json::Value;
use thalweg_ml::ensemble::OneVsRest;
use thalweg_ml::forecast::{Forecaster, HoltWinters, Snarimax};
use thalweg_ml::linear::{
    LinearRegression, LogisticRegression, Optimizer, PassiveAggressiveClassifier, RecursiveLeastSquares,
    SoftmaxRegression, Variant,
};
use thalweg_ml::naive_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use thalweg_ml::neighbors::{Aggregation, KNearestClassifier, KNearestRegressor};
use thalweg_ml::preprocessing::StandardScaler;
use thalweg_ml::tree::{
    HoeffdingAdaptiveTreeClassifier, HoeffdingTreeClassifier, HoeffdingTreeRegressor, LeafPrediction,
    RegressionLeaf, SplitCriterion,
};
use thalweg_ml::{Class, Classification, Learner, Pipeline};

use crate::support::{classify, data, number, numbers, regress};

type Data = [(Vec<f64>, f64)];

fn golden() -> Value {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let folder = std::env::var("WIDE").unwrap_or_else(|_| own.to_owned());
    let path = format!("{folder}/wide.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// By how much two numbers differ, relative to those above 1.
fn apart(ours: f64, theirs: f64) -> f64 {
    let apart = (ours - theirs).abs() / theirs.abs().max(1.0);
    if apart.is_nan() { f64::INFINITY } else { apart }
}

fn scaled<L>(learner: L) -> Pipeline<StandardScaler, L> {
    Pipeline::new(StandardScaler::new(), learner)
}

fn of_classes<L>(mut model: L, data: &Data, theirs: &Value) -> f64
where
    L: Learner<Vec<f64>, Target = Class, Prediction = Classification>,
{
    let every = theirs["every"].as_u64().unwrap() as usize;
    let shifted = classify(&mut model, data, 1);
    let said = shifted.1.iter().skip(every - 1).step_by(every);
    let mut worst: f64 = 0.0;
    for (ours, theirs) in said.zip(theirs["probabilities"].as_array().unwrap()) {
        for (class, theirs) in numbers(theirs).into_iter().enumerate() {
            worst = worst.max(apart(ours.probability(class as Class), theirs));
        }
    }
    let report = shifted.0;
    for (ours, key) in [(report.accuracy, "accuracy"), (report.kappa, "kappa"), (report.log_loss, "log_loss")]
    {
        worst = worst.max(apart(ours, number(&theirs[key])));
    }
    worst
}

fn of_values<L>(mut model: L, data: &Data, theirs: &Value) -> f64
where
    L: Learner<Vec<f64>, Target = f64, Prediction = f64>,
{
    let every = theirs["every"].as_u64().unwrap() as usize;
    let (report, ours) = regress(&mut model, data, 1);
    let said = ours.iter().skip(every - 1).step_by(every);
    let all = said.zip(numbers(&theirs["predictions"])).map(|(ours, theirs)| apart(*ours, theirs));
    let scores = [(report.mae, "mae"), (report.rmse, "rmse")];
    all.chain(scores.map(|(ours, key)| apart(ours, number(&theirs[key])))).fold(0.0, f64::max)
}

fn of_series(mut model: impl Forecaster, data: &Data, theirs: &Value) -> f64 {
    let every = theirs["every"].as_u64().unwrap() as usize;
    let mut all = theirs["forecasts"].as_array().unwrap().iter();
    let mut worst: f64 = 0.0;
    for (n, (_, y)) in data.iter().enumerate() {
        model.learn(*y).unwrap();
        if n % every == every - 1 && n > 20 {
            let ours = model.forecast(5);
            let theirs = numbers(all.next().unwrap());
            assert_eq!(ours.len(), theirs.len());
            worst = ours.iter().zip(theirs).map(|(ours, theirs)| apart(*ours, theirs)).fold(worst, f64::max);
        }
    }
    worst
}

/// How far our classifier of this name is from theirs; none if we have none such.
fn classifier(name: &str, data: &Data, theirs: &Value) -> Option<f64> {
    let log = LogisticRegression::with;
    let tree = HoeffdingTreeClassifier::new;
    let pa = |c, variant| scaled(PassiveAggressiveClassifier::new(c, variant));
    Some(match name {
        "logistic_default" => of_classes(scaled(LogisticRegression::new()), data, theirs),
        "logistic_l2_intercept" => {
            of_classes(scaled(log(Optimizer::sgd(0.2)).l2(0.05).intercept_rate(0.3)), data, theirs)
        }
        "logistic_ada_grad" => of_classes(scaled(log(Optimizer::ada_grad(1.0)).l2(0.001)), data, theirs),
        "logistic_ftrl" => {
            of_classes(scaled(log(Optimizer::ftrl_proximal(0.3, 0.2, 2.0, 0.0))), data, theirs)
        }
        "logistic_l1" => of_classes(scaled(log(Optimizer::sgd(0.05)).l1(0.02)), data, theirs),
        "logistic_clip_init" => {
            let model = log(Optimizer::sgd(0.05)).clip_gradient(0.3).begin_with_intercept(0.7);
            of_classes(scaled(model), data, theirs)
        }
        "pa_2_no_intercept" => {
            let model = PassiveAggressiveClassifier::new(0.3, Variant::Pa2).without_intercept();
            of_classes(scaled(model), data, theirs)
        }
        "pa" => of_classes(pa(1.0, Variant::Pa), data, theirs),
        "pa_1" => of_classes(pa(2.5, Variant::Pa1), data, theirs),
        "softmax_default" => of_classes(scaled(SoftmaxRegression::default()), data, theirs),
        "softmax_l2" => {
            of_classes(scaled(SoftmaxRegression::with(Optimizer::ada_grad(0.3)).l2(0.01)), data, theirs)
        }
        "softmax_ftrl" => of_classes(
            scaled(SoftmaxRegression::with(Optimizer::ftrl_proximal(0.2, 1.0, 0.1, 0.5))),
            data,
            theirs,
        ),
        "one_vs_rest_pa" => {
            let binary = PassiveAggressiveClassifier::new(0.1, Variant::Pa1);
            of_classes(scaled(OneVsRest::new(binary)), data, theirs)
        }
        "one_vs_rest_ftrl" => of_classes(
            scaled(OneVsRest::new(log(Optimizer::ftrl_proximal(0.1, 1.0, 0.2, 1.0)))),
            data,
            theirs,
        ),
        "gaussian" => of_classes(GaussianNb::default(), data, theirs),
        "bernoulli" => of_classes(BernoulliNb::new(2.5, 0.0), data, theirs),
        "bernoulli_small" => of_classes(BernoulliNb::new(0.01, 1.5), data, theirs),
        "multinomial_0.001" => of_classes(MultinomialNb::new(0.001), data, theirs),
        "multinomial_3.0" => of_classes(MultinomialNb::new(3.0), data, theirs),
        "tree_default" => of_classes(tree(), data, theirs),
        "tree_deep" => {
            let tree = tree().grace_period(20.0).delta(0.05).tau(0.2);
            of_classes(tree.leaf_prediction(LeafPrediction::NaiveBayes), data, theirs)
        }
        "tree_shallow" => of_classes(tree().grace_period(30.0).delta(0.01).max_depth(2), data, theirs),
        "tree_majority" => {
            let tree = tree().grace_period(75.0).delta(1e-4).tau(0.01);
            of_classes(tree.leaf_prediction(LeafPrediction::MajorityClass), data, theirs)
        }
        "tree_gini" => {
            let tree = tree().grace_period(30.0).delta(0.01);
            of_classes(tree.split_criterion(SplitCriterion::Gini), data, theirs)
        }
        "tree_hellinger" => {
            let tree = tree().grace_period(30.0).delta(0.01);
            of_classes(tree.split_criterion(SplitCriterion::Hellinger), data, theirs)
        }
        "tree_binary" => {
            of_classes(tree().grace_period(30.0).delta(0.01).binary_split().nominal([0]), data, theirs)
        }
        "tree_nb_threshold" => {
            of_classes(tree().grace_period(100.0).delta(0.01).nb_threshold(15.0), data, theirs)
        }
        "tree_fractions" => of_classes(tree().grace_period(30.0).delta(0.01).shares(0.1, 0.8), data, theirs),
        "adaptive_drift" => {
            let tree = HoeffdingAdaptiveTreeClassifier::new(0).grace_period(25.0).delta(0.05).tau(0.1);
            let tree = tree.leaf_prediction(LeafPrediction::MajorityClass).switching(50, 0.2);
            of_classes(tree.bootstrap_sampling(false), data, theirs)
        }
        "knn_unweighted" => of_classes(scaled(KNearestClassifier::new(7, 90).unweighted()), data, theirs),
        "knn_softmax" => of_classes(scaled(KNearestClassifier::new(6, 90).softmax()), data, theirs),
        "adaptive" => {
            let tree = HoeffdingAdaptiveTreeClassifier::new(0).grace_period(40.0).delta(0.01);
            of_classes(tree.bootstrap_sampling(false), data, theirs)
        }
        "knn" => of_classes(scaled(KNearestClassifier::new(3, 60)), data, theirs),
        _ => return None,
    })
}

fn regressor(name: &str, data: &Data, theirs: &Value) -> Option<f64> {
    let lin = LinearRegression::with;
    let tree = HoeffdingTreeRegressor::new;
    Some(match name {
        "linear_default" => of_values(scaled(LinearRegression::new()), data, theirs),
        "linear_l2" => {
            of_values(scaled(lin(Optimizer::sgd(0.003)).l2(0.1).intercept_rate(0.05)), data, theirs)
        }
        "linear_l1" => {
            of_values(scaled(lin(Optimizer::sgd(0.003)).l1(0.05).intercept_rate(0.05)), data, theirs)
        }
        "linear_clip_init" => {
            let model = lin(Optimizer::sgd(0.02)).clip_gradient(5.0).begin_with_intercept(3.0);
            of_values(scaled(model), data, theirs)
        }
        "tree_deep" => of_values(tree().grace_period(20.0).delta(0.1).tau(0.2), data, theirs),
        "tree_mean" => {
            let tree = tree().grace_period(40.0).delta(0.05).min_samples_split(2.0);
            of_values(tree.leaf_prediction(RegressionLeaf::Mean), data, theirs)
        }
        "tree_decay" => {
            let tree = tree().grace_period(60.0).delta(0.01).model_selector_decay(0.5);
            of_values(scaled(tree), data, theirs)
        }
        "knn_median" => {
            of_values(scaled(KNearestRegressor::new(4, 50).aggregate(Aggregation::Median)), data, theirs)
        }
        "knn_weighted" => of_values(
            scaled(KNearestRegressor::new(4, 50).aggregate(Aggregation::WeightedMean)),
            data,
            theirs,
        ),
        "linear_ada_grad" => of_values(scaled(lin(Optimizer::ada_grad(2.0))), data, theirs),
        "linear_ftrl" => of_values(scaled(lin(Optimizer::ftrl_proximal(1.0, 0.5, 0.0, 0.2))), data, theirs),
        "bayesian" => of_values(scaled(RecursiveLeastSquares::new(1.5, 1.0)), data, theirs),
        "tree_default" => of_values(tree(), data, theirs),
        "tree_model" => {
            let tree = tree().grace_period(40.0).delta(0.05).max_depth(3);
            let tree = tree.leaf_prediction(RegressionLeaf::Model).leaf_model(lin(Optimizer::sgd(0.02)));
            of_values(scaled(tree), data, theirs)
        }
        "knn" => of_values(scaled(KNearestRegressor::new(4, 50)), data, theirs),
        _ => return None,
    })
}

fn forecaster(name: &str, data: &Data, theirs: &Value) -> Option<f64> {
    Some(match name {
        "level" => of_series(HoltWinters::level(0.7), data, theirs),
        "trend" => of_series(HoltWinters::trend(0.1, 0.9), data, theirs),
        "season" => of_series(HoltWinters::additive(0.2, 0.3, 0.4, 5).begin_with_ratios(), data, theirs),
        "multiplicative" => of_series(HoltWinters::multiplicative(0.05, 0.1, 0.9, 7), data, theirs),
        "multiplicative_1" => of_series(HoltWinters::multiplicative(0.3, 0.1, 0.2, 1), data, theirs),
        "snarimax" => of_series(Snarimax::new(3, 0, 2).learning_rate(0.002, 0.01), data, theirs),
        "snarimax_2" => {
            of_series(Snarimax::new(1, 2, 1).seasonal(4, 1, 1, 1).learning_rate(0.001, 0.01), data, theirs)
        }
        _ => return None,
    })
}

#[test]
fn all_learners_on_all_data_sets_are_rivers() {
    let golden = golden();
    let (mut compared, mut unknown) = (0, std::collections::BTreeSet::new());
    let mut differ = Vec::new();
    let mut sets: std::collections::BTreeMap<String, Vec<(Vec<f64>, f64)>> = Default::default();
    for (key, theirs) in golden.as_object().unwrap().iter().filter(|(key, _)| key.contains('/')) {
        let mut parts = key.split('/');
        let (kind, learner, set) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let data = sets.entry(set.to_owned()).or_insert_with(|| data(&format!("wide_{set}")));
        let run = || match kind {
            "classes" => classifier(learner, data, theirs),
            "values" => regressor(learner, data, theirs),
            _ => forecaster(learner, data, theirs),
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(None) => drop(unknown.insert(learner)),
            Ok(Some(worst)) => {
                compared += 1;
                if worst > 1e-9 {
                    differ.push(format!("{key}: {worst:e}"));
                }
            }
            Err(_) => differ.push(format!("{key}: failed")),
        }
    }
    assert!(unknown.is_empty() && differ.is_empty(), "of {compared}: {unknown:?}\n{}", differ.join("\n"));
}
