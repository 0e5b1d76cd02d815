"""The two brokers under comparison: started, killed and started again on the same data and the same address."""

import os
import random
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
APACHE_SCRIPT = REPOSITORY / "scripts" / "apache-kafka"

# Both brokers run with these, so that what a broker does "after a while" happens within the time of a case.
SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "5000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "log.cleaner.backoff.ms": "200",
    "log.retention.check.interval.ms": "500",
}

# How soon Apache Kafka gets round to its housekeeping; an embedded broker need not have such settings.
APACHE_SETTINGS = {
    "log.initial.task.delay.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "16777216",
}

# How the second listener of both is secured. Kafka's own three have to be in the map as well.
SECURE_SETTINGS = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
    "listener.name.secure.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    "listener.name.secure.plain.sasl.jaas.config": (
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="wonderland";'
    ),
    "listener.name.secure.ssl.keystore.type": "PEM",
}
# Kafka wants to be told that there is such a mechanism, also where its users are its own.
APACHE_SECURE_SETTINGS = {
    f"listener.name.secure.scram-sha-{bits}.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    )
    for bits in (256, 512)
}


def certified(folder):
    """A key and a certificate for this machine in one file, and settings that name it. The certificate is its own authority."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "broker.pem"
    if not both.exists():
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
        subprocess.run(command, check=True, capture_output=True)
        both.write_text(key.read_text() + certificate.read_text())
    return certificate, {"listener.name.secure.ssl.keystore.location": str(both)}


def free_port():
    """Below the range from which the system gives out ports by itself, so that nobody else gets it between two starts."""
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise SystemExit("found no free port between 20000 and 32000")


def wait_until(condition, seconds, what):
    """Polls, since none of what is waited for here tells when it is done."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} after {seconds} s")
        time.sleep(0.02)


class Embedded:
    """`thalweg broker`, the one that is judged."""

    name = "embedded"

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder / self.name
        self.address, self.secure_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.authority, self.certificate = certified(folder)
        self.process = None

    def start(self):
        command = [self.binary, "broker", "--data", self.folder / "data"]
        command += ["--listen", f"PLAINTEXT://{self.address}", "--listen", f"SECURE://{self.secure_address}"]
        for name, value in (SETTINGS | SECURE_SETTINGS | self.certificate).items():
            command += ["--config", f"{name}={value}"]
        self.folder.mkdir(exist_ok=True)
        # Its own session, so that Ctrl-C reaches this script alone, which then stops it.
        self.log = open(self.folder / "broker.log", "a")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True)

        def up():
            if self.process.poll() is not None:
                raise RuntimeError(f"the embedded broker ended at its start; see {self.log.name}")
            host, port = self.address.split(":")
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0

        wait_until(up, 30, "the embedded broker does not listen")

    def kill(self):
        """As a crash does it: nothing is flushed, nobody is told."""
        self._end(signal.SIGKILL)

    def stop(self):
        """The clean stop."""
        self._end(signal.SIGTERM)

    def end(self):
        """After the last case, whatever state it is in."""
        self._end(signal.SIGKILL)

    def _end(self, how):
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("the embedded broker did not stop within 30 s")
        finally:
            self.process = None
            self.log.close()


class Apache:
    """Apache Kafka, the one that says what is right."""

    name = "apache"

    def __init__(self, folder):
        self.folder = folder / self.name
        self.address, self.secure_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.authority, self.certificate = certified(folder)

    def start(self):
        port = self.address.split(":")[1]
        command = [APACHE_SCRIPT, "start", "--data", self.folder, "--port", port]
        command += ["--listener", f"SECURE://{self.secure_address}"]
        secure = SECURE_SETTINGS | APACHE_SECURE_SETTINGS | self.certificate
        for name, value in (SETTINGS | APACHE_SETTINGS | secure).items():
            command += ["--config", f"{name}={value}"]
        environment = os.environ | {"KAFKA_HEAP_OPTS": os.environ.get("KAFKA_HEAP_OPTS", "-Xms256m -Xmx768m")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"Apache Kafka does not start: {done.stderr.strip()}")
        self.process_id = int(re.search(r"pid (\d+)", done.stderr).group(1))

    def kill(self):
        os.kill(self.process_id, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{self.process_id}").exists(), 30, "Apache Kafka still runs")

    def stop(self):
        subprocess.run([APACHE_SCRIPT, "stop", "--data", self.folder], capture_output=True, check=True)

    def end(self):
        """Also when it was left killed, or half started."""
        self.stop()
