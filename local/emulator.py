"""AWS's services as moto emulates them, in a process of their own: `python -m local.emulator`.

Prints one JSON line with its address once it serves, and serves until it is told to stop.
"""

import json
import logging
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final

from local import callers, shortcuts

_QUIET: Final = ("werkzeug", "moto", "botocore")


def _record(log: Path) -> None:
    """Write down every call. moto makes its application in a thread of its own, out of reach but for its class."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication  # noqa: PLC0415 - as below

    plain = DomainDispatcherApplication.__call__

    def recorded(self: Any, environ: Any, start_response: Any) -> Any:
        return callers.recording(partial(plain, self), log)(environ, start_response)

    setattr(DomainDispatcherApplication, "__call__", recorded)  # noqa: B010 - mypy takes no assignment to a method


def main() -> int:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - imports that only this process needs

    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    shortcuts.take()
    if log := os.environ.get("CALLS_LOG"):
        _record(Path(log))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(json.dumps({"endpoint": f"http://{host}:{port}"}), flush=True)
    stopping.wait()
    # Connections that clients keep open would be waited for; nothing here outlives the process anyway.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
