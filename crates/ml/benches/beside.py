"""River and Spark on what `cargo bench -p thalweg-ml` does: records a second, predicted and learnt one by one, on one core.

    pip install river pyspark && python crates/ml/benches/beside.py
"""

import random, statistics, sys, time

COUNT = 20000
rng = random.Random(7)
ROWS = []
for _ in range(COUNT):
    x = [rng.gauss(0, 1) for _ in range(20)]
    ROWS.append((x, sum(v / (i + 1) for i, v in enumerate(x)) + 0.5 * rng.gauss(0, 1) > 0))
DICTS = [({i: v for i, v in enumerate(x)}, y) for x, y in ROWS]


def river(name, make, count=COUNT):
    rates = []
    for _ in range(3):
        model, start = make(), time.process_time()
        for x, y in DICTS[:count]:
            model.predict_proba_one(x)
            model.learn_one(x, y)
        rates.append(count / (time.process_time() - start))
    print(f"river {name}: {statistics.median(rates):.0f} records/s", flush=True)


if "spark" not in sys.argv:
    from river import forest, linear_model, naive_bayes, tree
    river("logistic_regression", linear_model.LogisticRegression)
    river("gaussian_nb", naive_bayes.GaussianNB)
    river("hoeffding_tree", tree.HoeffdingTreeClassifier)
    river("adaptive_random_forest", lambda: forest.ARFClassifier(seed=1), 2000)
else:
    # The model's own update, on points that are objects of the JVM in its cache: no Python on the way, nothing but Spark is measured.
    import os
    import pyspark
    from pyspark.mllib.common import _to_java_object_rdd
    from pyspark.mllib.linalg import DenseVector
    conf = pyspark.SparkConf().setMaster("local[1]").setAppName("beside").set("spark.ui.enabled", "false")
    sc = pyspark.SparkContext(conf=conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1"))
    sc.setLogLevel("ERROR")
    jvm, gateway = sc._jvm, sc._gateway
    pid = jvm.java.lang.ProcessHandle.current().pid()

    def cpu():
        """Seconds that all threads of the JVM have had."""
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    batches = [_to_java_object_rdd(sc.parallelize([DenseVector(x) for x, _ in ROWS[i:i + 10000]], 1)).rdd().cache() for i in range(0, COUNT, 10000)]
    for b in batches:
        b.count()

    def doubles(xs):
        array = gateway.new_array(jvm.double, len(xs))
        for i, x in enumerate(xs):
            array[i] = float(x)
        return array

    centers = gateway.new_array(jvm.org.apache.spark.mllib.linalg.Vector, 10)
    for k in range(10):
        centers[k] = jvm.org.apache.spark.mllib.linalg.Vectors.dense(doubles([rng.gauss(0, 1) for _ in range(20)]))
    model = jvm.org.apache.spark.mllib.clustering.StreamingKMeansModel(centers, doubles([1.0] * 10))
    # The first rounds warm the JVM up.
    for _ in range(6):
        start = cpu()
        for _ in range(20):
            for b in batches:
                model = model.update(b, 1.0, "batches")
        print(f"spark streaming_k_means: {20 * COUNT / (cpu() - start):.0f} records per CPU-second of the JVM", flush=True)
