"""Groups whose members come and go while records do, and those that follow a pattern."""

import time

from cases.groups import Member, settled, with_options
from cases.records import sent


def read_and_commit(members, until, topic):
    """All members poll and commit what they were given, round by round."""
    while not until():
        for member, take in [(member, member.begin_poll(timeout_ms=200)) for member in members]:
            before = len(member.values)
            take()
            ends = {}
            for value in member.values[before:]:
                partition, offset = map(int, value.split("-"))
                ends[partition] = offset + 1
            for partition, offset in ends.items():
                if partition in member.assignment:
                    member.commit(topic, partition, offset)


def members_under_load(options, trial):
    """Three members join, one leaves and one crashes while records are written: none is lost."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=6)
    records = [{"partition": i % 6, "value": f"{i % 6}-{i // 6}"} for i in range(4800)]
    producer = admin.new("producer", idempotent=True)
    answer = admin.begin("send", producer=producer, topic=topic, records=records, pause_ms=150)
    members = []

    def rounds(seconds):
        end = time.monotonic() + seconds
        read_and_commit(members, lambda: time.monotonic() > end, topic)

    for _ in range(3):
        members.append(Member(trial, topic, group=group, **options))
        rounds(1.5)
    gone = [members.pop(0)]
    gone[0].close()
    rounds(1.5)
    gone.append(members.pop(0))
    gone[1].driver.kill()
    members.append(Member(trial, topic, group=group, **options))
    trial.equal("acknowledged", sum("error" not in result for result in answer()), 4800)
    wanted = {record["value"] for record in records}
    end = time.monotonic() + 45

    def read():
        return {value for member in gone + members for value in member.values}

    read_and_commit(members, lambda: read() == wanted or time.monotonic() > end, topic)
    trial.equal("lost", len(wanted - read()), 0)
    trial.equal("at the end", settled(members, 6), ([3, 3], True))


def static_consumer(trial):
    """A static member of the new protocol that restarts gets its partitions back, and nobody else takes them."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=4)
    options = {"group": group, "protocol": "consumer"}
    first, second = (Member(trial, topic, instance=name, **options) for name in ("a", "b"))
    trial.equal("two members", settled([first, second], 4), ([2, 2], True))
    before = second.assignment
    first.close()
    second.begin_poll()()
    trial.equal("while it is away", second.assignment == before, True)
    first = Member(trial, topic, instance="a", **options)
    trial.equal("after its restart", settled([first, second], 4), ([2, 2], True))
    trial.equal("the other keeps its own", second.assignment == before, True)
    described = admin.describe_group(group=group)
    trial.equal("instances", sorted(member["instance"] for member in described["members"]), ["a", "b"])


def instance_in_use(trial):
    """A second member with the same instance shuts out the first, or is refused, as its protocol has it."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=2)
    first = Member(trial, topic, group=group, instance="a", session_timeout_ms=20_000)
    trial.equal("the first", settled([first], 2), ([2], True))
    second = Member(trial, topic, group=group, instance="a", session_timeout_ms=20_000)
    trial.equal("the second", settled([second], 2), ([2], True))

    def goes_on():
        first.begin_poll(timeout_ms=8000)()
        first.driver.commit_offset(consumer=first.consumer, topic=topic, partition=0, offset=0)

    trial.refused("the first", None, goes_on)
    trial.equal("members", len(admin.describe_group(group=group)["members"]), 1)


def pattern(options, trial):
    """A member that follows a pattern reads topics that match, also those that come later, and no others."""
    admin, group = trial.driver(), trial.name("group")
    names = [trial.name(role) for role in ("match-1", "match-2", "other")]
    for topic in (names[0], names[2]):
        admin.create_topic(topic=topic)
        sent(admin, topic, [{"value": topic}])
    client = trial.driver()
    consumer = client.new("consumer", group=group, **options)
    client.subscribe(consumer=consumer, topic=None, pattern=f"^{trial.case}-match-.*-{trial.run}$")
    got = set()

    def topics():
        result = client.poll(consumer=consumer, count=10, timeout_ms=300)
        got.update(record["value"] for record in result["records"])
        return result["topics"]

    trial.eventually("at first", topics, names[:1])
    admin.create_topic(topic=names[1])
    sent(admin, names[1], [{"value": names[1]}])
    trial.eventually("later", topics, names[:2])
    trial.eventually("read", lambda: topics() and sorted(got), names[:2])


CASES = [
    ("load_eager", with_options(members_under_load, session_timeout_ms=3000)),
    ("load_cooperative", with_options(members_under_load, session_timeout_ms=3000, assignor="cooperative-sticky")),
    ("load_consumer", with_options(members_under_load, protocol="consumer")),
    static_consumer,
    instance_in_use,
    ("pattern_classic", with_options(pattern)),
    ("pattern_consumer", with_options(pattern, protocol="consumer")),
]
