"""Makes the golden values that the tests of this crate compare with: river's, scikit-learn's and numpy's, on the data sets that they ship.

    pip install river scikit-learn skl2onnx && python crates/ml/tests/golden/make.py

writes `tests/data/*.csv.gz` (features, then the target, in the order of the stream) and `tests/golden/*.json`. The tests need no Python.
"""

import gzip, json, math, pathlib, random, sys

import numpy as np
import river, sklearn
from river import anomaly, cluster, datasets, drift, ensemble, forest, linear_model, metrics, multiclass, naive_bayes, neighbors
from river import optim, preprocessing, stream, time_series, tree, feature_selection
from sklearn import datasets as sk

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / "data"
DATA.mkdir(exist_ok=True)


def number(v):
    return float(v)


def table(name, rows):
    """Writes a data set, and returns it as it will be read."""
    rows = list(rows)
    classes = {}
    out = []
    for x, y in rows:
        if isinstance(y, (bool, np.bool_)):
            y = int(y)
        if isinstance(y, str):
            y = classes.setdefault(y, len(classes))
        out.append(([number(v) for v in x.values()], number(y)))
    with gzip.GzipFile(DATA / f"{name}.csv.gz", "w", mtime=0) as f:
        for x, y in out:
            f.write((",".join(repr(v) for v in x + [y]) + "\n").encode())
    return [({i: v for i, v in enumerate(x)}, y) for x, y in out]


def sk_rows(bunch):
    for x, y in zip(bunch.data, bunch.target):
        yield {i: v for i, v in enumerate(x)}, y


PHISHING = table("phishing", datasets.Phishing())
BANANAS = table("bananas", datasets.Bananas())
SEGMENTS = table("image_segments", datasets.ImageSegments())
TRUMP = table("trump_approval", (({k: v for k, v in x.items()}, y) for x, y in datasets.TrumpApproval()))
CANCER = table("breast_cancer", sk_rows(sk.load_breast_cancer()))
DIGITS = table("digits", sk_rows(sk.load_digits()))
DIABETES = table("diabetes", sk_rows(sk.load_diabetes()))
PASSENGERS = table("airline_passengers", (({"t": i}, y) for i, (x, y) in enumerate(datasets.AirlinePassengers())))


CHICKS = table("chick_weights", (({"chick": x["chick"], "time": x["time"]}, y / 100) for x, y in datasets.ChickWeights()))
IRIS = table("iris", sk_rows(sk.load_iris()))
WINE = table("wine", sk_rows(sk.load_wine()))
FLOW = table("water_flow", (({"hour": x["Time"].hour, "day": x["Time"].weekday()}, y) for x, y in datasets.WaterFlow()))


def encoded(rows):
    """Names become numbers, in the order in which they appear."""
    names = {}
    for x, y in rows:
        number = lambda k, v: names.setdefault(k, {}).setdefault(v, len(names[k])) if isinstance(v, str) else v
        yield {k: number(k, v) for k, v in x.items()}, (list(y.values())[0] if isinstance(y, dict) else y)


SOLAR = table("solar_flare", encoded(datasets.SolarFlare()))


def save(name, value):
    value = {"made_by": f"river {river.__version__}, scikit-learn {sklearn.__version__}", **value}
    (HERE / f"{name}.json").write_text(json.dumps(value, indent=0) + "\n")


def classify(model, data, classes, every=25, binary=False):
    """Prequential: the probabilities of every `every`-th record, and the final scores."""
    acc, log, kappa, bal, f1 = metrics.Accuracy(), 0.0, metrics.CohenKappa(), metrics.BalancedAccuracy(), metrics.MacroF1()
    seen, probabilities = 0, []
    for n, (x, y) in enumerate(data):
        y = bool(y) if binary else int(y)
        p = model.predict_proba_one(x)
        c = model.predict_one(x)
        if n % every == 0:
            probabilities.append([float(p.get(bool(k) if binary else k, 0.0)) for k in range(classes)])
        if c is not None and p:
            for m in (acc, kappa, bal, f1):
                m.update(int(y), int(c))
            log -= math.log(min(max(p.get(y, 0.0), 1e-15), 1 - 1e-15))
            seen += 1
        model.learn_one(x, y)
    return {"every": every, "probabilities": probabilities, "accuracy": acc.get(), "kappa": kappa.get(), "balanced_accuracy": bal.get(),
            "macro_f1": f1.get(), "log_loss": log / seen, "scored": seen}


