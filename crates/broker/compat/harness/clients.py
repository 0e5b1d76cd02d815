"""The clients: how each is installed into a folder of its own, and how its driver is run."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.brokers import APACHE_SCRIPT

# Kafka's own tools are no client: they have cases of their own, on the page `tools`.
TOOLS = "kafka_tools"
# What a client does wrong at Kafka as well: such a case says nothing about a broker.
FAULTS = {
    "aiokafka": {
        "instance_in_use": "aiokafka does not tell that a member was shut out",
    },
    "franz_go": {
        "recreated_topic": "franz-go goes on asking for the id of the topic that is gone",
        "kill_in_transaction": "franz-go gives up when it is not let in at the end of a transaction",
        "static_consumer": "franz-go does not say that a static member is away for a while",
    },
    "kafkajs": {
        "creation_by_reading": "KafkaJS gives up on a topic that is being created",
        "recreated_topic": "KafkaJS creates a topic again as soon as it is deleted",
        "pattern_classic": "KafkaJS looks for topics that match a pattern only at its start",
        "interleaved": "KafkaJS reads records of a transaction that was aborted between others",
        "clean_restart": "KafkaJS gives up when the coordinator of its transaction is not up yet",
        "kill_in_transaction": "KafkaJS gives up when it finds no coordinator",
    },
}
FOLDER = Path(__file__).resolve().parent.parent / "clients"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thalweg"


class Absent(Exception):
    """What the client's language needs is not on this machine."""


class Client:
    """A folder below `clients/`; the file in it that names what it depends on tells its language."""

    def __init__(self, folder):
        self.folder = folder
        self.name = folder.name
        self.faults = FAULTS.get(self.name, {})
        self.environment = dict(os.environ)
        self.command = []

    def install(self):
        """Leaves `command` ready to run; costs next to nothing if it has been done before."""
        for manifest, language in LANGUAGES.items():
            if (self.folder / manifest).exists():
                return language(self, self.folder / manifest)
        raise SystemExit(f"{self.folder} says not in a file of dependencies what it is written in")

    def home(self, version):
        """Where it is installed: another version goes elsewhere, so nothing is ever updated in place."""
        return CACHE / "compat" / f"{self.name}-{version}"


def need(program):
    if shutil.which(program) is None:
        raise Absent(f"no '{program}' on the PATH")


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Absent(f"{' '.join(map(str, command[:3]))}…: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def python(client, manifest):
    version = re.search(r"==(\S+)", manifest.read_text()).group(1)
    home = client.home(version)
    if not (home / "installed").exists():
        run([sys.executable, "-m", "venv", "--clear", home])
        run([home / "bin" / "pip", "install", "--quiet", "--requirement", manifest])
        (home / "installed").touch()
    client.environment["PYTHONPATH"] = str(FOLDER / "python")
    client.environment["PYTHONDONTWRITEBYTECODE"] = "1"
    client.command = [home / "bin" / "python", client.folder / "driver.py"]


def node(client, manifest):
    need("npm")
    version = json.loads(manifest.read_text())["dependencies"]["kafkajs"]
    # The codecs are packages of their own, with versions of their own.
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
    home = client.home(f"{version}-{digest}")
    if not (home / "installed").exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, home)
        run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=home)
        (home / "installed").touch()
    client.environment["NODE_PATH"] = str(home / "node_modules")
    client.environment["KAFKAJS_NO_PARTITIONER_WARNING"] = "1"
    client.command = ["node", client.folder / "driver.js"]


def go(client, manifest):
    need("go")
    version = re.search(r"\sv(\d\S+)", manifest.read_text()).group(1)
    home = client.home(version)
    home.mkdir(parents=True, exist_ok=True)
    client.environment["GOFLAGS"] = "-mod=readonly"
    run(["go", "build", "-o", home / "driver", "."], cwd=client.folder, env=client.environment)
    client.command = [home / "driver"]


def java(client, manifest):
    """The jars are those that Apache Kafka itself is run from."""
    need("javac")
    version = manifest.read_text().strip()
    jars = CACHE / f"apache-kafka-{version}" / "jars"
    if not jars.exists():
        run([APACHE_SCRIPT, "tool", "kafka-topics", "--version"])
    sources = sorted(client.folder.glob("*.java"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    # Those of other drivers stay: another run may be at work with them.
    classes = client.home(version) / digest
    if not classes.exists():
        run(["javac", "-d", classes, "-cp", f"{jars}/*", *sources])
    options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    client.command = ["java", *options, "-cp", f"{classes}:{jars}/*", "Driver"]


LANGUAGES = {
    "requirements.txt": python,
    "package.json": node,
    "go.mod": go,
    "kafka-version": java,
}


def all_clients():
    folders = [path for path in FOLDER.iterdir() if path.is_dir() and path.name != "python"]
    return [Client(folder) for folder in sorted(folders, key=lambda folder: (folder.name == TOOLS, folder.name))]
