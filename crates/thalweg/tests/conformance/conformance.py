"""What a real Spark answers: for each pipeline over DStreams, its batches for the input beside it (spark.in: a line a batch, `key value` with `;` between).

`python conformance.py FOLDER` writes NAME.spark.out: a line a batch, its records sorted, with ` | ` between. Needs pyspark 4.2 and Java 17.
"""
import builtins, pathlib, sys, tempfile, time
from pyspark import SparkContext, SparkConf
from pyspark.streaming import StreamingContext

folder = pathlib.Path(sys.argv[1])
INTERVAL = 6
batches = [[(r.split()[0], int(r.split()[1])) for r in line.split(";") if r.strip()] for line in (folder / "spark.in").read_text().splitlines()]
other = [[(k, v + 100) for k, v in reversed(b)][:2] for b in batches]

sc = SparkContext(conf=SparkConf().setMaster("local[2]").setAppName("conformance").set("spark.ui.enabled", "false").set("spark.default.parallelism", "2"))
sc.setLogLevel("OFF")
ssc = StreamingContext(sc, INTERVAL)
ssc.checkpoint(tempfile.mkdtemp())
empty = sc.parallelize([], 2)


def queue(batches):
    return ssc.queueStream([sc.parallelize(b, 2) for b in batches], default=empty)


pairs, right = queue(batches), queue(other)
values = pairs.map(lambda p: p[1])
keys = pairs.map(lambda p: p[0])
W = lambda n: n * INTERVAL
add, sub = (lambda a, b: a + b), (lambda a, b: a - b)
count = lambda new, old: (old or 0) + len(new)
# The state of a key ends when its sum has passed 12.
until_12 = lambda new, old: None if (old or 0) + sum(new) > 12 else (old or 0) + sum(new)

PIPELINES = {
    "map_filter": pairs.filter(lambda p: p[1] % 2 == 0).map(lambda p: p[1] * 10),
    "flat_map_values": pairs.flatMapValues(lambda v: range(v % 3)),
    "count": pairs.count(),
    "count_by_value": keys.countByValue(),
    "reduce": values.reduce(add),
    "reduce_by_key": pairs.reduceByKey(add),
    "group_by_key": pairs.groupByKey().mapValues(sorted),
    "combine_by_key": pairs.combineByKey(lambda v: (v, 1), lambda c, v: (c[0] + v, c[1] + 1), lambda a, b: (a[0] + b[0], a[1] + b[1])),
    "union": pairs.union(right),
    "join": pairs.join(right),
    "left_outer_join": pairs.leftOuterJoin(right),
    "right_outer_join": pairs.rightOuterJoin(right),
    "full_outer_join": pairs.fullOuterJoin(right),
    "cogroup": pairs.cogroup(right).mapValues(lambda p: (sorted(p[0]), sorted(p[1]))),
    "transform": pairs.transform(lambda rdd: rdd.sortBy(lambda p: -p[1]).zipWithIndex().filter(lambda p: p[1] < 2).map(lambda p: p[0])),
    "transform_with": pairs.transformWith(lambda a, b: a.keys().distinct().subtract(b.keys()), right),
    "update_state_by_key": pairs.updateStateByKey(count),
    "update_state_ends": pairs.updateStateByKey(until_12),
    "update_state_initial": pairs.updateStateByKey(count, initialRDD=sc.parallelize([("a", 100), ("z", 7)])),
    "window": pairs.window(W(3), W(1)),
    "window_sliding_two": pairs.window(W(3), W(2)),
    "window_tumbling": pairs.window(W(2), W(2)),
    "count_by_window": pairs.countByWindow(W(3), W(1)),
    "count_by_value_and_window": keys.countByValueAndWindow(W(3), W(1)),
    "reduce_by_window": values.reduceByWindow(add, None, W(3), W(2)),
    "reduce_by_window_inverse": values.reduceByWindow(add, sub, W(3), W(1)),
    "reduce_by_key_and_window": pairs.reduceByKeyAndWindow(add, None, W(3), W(1)),
    "reduce_by_key_and_window_inverse": pairs.reduceByKeyAndWindow(add, sub, W(3), W(1), filterFunc=None),
    "group_by_key_and_window": pairs.groupByKeyAndWindow(W(2), W(1)).mapValues(sorted),
    "window_of_window": pairs.window(W(2), W(1)).count().window(W(2), W(1)),
}


def text(v):
    if isinstance(v, tuple):
        return "(" + ", ".join(text(x) for x in v) + ")"
    if isinstance(v, list):
        return "[" + ", ".join(text(x) for x in v) + "]"
    return "-" if v is None else str(v)


# Spark writes the functions into its checkpoint, so what they change must not hang on them.
builtins.seen = {name: {} for name in PIPELINES}
builtins.times = []
for name, stream in PIPELINES.items():
    def keep(time, rdd, name=name, text=text):
        __import__("builtins").seen[name][time] = sorted(text(r) for r in rdd.collect())
    stream.foreachRDD(keep)


def tick(time, rdd):
    __import__("builtins").times.append(time)


pairs.foreachRDD(tick)
ssc.start()
while len(times) < len(batches):
    time.sleep(0.2)
ssc.stop(stopSparkContext=True, stopGraceFully=False)
for name, of in seen.items():
    lines = [" | ".join(of[t]) if t in of else "no batch" for t in times[:len(batches)]]
    (folder / f"{name}.spark.out").write_text("\n".join(lines) + "\n")
