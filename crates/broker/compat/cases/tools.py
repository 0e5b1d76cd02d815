"""Kafka's own tools: what they print, and how they end. Several commands make a case, since they look at each other's work."""

import functools
import re
import subprocess
import tempfile
import time
from pathlib import Path

from harness.brokers import APACHE_SCRIPT


@functools.cache
def main_class(tool):
    return subprocess.run([APACHE_SCRIPT, "main-class", tool], capture_output=True, text=True, check=True).stdout.strip()


# What differs from run to run, and what is put in its place.
CHANGING = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"TopicId: [\w-]{22}", "TopicId: ID"),
    (r"ClusterId: \S+|Cluster ID: \S+", "Cluster ID: ID"),
    (r"[\w-]{22} /127.0.0.1", "UUID /127.0.0.1"),
    (r"CreateTime:\d{13}", "CreateTime:NOW"),
    (r"(FinalizedVersionLevel: \d+)\s+Epoch: \d+", r"\1"),
    (r"127\.0\.0\.1\s+\d+", "127.0.0.1 PORT"),
    (r"\(id: 1 rack: null isFenced: false\)", "(the broker)"),
    (r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+\]", "[TIME]"),
]


class Tools:
    """Runs tools in one process against the broker of the trial."""

    def __init__(self, trial):
        self.trial, self.driver = trial, trial.driver()

    def name(self, role):
        """A name without underscores, of which kafka-topics warns."""
        return self.trial.name(role).replace("_", "-")

    def begin(self, tool, *arguments, input=""):
        """Starts a tool, and returns a function that waits for its end."""
        if "--bootstrap-server" not in arguments:
            arguments = ["--bootstrap-server", self.trial.broker.address, *arguments]
        return self.driver.begin("tool", main=main_class(tool), arguments=[str(a) for a in arguments], input=input)

    def lines(self, tool, *arguments, **options):
        """What it prints, without what differs from run to run, and last its exit code."""
        return printed(self.begin(tool, *arguments, **options)())

    def say(self, tool, *arguments, keep=None, ordered=True, **options):
        """The outcome tells the command and what it printed: those lines that match `keep`, as they came or sorted."""
        lines = self.lines(tool, *arguments, **options)
        lines = [line for line in lines if keep is None or re.search(keep, line) or line.startswith("exit ")]
        self.trial.say(" ".join([f"$ {tool}", *map(str, arguments)]))
        for line in lines if ordered else sorted(lines[:-1]) + lines[-1:]:
            self.trial.say(f"  {line}")
        return lines

    def succeeds(self, tool, *arguments, **options):
        """As `say`; the case fails if the tool does."""
        lines = self.say(tool, *arguments, **options)
        if "exit 0" not in lines:
            raise RuntimeError(f"{tool} {' '.join(map(str, arguments))}: {' | '.join(lines)[:300]}")
        return lines


def sorted_mechanisms(line):
    """Kafka tells the passwords of a user in any order."""
    what, are, credentials = line.partition(" are SCRAM-")
    return what + are + ", ".join(sorted(credentials.split(", SCRAM-"))) if are else line


def printed(result):
    text = result["out"] + result["err"]
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    # Tables are as wide as their longest names, which are those of the run. Traces of Java's stack name lines of its own.
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
    lines = [sorted_mechanisms(line) for line in lines if line and not line.startswith(("at ", "... "))]
    return [*lines, f"exit {result['code']}"]


def file_with(trial, text):
    path = Path(tempfile.mkdtemp(prefix="thalweg-tools-")) / f"input-{trial.run}"
    path.write_text(text)
    return path


