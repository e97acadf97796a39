"""AWS's services as moto emulates them, in a process of their own: `python -m local.emulator`.

Prints one JSON line with its address once it serves, and serves until it is told to stop.
"""

import json
import logging
import os
import signal
import sys
import threading
from typing import Any, Final

_QUIET: Final = ("werkzeug", "moto", "botocore")
_SCALARS: Final = ("S", "N", "BOOL", "NULL")


def main() -> int:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - imports that only this process needs

    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    quicken()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(json.dumps({"endpoint": f"http://{host}:{port}"}), flush=True)
    stopping.wait()
    # Connections that clients keep open would be waited for; nothing here outlives the process anyway.
    os._exit(0)


def quicken() -> None:
    """The same answers, sooner: moto lists its own folder at every request, and tries ten types and their aliases for
    every attribute of every item that DynamoDB returns (four fifths of its time on bars). And safe for many writers."""
    from moto import backends  # noqa: PLC0415
    from moto.core import serialize  # noqa: PLC0415
    from moto.dynamodb.models.dynamo_type import DynamoType  # noqa: PLC0415
    from moto.dynamodb.models.table import StreamShard  # noqa: PLC0415

    services = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services
    slow = serialize.BaseJSONSerializer._serialize_type_structure

    def structure(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if key and shape.name == "AttributeValue":
            pair = (value.type, value.value) if isinstance(value, DynamoType) else next(iter(value.items()), ("", None))
            if pair[0] in _SCALARS:
                serialized[key] = {pair[0]: pair[1]}
                return
        slow(self, serialized, value, shape, key)

    serialize.BaseJSONSerializer._serialize_type_structure = structure

    # A stream's sequence numbers come from its length: two writers at once would get the same one.
    add, one_at_a_time = StreamShard.add, threading.Lock()

    def add_alone(self: Any, old: Any, new: Any) -> None:
        with one_at_a_time:
            add(self, old, new)

    StreamShard.add = add_alone


if __name__ == "__main__":
    sys.exit(main())
