"""Groups whose members are replaced one by one by members of the other group protocol."""

import functools
import time

from cases.groups import Member, settled
from cases.records import sent

CONSUMER = {"protocol": "consumer"}


def evenly(members, seconds=45):
    """Polls all members until each of them has as many partitions as the others; until then some have more for a moment."""
    end = time.monotonic() + seconds
    while True:
        shares, one_owner = settled(members, 6)
        if len(set(shares)) == 1 or time.monotonic() > end:
            return shares, one_owner


def replaced(trial, group, topic, members, options):
    """Lets each member be followed by another one, one after the other; returns the new ones."""
    for step in ("the first", "the second"):
        members.append(Member(trial, topic, group=group, **options))
        trial.equal(f"before {step} has left", evenly(members), ([2, 2, 2], True))
        members.pop(0).close()
        trial.equal(f"after {step} has left", evenly(members), ([3, 3], True))
    return members


def migration(options, trial):
    """Members of one protocol are replaced one by one by members of the other, in one or more rounds, and go on reading."""
    first, *rounds = options
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=6)
    members = [Member(trial, topic, group=group, **first) for _ in range(2)]
    trial.equal("two members", evenly(members), ([3, 3], True))
    for round, following in enumerate(rounds):
        sent(admin, topic, [{"partition": i % 6, "value": f"{round}-{i}"} for i in range(60)])
        leaving = list(members)
        members = replaced(trial, group, topic, members, following)

        def all_read():
            settled(members, 6, seconds=0)
            values = {value for member in leaving + members for value in member.values}
            return len({value for value in values if value.startswith(f"{round}-")})

        trial.eventually(f"records of round {round}", all_read, 60)
    state = admin.describe_group(group=group)
    trial.say((state["state"], state["assignor"], len(state["members"])))


def with_rounds(*rounds):
    return functools.update_wrapper(functools.partial(migration, rounds), migration)


RANGE, COOPERATIVE = {"assignor": "range"}, {"assignor": "cooperative-sticky"}

CASES = [
    ("migration_there_and_back", with_rounds(RANGE, CONSUMER, RANGE)),
    # Not the other way round: librdkafka's sticky assignors leave a note in each assignment, which would be lost, so
    # that Kafka refuses to upgrade such a group.
    ("migration_to_cooperative", with_rounds(CONSUMER, COOPERATIVE)),
]
