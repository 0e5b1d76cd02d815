"""The broker is killed or stopped, and started again on what it has left."""

import random
import threading
import time

from cases.groups import Member, settled
from cases.records import read, sent
from harness.driver import Refused


def patiently(look, seconds=30):
    """For what a client may be refused while the broker that it knew comes up again."""
    end = time.monotonic() + seconds
    while True:
        try:
            return look()
        except Refused:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def kill_in_batch(trial):
    """kill -9 while a producer without idempotence sends: what was acknowledged is there, in order."""
    kill_while_sending(trial, idempotent=False)


def kill_in_idempotent_batch(trial):
    """kill -9 while an idempotent producer sends: what was acknowledged is there once, in order."""
    kill_while_sending(trial, idempotent=True)


def kill_while_sending(trial, idempotent):
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    sent(client, topic, [{"value": "-1"}])
    producer = client.new("producer", idempotent=idempotent)
    records = [{"value": str(i)} for i in range(6000)]
    answer = client.begin("send", producer=producer, topic=topic, records=records, pause_ms=25)
    time.sleep(random.uniform(0.3, 1.2))
    trial.broker.kill()
    trial.broker.start()
    results = answer()
    acknowledged = {i: result["offset"] for i, result in enumerate(results) if "error" not in result}
    trial.equal("acknowledged", len(acknowledged), 6000)
    end = patiently(lambda: client.list_offset(topic=topic, partition=0, at="latest"))
    got = [(record["offset"], int(record["value"])) for record in read(client, topic, end, timeout_ms=30_000)]
    trial.equal("whole", [offset for offset, _ in got] == list(range(end)), True)
    values = [value for _, value in got]
    trial.equal("lost", len(set(acknowledged) - set(values)), 0)
    at = dict(got)
    trial.equal("not where it was acknowledged", sum(at[offset] != i for i, offset in acknowledged.items()), 0)
    if idempotent:
        trial.equal("doubled or out of order", values != sorted(set(values)), False)


def kill_in_transaction(trial):
    """kill -9 while transactions run: each is there as a whole or not at all, and the committed ones are there."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=2)
    producer = client.new("producer", transactional_id=trial.name("id"))
    killer = threading.Timer(0.5, lambda: (trial.broker.kill(), trial.broker.start()))
    killer.start()
    committed = 0
    while killer.is_alive() or committed < 20:
        client.begin_transaction(producer=producer)
        records = [{"partition": partition, "value": str(committed)} for partition in (0, 1)] * 2
        for result in client.send(producer=producer, topic=topic, records=records):
            if "error" in result:
                raise RuntimeError(f"a record was refused with {result['error']}")
        client.commit(producer=producer)
        committed += 1
    killer.join()
    got = read(client, topic, committed * 4 + 1, partitions=(0, 1), isolation="read_committed", timeout_ms=4000)
    for partition in (0, 1):
        values = [int(record["value"]) for record in got if record["partition"] == partition]
        want = [number for number in range(committed) for _ in range(2)]
        trial.equal(f"partition {partition} as committed", values == want, True)


def clean_restart(trial):
    """After a stop and a start, topics, settings, offsets of groups and open transactions are as they were."""
    client, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    client.create_topic(topic=topic, partitions=2, config={"retention.ms": "123456789"})
    sent(client, topic, [{"partition": i % 2, "value": str(i)} for i in range(10)])
    before = client.describe_topic(topic=topic)
    member = Member(trial, topic, group=group)
    trial.equal("one member", settled([member], 2), ([2], True))
    for partition in (0, 1):
        member.driver.commit_offset(consumer=member.consumer, topic=topic, partition=partition, offset=3)
    producer = client.new("producer", transactional_id=trial.name("id"))
    client.begin_transaction(producer=producer)
    client.send(producer=producer, topic=topic, records=[{"value": "in a transaction"}])
    trial.broker.stop()
    trial.broker.start()
    client.commit(producer=producer)
    trial.equal("same topic", patiently(lambda: client.describe_topic(topic=topic)) == before, True)
    trial.equal("offsets", patiently(lambda: client.group_offsets(group=group)), [[topic, 0, 3], [topic, 1, 3]])
    trial.equal("the member again", settled([member], 2), ([2], True))
    got = read(client, topic, 11, partitions=(0, 1), isolation="read_committed")
    trial.equal("read", sorted(record["value"] for record in got), [*map(str, range(10)), "in a transaction"])
    member.close()
    member = Member(trial, topic, group=group)

    def continued():
        settled([member], 2, seconds=0)
        return sorted(member.values)

    trial.eventually("the next member goes on", continued, sorted(["6", "7", "8", "9", "in a transaction"]))


CASES = [clean_restart, kill_in_batch, kill_in_idempotent_batch, kill_in_transaction]