def regress(model, data, every=25):
    mae, rmse, r2, predictions = metrics.MAE(), metrics.RMSE(), metrics.R2(), []
    for n, (x, y) in enumerate(data):
        p = float(model.predict_one(x))
        if n % every == 0:
            predictions.append(p)
        for m in (mae, rmse, r2):
            m.update(y, p)
        model.learn_one(x, y)
    return {"every": every, "predictions": predictions, "mae": mae.get(), "rmse": rmse.get(), "r2": r2.get()}


def scaled(model):
    return preprocessing.StandardScaler() | model


def linear():
    log = linear_model.LogisticRegression
    lin = linear_model.LinearRegression
    out = {}
    for name, data in (("phishing", PHISHING), ("breast_cancer", CANCER)):
        out[f"logistic_sgd/{name}"] = classify(scaled(log(optim.SGD(0.05))), data, 2, binary=True)
        out[f"logistic_sgd_l2/{name}"] = classify(scaled(log(optim.SGD(0.05), l2=0.01)), data, 2, binary=True)
        out[f"logistic_ada_grad/{name}"] = classify(scaled(log(optim.AdaGrad(0.1))), data, 2, binary=True)
        out[f"logistic_ftrl/{name}"] = classify(scaled(log(optim.FTRLProximal(0.05, 1.0, 0.5, 1.0))), data, 2, binary=True)
        for mode in (0, 1, 2):
            out[f"passive_aggressive_{mode}/{name}"] = classify(scaled(linear_model.PAClassifier(C=0.05, mode=mode)), data, 2, binary=True)
    for name, data in (("trump_approval", TRUMP), ("diabetes", DIABETES), ("water_flow", FLOW)):
        out[f"linear_sgd/{name}"] = regress(scaled(lin(optim.SGD(0.01), intercept_lr=0.1)), data)
        out[f"linear_ada_grad/{name}"] = regress(scaled(lin(optim.AdaGrad(0.5), l2=0.001)), data)
        out[f"linear_ftrl/{name}"] = regress(scaled(lin(optim.FTRLProximal(0.5, 1.0, 0.01, 0.1))), data)
        out[f"recursive_least_squares/{name}"] = regress(scaled(linear_model.BayesianLinearRegression(alpha=1, beta=1)), data)
    for name, data, k in (("image_segments", SEGMENTS, 7), ("digits", DIGITS, 10), ("wine", WINE, 3), ("solar_flare", SOLAR, 9)):
        out[f"softmax/{name}"] = classify(scaled(linear_model.SoftmaxRegression(optim.SGD(0.05))), data, k)
        out[f"one_vs_rest/{name}"] = classify(scaled(multiclass.OneVsRestClassifier(log(optim.SGD(0.05)))), data, k)
    # The passive-aggressive regressor, from the paper's formulas (river's takes its loss from classes).
    w, b, predictions = np.zeros(6), 0.0, []
    s = preprocessing.StandardScaler()
    for n, (x, y) in enumerate(TRUMP):
        z = np.array(list(s.transform_one(x).values()))
        p = float(w @ z + b)
        if n % 25 == 0:
            predictions.append(p)
        s.learn_one(x)
        z = np.array(list(s.transform_one(x).values()))
        e = y - float(w @ z + b)
        norm = float(z @ z)
        tau = min(1.0, max(abs(e) - 0.1, 0) / norm) if norm > 0 else 0.0
        step = tau * (1.0 if e > 0 else -1.0)
        w, b = w + step * z, b + step
    out["passive_aggressive_regressor/trump_approval"] = {"every": 25, "predictions": predictions}
    from sklearn.linear_model import Ridge
    for name, data in (("trump_approval", TRUMP), ("diabetes", DIABETES)):
        X, Y = np.array([list(x.values()) for x, _ in data]), np.array([y for _, y in data])
        r = Ridge(alpha=0.5, solver="cholesky").fit(X, Y)
        out[f"ridge/{name}"] = {"coef": r.coef_.tolist(), "intercept": float(r.intercept_)}
    save("linear", out)


def bayes():
    out = {}
    for name, data, k in (("phishing", PHISHING, 2), ("image_segments", SEGMENTS, 7), ("digits", DIGITS, 10), ("bananas", BANANAS, 2), ("iris", IRIS, 3), ("wine", WINE, 3)):
        out[f"gaussian/{name}"] = classify(naive_bayes.GaussianNB(), data, k)
    for name, data, k in (("phishing", PHISHING, 2), ("digits", DIGITS, 10)):
        out[f"multinomial/{name}"] = classify(naive_bayes.MultinomialNB(alpha=0.7), data, k)
        out[f"bernoulli/{name}"] = classify(naive_bayes.BernoulliNB(alpha=0.7, true_threshold=0.4), data, k)
    save("naive_bayes", out)


