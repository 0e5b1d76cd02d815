"""Makes the golden values of the wide comparison: every learner, with parameters that are not the defaults too, on every data set that river and scikit-learn ship
and on river's generators.

    pip install river scikit-learn && python crates/ml/tests/golden/make_wide.py

writes `tests/golden/wide.json.gz` (scores, and a dozen predictions of each run) and the data, `tests/data/wide_*.csv.gz`. Sets are cut to their first 500 records, so that
the test takes seconds. For all of them, elsewhere: `ROWS=100000 WIDE=/tmp/wide python …/make_wide.py`, and the test with the same `WIDE`; `ONLY=iris,wine` makes some of them.
"""

import gzip, itertools, json, math, os, pathlib

import numpy as np
import river, sklearn
from river import datasets, linear_model, metrics, multiclass, naive_bayes, neighbors, optim, preprocessing, time_series, tree
from river.datasets import synth
from sklearn import datasets as sk

HERE = pathlib.Path(os.environ.get("WIDE", pathlib.Path(__file__).parent))
DATA = HERE if "WIDE" in os.environ else HERE.parent / "data"
HERE.mkdir(exist_ok=True)
ROWS = int(os.environ.get("ROWS", "500"))
ONLY = os.environ.get("ONLY", "").split(",")


def rows_of(stream):
    """Numbers: names and texts get numbers in the order in which they appear, times become hour and weekday."""
    names, classes = {}, {}
    for x, y in itertools.islice(stream, ROWS):
        out = []
        for k, v in x.items():
            if hasattr(v, "weekday"):
                out += [float(v.hour), float(v.weekday()), float(v.month)]
            elif isinstance(v, str):
                out.append(float(names.setdefault(k, {}).setdefault(v, len(names[k]))))
            else:
                out.append(float(v))
        if isinstance(y, str):
            y = classes.setdefault(y, len(classes))
        yield out, float(y)


def sk_rows(bunch, target=None):
    ys = bunch.target if target is None else bunch.target[:, target]
    return (({i: v for i, v in enumerate(x)}, float(y)) for x, y in zip(bunch.data, ys))


def one(stream, key):
    return ((x, y[key]) for x, y in stream)


CLASSES = {
    "bananas": datasets.Bananas(), "phishing": datasets.Phishing(), "image_segments": datasets.ImageSegments(), "shuttle": datasets.Shuttle(),
    "solar_flare": one(datasets.SolarFlare(), "c-class-flares"), "yeast": one(datasets.Yeast(), "Class1"), "yeast_12": one(datasets.Yeast(), "Class12"),
    "iris": sk_rows(sk.load_iris()), "wine": sk_rows(sk.load_wine()), "digits": sk_rows(sk.load_digits()), "breast_cancer": sk_rows(sk.load_breast_cancer()),
    "agrawal": synth.Agrawal(classification_function=3, seed=1), "sea": synth.SEA(variant=2, seed=2, noise=0.1), "led": synth.LED(seed=3, noise_percentage=0.1),
    "random_rbf": synth.RandomRBF(seed_model=1, seed_sample=4, n_classes=4, n_features=6, n_centroids=20), "random_tree": synth.RandomTree(seed_tree=1, seed_sample=5, n_classes=3),
    "hyperplane": synth.Hyperplane(seed=6, n_features=8, n_drift_features=2, mag_change=0.01), "waveform": synth.Waveform(seed=7, has_noise=True),
    "stagger": synth.STAGGER(seed=8), "sine": synth.Sine(classification_function=1, seed=9), "mixed": synth.Mixed(seed=10),
    "concept_drift": synth.ConceptDriftStream(stream=synth.SEA(variant=0, seed=1), drift_stream=synth.SEA(variant=3, seed=2), position=500, width=50, seed=3),
}
VALUES = {
    "trump_approval": datasets.TrumpApproval(), "chick_weights": datasets.ChickWeights(), "water_flow": datasets.WaterFlow(), "airline": datasets.AirlinePassengers(),
    "diabetes": sk_rows(sk.load_diabetes()), "linnerud": sk_rows(sk.load_linnerud(), 0), "linnerud_2": sk_rows(sk.load_linnerud(), 2),
    "friedman": synth.Friedman(seed=11), "friedman_drift": synth.FriedmanDrift(drift_type="gra", position=(300, 700), transition_window=50, seed=12),
    "mv": synth.Mv(seed=13), "planes_2d": synth.Planes2D(seed=14),
}


def load(name, stream):
    rows = list(rows_of(stream))
    with gzip.GzipFile(DATA / f"wide_{name}.csv.gz", "w", mtime=0) as f:
        for x, y in rows:
            f.write((",".join(repr(int(v)) if v == int(v) and abs(v) < 1e15 else repr(v) for v in x + [y]) + "\n").encode())
    return [({i: v for i, v in enumerate(x)}, y) for x, y in rows]