def tool_topics(trial):
    """kafka-topics creates, lists, describes, extends and deletes topics, and says what cannot be done."""
    tools = Tools(trial)
    topic = tools.name("topic")
    run = functools.partial(tools.say, "kafka-topics")
    run("--create", "--topic", topic, "--partitions", 3, "--config", "retention.ms=1000000", "--config", "cleanup.policy=compact")
    run("--create", "--topic", topic)
    run("--create", "--topic", topic, "--if-not-exists")
    run("--create", "--topic", f"{topic}.dotted_name")
    run("--create", "--topic", f"{topic}-r", "--replication-factor", 3)
    run("--create", "--topic", f"{topic}-c", "--config", "no.such=1")
    run("--create", "--topic", f"{topic}-c", "--config", "retention.ms=soon")
    run("--create", "--topic", "no/slash")
    run("--create", "--topic", f"{topic}-a", "--replica-assignment", "1,1")
    run("--create", "--topic", f"{topic}-b", "--replica-assignment", "1,7")
    run("--list", "--topic", f"{topic}.*", ordered=False)
    run("--list", "--exclude-internal", keep=topic)
    run("--describe", "--topic", topic)
    run("--describe", "--topic", f"{topic}.*", "--topics-with-overrides", ordered=False)
    for which in ("unavailable", "under-replicated", "under-min-isr", "at-min-isr"):
        run("--describe", "--topic", topic, f"--{which}-partitions")
    run("--alter", "--topic", topic, "--partitions", 5)
    run("--alter", "--topic", topic, "--partitions", 2)
    run("--alter", "--topic", f"{topic}-a", "--partitions", 3, "--replica-assignment", "1,1,1")
    run("--alter", "--topic", f"{topic}-no", "--partitions", 2)
    run("--alter", "--topic", f"{topic}-no", "--partitions", 2, "--if-exists")
    run("--describe", "--topic", topic)
    run("--delete", "--topic", topic)
    run("--delete", "--topic", topic)
    run("--delete", "--topic", topic, "--if-exists")
    run("--describe", "--topic", topic)
    run("--list", "--topic", f"{topic}.*", ordered=False)


def tool_configs(trial):
    """kafka-configs describes and alters settings of topics."""
    tools = Tools(trial)
    topic = tools.name("topic")
    tools.succeeds("kafka-topics", "--create", "--topic", topic)
    run = functools.partial(tools.say, "kafka-configs", "--entity-type", "topics", "--entity-name", topic)
    run("--describe")
    run("--describe", "--all")
    run("--alter", "--add-config", "retention.ms=123,cleanup.policy=[compact,delete],max.message.bytes=2000")
    run("--describe")
    run("--alter", "--delete-config", "retention.ms", "--add-config", "segment.bytes=2000000")
    run("--alter", "--delete-config", "retention.bytes")
    run("--alter", "--delete-config", "no.such")
    run("--alter", "--add-config", "no.such=1")
    run("--alter", "--add-config", "retention.ms=soon")
    run("--alter", "--add-config", "segment.bytes=1")
    run("--describe")
    run("--describe", "--all")
    properties = file_with(trial, "retention.ms=77\nmin.insync.replicas=1\n")
    quietly(tools, "kafka-configs", "--entity-type", "topics", "--entity-name", topic, "--alter", "--add-config-file", properties)
    run("--describe")
    unknown = functools.partial(tools.say, "kafka-configs", "--entity-type", "topics", "--entity-name", tools.name("no"))
    unknown("--describe")
    unknown("--alter", "--add-config", "retention.ms=1")


def quietly(tools, tool, *arguments):
    """As `say`, for a command that names a file of this run."""
    tools.trial.say(f"$ {tool} with a file")
    for line in sorted(tools.lines(tool, *arguments)):
        tools.trial.say(f"  {line}")