def trees():
    out = {}
    for name, data, k in (("phishing", PHISHING, 2), ("bananas", BANANAS, 2), ("image_segments", SEGMENTS, 7), ("digits", DIGITS, 10)):
        out[f"hoeffding/{name}"] = classify(tree.HoeffdingTreeClassifier(grace_period=50, delta=1e-3), data, k)
        out[f"hoeffding_default/{name}"] = classify(tree.HoeffdingTreeClassifier(), data, k)
        out[f"hoeffding_majority/{name}"] = classify(tree.HoeffdingTreeClassifier(grace_period=50, delta=1e-3, leaf_prediction="mc"), data, k)
        out[f"hoeffding_bayes/{name}"] = classify(tree.HoeffdingTreeClassifier(grace_period=50, delta=1e-3, leaf_prediction="nb"), data, k)
        out[f"adaptive/{name}"] = classify(tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, delta=1e-3, bootstrap_sampling=False), data, k)
    for leaf in ("mc", "nba"):
        flares = tree.HoeffdingTreeClassifier(grace_period=50, delta=1e-3, leaf_prediction=leaf, nominal_attributes=list(range(10)))
        out[f"hoeffding_nominal_{leaf}/solar_flare"] = classify(flares, SOLAR, 9)
    nominal = tree.HoeffdingTreeClassifier(grace_period=50, delta=1e-3, nominal_attributes=list(range(9)))
    out["hoeffding_nominal/phishing"] = classify(nominal, PHISHING, 2)
    # The same data twice, its classes swapped the second time: what drifts.
    swapped = BANANAS + [(x, 1 - y) for x, y in BANANAS]
    out["adaptive_drift/bananas"] = classify(tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, delta=1e-3, bootstrap_sampling=False), swapped, 2)
    for name, data in (("trump_approval", TRUMP), ("diabetes", DIABETES), ("water_flow", FLOW)):
        for leaf in ("mean", "model", "adaptive"):
            t = tree.HoeffdingTreeRegressor(grace_period=50, delta=0.01, leaf_prediction=leaf)
            out[f"regressor_{leaf}/{name}"] = regress(scaled(t), data)
    save("trees", out)


def seeded():
    """What depends on chance: final scores of the first 1000 records, over five seeds."""
    out = {}
    def over(name, make, data, k):
        scores = [classify(make(seed), data, k)["accuracy"] for seed in range(5)]
        out[name] = {"accuracies": scores}
    for name, data, k in (("phishing", PHISHING[:1000], 2), ("bananas", BANANAS[:1000], 2), ("image_segments", SEGMENTS[:1000], 7)):
        over(f"adaptive_random_forest/{name}", lambda s: forest.ARFClassifier(seed=s), data, k)
        over(f"adaptive_tree/{name}", lambda s: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, delta=1e-3, seed=s), data, k)
        over(f"bagging/{name}", lambda s: ensemble.BaggingClassifier(tree.HoeffdingTreeClassifier(grace_period=50, delta=1e-3), n_models=10, seed=s), data, k)
    for name, data in (("trump_approval", TRUMP),):
        maes = [regress(scaled(ensemble.BaggingRegressor(linear_model.LinearRegression(intercept_lr=0.1), n_models=10, seed=s)), data)["mae"] for s in range(5)]
        out[f"bagging_regressor/{name}"] = {"maes": maes}
        maes = [regress(scaled(forest.ARFRegressor(seed=s)), data)["mae"] for s in range(5)]
        out[f"adaptive_random_forest_regressor/{name}"] = {"maes": maes}
    for name, data in (("breast_cancer", CANCER), ("phishing", PHISHING)):
        aucs = []
        for seed in range(20):
            hst = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=100, seed=seed)
            auc = metrics.RollingROCAUC(window_size=len(data))
            for x, y in data:
                score = hst.score_one(x)
                auc.update(bool(y == 0), score)
                hst.learn_one(x)
            aucs.append(auc.get())
        out[f"half_space_trees/{name}"] = {"aucs": aucs}
    save("seeded", out)


