"""How consumers move: they seek, pause, ask for offsets, and follow topics that are large, new, or replaced by another."""

import time

from cases.records import KEPT, read, sent

START = 1_700_000_000_000


def values(client, consumer, count, timeout_ms=15_000):
    return [record["value"] for record in client.poll(consumer=consumer, count=count, timeout_ms=timeout_ms)["records"]]


def seek_and_pause(trial):
    """A consumer reads again what it seeks, and nothing of a partition that is paused."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=2)
    sent(client, topic, [{"partition": i % 2, "value": f"{i % 2}-{i // 2}"} for i in range(10)])
    consumer = client.new("consumer")
    client.assign(consumer=consumer, topic=topic, partitions=[0, 1], offset=0)
    everything = sorted(f"{partition}-{i}" for partition in (0, 1) for i in range(5))
    trial.equal("all", sorted(values(client, consumer, 10)), everything)
    client.seek(consumer=consumer, topic=topic, partition=1, offset=3)
    trial.equal("after a seek", values(client, consumer, 2), ["1-3", "1-4"])
    client.pause(consumer=consumer, topic=topic, partitions=[0])
    sent(client, topic, [{"partition": 0, "value": "0-5"}, {"partition": 1, "value": "1-5"}])
    trial.equal("while one is paused", values(client, consumer, 2, timeout_ms=2000), ["1-5"])
    client.resume(consumer=consumer, topic=topic, partitions=[0])
    trial.equal("after it is resumed", values(client, consumer, 1), ["0-5"])
    client.seek(consumer=consumer, topic=topic, partition=0, offset=0)
    trial.equal("from the start", values(client, consumer, 6), [f"0-{i}" for i in range(6)])


def consumer_offsets(trial):
    """A consumer is told the first offset and the last, and the one of a time; who reads what is committed, the last stable one."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config=KEPT)
    sent(client, topic, [{"value": "v", "timestamp": START + time} for time in (0, 20, 10)])
    client.delete_records(topic=topic, partition=0, before=1)
    consumer = client.new("consumer")
    client.assign(consumer=consumer, topic=topic, partitions=[0], offset=1)

    def bounds(consumer):
        return list(client.bounds(consumer=consumer, topic=topic, partition=0))

    trial.equal("bounds", bounds(consumer), [1, 3])
    for at, want in [(0, 1), (15, 1), (20, 1), (21, -1)]:
        got = client.offset_for_time(consumer=consumer, topic=topic, partition=0, at=START + at)
        # Clients differ in what they tell for "none": the end, or -1.
        trial.equal(f"at {at}", -1 if want == -1 and got in (None, 3) else got, want)
    producer = client.new("producer", transactional_id=trial.name("id"))
    client.begin_transaction(producer=producer)
    client.send(producer=producer, topic=topic, records=[{"value": "open"}])
    trial.equal("with an open transaction", bounds(consumer), [1, 4])


def last_stable_offset(trial):
    """The end of what is committed is told to whom asks for it, and is where the first open transaction begins."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)

    def ends():
        isolations = ("read_uncommitted", "read_committed")
        return [client.list_offset(topic=topic, partition=0, at="latest", isolation=isolation) for isolation in isolations]

    sent(client, topic, [{"value": "plain"}] * 2)
    trial.equal("without transactions", ends(), [2, 2])
    producer = client.new("producer", transactional_id=trial.name("id"))
    client.begin_transaction(producer=producer)
    client.send(producer=producer, topic=topic, records=[{"value": "open"}] * 2)
    sent(client, topic, [{"value": "plain"}])
    trial.equal("with an open one", ends(), [5, 2])
    client.commit(producer=producer)
    trial.eventually("after it", ends, [6, 6])


def small_fetches(trial):
    """A batch larger than a fetch may be is handed out nevertheless, so that nobody is stuck."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=2)
    records = [{"partition": i % 2, "value": f"{i}" + "x" * 100_000} for i in range(6)]
    sent(client, topic, records)
    got = [record["value"] for record in read(client, topic, 6, partitions=(0, 1), fetch_max_bytes=10_000)]
    trial.equal("read", sorted(got) == sorted(record["value"] for record in records), True)


def many_partitions(trial):
    """A topic of a hundred partitions is written to and read as a whole."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=100)
    # Kafka makes their logs one after the other. Who sends in the meantime is refused here and there, and Kafka's own
    # client then may number its records so that they are never taken.
    time.sleep(3)
    records = [{"partition": i % 100, "value": str(i)} for i in range(1000)]
    offsets = sent(client, topic, records, idempotent=True)
    trial.equal("offsets", offsets == [i // 100 for i in range(1000)], True)
    got = read(client, topic, 1000, partitions=range(100), timeout_ms=30_000)
    in_order = sorted(got, key=lambda record: (record["offset"], record["partition"]))
    trial.equal("read", [record["value"] for record in in_order] == [str(i) for i in range(1000)], True)


def recreated_topic(trial):
    """A producer and a consumer go on when a topic is deleted and another one of the same name takes its place."""
    client, other, topic = trial.driver(), trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    producer = client.new("producer")
    client.send(producer=producer, topic=topic, records=[{"value": f"old {i}"} for i in range(3)])
    consumer = other.new("consumer")
    other.assign(consumer=consumer, topic=topic, partitions=[0], offset=0)
    trial.equal("old ones", values(other, consumer, 3), ["old 0", "old 1", "old 2"])
    client.delete_topic(topic=topic)
    trial.eventually("there after deletion", lambda: topic in client.topics(), False)
    client.create_topic(topic=topic)
    # By then both have heard of it.
    time.sleep(2)

    def last_of_new():
        client.send(producer=producer, topic=topic, records=[{"value": f"new {i}"} for i in range(5)])
        return values(other, consumer, 100, timeout_ms=1500)[-1:]

    trial.eventually("new ones", last_of_new, ["new 4"])
    trial.equal("starts anew", read(client, topic, 1)[0]["value"], "new 0")


def creation_by_reading(trial):
    """Whether a consumer that asks for a topic brings it into being is up to the client, and the same at both brokers."""
    client, other, topic = trial.driver(), trial.driver(), trial.name("topic")
    consumer = client.new("consumer", group=trial.name("group"))
    client.subscribe(consumer=consumer, topic=topic)
    client.begin("poll", consumer=consumer, count=1, timeout_ms=3000)
    time.sleep(3)
    trial.say(f"created: {topic in other.topics()}")


def committed_metadata(trial):
    """A committed offset keeps what its member has to say about it."""
    client, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    client.create_topic(topic=topic, partitions=2)
    consumer = client.new("consumer", group=group)
    client.assign(consumer=consumer, topic=topic, partitions=[0, 1], offset=0)
    client.commit_offset(consumer=consumer, topic=topic, partition=0, offset=7, metadata="seven – sieben")
    client.commit_offset(consumer=consumer, topic=topic, partition=1, offset=8)
    told = [client.committed(consumer=consumer, topic=topic, partition=partition) for partition in (0, 1)]
    trial.equal("committed", told, [[7, "seven – sieben"], [8, ""]])

    def too_long():
        client.commit_offset(consumer=consumer, topic=topic, partition=0, offset=9, metadata="x" * 5000)

    trial.refused("too long", "OFFSET_METADATA_TOO_LARGE", too_long)
    trial.equal("afterwards", client.group_offsets(group=group), [[topic, 0, 7], [topic, 1, 8]])


CASES = [
    seek_and_pause,
    consumer_offsets,
    last_stable_offset,
    small_fetches,
    many_partitions,
    recreated_topic,
    creation_by_reading,
    committed_metadata,
]
