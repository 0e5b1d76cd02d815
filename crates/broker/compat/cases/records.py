"""Records produced and read back: codecs, sizes, nulls, headers, timestamps, idempotence, and how soon a waiting fetch is answered."""

import functools
import time

# For records whose time is long ago, which the usual retention would remove within the case.
KEPT = {"retention.ms": "-1"}


def sent(client, topic, records, **producer):
    """Sends with a producer of its own, which is closed; returns the offsets."""
    handle = client.new("producer", **producer)
    results = client.send(producer=handle, topic=topic, records=records)
    client.close(handle=handle)
    for result in results:
        if "error" in result:
            raise RuntimeError(f"a record was refused with {result['error']}")
    return [result["offset"] for result in results]


def read(client, topic, count, partitions=(0,), offset=0, timeout_ms=15_000, **consumer):
    """Reads with a consumer of its own until there are `count` records or it is over."""
    handle = client.new("consumer", **consumer)
    client.assign(consumer=handle, topic=topic, partitions=list(partitions), offset=offset)
    records = client.poll(consumer=handle, count=count, timeout_ms=timeout_ms)["records"]
    client.close(handle=handle)
    return records


def codec(name, trial):
    """Records in three partitions, compressed by the client, come back as they were, in order."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=3)
    records = [{"partition": i % 3, "key": f"k{i}", "value": f"value {i} " * 20} for i in range(300)]
    offsets = sent(client, topic, records, codec=name)
    trial.equal("offsets in order", offsets == [i // 3 for i in range(300)], True)
    got = read(client, topic, 300, partitions=range(3))
    trial.equal("read", len(got), 300)
    for partition in range(3):
        want = [(r["key"], r["value"]) for r in records if r["partition"] == partition]
        have = [(r["key"], r["value"]) for r in got if r["partition"] == partition]
        trial.equal(f"partition {partition} as it was sent", have == want, True)


def large(trial):
    """A record of 900 kB comes back; one above the topic's limit is refused, and so is the batch that it is in."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    client.create_topic(topic=trial.name("small"), config={"max.message.bytes": "1000"})
    value = "".join(chr(97 + i * i % 26) for i in range(900_000))
    trial.equal("offset", sent(client, topic, [{"value": value}]), [0])
    got = read(client, topic, 1)
    trial.equal("read as it was sent", got and got[0]["value"] == value, True)
    producer = client.new("producer")
    [refused] = client.send(producer=producer, topic=topic, records=[{"value": value * 2}])
    trial.equal("too large", refused, {"error": 10})
    [refused] = client.send(producer=producer, topic=trial.name("small"), records=[{"value": value[:1000]}])
    trial.equal("too large for that topic", refused, {"error": 10})
    [taken] = client.send(producer=producer, topic=trial.name("small"), records=[{"value": value[:900]}])
    trial.equal("small enough", taken, {"partition": 0, "offset": 0})


def size_limit(trial):
    """A batch of exactly max.message.bytes is taken, and one of a byte more is refused."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config={"max.message.bytes": "2000"})
    producer = client.new("producer")
    # A batch has 61 bytes of its own, a record of this size 9.
    for size, want in [(1930, {"partition": 0, "offset": 0}), (1931, {"error": 10}), (1930, {"partition": 0, "offset": 1})]:
        [result] = client.send(producer=producer, topic=topic, records=[{"value": "x" * size}])
        trial.equal(f"{size + 70} bytes", result, want)


def levels(trial):
    """Records compressed with little and with much effort come back as they were."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    values = [f"value {i} " * 50 for i in range(50)]
    for codec, levels in [("gzip", (1, 9)), ("lz4", (1, 12)), ("zstd", (1, 12))]:
        for level in levels:
            sent(client, topic, [{"value": value} for value in values], codec=codec, level=level)
    got = [record["value"] for record in read(client, topic, 300)]
    trial.equal("read as it was sent", got == values * 6, True)