def tool_broker_configs(trial):
    """kafka-configs describes and alters settings of the broker, of all brokers, of groups and of clients."""
    tools = Tools(trial)
    group = tools.name("group")
    broker = functools.partial(tools.say, "kafka-configs", "--entity-type", "brokers", "--entity-name", 1)
    every = functools.partial(tools.say, "kafka-configs", "--entity-type", "brokers", "--entity-default")
    broker("--describe")
    broker("--alter", "--add-config", "log.retention.ms=604800001")
    broker("--describe")
    every("--alter", "--add-config", "log.retention.ms=604800002,message.max.bytes=1048600")
    every("--describe")
    broker("--describe")
    broker("--alter", "--delete-config", "log.retention.ms")
    broker("--describe")
    every("--alter", "--delete-config", "log.retention.ms,message.max.bytes")
    every("--describe")
    broker("--alter", "--add-config", "broker.id=7")
    broker("--alter", "--add-config", "log.retention.ms=soon")
    tools.say("kafka-configs", "--entity-type", "brokers", "--entity-name", 7, "--describe")
    groups = functools.partial(tools.say, "kafka-configs", "--entity-type", "groups", "--entity-name", group)
    groups("--describe")
    groups("--alter", "--add-config", "consumer.session.timeout.ms=7000,consumer.heartbeat.interval.ms=1500")
    groups("--describe")
    groups("--alter", "--add-config", "consumer.session.timeout.ms=1")
    groups("--alter", "--add-config", "no.such=1")
    groups("--alter", "--delete-config", "consumer.session.timeout.ms,consumer.heartbeat.interval.ms")
    groups("--describe")


def tool_users(trial):
    """kafka-configs makes, describes and removes users of SCRAM."""
    tools = Tools(trial)
    user = tools.name("user")
    run = functools.partial(tools.say, "kafka-configs", "--entity-type", "users")
    run("--entity-name", user, "--describe")
    both = ["SCRAM-SHA-256=[iterations=8192,password=secret]", "SCRAM-SHA-512=[password=other]"]
    # At once it is refused.
    for credentials in [",".join(both), *both]:
        run("--entity-name", user, "--alter", "--add-config", credentials)
    run("--entity-name", user, "--describe")
    run("--describe", keep=user)
    run("--entity-name", user, "--alter", "--add-config", "SCRAM-SHA-256=[iterations=1,password=secret]")
    run("--entity-name", user, "--alter", "--delete-config", "SCRAM-SHA-256")
    run("--entity-name", user, "--describe")
    run("--entity-name", user, "--alter", "--delete-config", "SCRAM-SHA-256")
    run("--entity-name", user, "--alter", "--delete-config", "SCRAM-SHA-512")
    run("--entity-name", user, "--describe")


def produced(tools, topic, count):
    """Values 0 to count - 1, by the console producer; with keys, which say the partition."""
    values = "".join(f"k{i}\t{i}\n" for i in range(count))
    tools.succeeds("kafka-console-producer", "--topic", topic, "--reader-property", "parse.key=true", input=values)


def consuming(trial, topic, group, protocol):
    """A console consumer that stays in a group until its process is killed."""
    member = Tools(trial)
    arguments = ["--topic", topic, "--group", group, "--from-beginning", "--timeout-ms", 70_000]
    properties = ["auto.commit.interval.ms=300", f"group.protocol={protocol}"]
    if protocol == "classic":
        properties += ["session.timeout.ms=3000", "heartbeat.interval.ms=500"]
    for setting in properties:
        arguments += ["--command-property", setting]
    member.begin("kafka-console-consumer", *arguments)
    return member.driver


