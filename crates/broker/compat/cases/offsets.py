"""Offsets asked for by position and by time, and records deleted up to one."""

from cases.records import KEPT, read, sent

START = 1_700_000_000_000


def offsets_by_time(codec, trial):
    """The first offset at or after a time, and that of the latest time, also within batches and out of order."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config=KEPT)
    times = [0, 10, 20, 70, 30, 40, 50, 60]
    # One producer for the first five, so that they may share a batch, and one for the rest.
    sent(client, topic, [{"value": "v" * 50, "timestamp": START + time} for time in times[:5]], codec=codec)
    sent(client, topic, [{"value": "v" * 50, "timestamp": START + time} for time in times[5:]], codec=codec)

    def offset(at):
        return client.list_offset(topic=topic, partition=0, at=at)

    trial.equal("earliest, latest", (offset("earliest"), offset("latest")), (0, 8))
    for time, want in [(-5, 0), (0, 0), (1, 1), (10, 1), (11, 2), (21, 3), (35, 3), (70, 3), (71, -1)]:
        got = offset(START + time)
        # Clients differ in what they tell for "none": the end, or -1.
        trial.equal(f"at {time}", -1 if want == -1 and got in (None, 8) else got, want)


def max_timestamp(trial):
    """The offset of the latest time is asked for as such."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic, config=KEPT)
    trial.equal("of none", client.list_offset(topic=topic, partition=0, at="max_timestamp"), -1)
    sent(client, topic, [{"value": "v", "timestamp": START + time} for time in (0, 50, 20)], codec="gzip")
    sent(client, topic, [{"value": "v", "timestamp": START + time} for time in (30, 40)], codec="gzip")
    trial.equal("of five", client.list_offset(topic=topic, partition=0, at="max_timestamp"), 1)


def delete_records(trial):
    """Records before an offset go, readers start behind them, and what is out of range is refused."""
    client, topic = trial.driver(), trial.name("topic")
    client.create_topic(topic=topic)
    sent(client, topic, [{"value": str(i)} for i in range(10)])
    trial.equal("low watermark", client.delete_records(topic=topic, partition=0, before=4), 4)
    trial.equal("earliest", client.list_offset(topic=topic, partition=0, at="earliest"), 4)
    trial.equal("latest", client.list_offset(topic=topic, partition=0, at="latest"), 10)
    got = [record["offset"] for record in read(client, topic, 6, reset="earliest")]
    trial.equal("read", got, [4, 5, 6, 7, 8, 9])
    trial.equal("less than is gone", client.delete_records(topic=topic, partition=0, before=2), 4)
    beyond = trial.name("beyond")
    client.create_topic(topic=beyond)
    trial.refused(
        "beyond the end",
        "OFFSET_OUT_OF_RANGE",
        lambda: client.delete_records(topic=beyond, partition=0, before=1),
    )
    trial.equal("everything", client.delete_records(topic=topic, partition=0, before=-1), 10)
    trial.equal("goes on at", sent(client, topic, [{"value": "next"}]), [10])


def in_compressed_batches(trial):
    """The first offset at or after a time, also inside compressed batches and out of order."""
    offsets_by_time("lz4", trial)


def in_plain_batches(trial):
    """The first offset at or after a time, also inside batches and out of order."""
    offsets_by_time("none", trial)


CASES = [
    ("offsets_by_time", in_plain_batches),
    ("offsets_compressed", in_compressed_batches),
    max_timestamp,
    delete_records,
]