def neighbours():
    out = {}
    for name, data, k in (("phishing", PHISHING, 2), ("image_segments", SEGMENTS, 7)):
        engine = neighbors.LazySearch(window_size=200)
        out[f"knn/{name}"] = classify(scaled(neighbors.KNNClassifier(n_neighbors=5, engine=engine)), data, k)
    engine = neighbors.LazySearch(window_size=200)
    out["knn_regressor/water_flow"] = regress(scaled(neighbors.KNNRegressor(n_neighbors=5, engine=engine)), FLOW)
    engine = neighbors.LazySearch(window_size=200)
    out["knn_regressor/trump_approval"] = regress(scaled(neighbors.KNNRegressor(n_neighbors=5, engine=engine)), TRUMP)
    save("neighbors", out)


def drifts():
    rng = random.Random(7)
    bits = [int(rng.random() < (0.1 if n < 1500 or n >= 3000 else 0.4)) for n in range(4500)]
    values = [rng.gauss(0 if n < 1500 else 1.5 if n < 3000 else -1, 1) for n in range(4500)]
    out = {"bits": bits, "values": [round(v, 6) for v in values]}
    def found(detector, xs):
        at = []
        for n, x in enumerate(xs):
            detector.update(x)
            if detector.drift_detected:
                at.append(n)
        return at
    values = out["values"]
    out["adwin/bits"], out["adwin/values"] = found(drift.ADWIN(), bits), found(drift.ADWIN(0.01), values)
    out["ddm/bits"] = found(drift.binary.DDM(), bits)
    out["page_hinkley/values"] = found(drift.PageHinkley(), values)
    out["page_hinkley_up/values"] = found(drift.PageHinkley(mode="up", threshold=20), values)
    out["kswin/values"] = [found(drift.KSWIN(alpha=0.0001, seed=s), values) for s in range(5)]
    a = drift.ADWIN()
    out["adwin_estimates"] = []
    for n, x in enumerate(values):
        a.update(x)
        if n % 100 == 0:
            out["adwin_estimates"].append([a.width, a.estimation, a.variance])
    save("drift", out)


def features():
    out = {}
    for name, scaler in (("standard", preprocessing.StandardScaler()), ("min_max", preprocessing.MinMaxScaler())):
        rows = []
        for n, (x, _) in enumerate(CANCER):
            scaler.learn_one(x)
            if n % 40 == 0:
                rows.append([float(v) for v in scaler.transform_one(x).values()])
        out[name] = rows
    t = feature_selection.VarianceThreshold(0.05)
    kept = []
    for n, (x, _) in enumerate(PHISHING):
        t.learn_one(x)
        if n % 100 == 0:
            kept.append(sorted(t.transform_one(x)))
    out["variance_threshold"] = kept
    from river import compose, feature_extraction, stats
    missing = [({i: v for i, v in x.items() if (n + i) % 4}, n) for n, (x, _) in enumerate(IRIS)]
    imputers = {"mean": preprocessing.StatImputer(*((i, stats.Mean()) for i in range(4))), "previous": preprocessing.PreviousImputer(),
                "constant": preprocessing.StatImputer(*((i, -1.5) for i in range(4)))}
    for name, imputer in imputers.items():
        rows = []
        for x, n in missing:
            row = {i: x.get(i) for i in range(4)}
            imputer.learn_one(row)
            filled = imputer.transform_one(dict(row))
            if n >= 4 and n % 5 == 0:
                rows.append([float(filled[i]) for i in range(4)])
        out[f"imputer_{name}"] = rows
    polynomial = feature_extraction.PolynomialExtender(degree=3)
    out["polynomial"] = [[float(v) for v in polynomial.transform_one(x).values()] for x, _ in IRIS[::30]]
    one_hot, rows = preprocessing.OneHotEncoder(), []
    for n, (x, _) in enumerate(SOLAR[:300]):
        x = {i: str(x[i]) for i in range(3)}
        one_hot.learn_one(x)
        if n % 20 == 0:
            rows.append(sorted(k for k, v in one_hot.transform_one(x).items() if v))
    out["one_hot"] = rows
    texts = ["the river runs deep and fast", "deep is the river", "fast boats on the deep deep river", "no boats today", "today the river is fast"]
    tf = feature_extraction.TFIDF()
    rows = []
    for t in texts:
        tf.learn_one(t)
        rows.append({k: v for k, v in tf.transform_one(t).items()})
    out["tf_idf"] = {"texts": texts, "rows": rows}
    save("preprocessing", out)


