"""What the drivers in Python share: requests in, answers out, and the way records look in JSON."""

import asyncio
import inspect
import json
import sys
import traceback


class Missing(Exception):
    """Raised by a driver for what its client cannot do."""


def proof():
    """How the client proves who it is: mechanism, username, password, and the authority of the broker; None if it need not."""
    return json.loads(sys.argv[2]) if len(sys.argv) > 2 else None


def serve(operations, error_of):
    """Answers until the input ends. `error_of` turns an exception into a code of Kafka or a word."""
    asyncio.run(_serve(operations, error_of))


async def _serve(operations, error_of):
    reader = asyncio.StreamReader(limit=1 << 26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        operation = getattr(operations, request.pop("op"), None)
        try:
            if operation is None:
                raise Missing("not in this driver")
            if unknown := request.keys() - inspect.signature(operation).parameters.keys():
                raise Missing(f"not in this driver: {', '.join(sorted(unknown))}")
            result = operation(**request)
            answer = {"ok": await result if inspect.isawaitable(result) else result}
        except Missing as missing:
            answer = {"missing": str(missing)}
        except Exception as error:  # every error is an outcome
            traceback.print_exc()
            answer = {"error": error_of(error)}
        print(json.dumps(answer), flush=True)


def encoded(text):
    return None if text is None else text.encode()


def decoded(data):
    return None if data is None else data.decode()


def record(partition, offset, key, value, headers, timestamp):
    """A record that was read. Values of many bytes are told by their length, to keep outcomes readable."""
    return {
        "partition": partition,
        "offset": offset,
        "key": decoded(key),
        "value": decoded(value),
        "headers": [[name, decoded(data)] for name, data in headers or []],
        "timestamp": timestamp,
    }