def tool_groups(protocol, trial):
    """kafka-consumer-groups and kafka-groups show a group with a member and without, and delete it."""
    tools = Tools(trial)
    topic, group = tools.name("topic"), tools.name("group")
    tools.succeeds("kafka-topics", "--create", "--topic", topic, "--partitions", 2)
    produced(tools, topic, 5)
    member = consuming(trial, topic, group, protocol)
    run = functools.partial(tools.say, "kafka-consumer-groups")
    state = ["--describe", "--group", group, "--state"]
    trial.eventually("stable", lambda: any("Stable" in line for line in tools.lines("kafka-consumer-groups", *state)), True)
    offsets = ["--describe", "--group", group]

    def lags():
        lines = tools.lines("kafka-consumer-groups", *offsets)
        return [line.split()[5] for line in lines if line.startswith(f"{group} ")]

    trial.eventually("lags", lags, ["0", "0"])
    run("--list", keep=group)
    run("--list", "--state", keep=group)
    run("--list", "--type", keep=group)
    run("--list", "--state", "stable", "--type", protocol, keep=group)
    run("--list", "--state", "empty", keep=group)
    run(*state)
    run(*state, "--verbose")
    run("--describe", "--group", group, "--members")
    run("--describe", "--group", group, "--members", "--verbose")
    run("--describe", "--group", group, "--offsets", ordered=False)
    run("--describe", "--group", group, "--offsets", "--verbose", ordered=False)
    run("--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute")
    run("--delete", "--group", group)
    run("--delete-offsets", "--group", group, "--topic", topic)
    tools.say("kafka-groups", "--list", keep=f"GROUP|{group}")
    tools.say("kafka-groups", "--list", "--consumer", keep=f"GROUP|{group}")
    tools.say("kafka-groups", "--list", "--group-type", protocol, keep=f"GROUP|{group}")
    tools.say("kafka-groups", "--list", "--protocol", "consumer", keep=f"GROUP|{group}")
    member.kill()
    trial.eventually("empty", lambda: any("Empty" in line for line in tools.lines("kafka-consumer-groups", *state)), True)
    run(*state)
    run("--describe", "--group", group, "--members")
    run(*offsets, ordered=False)
    run("--list", "--state", "empty", keep=group)
    run("--delete-offsets", "--group", group, "--topic", f"{topic}:0")
    run("--delete-offsets", "--group", group, "--topic", tools.name("no"))
    run(*offsets, ordered=False)
    run("--delete", "--group", group)
    run("--delete", "--group", group)
    for what in ([], ["--members"], ["--state"]):
        run("--describe", "--group", group, *what)


def tool_reset_offsets(trial):
    """kafka-consumer-groups moves offsets in all of its ways, and shows before what it would do."""
    tools = Tools(trial)
    topic, group = tools.name("topic"), tools.name("group")
    tools.succeeds("kafka-topics", "--create", "--topic", topic, "--partitions", 2)
    produced(tools, topic, 10)
    run = functools.partial(tools.say, "kafka-consumer-groups", "--group", group)
    reset = functools.partial(run, "--reset-offsets", "--topic", topic, ordered=False)
    reset("--to-earliest")
    reset("--to-earliest", "--dry-run")
    run("--describe")
    reset("--to-latest", "--execute")
    run("--describe", ordered=False)
    reset("--to-offset", 1, "--execute")
    reset("--shift-by", 1, "--execute")
    reset("--shift-by", -50, "--execute")
    reset("--to-offset", 99, "--execute")
    reset("--to-offset", 2, "--execute")
    reset("--to-current", "--execute")
    reset("--to-datetime", "2020-01-01T00:00:00.000", "--execute")
    reset("--by-duration", "P1D", "--execute")
    run("--reset-offsets", "--topic", f"{topic}:1", "--to-offset", 1, "--execute")
    run("--reset-offsets", "--all-topics", "--shift-by", 1, "--dry-run", ordered=False)
    run("--reset-offsets", "--topic", f"{topic}:0,1", "--to-offset", 2, "--dry-run", "--export", ordered=False)
    run("--reset-offsets", "--topic", tools.name("no"), "--to-earliest", "--execute")
    plan = file_with(trial, f'"{topic}",0,2\n"{topic}",1,0\n')
    quietly(tools, "kafka-consumer-groups", "--group", group, "--reset-offsets", "--from-file", plan, "--execute")
    run("--describe", ordered=False)


