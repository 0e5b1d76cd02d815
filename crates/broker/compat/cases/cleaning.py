"""What brokers do in their own time: compaction and retention."""

import time

from cases.records import read, sent


def latest(client, topic):
    """What is left in a topic, as (key, value)."""
    handle = client.new("consumer")
    client.assign(consumer=handle, topic=topic, partitions=[0], offset=0)
    records = client.poll(consumer=handle, count=10_000, timeout_ms=1500)["records"]
    client.close(handle=handle)
    return [[record["key"], record["value"]] for record in records]


def rolled(client, topic):
    """Makes the segment that is written to a closed one, which alone may be cleaned: the next record finds it too old."""
    time.sleep(1.2)
    sent(client, topic, [{"key": "roll", "value": "roll"}])


def compaction(trial):
    """Of each key the last value stays, in order and at its offset; deleted keys go in the end."""
    client, topic = trial.driver(), trial.name("topic")
    config = {
        "cleanup.policy": "compact",
        "segment.ms": "1000",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "500",
    }
    client.create_topic(topic=topic, config=config)
    for round in range(3):
        sent(client, topic, [{"key": f"k{i}", "value": f"{round}"} for i in range(5)], codec="gzip")
    sent(client, topic, [{"key": "k1", "value": None}, {"key": "k3", "value": None}])
    rolled(client, topic)
    kept = [["k0", "2"], ["k2", "2"], ["k4", "2"]]
    trial.eventually("kept", lambda: [r for r in latest(client, topic) if r[1] not in (None, "roll")], kept)
    offsets = [r["offset"] for r in read(client, topic, 3)]
    trial.equal("at their offsets", offsets, [10, 12, 14])
    rolled(client, topic)
    rolled(client, topic)
    trial.eventually("tombstones", lambda: [r for r in latest(client, topic) if r[1] is None], [])
    trial.equal("the next offset", sent(client, topic, [{"key": "z", "value": "z"}]), [20])


def keyless_record(trial):
    """A record without a key cannot be compacted, and is refused."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config={"cleanup.policy": "compact"})
    producer = client.new("producer")
    [result] = client.send(producer=producer, topic=topic, records=[{"value": "v"}])
    # INVALID_RECORD, which not every client knows.
    trial.equal("refused without a key", "error" in result, True)
    trial.say(result)
    [result] = client.send(producer=producer, topic=topic, records=[{"key": "k", "value": "v"}])
    trial.equal("with one", result, {"partition": 0, "offset": 0})


def compacted_transactions(trial):
    """Compaction keeps what was committed and drops what was aborted."""
    client, topic = trial.driver(), trial.name("topic")
    config = {"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01"}
    client.create_topic(topic=topic, config=config)
    producer = client.new("producer", transactional_id=trial.name("id"))
    for number, end in enumerate([client.commit, client.commit, client.abort]):
        client.begin_transaction(producer=producer)
        records = [{"key": f"k{i}", "value": str(number)} for i in range(3)]
        client.send(producer=producer, topic=topic, records=records)
        end(producer=producer)
    rolled(client, topic)
    kept = [["k0", "1"], ["k1", "1"], ["k2", "1"], ["roll", "roll"]]
    trial.eventually("uncommitted readers", lambda: latest(client, topic), kept)
    got = [[r["key"], r["value"]] for r in read(client, topic, 4, isolation="read_committed")]
    trial.equal("committed readers", got, kept)


def retention_by_time(trial):
    """Segments whose records are all too old go; the last one goes when it is closed."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config={"retention.ms": "1000", "segment.ms": "500"})
    sent(client, topic, [{"value": str(i)} for i in range(10)])
    trial.eventually("earliest", lambda: client.list_offset(topic=topic, partition=0, at="earliest"), 10)
    trial.equal("goes on at", sent(client, topic, [{"value": "next"}]), [10])


def retention_by_size(trial):
    """Whole segments go until the rest is no larger than the topic may be."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config={"retention.bytes": "1500000", "segment.bytes": "1048576"})
    for _ in range(8):
        sent(client, topic, [{"value": "x" * 500_000}])
    trial.eventually("earliest", lambda: client.list_offset(topic=topic, partition=0, at="earliest"), 4)
    trial.equal("latest", client.list_offset(topic=topic, partition=0, at="latest"), 8)


CASES = [compaction, keyless_record, compacted_transactions, retention_by_time, retention_by_size]
