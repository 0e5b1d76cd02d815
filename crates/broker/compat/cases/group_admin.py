"""Groups seen from outside: listed, described, their offsets read, moved and removed."""

from cases.groups import Member, settled
from cases.records import sent


def group_admin(trial):
    """A group is listed and described, with members and without, and deleted when it is empty."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic, partitions=2)
    member = Member(trial, topic, group=group)
    trial.equal("one member", settled([member], 2), ([2], True))
    trial.equal("listed", [name for name, _ in admin.groups() if name == group], [group])
    described = admin.describe_group(group=group)
    trial.equal("described", described["members"], [{"instance": None, "partitions": [0, 1]}])
    trial.say((described["state"], described["assignor"]))
    trial.refused("deletion with a member", "NON_EMPTY_GROUP", lambda: admin.delete_group(group=group))
    member.driver.commit_offset(consumer=member.consumer, topic=topic, partition=1, offset=0)
    member.close()
    trial.eventually("members after it left", lambda: len(admin.describe_group(group=group)["members"]), 0)
    trial.say(admin.describe_group(group=group)["state"])
    admin.delete_group(group=group)
    trial.equal("listed after deletion", [name for name, _ in admin.groups() if name == group], [])
    trial.refused("deletion again", "GROUP_ID_NOT_FOUND", lambda: admin.delete_group(group=group))
    trial.equal("offsets after deletion", admin.group_offsets(group=group), [])


def group_offsets(trial):
    """Committed offsets are read and moved by the administration, and the next member starts there."""
    admin, topic, group = trial.driver(), trial.name("topic"), trial.name("group")
    admin.create_topic(topic=topic)
    sent(admin, topic, [{"value": str(i)} for i in range(10)])
    member = Member(trial, topic, group=group)
    trial.equal("one member", settled([member], 1), ([1], True))
    member.driver.commit_offset(consumer=member.consumer, topic=topic, partition=0, offset=8)
    trial.equal("committed", admin.group_offsets(group=group), [[topic, 0, 8]])

    def move():
        admin.alter_group_offset(group=group, topic=topic, partition=0, offset=3)

    # KafkaJS does not ask the broker to, where there are members.
    trial.refused("moved with a member", "UNKNOWN_MEMBER_ID", move, "KafkaJSNonRetriableError")
    member.close()
    trial.eventually("members", lambda: len(admin.describe_group(group=group)["members"]), 0)
    move()
    trial.equal("moved", admin.group_offsets(group=group), [[topic, 0, 3]])
    member = Member(trial, topic, group=group)

    def read():
        settled([member], 1, seconds=0)
        return member.values

    trial.eventually("read from there", read, [str(i) for i in range(3, 10)])


def unknown_group(trial):
    """A group that never was has no offsets; how it is described is the same at both brokers."""
    admin, group = trial.driver(), trial.name("group")
    trial.equal("offsets", admin.group_offsets(group=group), [])
    trial.refused("deletion", "GROUP_ID_NOT_FOUND", lambda: admin.delete_group(group=group))


CASES = [group_admin, group_offsets, unknown_group]
