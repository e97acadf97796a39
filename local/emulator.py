"""AWS's services as moto emulates them, in a process of their own: `python -m local.emulator`.

Prints one JSON line with its address once it serves, and serves until it is told to stop.
"""

import json
import logging
import os
import signal
import sys
import threading
from typing import Final

from local import shortcuts

_QUIET: Final = ("werkzeug", "moto", "botocore")


def main() -> int:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - imports that only this process needs

    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    shortcuts.take()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(json.dumps({"endpoint": f"http://{host}:{port}"}), flush=True)
    stopping.wait()
    # Connections that clients keep open would be waited for; nothing here outlives the process anyway.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
