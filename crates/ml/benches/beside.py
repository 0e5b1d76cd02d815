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
    import os
    import pyspark
    from pyspark.mllib.clustering import StreamingKMeansModel
    sc = pyspark.SparkContext("local[1]", "beside")
    sc.setLogLevel("ERROR")
    java = sc._jvm.java.lang.management.ManagementFactory.getOperatingSystemMXBean()
    cpu = lambda: java.getProcessCpuTime() / 1e9
    batches = [sc.parallelize([x for x, _ in ROWS[i:i + 10000]], 1).cache() for i in range(0, COUNT, 10000)]
    for b in batches:
        b.count()
    model = StreamingKMeansModel([[rng.gauss(0, 1) for _ in range(20)] for _ in range(10)], [1.0] * 10)
    for _ in range(3):
        start = cpu()
        for _ in range(5):
            for b in batches:
                model = model.update(b, 1.0, "batches")
        print(f"spark streaming_k_means: {5 * COUNT / (cpu() - start):.0f} records per CPU-second of the JVM", flush=True)
