"""Metadata, topics and their settings, through the client's administration."""


def metadata(trial):
    """One broker that is the controller; a topic appears with its partitions, and one that is not there does not."""
    client, topic = trial.driver(), trial.name("topic")
    trial.equal("cluster", client.cluster(), {"brokers": 1, "controller": 1, "cluster_id": True})
    client.create_topic(topic=topic, partitions=3)
    partitions = [{"partition": index, "leader": 1, "replicas": [1], "isr": [1]} for index in range(3)]
    trial.eventually("partitions", lambda: client.describe_topic(topic=topic)["partitions"], partitions)
    trial.equal("listed", topic in client.topics(), True)
    trial.refused("unknown topic", None, lambda: client.describe_topic(topic=trial.name("unknown")))


def topics(trial):
    """Topics are created, extended, deleted, and created again under the same name as another, empty topic."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=2, validate_only=True)
    trial.equal("created by a dry run", topic in client.topics(), False)
    client.create_topic(topic=topic, partitions=2)
    producer = client.new("producer")
    client.send(producer=producer, topic=topic, records=[{"value": "old"}] * 3)
    client.close(handle=producer)
    client.create_partitions(topic=topic, total=4)
    trial.eventually("partitions", lambda: len(client.describe_topic(topic=topic)["partitions"]), 4)
    first = client.describe_topic(topic=topic)["id"]
    client.delete_topic(topic=topic)
    trial.eventually("there after deletion", lambda: topic in client.topics(), False)
    client.create_topic(topic=topic, partitions=1)
    trial.eventually("partitions of the new one", lambda: len(client.describe_topic(topic=topic)["partitions"]), 1)
    second = client.describe_topic(topic=topic)["id"]
    trial.equal("another topic", first is None or first != second, True)
    trial.equal("end of the new one", client.list_offset(topic=topic, partition=0, at="latest"), 0)
    producer = client.new("producer")
    trial.equal(
        "produced", client.send(producer=producer, topic=topic, records=[{"value": "new"}]), [{"partition": 0, "offset": 0}]
    )


def configs(trial):
    """Settings given at creation and altered later are told, and the others are told with their defaults."""
    client, topic = trial.driver(), trial.name("topic")
    keys = ["cleanup.policy", "retention.ms", "max.message.bytes", "segment.bytes", "compression.type", "min.insync.replicas"]
    client.create_topic(topic=topic, config={"cleanup.policy": "compact", "retention.ms": "1234567"})
    trial.say(client.describe_config(topic=topic, keys=keys))
    client.alter_config(topic=topic, set={"retention.ms": "7654321", "max.message.bytes": "2000"}, delete=["cleanup.policy"])

    def told():
        found = client.describe_config(topic=topic, keys=keys)
        return [found[key]["value"] for key in keys[:3]]

    trial.eventually("altered", told, ["delete", "7654321", "2000"])
    trial.say(client.describe_config(topic=topic, keys=keys))
    trial.refused(
        "bad value", "INVALID_CONFIG", lambda: client.alter_config(topic=topic, set={"retention.ms": "soon"})
    )
    trial.refused(
        "bad name", "INVALID_CONFIG", lambda: client.alter_config(topic=topic, set={"retention.moons": "1"})
    )


def bad_requests(trial):
    """What cannot be done is refused with Kafka's error code."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, partitions=2)
    for what, code, request in [
        ("existing", "TOPIC_ALREADY_EXISTS", {}),
        ("bad name", "INVALID_TOPIC_EXCEPTION", {"topic": "no/slash"}),
        ("long name", "INVALID_TOPIC_EXCEPTION", {"topic": "x" * 250}),
        ("replication", "INVALID_REPLICATION_FACTOR", {"topic": f"{topic}-2", "replication": 2}),
        ("bad setting", "INVALID_CONFIG", {"topic": f"{topic}-3", "config": {"no.such": "1"}}),
        ("bad value", "INVALID_CONFIG", {"topic": f"{topic}-4", "config": {"retention.ms": "x"}}),
    ]:
        trial.refused(what, code, lambda request=request: client.create_topic(**({"topic": topic} | request)))
    for what, total in [("fewer", 1), ("as many", 2)]:
        trial.refused(what, "INVALID_PARTITIONS", lambda total=total: client.create_partitions(topic=topic, total=total))
    unknown = trial.name("unknown")
    trial.refused("deletion", "UNKNOWN_TOPIC_OR_PARTITION", lambda: client.delete_topic(topic=unknown))
    trial.refused(
        "extension", "UNKNOWN_TOPIC_OR_PARTITION", lambda: client.create_partitions(topic=unknown, total=2)
    )
    trial.refused(
        "alteration",
        "UNKNOWN_TOPIC_OR_PARTITION",
        lambda: client.alter_config(topic=unknown, set={"retention.ms": "1"}),
    )


CASES = [metadata, topics, configs, bad_requests]