def clusters():
    out = {}
    for name, data in (("bananas", BANANAS), ("image_segments", SEGMENTS)):
        s = preprocessing.StandardScaler()
        rows = []
        for x, _ in data:
            s.learn_one(x)
            rows.append(s.transform_one(x))
        xs = rows[:1500]
        db = cluster.DBSTREAM(clustering_threshold=0.8, fading_factor=0.01, cleanup_interval=4, intersection_factor=0.3, minimum_weight=1)
        labels = []
        for n, x in enumerate(xs):
            db.learn_one(x)
            if n % 50 == 49:
                labels.append(db.predict_one(x))
        out[f"dbstream/{name}"] = {"labels": labels, "micro": len(db.micro_clusters), "clusters": db.n_clusters,
                                   "weights": sorted(float(m.weight) for m in db.micro_clusters.values()),
                                   "centers": [[float(v) for v in c.values()] for c in db.centers.values()]}
        cs = cluster.CluStream(n_macro_clusters=3, max_micro_clusters=30, time_window=500, time_gap=100, seed=1)
        for x in xs:
            cs.learn_one(x, w=1.0)
        micro = [[float(m.weight)] + [float(v) for v in m.center.values()] for m in cs.micro_clusters.values()]
        out[f"clustream/{name}"] = {"micro": micro}
        from sklearn.cluster import MiniBatchKMeans
        X = np.array([list(x.values()) for x in xs])
        init = X[:5].copy()
        km = MiniBatchKMeans(n_clusters=5, init=init, n_init=1, batch_size=100, reassignment_ratio=0)
        for i in range(0, len(X), 100):
            km.partial_fit(X[i:i + 100])
        out[f"mini_batch_k_means/{name}"] = {"centers": km.cluster_centers_.tolist(), "counts": km._counts.tolist()}
    save("cluster", out)


def forecasts():
    out = {}
    ys = [y for _, y in PASSENGERS]
    for name, model in (("holt_winters_multiplicative", time_series.HoltWinters(0.3, 0.1, 0.6, 12, multiplicative=True)),
                        ("holt_winters_season", time_series.HoltWinters(0.3, 0.1, 0.2, 12)),
                        ("holt_winters_additive", time_series.HoltWinters(0.3, 0.1)),
                        ("exponential", time_series.HoltWinters(0.3)),
                        ("snarimax", time_series.SNARIMAX(p=12, d=1, q=12, m=12, sd=1,
                            regressor=preprocessing.StandardScaler() | linear_model.LinearRegression(intercept_init=110, optimizer=optim.SGD(0.01), intercept_lr=0.3))),
                        ("snarimax_seasonal", time_series.SNARIMAX(p=2, d=1, q=1, m=12, sp=1, sq=1,
                            regressor=preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(0.005))))):
        forecasts = []
        for n, y in enumerate(ys):
            model.learn_one(y)
            if n % 10 == 9 and n > 40:
                forecasts.append([float(v) for v in model.forecast(horizon=6)])
        out[name] = forecasts
    save("forecast", out)


def recommendations():
    """Chicks and days as users and items, weights as ratings."""
    from river import reco
    c = optim.initializers.Constant(0.1)
    model = reco.BiasedMF(n_factors=5, bias_optimizer=optim.SGD(0.02), latent_optimizer=optim.SGD(0.03), l2_bias=0.01, l2_latent=0.01, latent_initializer=c)
    predictions = []
    for n, (x, y) in enumerate(CHICKS):
        user, item = int(x[0]), int(x[1])
        predictions.append(float(model.predict_one(user, item)))
        model.learn_one(user, item, y)
    save("recommend", {"every": 1, "predictions": predictions})


def anomalies():
    """Scores out of numpy's and scipy's medians, and out of river's forecasts."""
    from scipy.stats import median_abs_deviation
    ys, window, out = [y for _, y in FLOW], 50, {"robust_z_score": [], "seasonal_residual": []}
    for n, y in enumerate(ys):
        last = ys[max(0, n - window):n]
        if n >= 10 and n % 10 == 0:
            mad = median_abs_deviation(last, scale=1 / 1.4826)
            out["robust_z_score"].append(float(abs(y - np.median(last)) / mad) if mad else 0.0)
    model, residuals = time_series.HoltWinters(0.3, 0.1), []
    for n, y in enumerate(ys):
        if n >= 2:
            expected = float(model.forecast(horizon=1)[0])
            if n >= 100 and n % 10 == 0:
                out["seasonal_residual"].append(float(abs(y - expected - np.mean(residuals)) / np.std(residuals, ddof=1)))
            residuals.append(y - expected)
        model.learn_one(y)
    save("anomaly", out)