def null_headers(trial):
    """A header without a value is not one with an empty value."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    headers = [["a", None], ["b", ""], ["c", "1"]]
    sent(client, topic, [{"value": "v", "headers": headers}])
    trial.equal("read", [record["headers"] for record in read(client, topic, 1)], [headers])


def nulls_and_headers(trial):
    """Null and empty keys and values differ; headers keep order, repetition, and null values."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    records = [
        {"key": None, "value": "", "headers": []},
        {"key": "", "value": "", "headers": []},
        {"key": "k", "value": None, "headers": []},
        {"key": None, "value": "v", "headers": [["a", "1"], ["b", ""], ["a", "2"]]},
        {"key": "ключ", "value": "значение", "headers": [["имя", "x"]]},
    ]
    sent(client, topic, records)
    got = [{field: record[field] for field in ("key", "value", "headers")} for record in read(client, topic, 5)]
    trial.equal("read", got, records)


def null_record(trial):
    """A record of nothing, neither key nor value, is a record."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    sent(client, topic, [{"key": None, "value": None}] * 2)
    got = [[record["offset"], record["key"], record["value"]] for record in read(client, topic, 2)]
    trial.equal("read", got, [[0, None, None], [1, None, None]])


def timestamps(trial):
    """The producer's time is kept, or replaced by the broker's where the topic says so."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config=KEPT)
    client.create_topic(topic=trial.name("appended"), config={"message.timestamp.type": "LogAppendTime"})
    records = [{"value": str(i), "timestamp": 1_700_000_000_000 + i} for i in (3, 1, 2)]
    sent(client, topic, records)
    sent(client, trial.name("appended"), records)
    trial.equal("kept", [r["timestamp"] for r in read(client, topic, 3)], [r["timestamp"] for r in records])
    now = time.time() * 1000
    times = [record["timestamp"] for record in read(client, trial.name("appended"), 3)]
    trial.equal("replaced", [now - 60_000 < time <= now + 1000 for time in times], [True] * 3)


def idempotence(trial):
    """An idempotent producer's records are there once, in order; another one goes on behind them."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    offsets = sent(client, topic, [{"value": str(i)} for i in range(3000)], idempotent=True)
    trial.equal("offsets in order", offsets == list(range(3000)), True)
    offsets = sent(client, topic, [{"value": str(i)} for i in range(3000, 3010)], idempotent=True)
    trial.equal("offsets of the second", offsets, list(range(3000, 3010)))
    got = [int(record["value"]) for record in read(client, topic, 3010)]
    trial.equal("read in order", got == list(range(3010)), True)


def auto_creation(trial):
    """A topic comes into being when somebody produces to it."""
    client, topic = trial.driver(), trial.name("topic")
    trial.equal("offset", sent(client, topic, [{"value": "first"}]), [0])
    trial.equal("partitions", len(client.describe_topic(topic=topic)["partitions"]), 1)


def long_poll(trial):
    """A fetch that waits is answered soon after an append, and not before: bounds are wide, this is no benchmark."""
    client, other, topic = trial.driver(), trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    sent(client, topic, [{"value": "first"}])
    consumer = client.new("consumer", max_wait_ms=8000)
    producer = other.new("producer")
    client.assign(consumer=consumer, topic=topic, partitions=[0], offset=0)
    trial.equal("first", len(client.poll(consumer=consumer, count=1, timeout_ms=10_000)["records"]), 1)
    for _ in range(3):
        answer = client.begin("poll", consumer=consumer, count=1, timeout_ms=20_000)
        time.sleep(0.5)
        other.send(producer=producer, topic=topic, records=[{"value": "next"}])
        appended = time.monotonic()
        got = [record["value"] for record in answer()["records"]]
        trial.equal("woken", (got, time.monotonic() - appended < 2), (["next"], True))


def no_such_offset(trial):
    """A consumer without a valid position starts where its reset policy says."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    sent(client, topic, [{"value": str(i)} for i in range(5)])
    got = [record["value"] for record in read(client, topic, 5, offset=77, reset="earliest")]
    trial.equal("from the start", got, ["0", "1", "2", "3", "4"])


CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
CASES = [
    *((f"codec_{name}", functools.update_wrapper(functools.partial(codec, name), codec)) for name in CODECS),
    levels,
    large,
    size_limit,
    nulls_and_headers,
    null_headers,
    null_record,
    timestamps,
    idempotence,
    auto_creation,
    long_poll,
    no_such_offset,
]
