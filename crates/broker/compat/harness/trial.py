"""One case, run with one client against one broker: what it did, line by line, and whether that is what Kafka promises."""

import json
import time
import uuid

from harness.driver import Driver, Missing, Refused

# The names of error codes that cases expect.
CODES = {
    "OFFSET_OUT_OF_RANGE": 1,
    "UNKNOWN_TOPIC_OR_PARTITION": 3,
    "MESSAGE_TOO_LARGE": 10,
    "OFFSET_METADATA_TOO_LARGE": 12,
    "UNKNOWN_MEMBER_ID": 25,
    "INVALID_TOPIC_EXCEPTION": 17,
    "TOPIC_ALREADY_EXISTS": 36,
    "INVALID_PARTITIONS": 37,
    "INVALID_REPLICATION_FACTOR": 38,
    "INVALID_CONFIG": 40,
    "INVALID_REQUEST": 42,
    "INVALID_PRODUCER_EPOCH": 47,
    "INVALID_TXN_STATE": 48,
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": 53,
    "NON_EMPTY_GROUP": 68,
    "GROUP_ID_NOT_FOUND": 69,
    "FENCED_INSTANCE_ID": 82,
    "GROUP_SUBSCRIBED_TO_TOPIC": 86,
    "INVALID_RECORD": 87,
    "PRODUCER_FENCED": 90,
}
NAMES = {code: name for name, code in CODES.items()}


class Unexpected(Exception):
    """A case got what Kafka does not promise."""


class Trial:
    """What a case gets to work with."""

    def __init__(self, case, client, broker, log):
        self.case, self.client, self.broker, self.log = case, client, broker, log
        self.run = uuid.uuid4().hex[:6]
        self.drivers = []
        self.lines = []

    def name(self, role):
        """A name for a topic, group or transaction that no other run has."""
        return f"{self.case}-{role}-{self.run}"

    def driver(self, mechanism=None, username=None, password=None):
        """Another process of the client, which proves by a mechanism of SASL who it is; ended with the case."""
        arguments = [self.broker.address]
        if mechanism is not None:
            authority = str(self.broker.authority)
            proof = {"mechanism": mechanism, "username": username, "password": password, "authority": authority}
            arguments = [self.broker.secure_address, json.dumps(proof)]
        driver = Driver(self.client.command, self.client.environment, arguments, self.log)
        self.drivers.append(driver)
        return driver

    def say(self, line):
        """Adds to the outcome, which has to be the same for both brokers: no names of one run, no times."""
        self.lines.append(str(line).replace(f"-{self.run}", "").replace(self.broker.address, "ADDRESS"))

    def equal(self, what, got, want):
        """The outcome says what came; the case fails if something else was promised."""
        self.say(f"{what}: {got}")
        if got != want:
            raise Unexpected(f"{what}: {shortened(got)} instead of {shortened(want)}")

    def refused(self, what, code, call, *others):
        """The call has to be refused with that error code, or one of the others."""
        try:
            result = call()
        except Refused as refusal:
            error = NAMES.get(refusal.error, refusal.error)
            self.say(f"{what}: {error}")
            if code is not None and error not in (code, *others):
                raise Unexpected(f"{what}: {error} instead of {code}") from None
        else:
            raise Unexpected(f"{what}: {shortened(result)} instead of {code}")

    def eventually(self, what, look, want, seconds=30):
        """For what a broker does in its own time. Looking may be refused until then."""

        def looked():
            try:
                return look()
            except Refused as refusal:
                return NAMES.get(refusal.error, refusal.error)

        end = time.monotonic() + seconds
        while (got := looked()) != want and time.monotonic() < end:
            time.sleep(0.2)
        self.equal(what, got, want)

    def end(self):
        for driver in self.drivers:
            driver.kill()


def shortened(value):
    text = str(value)
    return text if len(text) < 300 else f"{text[:300]}…"


def attempt(function, trial):
    """Runs a case; returns ("ok" | "FAIL" | "n/a", reason)."""
    if reason := trial.client.faults.get(trial.case):
        return "n/a", reason
    try:
        function(trial)
        return "ok", ""
    except Missing as missing:
        return "n/a", str(missing)
    except Refused as refusal:
        return "FAIL", f"refused with {NAMES.get(refusal.error, refusal.error)}"
    except (Unexpected, RuntimeError) as error:
        return "FAIL", str(error)
    finally:
        trial.end()