def classify(model, data, classes, binary):
    acc, log, kappa, seen, probabilities = metrics.Accuracy(), 0.0, metrics.CohenKappa(), 0, []
    every = max(1, len(data) // 12)
    for n, (x, y) in enumerate(data):
        y = bool(y) if binary else int(y)
        p, c = model.predict_proba_one(x), model.predict_one(x)
        if (isinstance(model, A) or "KNNClassifier" in str(model)) and p:
            # Of equals these take the first of a Python set, in which 9 may come before 2. The lowest is taken here.
            c = max(sorted(p), key=p.get)
        if n % every == every - 1:
            probabilities.append([float(p.get(bool(k) if binary else k, 0.0)) for k in range(classes)])
        if c is not None and p and sum(p.values()) > 0:
            acc.update(int(y), int(c))
            kappa.update(int(y), int(c))
            log -= math.log(min(max(p.get(y, 0.0), 1e-15), 1 - 1e-15))
            seen += 1
        model.learn_one(x, y)
    return {"every": every, "probabilities": probabilities, "accuracy": acc.get(), "kappa": kappa.get(), "log_loss": log / max(seen, 1)}


def regress(model, data):
    mae, rmse, predictions, every = metrics.MAE(), metrics.RMSE(), [], max(1, len(data) // 12)
    for n, (x, y) in enumerate(data):
        p = float(model.predict_one(x))
        if n % every == every - 1:
            predictions.append(p)
        mae.update(y, p)
        rmse.update(y, p)
        model.learn_one(x, y)
    return {"every": every, "predictions": predictions, "mae": mae.get(), "rmse": rmse.get()}


def scaled(model):
    return preprocessing.StandardScaler() | model


log, lin, T, A, R = linear_model.LogisticRegression, linear_model.LinearRegression, tree.HoeffdingTreeClassifier, tree.HoeffdingAdaptiveTreeClassifier, tree.HoeffdingTreeRegressor
BINARY = {
    "logistic_default": lambda: scaled(log()),
    "logistic_l2_intercept": lambda: scaled(log(optim.SGD(0.2), l2=0.05, intercept_lr=0.3)),
    "logistic_l1": lambda: scaled(log(optim.SGD(0.05), l1=0.02)),
    "logistic_clip_init": lambda: scaled(log(optim.SGD(0.05), clip_gradient=0.3, intercept_init=0.7)),
    "logistic_ada_grad": lambda: scaled(log(optim.AdaGrad(1.0), l2=0.001)),
    "logistic_ftrl": lambda: scaled(log(optim.FTRLProximal(0.3, 0.2, 2.0, 0.0))),
    "pa": lambda: scaled(linear_model.PAClassifier(C=1.0, mode=0)),
    "pa_1": lambda: scaled(linear_model.PAClassifier(C=2.5, mode=1)),
    "pa_2_no_intercept": lambda: scaled(linear_model.PAClassifier(C=0.3, mode=2, learn_intercept=False)),
}
CLASSIFIERS = {
    "softmax_default": lambda: scaled(linear_model.SoftmaxRegression()),
    "softmax_l2": lambda: scaled(linear_model.SoftmaxRegression(optim.AdaGrad(0.3), l2=0.01)),
    "softmax_ftrl": lambda: scaled(linear_model.SoftmaxRegression(optim.FTRLProximal(0.2, 1.0, 0.1, 0.5))),
    "one_vs_rest_pa": lambda: scaled(multiclass.OneVsRestClassifier(linear_model.PAClassifier(C=0.1))),
    "one_vs_rest_ftrl": lambda: scaled(multiclass.OneVsRestClassifier(log(optim.FTRLProximal(0.1, 1.0, 0.2, 1.0)))),
    "gaussian": lambda: naive_bayes.GaussianNB(),
    "bernoulli": lambda: naive_bayes.BernoulliNB(alpha=2.5, true_threshold=0.0),
    "bernoulli_small": lambda: naive_bayes.BernoulliNB(alpha=0.01, true_threshold=1.5),
    "tree_default": lambda: T(),
    "tree_deep": lambda: T(grace_period=20, delta=0.05, tau=0.2, leaf_prediction="nb"),
    "tree_shallow": lambda: T(grace_period=30, delta=0.01, max_depth=2),
    "tree_majority": lambda: T(grace_period=75, delta=1e-4, tau=0.01, leaf_prediction="mc"),
    "tree_gini": lambda: T(grace_period=30, delta=0.01, split_criterion="gini"),
    "tree_hellinger": lambda: T(grace_period=30, delta=0.01, split_criterion="hellinger"),
    "tree_binary": lambda: T(grace_period=30, delta=0.01, binary_split=True, nominal_attributes=[0]),
    "tree_nb_threshold": lambda: T(grace_period=100, delta=0.01, nb_threshold=15),
    "tree_fractions": lambda: T(grace_period=30, delta=0.01, min_branch_fraction=0.1, max_share_to_split=0.8),
    "adaptive": lambda: A(grace_period=40, delta=0.01, bootstrap_sampling=False),
    "adaptive_drift": lambda: A(grace_period=25, delta=0.05, tau=0.1, leaf_prediction="mc", bootstrap_sampling=False, drift_window_threshold=50, switch_significance=0.2),
    "knn": lambda: scaled(neighbors.KNNClassifier(n_neighbors=3, engine=neighbors.LazySearch(window_size=60))),
    "knn_unweighted": lambda: scaled(neighbors.KNNClassifier(n_neighbors=7, weighted=False, engine=neighbors.LazySearch(window_size=90))),
    "knn_softmax": lambda: scaled(neighbors.KNNClassifier(n_neighbors=6, softmax=True, engine=neighbors.LazySearch(window_size=90))),
}
REGRESSORS = {
    "linear_default": lambda: scaled(lin()),
    "linear_l2": lambda: scaled(lin(optim.SGD(0.003), l2=0.1, intercept_lr=0.05)),
    "linear_l1": lambda: scaled(lin(optim.SGD(0.003), l1=0.05, intercept_lr=0.05)),
    "linear_clip_init": lambda: scaled(lin(optim.SGD(0.02), clip_gradient=5.0, intercept_init=3.0)),
    "linear_ada_grad": lambda: scaled(lin(optim.AdaGrad(2.0))),
    "linear_ftrl": lambda: scaled(lin(optim.FTRLProximal(1.0, 0.5, 0.0, 0.2))),
    "bayesian": lambda: scaled(linear_model.BayesianLinearRegression(alpha=3, beta=2)),
    "tree_default": lambda: R(),
    "tree_deep": lambda: R(grace_period=20, delta=0.1, tau=0.2),
    "tree_mean": lambda: R(grace_period=40, delta=0.05, leaf_prediction="mean", min_samples_split=2),
    "tree_model": lambda: scaled(R(grace_period=40, delta=0.05, leaf_prediction="model", leaf_model=lin(optim.SGD(0.02)), max_depth=3)),
    "tree_decay": lambda: scaled(R(grace_period=60, delta=0.01, model_selector_decay=0.5)),
    "knn": lambda: scaled(neighbors.KNNRegressor(n_neighbors=4, engine=neighbors.LazySearch(window_size=50))),
    "knn_median": lambda: scaled(neighbors.KNNRegressor(n_neighbors=4, aggregation_method="median", engine=neighbors.LazySearch(window_size=50))),
    "knn_weighted": lambda: scaled(neighbors.KNNRegressor(n_neighbors=4, aggregation_method="weighted_mean", engine=neighbors.LazySearch(window_size=50))),
}
H = time_series.HoltWinters
FORECASTERS = {
    "level": lambda: H(0.7), "trend": lambda: H(0.1, 0.9), "season": lambda: H(0.2, 0.3, 0.4, 5),
    "multiplicative": lambda: H(0.05, 0.1, 0.9, 7, multiplicative=True), "multiplicative_1": lambda: H(0.3, 0.1, 0.2, 1, multiplicative=True),
    "snarimax": lambda: time_series.SNARIMAX(p=3, d=0, q=2, regressor=preprocessing.StandardScaler() | lin(optim.SGD(0.002), intercept_lr=0.01)),
    "snarimax_2": lambda: time_series.SNARIMAX(p=1, d=2, q=1, m=4, sp=1, sd=1, sq=1, regressor=preprocessing.StandardScaler() | lin(optim.SGD(0.001), intercept_lr=0.01)),
}


def forecast(model, ys):
    out, every = [], max(1, len(ys) // 12)
    for n, y in enumerate(ys):
        model.learn_one(y)
        if n % every == every - 1 and n > 20:
            out.append([float(v) for v in model.forecast(horizon=5)])
    return {"every": every, "forecasts": out}


def main():
    out, failed = {"made_by": f"river {river.__version__}, scikit-learn {sklearn.__version__}"}, {}

    def run(key, what):
        try:
            out[key] = what()
        except Exception as error:  # What the original cannot do is told of, and not compared.
            failed[key] = f"{type(error).__name__}: {error}"

    wanted = lambda sets: ((name, stream) for name, stream in sets.items() if ONLY == [""] or name in ONLY)
    for name, stream in wanted(CLASSES):
        data = load(name, stream)
        classes = int(max(y for _, y in data)) + 1
        for learner, make in CLASSIFIERS.items():
            run(f"classes/{learner}/{name}", lambda: classify(make(), data, classes, False))
        if min(v for x, _ in data for v in x.values()) >= 0:
            for alpha in (0.001, 3.0):
                run(f"classes/multinomial_{alpha}/{name}", lambda: classify(naive_bayes.MultinomialNB(alpha=alpha), data, classes, False))
        if classes == 2:
            for learner, make in BINARY.items():
                run(f"classes/{learner}/{name}", lambda: classify(make(), data, 2, True))
        print(name, len(data), flush=True)
    for name, stream in wanted(VALUES):
        data = load(name, stream)
        for learner, make in REGRESSORS.items():
            run(f"values/{learner}/{name}", lambda: regress(make(), data))
        for learner, make in FORECASTERS.items():
            run(f"forecasts/{learner}/{name}", lambda: forecast(make(), [y for _, y in data]))
        print(name, len(data), flush=True)
    out["failed"] = failed
    for key, error in failed.items():
        print(key, error)
    with gzip.GzipFile(HERE / "wide.json.gz", "w", mtime=0) as f:
        f.write((json.dumps(out) + "\n").encode())
    print(len(out), "cases")


main()
