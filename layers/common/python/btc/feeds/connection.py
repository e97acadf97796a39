"""A WebSocket connection that reads far ahead: many frames a system call, none checked for UTF-8 twice."""

from collections.abc import Sequence
from typing import Final, Self, cast

from websocket import (
    ABNF,
    WebSocket,
    WebSocketException,
    WebSocketTimeoutException,
    create_connection,
)

READ_AHEAD: Final = 65_536
MOST_FRAMES: Final = 1000
"""Returned at once, so that time is kept however much comes in."""


# RFC 6455: final frame of a text, from a server never masked; 126 says that two bytes of length follow.
_WHOLE_TEXT: Final = 0x81
_LENGTH_16: Final = 126


class ConnectionLostError(ConnectionError):
    """The venue's connection cannot be had, was closed or went silent; the message says which."""


class ReadAhead(WebSocket):
    """websocket-client's socket, which asks for header and payload of each frame apart, over one large buffer."""

    _ahead = b""
    _used = 0

    @property
    def pending(self) -> bool:
        """Whether bytes are at hand that no frame has taken yet."""
        return self._used < len(self._ahead)

    def _recv(self, bufsize: int) -> bytes:
        if self._used >= len(self._ahead):
            self._ahead = cast("bytes", super()._recv(READ_AHEAD))  # type: ignore[no-untyped-call]
            self._used = 0
        part = self._ahead[self._used : self._used + bufsize]
        self._used += len(part)
        return part

    def whole_texts(self, most: int) -> list[bytes]:
        """The next text frames that lie whole in the buffer, `most` at most; stops before anything else."""
        texts: list[bytes] = []
        ahead, used, end = self._ahead, self._used, len(self._ahead)
        if self.frame_buffer.header is not None or self.frame_buffer.recv_buffer or self.cont_frame.recving_frames:
            return texts
        while used + 4 <= end and ahead[used] == _WHOLE_TEXT and len(texts) < most:
            length, start = ahead[used + 1], used + 2
            if length == _LENGTH_16:
                length, start = ahead[used + 2] << 8 | ahead[used + 3], used + 4
            elif length > _LENGTH_16:
                break
            if start + length > end:
                break
            texts.append(ahead[start : start + length])
            used = start + length
        self._used = used
        return texts


class Connection:
    """Frames as bytes. Every failure of the network is a ConnectionLostError."""

    def __init__(self, socket: ReadAhead) -> None:
        self._socket = socket

    @classmethod
    def open(cls, url: str, *, patience: float = 10.0) -> Self:
        """Connect within `patience` seconds; pings of the protocol are answered unseen."""
        try:
            socket = create_connection(
                url, timeout=patience, class_=ReadAhead, skip_utf8_validation=True, enable_multithread=False
            )
        except (WebSocketException, OSError, ValueError) as error:
            raise ConnectionLostError(f"{url} cannot be reached: {type(error).__name__}: {error}") from error
        return cls(cast("ReadAhead", socket))

    def send(self, text: str) -> None:
        try:
            self._socket.send(text)
        except (WebSocketException, OSError) as error:
            raise ConnectionLostError(f"cannot send: {type(error).__name__}: {error}") from error

    def receive(self, timeout: float) -> Sequence[bytes]:
        """The frames at hand, after waiting at most `timeout` seconds for the first; empty where none came."""
        frames: list[bytes] = []
        socket = self._socket
        try:
            socket.settimeout(max(timeout, 0.001))
            while len(frames) < MOST_FRAMES:
                opcode, data = socket.recv_data()
                if opcode == ABNF.OPCODE_CLOSE:
                    if frames:
                        break
                    raise ConnectionLostError(f"the venue closed the connection: {_reason(data)}")
                frames.append(data)
                frames += socket.whole_texts(MOST_FRAMES - len(frames))
                if not socket.pending:
                    break
        except WebSocketTimeoutException:
            # Part of a frame may be at hand: its rest completes it the next time.
            pass
        except (WebSocketException, OSError) as error:
            if not frames:
                raise ConnectionLostError(f"{type(error).__name__}: {error}") from error
        return frames

    def close(self) -> None:
        """Leave without waiting for the venue's goodbye."""
        self._socket.close(timeout=0)
        self._socket.shutdown()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reason(data: bytes) -> str:
    if len(data) < 2:
        return "no reason given"
    return f"{int.from_bytes(data[:2], 'big')} {data[2:].decode(errors='replace')}".rstrip()
