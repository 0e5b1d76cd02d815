"""kafka-python: the operations of README.md, "Drivers"."""

import functools
import re
import sys
import time

from driver_loop import Missing, encoded, proof, record, serve
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.structs import OffsetAndMetadata

WAIT = 60
ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative-sticky": CooperativeStickyAssignor,
}


def checked(result):
    """Raises the error that came as a value: a class of error, or the name of one."""
    error = getattr(errors, result, None) if isinstance(result, str) else result
    if error is not None and error is not errors.NoError:
        raise error()


class Operations:
    def __init__(self, bootstrap):
        self.base = {"bootstrap_servers": bootstrap}
        if who := proof():
            self.base |= {"security_protocol": "SASL_SSL", "ssl_cafile": who["authority"]}
            self.base |= {"sasl_mechanism": who["mechanism"]}
            self.base |= {"sasl_plain_username": who["username"], "sasl_plain_password": who["password"]}
        self.handles = {}

    @functools.cached_property
    def admin(self):
        return KafkaAdminClient(**self.base)

    # Topics.

    def cluster(self):
        found = self.admin.describe_cluster()
        return {
            "brokers": len(found["brokers"]),
            "controller": found["controller_id"],
            "cluster_id": bool(found["cluster_id"]),
        }

    def create_topic(self, topic, partitions=1, replication=1, config=None, validate_only=False):
        options = {"num_partitions": partitions, "replication_factor": replication, "configs": config or {}}
        self.admin.create_topics({topic: options}, validate_only=validate_only)

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])

    def create_partitions(self, topic, total):
        self.admin.create_partitions({topic: total})

    def topics(self):
        return sorted(self.admin.list_topics())

    def describe_topic(self, topic):
        [found] = self.admin.describe_topics([topic])
        if found["error_code"]:
            raise errors.for_code(found["error_code"])()
        return {
            "id": str(found["topic_id"]),
            "partitions": [
                {
                    "partition": partition["partition_index"],
                    "leader": partition["leader_id"],
                    "replicas": partition["replica_nodes"],
                    "isr": partition["isr_nodes"],
                }
                for partition in sorted(found["partitions"], key=lambda partition: partition["partition_index"])
            ],
        }

    def describe_config(self, topic, keys):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        [found] = self.admin.describe_configs([resource], config_filter="all")["topic"].values()
        return {
            key: {"value": found[key]["value"], "default": found[key]["config_source"] == "DEFAULT_CONFIG"} for key in keys
        }

    def alter_config(self, topic, set=None, delete=()):
        changes = {key: ("SET", value) for key, value in (set or {}).items()}
        changes |= {key: ("DELETE", None) for key in delete}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, changes)
        for results in self.admin.alter_configs([resource], raise_on_unknown=False).values():
            for told in results.values():
                if code := re.match(r"\[Error (\d+)\]", told):
                    raise errors.for_code(int(code[1]))()

    def list_offset(self, topic, partition, at):
        specs = {"earliest": OffsetSpec.EARLIEST, "latest": OffsetSpec.LATEST, "max_timestamp": OffsetSpec.MAX_TIMESTAMP}
        place = TopicPartition(topic, partition)
        found = self.admin.list_partition_offsets({place: specs.get(at, at)})[place]
        return -1 if found is None else found.offset

    def delete_records(self, topic, partition, before):
        place = TopicPartition(topic, partition)
        return self.admin.delete_records({place: before})[place]["low_watermark"]

    # Groups.

    def groups(self):
        return [[group["group_id"], group["group_state"]] for group in self.admin.list_groups()]

    def describe_group(self, group):
        found = self.admin.describe_groups([group])[group]
        members = []
        for member in found["members"]:
            topics = (member["member_assignment"] or {}).get("assigned_partitions", [])
            partitions = sorted(partition for topic in topics for partition in topic["partitions"])
            members.append({"instance": member["group_instance_id"], "partitions": partitions})
        return {"state": found["group_state"], "assignor": found["protocol_data"], "members": members}

    def group_offsets(self, group):
        found = self.admin.list_group_offsets(group)[group]
        return sorted([place.topic, place.partition, at.offset] for place, at in found.items())

    def alter_group_offset(self, group, topic, partition, offset):
        to = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)}
        for error in self.admin.alter_group_offsets(group, to).values():
            checked(error)

    def delete_group(self, group):
        for error in self.admin.delete_groups([group]).values():
            checked(error)

    # Producers.

    def producer(self, name, codec="none", idempotent=False, transactional_id=None, transaction_timeout_ms=60_000):
        config = self.base | {"enable_idempotence": idempotent, "linger_ms": 5, "max_request_size": 10_000_000}
        config |= {"compression_type": None if codec == "none" else codec, "delivery_timeout_ms": 60_000}
        if transactional_id is not None:
            config |= {"transactional_id": transactional_id, "transaction_timeout_ms": transaction_timeout_ms}
            config |= {"enable_idempotence": True}
        producer = KafkaProducer(**config)
        if transactional_id is not None:
            producer.init_transactions()
        self.handles[name] = producer

    def send(self, producer, topic, records, pause_ms=0):
        producer, futures = self.handles[producer], []
        for index, given in enumerate(records):
            if given.get("key") is None and given.get("value") is None:
                raise Missing("kafka-python sends no record without key and value")
            if any(value is None for _, value in given.get("headers", [])):
                raise Missing("kafka-python sends no header without a value")
            futures.append(
                producer.send(
                    topic,
                    key=encoded(given.get("key")),
                    value=encoded(given.get("value")),
                    headers=[(name, encoded(value)) for name, value in given.get("headers", [])],
                    partition=given.get("partition", 0),
                    timestamp_ms=given.get("timestamp"),
                )
            )
            if pause_ms and index % 100 == 99:
                time.sleep(pause_ms / 1000)
        producer.flush(WAIT)
        return [result(future) for future in futures]

    def begin_transaction(self, producer):
        self.handles[producer].begin_transaction()

    def commit(self, producer):
        self.handles[producer].commit_transaction()

    def abort(self, producer):
        self.handles[producer].abort_transaction()

    def send_offset(self, producer, consumer, topic, partition, offset):
        offsets = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)}
        metadata = self.handles[consumer].group_metadata()
        self.handles[producer].send_offsets_to_transaction(offsets, metadata)

    # Consumers.

    def consumer(
        self,
        name,
        group=None,
        isolation="read_uncommitted",
        protocol="classic",
        assignor="range",
        instance=None,
        session_timeout_ms=6000,
        max_wait_ms=500,
        fetch_max_bytes=None,
        reset="earliest",
    ):
        if protocol != "classic":
            raise Missing("kafka-python has the classic group protocol only")
        limits = {"fetch_max_bytes": fetch_max_bytes, "max_partition_fetch_bytes": fetch_max_bytes}
        self.handles[name] = KafkaConsumer(
            **self.base,
            **(limits if fetch_max_bytes else {}),
            group_id=group,
            group_instance_id=instance,
            isolation_level=isolation,
            partition_assignment_strategy=[ASSIGNORS[assignor]],
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=500,
            fetch_max_wait_ms=max_wait_ms,
            auto_offset_reset=reset,
            enable_auto_commit=False,
            max_poll_records=10_000,
            metadata_max_age_ms=1000,
        )

    def assign(self, consumer, topic, partitions, offset=0):
        places = [TopicPartition(topic, partition) for partition in partitions]
        self.handles[consumer].assign(places)
        for place in places:
            self.handles[consumer].seek(place, offset)

    def subscribe(self, consumer, topic, pattern=None):
        self.handles[consumer].subscribe(topics=() if pattern else [topic], pattern=pattern)

    def poll(self, consumer, count, timeout_ms):
        consumer, records = self.handles[consumer], []
        end = time.monotonic() + timeout_ms / 1000
        while len(records) < count and (left := end - time.monotonic()) > 0:
            polled = consumer.poll(timeout_ms=left * 1000, max_records=count - len(records))
            for message in (message for messages in polled.values() for message in messages):
                place = message.partition, message.offset
                records.append(record(*place, message.key, message.value, message.headers, message.timestamp))
        assigned = sorted(place.partition for place in consumer.assignment())
        topics = sorted({place.topic for place in consumer.assignment()})
        return {"records": records, "assignment": assigned, "topics": topics}

    def seek(self, consumer, topic, partition, offset):
        self.handles[consumer].seek(TopicPartition(topic, partition), offset)

    def pause(self, consumer, topic, partitions):
        self.handles[consumer].pause(*[TopicPartition(topic, partition) for partition in partitions])

    def resume(self, consumer, topic, partitions):
        self.handles[consumer].resume(*[TopicPartition(topic, partition) for partition in partitions])

    def bounds(self, consumer, topic, partition):
        place = TopicPartition(topic, partition)
        consumer = self.handles[consumer]
        return [consumer.beginning_offsets([place])[place], consumer.end_offsets([place])[place]]

    def offset_for_time(self, consumer, topic, partition, at):
        place = TopicPartition(topic, partition)
        found = self.handles[consumer].offsets_for_times({place: at})[place]
        return -1 if found is None else found.offset

    def commit_offset(self, consumer, topic, partition, offset, metadata=""):
        self.handles[consumer].commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata, -1)})

    def committed(self, consumer, topic, partition):
        found = self.handles[consumer].committed(TopicPartition(topic, partition), metadata=True)
        return None if found is None else [found.offset, found.metadata]

    def close(self, handle):
        self.handles.pop(handle).close()


def result(future):
    """What became of a record."""
    try:
        told = future.get(WAIT)
    except Exception as error:
        return {"error": error_of(error)}
    return {"partition": told.partition, "offset": told.offset}


def error_of(error):
    """Brokers' errors have Kafka's code; others a name."""
    return error.errno if isinstance(error, errors.BrokerResponseError) else type(error).__name__


serve(Operations(sys.argv[1]), error_of)