def measures():
    """scikit-learn's measures of predictions, over all and over the last 100, and river's silhouette."""
    from sklearn import metrics as m
    rng = np.random.default_rng(5)
    labels = (rng.random(600) < 0.3).astype(int)
    scores = np.clip(0.35 * labels + 0.65 * rng.random(600), 0, 1).round(2)
    def binary(y, p):
        c = (p > 0.5).astype(int)
        return [m.accuracy_score(y, c), m.balanced_accuracy_score(y, c), m.f1_score(y, c), m.f1_score(y, c, average="macro"),
                m.cohen_kappa_score(y, c), m.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)), m.roc_auc_score(y, p)]
    out = {"labels": labels.tolist(), "scores": scores.tolist(), "binary": binary(labels, scores), "binary_window": binary(labels[-100:], scores[-100:])}
    y = np.array([v for _, v in DIABETES])
    p = (y + rng.normal(0, 40, len(y))).round(3)
    numbers = lambda y, p: [m.mean_absolute_error(y, p), m.root_mean_squared_error(y, p), m.r2_score(y, p)]
    out |= {"predictions": p.tolist(), "numbers": numbers(y, p), "numbers_window": numbers(y[-100:], p[-100:])}
    silhouette, centers = metrics.Silhouette(), {i: IRIS[50 * i][0] for i in range(3)}
    for x, _ in IRIS:
        nearest = min(centers, key=lambda i: sum((centers[i][k] - v) ** 2 for k, v in x.items()))
        silhouette.update(x, nearest, centers)
    out["silhouette"] = silhouette.get()
    save("metrics", out)


def onnx_models():
    """scikit-learn's models as ONNX files, with what they say themselves."""
    from skl2onnx import to_onnx
    from sklearn import ensemble as e, linear_model as l, pipeline, preprocessing as p, tree as t
    (HERE / "onnx").mkdir(exist_ok=True)
    arrays = lambda data: (np.array([list(x.values()) for x, _ in data], dtype=np.float32), np.array([y for _, y in data]))
    scaled = lambda model: pipeline.make_pipeline(p.StandardScaler(), model)
    classes = {"logistic": (scaled(l.LogisticRegression()), CANCER), "softmax": (l.LogisticRegression(max_iter=2000), WINE),
               "sgd": (scaled(l.SGDClassifier(loss="log_loss", random_state=1)), PHISHING), "tree": (t.DecisionTreeClassifier(max_depth=5, random_state=1), WINE),
               "forest": (e.RandomForestClassifier(8, max_depth=4, random_state=1), PHISHING), "boosted": (e.GradientBoostingClassifier(n_estimators=6, max_depth=2, random_state=1), CANCER)}
    values = {"linear": (l.LinearRegression(), DIABETES), "ridge": (scaled(l.Ridge()), TRUMP), "lasso": (l.Lasso(0.1), DIABETES),
              "tree_regressor": (t.DecisionTreeRegressor(max_depth=5, random_state=1), DIABETES), "forest_regressor": (e.RandomForestRegressor(6, max_depth=4, random_state=1), DIABETES),
              "boosted_regressor": (e.GradientBoostingRegressor(n_estimators=8, max_depth=2, random_state=1), TRUMP)}
    out = {}
    for names, says in ((classes, "predict_proba"), (values, "predict")):
        for name, (model, data) in names.items():
            X, Y = arrays(data)
            model.fit(X, Y.astype(int) if names is classes else Y)
            # As they come: with a map of probabilities, for classes.
            (HERE / "onnx" / f"{name}.onnx").write_bytes(to_onnx(model, X[:1]).SerializeToString())
            rows = X[:: max(1, len(X) // 20)]
            out[name] = {"rows": rows.astype(float).tolist(), says: getattr(model, says)(rows).tolist()}
    save("onnx", out)


ALL = [anomalies, measures, onnx_models, recommendations, linear, bayes, trees, neighbours, drifts, features, clusters, forecasts, seeded]
for make in ALL:
    if len(sys.argv) < 2 or make.__name__ in sys.argv[1:]:
        try:
            make()
            print("made", make.__name__, flush=True)
        except Exception:
            import traceback
            traceback.print_exc()