def tool_offsets(trial):
    """kafka-get-offsets asks for offsets in all of its ways, and kafka-delete-records moves the first one."""
    tools = Tools(trial)
    topic = tools.name("topic")
    tools.succeeds("kafka-topics", "--create", "--topic", topic, "--partitions", 2, "--config", "retention.ms=-1")
    produced(tools, topic, 4)
    run = functools.partial(tools.say, "kafka-get-offsets")
    for time_ in ("earliest", "-2", "earliest-local", "latest-tiered", "0", "9999999999999", "soon"):
        run("--topic", topic, "--time", time_)
    run("--topic-partitions", f"{topic}:0", "--time", "earliest")
    run("--topic-partitions", f"{topic}:0-1", "--time", "earliest")
    run("--topic", topic, "--partitions", "1", "--time", "earliest")
    run("--topic", topic, "--partitions", "7")
    run("--topic", tools.name("no"))
    run("--topic", f"{topic}.*", "--time", "-2", "--exclude-internal-topics")

    def total(*arguments):
        lines = tools.lines("kafka-get-offsets", "--topic", topic, *arguments)
        return sum(int(line.split(":")[2]) for line in lines if line.startswith(topic))

    trial.equal("ends", [total(), total("--time", "latest"), total("--time", "-1")], [4, 4, 4])
    trial.equal("latest time", total("--time", "max-timestamp") >= 1, True)
    everything = ",".join(f'{{"topic": "{topic}", "partition": {p}, "offset": -1}}' for p in (0, 1))
    deletion = file_with(trial, f'{{"partitions": [{everything}], "version": 1}}')
    lines = tools.lines("kafka-delete-records", "--offset-json-file", deletion)
    trial.equal("deleted", [line.rsplit(" ", 1)[0] for line in lines][:2], ["Executing records delete", "Records delete operation"])
    trial.equal("firsts", total("--time", "earliest"), 4)
    beyond = file_with(trial, f'{{"partitions": [{{"topic": "{topic}", "partition": 0, "offset": 99}}], "version": 1}}')
    quietly(tools, "kafka-delete-records", "--offset-json-file", beyond)


def tool_console(trial):
    """The console's producer and consumer: keys, headers, nulls, times, places, codecs, and transactions that are committed."""
    tools = Tools(trial)
    topic = tools.name("topic")
    tools.succeeds("kafka-topics", "--create", "--topic", topic, "--partitions", 1)
    lines = "a:1,b:two\tk1\tv1\nNULL\tk2\tNULL\na:NULL\tNULL\tv3\nNULL\t\t\n"
    arguments = ["--topic", topic, "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true"]
    arguments += ["--reader-property", "null.marker=NULL"]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        tools.succeeds("kafka-console-producer", *arguments, "--compression-codec", codec, input=lines)
    tools.say("kafka-console-producer", "--topic", topic, "--reader-property", "parse.key=true", input="no separator\n")
    tools.succeeds("kafka-console-producer", "--topic", topic, "--sync", "--request-required-acks", "0", input="unacknowledged\n")
    show = []
    for what in ("key", "headers", "timestamp", "partition", "offset", "value", "epoch"):
        show += ["--formatter-property", f"print.{what}=true"]
    consume = functools.partial(tools.say, "kafka-console-consumer", "--topic", topic)
    consume("--from-beginning", "--max-messages", 21, "--timeout-ms", 20_000, *show)
    consume("--partition", 0, "--offset", 19, "--max-messages", 2, "--isolation-level", "read_committed")
    consume("--partition", 0, "--offset", "earliest", "--max-messages", 1)
    consume("--partition", 0, "--offset", "latest", "--timeout-ms", 1000)
    consume("--from-beginning", "--group", tools.name("group"), "--max-messages", 1, *show)
    tools.say("kafka-console-consumer", "--include", f"{topic}.*", "--from-beginning", "--max-messages", 1)


