"""confluent-kafka, which is librdkafka: the operations of README.md, "Drivers"."""

import sys
import time

import confluent_kafka as ck
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from driver_loop import Missing, encoded, proof, record, serve

WAIT = 60
ISOLATION = {
    "read_uncommitted": ck.IsolationLevel.READ_UNCOMMITTED,
    "read_committed": ck.IsolationLevel.READ_COMMITTED,
}


def single(futures):
    """The result of a call of the administration client that was about one thing."""
    return next(iter(futures.values())).result(WAIT)


class Operations:
    def __init__(self, bootstrap):
        self.base = {"bootstrap.servers": bootstrap, "broker.address.family": "v4"}
        if who := proof():
            self.base |= {"security.protocol": "SASL_SSL", "ssl.ca.location": who["authority"]}
            self.base |= {"sasl.mechanism": who["mechanism"]}
            self.base |= {"sasl.username": who["username"], "sasl.password": who["password"]}
        self.admin = AdminClient(self.base)
        self.handles = {}

    # Topics.

    def cluster(self):
        found = self.admin.describe_cluster().result(WAIT)
        return {"brokers": len(found.nodes), "controller": found.controller.id, "cluster_id": bool(found.cluster_id)}

    def create_topic(self, topic, partitions=1, replication=1, config=None, validate_only=False):
        new = NewTopic(topic, partitions, replication, config=config or {})
        single(self.admin.create_topics([new], validate_only=validate_only))

    def delete_topic(self, topic):
        single(self.admin.delete_topics([topic], operation_timeout=30))

    def create_partitions(self, topic, total):
        single(self.admin.create_partitions([NewPartitions(topic, total)]))

    def topics(self):
        return sorted(self.admin.list_topics(timeout=WAIT).topics)

    def describe_topic(self, topic):
        found = single(self.admin.describe_topics(ck.TopicCollection([topic])))
        return {
            "id": str(found.topic_id),
            "partitions": [
                {
                    "partition": partition.id,
                    "leader": partition.leader.id,
                    "replicas": [node.id for node in partition.replicas],
                    "isr": [node.id for node in partition.isr],
                }
                for partition in found.partitions
            ],
        }

    def describe_config(self, topic, keys):
        found = single(self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
        return {key: {"value": found[key].value, "default": found[key].is_default} for key in keys}

    def alter_config(self, topic, set=None, delete=()):
        changes = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in (set or {}).items()
        ]
        changes += [ConfigEntry(key, None, incremental_operation=AlterConfigOpType.DELETE) for key in delete]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
        single(self.admin.incremental_alter_configs([resource]))

    def list_offset(self, topic, partition, at, isolation="read_uncommitted"):
        specs = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest, "max_timestamp": OffsetSpec.max_timestamp}
        spec = specs[at]() if at in specs else OffsetSpec.for_timestamp(at)
        wanted = {ck.TopicPartition(topic, partition): spec}
        return single(self.admin.list_offsets(wanted, isolation_level=ISOLATION[isolation])).offset

    def delete_records(self, topic, partition, before):
        return single(self.admin.delete_records([ck.TopicPartition(topic, partition, before)])).low_watermark

    # Groups.

    def groups(self):
        found = self.admin.list_consumer_groups().result(WAIT)
        return [[group.group_id, group.state.name] for group in found.valid]

    def describe_group(self, group):
        found = single(self.admin.describe_consumer_groups([group]))
        members = [
            {
                "instance": member.group_instance_id,
                "partitions": sorted(part.partition for part in member.assignment.topic_partitions),
            }
            for member in found.members
        ]
        return {"state": found.state.name, "assignor": found.partition_assignor, "members": members}

    def group_offsets(self, group):
        wanted = ck.ConsumerGroupTopicPartitions(group)
        found = single(self.admin.list_consumer_group_offsets([wanted])).topic_partitions
        return sorted([part.topic, part.partition, part.offset] for part in found)

    def alter_group_offset(self, group, topic, partition, offset):
        to = ck.ConsumerGroupTopicPartitions(group, [ck.TopicPartition(topic, partition, offset)])
        for part in single(self.admin.alter_consumer_group_offsets([to])).topic_partitions:
            if part.error is not None:
                raise ck.KafkaException(part.error)

    def delete_group(self, group):
        single(self.admin.delete_consumer_groups([group]))

    # Producers.

    def producer(
        self, name, codec="none", level=-1, idempotent=False, transactional_id=None, transaction_timeout_ms=60_000
    ):
        config = self.base | {"compression.type": codec, "enable.idempotence": idempotent, "linger.ms": 5}
        config |= {"compression.level": level, "topic.metadata.refresh.interval.ms": 1000}
        config |= {"message.max.bytes": 10_000_000, "delivery.timeout.ms": 60_000}
        if transactional_id is not None:
            config |= {"transactional.id": transactional_id, "transaction.timeout.ms": transaction_timeout_ms}
            config |= {"enable.idempotence": True, "delivery.timeout.ms": min(60_000, transaction_timeout_ms)}
        producer = ck.Producer(config)
        if transactional_id is not None:
            producer.init_transactions(WAIT)
        self.handles[name] = producer

    def send(self, producer, topic, records, pause_ms=0):
        producer = self.handles[producer]
        results = [None] * len(records)

        def delivered(index):
            def told(error, message):
                if error is None:
                    results[index] = {"partition": message.partition(), "offset": message.offset()}
                else:
                    results[index] = {"error": error_of(ck.KafkaException(error))}

            return told

        for index, given in enumerate(records):
            producer.produce(
                topic,
                key=encoded(given.get("key")),
                value=encoded(given.get("value")),
                headers=[(name, encoded(value)) for name, value in given.get("headers", [])],
                partition=given.get("partition", 0),
                timestamp=given.get("timestamp", 0),
                on_delivery=delivered(index),
            )
            if pause_ms and index % 100 == 99:
                producer.poll(pause_ms / 1000)
        producer.flush(WAIT)
        return results

    def begin_transaction(self, producer):
        self.handles[producer].begin_transaction()

    def commit(self, producer):
        self.handles[producer].commit_transaction(WAIT)

    def abort(self, producer):
        self.handles[producer].abort_transaction(WAIT)

    def send_offset(self, producer, consumer, topic, partition, offset):
        metadata = self.handles[consumer].consumer_group_metadata()
        offsets = [ck.TopicPartition(topic, partition, offset)]
        self.handles[producer].send_offsets_to_transaction(offsets, metadata, WAIT)

    # Consumers.

    def consumer(
        self,
        name,
        group="none",
        isolation="read_uncommitted",
        protocol="classic",
        assignor="range",
        instance=None,
        session_timeout_ms=6000,
        max_wait_ms=500,
        fetch_max_bytes=None,
        reset="earliest",
    ):
        config = self.base | {
            "group.id": group,
            "isolation.level": isolation,
            "group.protocol": protocol,
            "fetch.wait.max.ms": max_wait_ms,
            "socket.timeout.ms": max_wait_ms + 10_000,
            "auto.offset.reset": reset,
            "enable.auto.commit": False,
            "topic.metadata.refresh.interval.ms": 1000,
        }
        if fetch_max_bytes is not None:
            config |= {"fetch.max.bytes": fetch_max_bytes, "max.partition.fetch.bytes": fetch_max_bytes}
            # Which this client wants to be the smaller one.
            config |= {"message.max.bytes": fetch_max_bytes}
        if assignor == "sticky":
            raise Missing("librdkafka has no eager sticky assignor")
        if protocol == "classic":
            config |= {
                "session.timeout.ms": session_timeout_ms,
                "heartbeat.interval.ms": 500,
                "partition.assignment.strategy": assignor,
            }
        if instance is not None:
            config["group.instance.id"] = instance
        self.handles[name] = ck.Consumer(config)

    def assign(self, consumer, topic, partitions, offset=0):
        self.handles[consumer].assign([ck.TopicPartition(topic, partition, offset) for partition in partitions])

    def subscribe(self, consumer, topic, pattern=None):
        self.handles[consumer].subscribe([pattern or topic])

    def poll(self, consumer, count, timeout_ms):
        consumer, records = self.handles[consumer], []
        end = time.monotonic() + timeout_ms / 1000
        while len(records) < count and (left := end - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                continue
            if message.error():
                raise ck.KafkaException(message.error())
            place = message.partition(), message.offset()
            content = message.key(), message.value(), message.headers(), message.timestamp()[1]
            records.append(record(*place, *content))
        assigned = sorted(part.partition for part in consumer.assignment())
        topics = sorted({part.topic for part in consumer.assignment()})
        return {"records": records, "assignment": assigned, "topics": topics}

    def seek(self, consumer, topic, partition, offset):
        self.handles[consumer].seek(ck.TopicPartition(topic, partition, offset))

    def pause(self, consumer, topic, partitions):
        self.handles[consumer].pause([ck.TopicPartition(topic, partition) for partition in partitions])

    def resume(self, consumer, topic, partitions):
        self.handles[consumer].resume([ck.TopicPartition(topic, partition) for partition in partitions])

    def bounds(self, consumer, topic, partition):
        return self.handles[consumer].get_watermark_offsets(ck.TopicPartition(topic, partition), timeout=WAIT)

    def offset_for_time(self, consumer, topic, partition, at):
        [found] = self.handles[consumer].offsets_for_times([ck.TopicPartition(topic, partition, at)], timeout=WAIT)
        return found.offset

    def commit_offset(self, consumer, topic, partition, offset, metadata=""):
        place = ck.TopicPartition(topic, partition, offset, metadata)
        [part] = self.handles[consumer].commit(offsets=[place], asynchronous=False)
        if part.error is not None:
            raise ck.KafkaException(part.error)

    def committed(self, consumer, topic, partition):
        [found] = self.handles[consumer].committed([ck.TopicPartition(topic, partition)], timeout=WAIT)
        return None if found.offset < 0 else [found.offset, found.metadata or ""]

    def close(self, handle):
        handle = self.handles.pop(handle)
        if isinstance(handle, ck.Consumer):
            handle.close()


def error_of(error):
    """Kafka's codes are positive; those of librdkafka itself are negative, and have a name."""
    inner = error.args[0] if error.args else error
    if isinstance(inner, ck.KafkaError):
        return inner.code() if inner.code() > 0 else inner.name()
    return type(error).__name__


serve(Operations(sys.argv[1]), error_of)
