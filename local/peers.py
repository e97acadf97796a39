"""The server's end of one WebSocket: what is read from it and what waits to be sent, each in a thread of its own."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from websockets.protocol import State
from websockets.server import ServerProtocol

BUFFERED_BYTES: Final = 256 * 1024
"""What may wait for a client that reads slowly: AWS has such a limit and does not name it."""
_READ_BYTES: Final = 64 * 1024


class FullError(Exception):
    """Too much waits for this client already."""


class GoneError(Exception):
    """The connection is ending."""


class Peer:
    """Begins with what the protocol has to say first: its answer to the handshake."""

    def __init__(self, connection: socket.socket, protocol: ServerProtocol) -> None:
        self._socket = connection
        self._protocol = protocol
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._bytes = 0
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()
        with self._lock:
            self._flush()

    def read(self, receive: Callable[[int], bytes]) -> None:
        """Until the connection ends. What a client says is not listened to, as no route takes it."""
        with suppress(OSError):
            while content := receive(_READ_BYTES):
                with self._lock:
                    self._protocol.receive_data(content)
                    self._protocol.events_received()
                    self._flush()
                    if self._protocol.close_expected():
                        return

    def send(self, content: bytes) -> None:
        """A text message. Raises FullError and GoneError."""
        with self._lock:
            if self._protocol.state is not State.OPEN:
                raise GoneError
            if self._bytes + len(content) > BUFFERED_BYTES:
                raise FullError
            self._protocol.send_text(content)
            self._flush()

    def say_goodbye(self) -> None:
        """The closing handshake's first half."""
        with self._lock:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._flush()

    def cut(self) -> None:
        """Ends the connection without a word."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Return when what waits has been sent, or cannot be any more."""
        self._waiting.put(None)
        self._writer.join(timeout=1)
        self.cut()

    def _flush(self) -> None:
        for part in self._protocol.data_to_send():
            self._bytes += len(part)
            if part:  # nothing stands for the end, which `close` makes
                self._waiting.put(part)

    def _write(self) -> None:
        with suppress(OSError):
            while (part := self._waiting.get()) is not None:
                self._socket.sendall(part)
                with self._lock:
                    self._bytes -= len(part)