def tool_perf(trial):
    """The tools that measure carry out what they are told, with plain, idempotent and transactional producers."""
    tools = Tools(trial)
    topic = tools.name("topic")
    tools.succeeds("kafka-topics", "--create", "--topic", topic, "--partitions", 3)
    produce = ["--topic", topic, "--num-records", "3000", "--record-size", "200", "--throughput", "-1"]
    produce += ["--bootstrap-server", trial.broker.address]
    for more in (
        ["--command-property", "acks=1"],
        ["--command-property", "acks=all", "--command-property", "compression.type=zstd"],
        ["--transactional-id", tools.name("id"), "--transaction-duration-ms", "50"],
    ):
        lines = tools.lines("kafka-producer-perf-test", *produce, *more)
        trial.equal("produced", (lines[-2].split(",")[0], lines[-1]), ("3000 records sent", "exit 0"))
    consume = ["--topic", topic, "--num-records", "9000", "--timeout", "20000"]
    for more in ([], ["--command-property", "group.protocol=consumer"], ["--command-property", "isolation.level=read_committed"]):
        lines = tools.lines("kafka-consumer-perf-test", *consume, *more)
        fields = lines[-2].split(", ") if len(lines) > 1 else lines
        trial.equal("consumed", (fields[4:5], lines[-1]), (["9000"], "exit 0"))


def tool_transactions(trial):
    """kafka-transactions shows an open transaction and what is left of it, and finds nothing that hangs."""
    tools, other = Tools(trial), Tools(trial)
    topic, id = tools.name("topic"), tools.name("id")
    tools.succeeds("kafka-topics", "--create", "--topic", topic)
    run = functools.partial(tools.lines, "kafka-transactions")

    def say(what, lines, keep):
        trial.say(f"$ kafka-transactions {what}")
        for line in lines:
            if re.search(keep, line):
                trial.say("  " + re.sub(r"^(\S+) 1 \d+ ", r"\1 1 PRODUCER ", line))

    say("describe of none", run("describe", "--transactional-id", id), ".")
    # Ten records a second in a transaction that is longer than this case.
    arguments = ["--topic", topic, "--num-records", 1000, "--record-size", 10, "--throughput", 10]
    arguments += ["--transactional-id", id, "--transaction-duration-ms", 50_000]
    other.begin("kafka-producer-perf-test", *arguments)
    trial.eventually("open", lambda: any(f"{id} " in line and "Ongoing" in line for line in run("list")), True)
    say("list", run("list"), f"^TransactionalId|^{id}")
    lines = run("describe", "--transactional-id", id)
    # Its time, how long it has run, and ids are of this run.
    fields = [line.split() for line in lines[:2]]
    trial.say([fields[0], [fields[1][1], fields[1][4], fields[1][5], *fields[1][8:]]] if len(fields[1]) > 8 else lines)
    lines = run("describe-producers", "--topic", topic, "--partition", 0)
    fields = [line.split() for line in lines[:2]]
    trial.say([fields[0], [fields[1][1], fields[1][2], fields[1][5]]] if len(fields[1]) > 5 else lines)
    say("find-hanging", run("find-hanging", "--topic", topic, "--partition", 0), ".")
    other.driver.kill()
    trial.say("the producer is killed")
    say("abort", run("abort", "--topic", topic, "--partition", 0, "--start-offset", 0), ".")
    trial.eventually("open after the abort", lambda: readable(tools, topic), True)
    say("forceTerminateTransaction", run("forceTerminateTransaction", "--transactionalId", id), ".")
    trial.eventually("open at the end", lambda: any(f"{id} " in line and "Ongoing" in line for line in run("list")), False)


def readable(tools, topic):
    """Whether a record behind the transaction can be read by whom wants committed ones."""
    produced(tools, topic, 1)
    arguments = ["--topic", topic, "--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", 3000]
    return "exit 0" in tools.lines("kafka-console-consumer", *arguments, "--max-messages", 1)


