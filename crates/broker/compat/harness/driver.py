"""A driver: a process that does with one real client what it is asked to, one line of JSON for each request and answer."""

import itertools
import json
import queue
import subprocess
import threading

# Long enough for a client that waits out its own timeouts before it gives up.
PATIENCE_SECONDS = 90


class Refused(Exception):
    """The client reports an error: Kafka's code, or the client's own word for what never reached a broker."""

    def __init__(self, error):
        super().__init__(error)
        self.error = error


class Missing(Exception):
    """The client has no such thing."""


class Driver:
    """`driver.poll(consumer="c", count=3)` asks the process for `{"op": "poll", …}` and returns its result."""

    def __init__(self, command, environment, arguments, log):
        self._process = subprocess.Popen(
            [*command, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        self._answers = queue.Queue()
        self._names = itertools.count(1)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            # Some clients print to the standard output by themselves.
            if line.startswith("{"):
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def __getattr__(self, operation):
        if operation.startswith("_"):
            raise AttributeError(operation)
        return lambda **arguments: self.begin(operation, **arguments)()

    def begin(self, operation, **arguments):
        """Asks, and returns a function that waits for the answer."""
        request = json.dumps({"op": operation} | arguments)
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(f"the client's process is gone before {operation}") from None

        def answer():
            try:
                answer = self._answers.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                self.kill()
                raise RuntimeError(f"no answer to {operation} within {PATIENCE_SECONDS} s") from None
            if answer is None:
                raise RuntimeError(f"the client's process ended in {operation}")
            if "missing" in answer:
                raise Missing(answer["missing"])
            if "error" in answer:
                raise Refused(answer["error"])
            return answer.get("ok")

        return answer

    def new(self, kind, **arguments):
        """A producer or a consumer in that process; returns its name there."""
        name = f"{kind}{next(self._names)}"
        self.begin(kind, name=name, **arguments)()
        return name

    def kill(self):
        """The end of a client that crashes: no goodbye to the broker."""
        self._process.kill()
        self._process.wait()
