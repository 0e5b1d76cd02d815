"""The same over TLS, by clients that prove who they are."""

import functools
import subprocess

from cases.groups import Member, settled
from cases.records import read, sent
from harness.brokers import APACHE_SCRIPT


@functools.cache
def user(address):
    """A user of SCRAM, whom one of Kafka's tools makes, since not every client can."""
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        command = [APACHE_SCRIPT, "tool", "kafka-configs", "--bootstrap-server", address, "--entity-type", "users"]
        command += ["--entity-name", "bob", "--alter", "--add-config", f"{mechanism}=[password=builder]"]
        subprocess.run(command, check=True, capture_output=True)
    return {"username": "bob", "password": "builder"}


def secured(mechanism, trial):
    """A client that has proved over TLS who it is writes, reads and is a member of a group; with a wrong password it is refused."""
    who = {"username": "alice", "password": "wonderland"} if mechanism == "PLAIN" else user(trial.broker.address)
    client, topic = trial.driver(mechanism, **who), trial.name("topic")
    trial.equal("cluster", client.cluster(), {"brokers": 1, "controller": 1, "cluster_id": True})
    client.create_topic(topic=topic, partitions=2)
    sent(client, topic, [{"partition": i % 2, "value": str(i)} for i in range(200)], codec="gzip")
    got = sorted(int(record["value"]) for record in read(client, topic, 200, partitions=(0, 1)))
    trial.equal("read", got == list(range(200)), True)
    plain = trial.driver()
    sent(plain, topic, [{"value": "from the other listener"}])
    member = Member(trial, topic, group=trial.name("group"), driver=client)
    trial.equal("member", settled([member], 2), ([2], True))
    wrong = trial.driver(mechanism, username=who["username"], password="wrong")
    trial.refused("wrong password", None, wrong.topics)


CASES = [
    (f"sasl_{word}", functools.update_wrapper(functools.partial(secured, mechanism), secured))
    for word, mechanism in [("plain", "PLAIN"), ("scram_256", "SCRAM-SHA-256"), ("scram_512", "SCRAM-SHA-512")]
]
