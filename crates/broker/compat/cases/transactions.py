"""Transactions: what readers see of them, offsets within them, fencing, timeouts and crashes."""

import time

from cases.records import read, sent


def values(client, topic, count, isolation, timeout_ms=15_000):
    """What a new reader sees. Fewer than `count` only after the whole time, so ask for what should be there."""
    return [record["value"] for record in read(client, topic, count, isolation=isolation, timeout_ms=timeout_ms)]


def nothing_more(client, topic, count, isolation="read_committed"):
    """What a reader sees that waits for one record more than there should be."""
    return values(client, topic, count + 1, isolation, timeout_ms=2500)


def record(value):
    return [{"value": value}]


def commit_and_abort(trial):
    """Readers of committed records see the committed ones only; others see all; in one order."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=2)
    producer = client.new("producer", transactional_id=trial.name("id"))
    for number, end in enumerate([client.commit, client.abort, client.commit, client.abort, client.commit]):
        client.begin_transaction(producer=producer)
        records = [{"partition": partition, "value": f"{number}-{partition}"} for partition in (0, 1)]
        trial.say(client.send(producer=producer, topic=topic, records=records))
        end(producer=producer)
    trial.equal("committed", nothing_more(client, topic, 3), ["0-0", "2-0", "4-0"])
    everything = [f"{number}-0" for number in range(5)]
    trial.equal("uncommitted", values(client, topic, 5, "read_uncommitted"), everything)
    trial.equal("end, markers included", client.list_offset(topic=topic, partition=0, at="latest"), 10)


def interleaved(trial):
    """Open transactions hold back what comes after them, and each ends by itself."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    first, second = (client.new("producer", transactional_id=trial.name(f"id{i}")) for i in (1, 2))
    client.begin_transaction(producer=first)
    client.send(producer=first, topic=topic, records=record("first 1"))
    client.begin_transaction(producer=second)
    client.send(producer=second, topic=topic, records=record("second 1"))
    client.send(producer=first, topic=topic, records=record("first 2"))
    client.commit(producer=second)
    sent(client, topic, record("plain"))
    trial.equal("while the first is open", nothing_more(client, topic, 0), [])
    everything = ["first 1", "second 1", "first 2", "plain"]
    trial.equal("uncommitted", values(client, topic, 4, "read_uncommitted"), everything)
    client.abort(producer=first)
    trial.equal("after its abort", nothing_more(client, topic, 2), ["second 1", "plain"])
    for end in (client.commit, client.abort):
        client.begin_transaction(producer=first)
        client.begin_transaction(producer=second)
        for i in range(3):
            client.send(producer=first, topic=topic, records=record(f"f{i}"))
            client.send(producer=second, topic=topic, records=record(f"s{i}"))
        client.abort(producer=second)
        end(producer=first)
    trial.equal("at the end", nothing_more(client, topic, 5), ["second 1", "plain", "f0", "f1", "f2"])


def empty_transactions(trial):
    """A transaction without records ends well, either way."""
    client = trial.driver()
    producer = client.new("producer", transactional_id=trial.name("id"))
    for end in (client.commit, client.abort):
        client.begin_transaction(producer=producer)
        end(producer=producer)
    trial.say("both ended")


def transaction_offsets(trial):
    """Offsets committed in a transaction count if it is committed, and only then."""
    client, source, target, group = trial.driver(), trial.name("source"), trial.name("target"), trial.name("group")
    client.create_topic(topic=source)
    client.create_topic(topic=target)
    sent(client, source, [{"value": str(i)} for i in range(10)])
    consumer = client.new("consumer", group=group, isolation="read_committed")
    client.subscribe(consumer=consumer, topic=source)
    got = client.poll(consumer=consumer, count=10, timeout_ms=20_000)["records"]
    trial.equal("read", len(got), 10)
    producer = client.new("producer", transactional_id=trial.name("id"))
    for offset, end in [(4, client.commit), (7, client.abort)]:
        client.begin_transaction(producer=producer)
        client.send(producer=producer, topic=target, records=record(f"up to {offset}"))
        client.send_offset(producer=producer, consumer=consumer, topic=source, partition=0, offset=offset)
        end(producer=producer)
        # Kafka answers before the decision has reached the group.
        trial.eventually(f"after {offset}", lambda: client.group_offsets(group=group), [[source, 0, 4]])
    client.close(handle=consumer)
    consumer = client.new("consumer", group=group, isolation="read_committed")
    client.subscribe(consumer=consumer, topic=source)
    [next_record] = client.poll(consumer=consumer, count=1, timeout_ms=20_000)["records"]
    trial.equal("the next member goes on at", next_record["offset"], 4)
    trial.equal("target", nothing_more(client, target, 1), ["up to 4"])