def tool_cluster(trial):
    """Ids, endpoints, folders, features and APIs, as far as two brokers can have them in common."""
    tools = Tools(trial)
    topic = tools.name("topic")
    tools.succeeds("kafka-topics", "--create", "--topic", topic, "--partitions", 2)
    server = trial.broker.address
    tools.say("kafka-cluster", "cluster-id", "--bootstrap-server", server)
    tools.say("kafka-cluster", "list-endpoints", "--bootstrap-server", server)
    lines = tools.lines("kafka-broker-api-versions", "--bootstrap-server", server)
    trial.equal("APIs", (lines[0], lines[-1]), (f"{server} (the broker) -> (", "exit 0"))
    tools.say("kafka-features", "--bootstrap-server", server, "describe", keep="(group|transaction).version")
    lines = tools.lines("kafka-log-dirs", "--describe", "--topic-list", topic)
    told = re.sub(r'"logDir":"[^"]*"', '"logDir":"DIR"', lines[-2])
    told = re.sub(r'"partitions":\[(.*?)\]', lambda m: str(sorted(re.findall(r"\{.*?\}", m[1]))), told)
    trial.say(re.sub(r'"(total|usable)Bytes":\d+', r'"\1Bytes":N', told))


def tool_streams_reset(trial):
    """kafka-streams-application-reset takes an application back to the start of its input."""
    tools = Tools(trial)
    topic, group = tools.name("topic"), tools.name("group")
    tools.succeeds("kafka-topics", "--create", "--topic", topic)
    tools.succeeds("kafka-topics", "--create", "--topic", f"{group}-store-changelog")
    produced(tools, topic, 5)
    tools.say("kafka-consumer-groups", "--group", group, "--reset-offsets", "--topic", topic, "--to-latest", "--execute")
    reset = ["--application-id", group, "--input-topics", topic]
    tools.say("kafka-streams-application-reset", *reset, "--dry-run")
    tools.say("kafka-streams-application-reset", *reset, "--force")
    tools.say("kafka-consumer-groups", "--describe", "--group", group)
    tools.say("kafka-topics", "--list", keep=group)


def tool_verifiable(trial):
    """Kafka's verifiable producer and consumer, which its own system tests are made of, find every record."""
    tools = Tools(trial)
    topic, group = tools.name("topic"), tools.name("group")
    tools.succeeds("kafka-topics", "--create", "--topic", topic, "--partitions", 2)

    def run(tool, *arguments):
        # In a process of its own: these two end it without asking.
        command = [APACHE_SCRIPT, "tool", tool, "--bootstrap-server", trial.broker.address, "--topic", topic, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=80, stderr=None)
        events = [re.search(r'"name":"(\w+)"', line)[1] for line in done.stdout.splitlines() if '"name"' in line]
        trial.say((tool, done.returncode, sorted(set(events))))
        return done.stdout, events

    _, events = run("kafka-verifiable-producer", "--max-messages", "500", "--throughput", "-1", "--acks", "-1")
    trial.equal("acknowledged", events.count("producer_send_success"), 500)
    consume = ["--group-id", group, "--max-messages", "500", "--reset-policy", "earliest"]
    for protocol in ("classic", "consumer"):
        out, _ = run("kafka-verifiable-consumer", *consume, "--group-protocol", protocol, "--verbose")
        trial.equal(protocol, len(set(re.findall(r'"value":"(\d+)"', out))), 500)
        consume[1] = f"{group}-2"


CASES = [
    tool_topics,
    tool_configs,
    tool_broker_configs,
    tool_users,
    ("tool_groups_classic", functools.update_wrapper(functools.partial(tool_groups, "classic"), tool_groups)),
    ("tool_groups_consumer", functools.update_wrapper(functools.partial(tool_groups, "consumer"), tool_groups)),
    tool_reset_offsets,
    tool_offsets,
    tool_console,
    tool_perf,
    tool_transactions,
    tool_cluster,
    tool_streams_reset,
    tool_verifiable,
]
