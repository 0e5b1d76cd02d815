"""aiokafka: the operations of README.md, "Drivers"."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.helpers import create_ssl_context
from aiokafka.structs import OffsetAndMetadata
from driver_loop import Missing, encoded, proof, record, serve

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}


def checked(code):
    if code:
        raise for_code(code)()


class Operations:
    def __init__(self, bootstrap):
        self.base = {"bootstrap_servers": bootstrap}
        if who := proof():
            self.base |= {"security_protocol": "SASL_SSL", "ssl_context": create_ssl_context(cafile=who["authority"])}
            self.base |= {"sasl_mechanism": who["mechanism"]}
            self.base |= {"sasl_plain_username": who["username"], "sasl_plain_password": who["password"]}
        self.started = None
        self.handles = {}

    async def admin(self):
        if self.started is None:
            self.started = AIOKafkaAdminClient(**self.base)
            await self.started.start()
        return self.started

    # Topics.

    async def cluster(self):
        found = await (await self.admin()).describe_cluster()
        return {
            "brokers": len(found["brokers"]),
            "controller": found["controller_id"],
            "cluster_id": bool(found["cluster_id"]),
        }

    async def create_topic(self, topic, partitions=1, replication=1, config=None, validate_only=False):
        new = NewTopic(topic, partitions, replication, topic_configs=config or {})
        answer = await (await self.admin()).create_topics([new], validate_only=validate_only)
        checked(answer.topic_errors[0][1])

    async def delete_topic(self, topic):
        answer = await (await self.admin()).delete_topics([topic])
        checked(answer.topic_error_codes[0][1])

    async def create_partitions(self, topic, total):
        await (await self.admin()).create_partitions({topic: NewPartitions(total)})

    async def topics(self):
        return sorted(await (await self.admin()).list_topics())

    async def describe_topic(self, topic):
        # Of all topics, since this client creates one by asking for it.
        found = [found for found in await (await self.admin()).describe_topics() if found["topic"] == topic]
        if not found:
            raise UnknownTopicOrPartitionError()
        [found] = found
        return {
            "id": None,
            "partitions": [
                {name: partition[name] for name in ("partition", "leader", "replicas", "isr")}
                for partition in sorted(found["partitions"], key=lambda partition: partition["partition"])
            ],
        }

    async def describe_config(self, topic, keys):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        [answer] = await (await self.admin()).describe_configs([resource])
        [found] = answer.to_object()["resources"]
        entries = {entry["config_names"]: entry for entry in found["config_entries"]}
        return {key: {"value": entries[key]["config_value"], "default": entries[key]["config_source"] == 5} for key in keys}

    async def alter_config(self, topic, set=None, delete=()):
        """This client replaces all settings at once, so those of the topic that are to stay are sent along."""
        admin = await self.admin()
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        [found] = answer.to_object()["resources"]
        checked(found["error_code"])
        own = 1
        kept = {e["config_names"]: e["config_value"] for e in found["config_entries"] if e["config_source"] == own}
        changed = {key: value for key, value in (kept | (set or {})).items() if key not in delete}
        [answer] = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])
        checked(answer.resources[0][0])

    async def list_offset(self, topic, partition, at):
        if at == "max_timestamp":
            raise Missing("aiokafka does not ask for the latest time")
        place = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(**self.base)
        await consumer.start()
        try:
            if at == "earliest":
                return (await consumer.beginning_offsets([place]))[place]
            if at == "latest":
                return (await consumer.end_offsets([place]))[place]
            if at < 0:
                raise Missing("aiokafka asks for no time before 1970")
            found = (await consumer.offsets_for_times({place: at}))[place]
            return -1 if found is None else found.offset
        finally:
            await consumer.stop()

    async def delete_records(self, topic, partition, before):
        place = TopicPartition(topic, partition)
        return (await (await self.admin()).delete_records({place: RecordsToDelete(before)}))[place]

    # Groups.

    async def groups(self):
        return [[name, None] for name, *_ in await (await self.admin()).list_consumer_groups()]

    async def describe_group(self, group):
        [answer] = await (await self.admin()).describe_consumer_groups([group])
        [found] = answer.to_object()["groups"]
        checked(found["error_code"])
        members = []
        for member in found["members"]:
            members.append({"instance": member.get("group_instance_id"), "partitions": assigned(member)})
        return {"state": found["state"], "assignor": found["protocol"], "members": members}

    async def group_offsets(self, group):
        found = await (await self.admin()).list_consumer_group_offsets(group)
        return sorted([place.topic, place.partition, at.offset] for place, at in found.items())

    # Producers.

    async def producer(self, name, codec="none", idempotent=False, transactional_id=None, transaction_timeout_ms=60_000):
        config = self.base | {"enable_idempotence": idempotent, "linger_ms": 5, "max_request_size": 10_000_000}
        config |= {"compression_type": None if codec == "none" else codec}
        if transactional_id is not None:
            config |= {"transactional_id": transactional_id, "transaction_timeout_ms": transaction_timeout_ms}
            config |= {"enable_idempotence": True}
        self.handles[name] = AIOKafkaProducer(**config)
        await self.handles[name].start()

    async def send(self, producer, topic, records, pause_ms=0):
        producer, futures = self.handles[producer], []
        for index, given in enumerate(records):
            if given.get("key") is None and given.get("value") is None:
                raise Missing("aiokafka sends no record without key and value")
            futures.append(
                await producer.send(
                    topic,
                    key=encoded(given.get("key")),
                    value=encoded(given.get("value")),
                    headers=[(name, encoded(value)) for name, value in given.get("headers", [])],
                    partition=given.get("partition", 0),
                    timestamp_ms=given.get("timestamp"),
                )
            )
            if pause_ms and index % 100 == 99:
                await asyncio.sleep(pause_ms / 1000)
        results = []
        for told in await asyncio.gather(*futures, return_exceptions=True):
            if isinstance(told, BaseException):
                results.append({"error": error_of(told)})
            else:
                results.append({"partition": told.partition, "offset": told.offset})
        return results

    async def begin_transaction(self, producer):
        await self.handles[producer].begin_transaction()

    async def commit(self, producer):
        await self.handles[producer].commit_transaction()

    async def abort(self, producer):
        await self.handles[producer].abort_transaction()

    async def send_offset(self, producer, consumer, topic, partition, offset):
        group = self.handles[consumer]._group_id  # not told otherwise
        await self.handles[producer].send_offsets_to_transaction({TopicPartition(topic, partition): offset}, group)

    # Consumers.

    async def consumer(
        self,
        name,
        group=None,
        isolation="read_uncommitted",
        protocol="classic",
        assignor="range",
        instance=None,
        session_timeout_ms=6000,
        max_wait_ms=500,
        fetch_max_bytes=1 << 20,
        reset="earliest",
    ):
        if protocol != "classic":
            raise Missing("aiokafka has the classic group protocol only")
        if assignor not in ASSIGNORS:
            raise Missing(f"aiokafka has no {assignor} assignor")
        self.handles[name] = AIOKafkaConsumer(
            **self.base,
            group_id=group,
            group_instance_id=instance,
            isolation_level=isolation,
            partition_assignment_strategy=[ASSIGNORS[assignor]],
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=500,
            fetch_max_wait_ms=max_wait_ms,
            max_partition_fetch_bytes=fetch_max_bytes,
            auto_offset_reset=reset,
            enable_auto_commit=False,
            metadata_max_age_ms=1000,
        )

    async def assign(self, consumer, topic, partitions, offset=0):
        consumer = self.handles[consumer]
        places = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(places)
        await consumer.start()
        for place in places:
            consumer.seek(place, offset)

    async def subscribe(self, consumer, topic, pattern=None):
        self.handles[consumer].subscribe(topics=() if pattern else [topic], pattern=pattern)
        # Its start waits for the group, and the other members of it for being asked too.
        self.handles[consumer].starting = asyncio.create_task(self.handles[consumer].start())

    async def poll(self, consumer, count, timeout_ms):
        consumer, records = self.handles[consumer], []
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_ms / 1000
        if starting := getattr(consumer, "starting", None):
            await asyncio.wait([starting], timeout=timeout_ms / 1000)
            if not starting.done():
                return {"records": [], "assignment": [], "topics": []}
            starting.result()
        while len(records) < count and (left := end - loop.time()) > 0:
            polled = await consumer.getmany(timeout_ms=int(left * 1000), max_records=count - len(records))
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

    async def bounds(self, consumer, topic, partition):
        place = TopicPartition(topic, partition)
        consumer = self.handles[consumer]
        return [(await consumer.beginning_offsets([place]))[place], (await consumer.end_offsets([place]))[place]]

    async def offset_for_time(self, consumer, topic, partition, at):
        place = TopicPartition(topic, partition)
        found = (await self.handles[consumer].offsets_for_times({place: at}))[place]
        return -1 if found is None else found.offset

    async def commit_offset(self, consumer, topic, partition, offset, metadata=""):
        await self.handles[consumer].commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata)})

    async def close(self, handle):
        await self.handles.pop(handle).stop()


def assigned(member):
    """The partitions in a member's assignment, which this client leaves as the bytes that they are in the protocol."""
    from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

    data = member["member_assignment"]
    if not data:
        return []
    topics = ConsumerProtocolMemberAssignment.decode(data).assignment
    return sorted(partition for _, partitions in topics for partition in partitions)


def error_of(error):
    """Brokers' errors have Kafka's code; others a name."""
    code = getattr(error, "errno", None) if isinstance(error, KafkaError) else None
    return code if code is not None and code >= 0 else type(error).__name__


serve(Operations(sys.argv[1]), error_of)
