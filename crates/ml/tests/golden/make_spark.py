"""Makes the golden values of Spark's streaming models, on the data sets that make.py wrote.

    pip install pyspark && python crates/ml/tests/golden/make_spark.py

writes `tests/golden/spark.json`. It needs Java 17. Batches are what the streaming models do to each, without a clock: `latestModel().update` for k-means, `train` with the weights of the batch before
for the regressions, exactly as `trainOn` calls them.
"""

import gzip, json, pathlib

import pyspark
from pyspark.mllib.classification import LogisticRegressionWithSGD
from pyspark.mllib.clustering import StreamingKMeansModel
from pyspark.mllib.regression import LabeledPoint, LinearRegressionWithSGD

HERE = pathlib.Path(__file__).parent
conf = pyspark.SparkConf().setMaster("local[1]").setAppName("golden").set("spark.ui.enabled", "false")
sc = pyspark.SparkContext(conf=conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1"))
sc.setLogLevel("ERROR")


def data(name):
    rows = gzip.open(HERE.parent / "data" / f"{name}.csv.gz", "rt").read().split()
    rows = [[float(v) for v in r.split(",")] for r in rows]
    return [(r[:-1], r[-1]) for r in rows]


def save():
    (HERE / "spark.json").write_text(json.dumps(out, indent=0) + "\n")


def batches(rows, size):
    return [rows[i:i + size] for i in range(0, len(rows), size)]


SIZE = 150
out = {"made_by": f"pyspark {pyspark.__version__}"}
# The last are those in which clusters die. (Where the halves of a dying cluster are as near to a point as numbers can tell, which takes it is
# up to the rounding of sums, and so to the order of the records: image segments with a decay of 0, for one.)
CASES = [(name, k, size, decay, unit) for name, k, size in (("bananas", 4, 100), ("image_segments", 7, 150))
         for decay, unit in ((1.0, "batches"), (0.8, "batches"), (0.99, "points"))]
CASES += [("bananas", 4, 100, 0.0, "batches"), ("wine", 4, 30, 1e-5, "batches"), ("wine", 4, 30, 1e-3, "batches"), ("breast_cancer", 4, 30, 1e-5, "batches")]
for name, k, size, decay, unit in CASES:
    rows = [x for x, _ in data(name)][:1500]
    model = StreamingKMeansModel(rows[:k], [1.0] * k)
    for batch in batches(rows, size):
        model = model.update(sc.parallelize(batch, 1), decay, unit)
    out[f"k_means_{decay}_{unit}/{name}"] = {
        "k": k, "size": size, "decay": decay, "unit": unit,
        "centers": [[float(v) for v in c] for c in model.clusterCenters], "weights": [float(w) for w in model.clusterWeights]}
save()
for name, step in (("diabetes", 0.5), ("trump_approval", 1e-13)):
    rows, weights, all_weights = data(name), None, []
    weights = [0.0] * len(rows[0][0])
    for batch in batches(rows, SIZE):
        rdd = sc.parallelize([LabeledPoint(y, x) for x, y in batch], 1)
        m = LinearRegressionWithSGD.train(rdd, 50, step, 1.0, initialWeights=weights, convergenceTol=0.001)
        weights = [float(w) for w in m.weights]
        all_weights.append(weights)
    out[f"linear/{name}"] = {"step": step, "size": SIZE, "weights": all_weights}
    save()
for name, step in (("phishing", 0.5), ("breast_cancer", 1e-5)):
    rows, all_weights = data(name), []
    weights = [0.0] * len(rows[0][0])
    for batch in batches(rows, SIZE):
        rdd = sc.parallelize([LabeledPoint(y, x) for x, y in batch], 1)
        m = LogisticRegressionWithSGD.train(rdd, 50, step, 1.0, initialWeights=weights, regParam=0.0, regType=None, convergenceTol=0.001)
        weights = [float(w) for w in m.weights]
        all_weights.append(weights)
    out[f"logistic/{name}"] = {"step": step, "size": SIZE, "weights": all_weights}
    save()
save()
