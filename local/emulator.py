"""AWS's services as moto emulates them, in a process of their own: `python -m local.emulator`.

Prints one JSON line with its address once it serves, and serves until it is told to stop.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from waitress.server import create_server

from local import callers, shortcuts

_QUIET: Final = ("werkzeug", "moto", "botocore", "waitress")
_THREADS: Final = 32
"""More than clients that wait for an answer at a time: a queue may keep one for twenty seconds."""


def main() -> int:
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - imports that only this process needs
        DomainDispatcherApplication,
        create_backend_app,
    )

    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    for number in (signal.SIGTERM, signal.SIGINT):
        # Connections that clients keep open would be waited for; nothing here outlives the process anyway.
        signal.signal(number, lambda *_: os._exit(0))
    shortcuts.take()
    application: callers.Application = DomainDispatcherApplication(create_backend_app)
    if log := os.environ.get("CALLS_LOG"):
        application = callers.recording(application, callers.opened(Path(log)))
    # Moto's own server makes a connection and a thread for each request.
    server = create_server(_spelt(application), host="127.0.0.1", port=0, threads=_THREADS)
    print(json.dumps({"endpoint": f"http://127.0.0.1:{server.effective_port}"}), flush=True)
    server.run()
    return 0


def _spelt(application: callers.Application) -> callers.Application:
    """Tells moto the path as it was sent, by the name that it knows."""

    def spelt(environ: callers.Environ, start_response: Any) -> Any:
        environ["RAW_URI"] = environ["REQUEST_URI"]
        return application(environ, start_response)

    return spelt


if __name__ == "__main__":
    sys.exit(main())
