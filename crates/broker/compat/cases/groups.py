"""Consumer groups: who gets which partitions, and what happens when members come, go, crash and come back."""

import functools
import time

from cases.records import sent
from harness.driver import Refused


class Member:
    """A consumer in a process of its own, as members of a group are in real life, unless one is given."""

    def __init__(self, trial, topic, driver=None, **consumer):
        self.driver = driver or trial.driver()
        self.consumer = self.driver.new("consumer", **consumer)
        self.driver.subscribe(consumer=self.consumer, topic=topic)
        self.assignment, self.values = [], []

    def begin_poll(self, timeout_ms=300):
        answer = self.driver.begin("poll", consumer=self.consumer, count=1000, timeout_ms=timeout_ms)

        def take():
            result = answer()
            self.assignment = result["assignment"]
            self.values += [record["value"] for record in result["records"]]

        return take

    def commit(self, topic, partition, offset):
        """Commits, unless a rebalance has come in between."""
        try:
            self.driver.commit_offset(consumer=self.consumer, topic=topic, partition=partition, offset=offset)
        except Refused:
            pass

    def close(self):
        self.driver.close(handle=self.consumer)


def settled(members, partitions, seconds=45):
    """Polls all members until they share the partitions: the numbers they have, and whether each partition has one owner."""
    end = time.monotonic() + seconds
    while True:
        for take in [member.begin_poll() for member in members]:
            take()
        owned = sorted(partition for member in members for partition in member.assignment)
        shares = sorted(len(member.assignment) for member in members)
        if owned == list(range(partitions)) and shares[0] > 0 or time.monotonic() > end:
            return shares, owned == list(range(partitions))


def members_share(options, trial):
    """Members share a topic's partitions when they join, when one leaves, and read every record."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=5)
    first = Member(trial, topic, group=group, **options)
    trial.equal("one member", settled([first], 5), ([5], True))
    second = Member(trial, topic, group=group, **options)
    trial.equal("two members", settled([first, second], 5), ([2, 3], True))
    state = admin.describe_group(group=group)
    trial.say((state["state"], state["assignor"], len(state["members"])))
    records = [{"partition": i % 5, "value": str(i)} for i in range(50)]
    sent(admin, topic, records)
    wanted = sorted(record["value"] for record in records)

    def read():
        settled([first, second], 5, seconds=0)
        return sorted(first.values + second.values)

    trial.eventually("read by both", read, wanted)
    first.close()
    trial.equal("after one has left", settled([second], 5), ([5], True))


def member_crash(options, trial):
    """A member that is killed loses its partitions, and another goes on from what it has committed."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=2)
    sent(admin, topic, [{"partition": i % 2, "value": str(i)} for i in range(20)])
    first = Member(trial, topic, group=group, **options)
    trial.equal("one member", settled([first], 2), ([2], True))
    while len(first.values) < 20:
        first.begin_poll()()
    for partition in (0, 1):
        first.driver.commit_offset(consumer=first.consumer, topic=topic, partition=partition, offset=7)
    first.driver.kill()
    second = Member(trial, topic, group=group, **options)
    trial.equal("the survivor", settled([second], 2), ([2], True))

    def read():
        settled([second], 2, seconds=0)
        return sorted(second.values, key=int)

    trial.eventually("read from the committed offset", read, [str(i) for i in range(14, 20)])


def static_member(trial):
    """A static member that restarts within its session gets its partitions back, and nobody rebalances."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=4)
    options = {"group": group, "session_timeout_ms": 20_000}
    first, second = (Member(trial, topic, instance=name, **options) for name in ("a", "b"))
    trial.equal("two members", settled([first, second], 4), ([2, 2], True))
    before = second.assignment
    first.driver.kill()
    first = Member(trial, topic, instance="a", **options)
    trial.equal("after its restart", settled([first, second], 4), ([2, 2], True))
    trial.equal("the other keeps its own", second.assignment == before, True)
    described = admin.describe_group(group=group)
    trial.equal("instances", sorted(member["instance"] for member in described["members"]), ["a", "b"])


CLASSIC = {"range": "range", "roundrobin": "roundrobin", "sticky": "sticky", "cooperative": "cooperative-sticky"}


def with_options(function, **options):
    return functools.update_wrapper(functools.partial(function, options), function)


CASES = [
    *((f"group_{word}", with_options(members_share, assignor=name)) for word, name in CLASSIC.items()),
    ("group_consumer", with_options(members_share, protocol="consumer")),
    ("crash_classic", with_options(member_crash, session_timeout_ms=3000)),
    ("crash_consumer", with_options(member_crash, protocol="consumer")),
    static_member,
]