def fencing(trial):
    """A second producer with the same id ends the first one's transaction and shuts it out."""
    one, two, topic = trial.driver(), trial.driver(), trial.name("topic")
    one.create_topic(topic=topic)
    old = one.new("producer", transactional_id=trial.name("id"))
    one.begin_transaction(producer=old)
    one.send(producer=old, topic=topic, records=record("old"))
    new = two.new("producer", transactional_id=trial.name("id"))
    two.begin_transaction(producer=new)
    two.send(producer=new, topic=topic, records=record("new"))
    two.commit(producer=new)

    def goes_on():
        [result] = one.send(producer=old, topic=topic, records=record("zombie"))
        trial.say(f"its record: {result}")
        one.commit(producer=old)

    # Only now, since some clients answer by asking for a new epoch, and Kafka lets that end the open transaction.
    trial.refused("the old one", None, goes_on)
    trial.equal("committed", nothing_more(two, topic, 1), ["new"])
    trial.equal("uncommitted", nothing_more(two, topic, 2, "read_uncommitted"), ["old", "new"])


def transaction_timeout(trial):
    """A transaction that is left open is aborted by the broker, and its producer cannot commit it."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    producer = client.new("producer", transactional_id=trial.name("id"), transaction_timeout_ms=2000)
    client.begin_transaction(producer=producer)
    client.send(producer=producer, topic=topic, records=record("too late"))
    sent(client, topic, record("behind it"))
    trial.equal("while it is open", values(client, topic, 1, "read_committed", timeout_ms=500), [])
    trial.equal("after the timeout", values(client, topic, 1, "read_committed", timeout_ms=30_000), ["behind it"])
    trial.refused("commit", None, lambda: client.commit(producer=producer))
    again = client.new("producer", transactional_id=trial.name("id"))
    client.begin_transaction(producer=again)
    client.send(producer=again, topic=topic, records=record("in time"))
    client.commit(producer=again)
    trial.equal("committed", nothing_more(client, topic, 2), ["behind it", "in time"])


def crash_in_transaction(trial):
    """What a killed producer left open is aborted when it is started again, and not before."""
    one, two, topic = trial.driver(), trial.driver(), trial.name("topic")
    one.create_topic(topic=topic)
    producer = one.new("producer", transactional_id=trial.name("id"))
    one.begin_transaction(producer=producer)
    one.send(producer=producer, topic=topic, records=record("committed"))
    one.commit(producer=producer)
    one.begin_transaction(producer=producer)
    one.send(producer=producer, topic=topic, records=record("lost"))
    one.kill()
    sent(two, topic, record("behind it"))
    time.sleep(1)
    trial.equal("before the restart", nothing_more(two, topic, 1), ["committed"])
    producer = two.new("producer", transactional_id=trial.name("id"))
    trial.equal("after it", nothing_more(two, topic, 2), ["committed", "behind it"])
    two.begin_transaction(producer=producer)
    two.send(producer=producer, topic=topic, records=record("again"))
    two.commit(producer=producer)
    trial.equal("at the end", nothing_more(two, topic, 3), ["committed", "behind it", "again"])


def many_transactions(trial):
    """A hundred transactions over three partitions, every third aborted: nothing lost, nothing doubled."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=3)
    producer = client.new("producer", transactional_id=trial.name("id"))
    for number in range(100):
        client.begin_transaction(producer=producer)
        records = [{"partition": partition, "value": str(number)} for partition in range(3)] * 3
        client.send(producer=producer, topic=topic, records=records)
        (client.abort if number % 3 == 2 else client.commit)(producer=producer)
    got = read(client, topic, 67 * 9 + 1, partitions=range(3), isolation="read_committed", timeout_ms=5000)
    for partition in range(3):
        have = [int(record["value"]) for record in got if record["partition"] == partition]
        want = [number for number in range(100) if number % 3 != 2 for _ in range(3)]
        trial.equal(f"partition {partition} as committed", have == want, True)


CASES = [
    commit_and_abort,
    interleaved,
    empty_transactions,
    transaction_offsets,
    fencing,
    transaction_timeout,
    crash_in_transaction,
    many_transactions,
]
