"""Forecasts as they are made: pushed over a WebSocket, which is opened anew when it breaks, and asked for meanwhile."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from btc import answers
from btc.client.connection import UnreachableError, pause

if TYPE_CHECKING:
    from btc.feeds.connection import Connection

SILENT_S: Final = 90.0
"""A forecast is made each minute: a channel that brings none for longer is opened anew."""
MOST_FAILURES: Final = 7
"""That lengthen the pause before the next attempt: to half a minute."""


def newer(found: Iterator[answers.Forecasts]) -> Iterator[answers.Forecasts]:
    """Those that are newer than all before them: what is pushed may have been asked for as well."""
    newest = ""
    for answer in found:
        if answer.as_of and answer.as_of > newest:
            newest = answer.as_of
            yield answer


def pushed(
    address: Callable[[], str], ask: Callable[[], answers.Forecasts], *, silent_s: float = SILENT_S
) -> Iterator[answers.Forecasts]:
    """Without end. `address` gives one that opens once; `ask` the newest. Raises what they raise.

    The newest is asked for when the channel is open, so that what is made between the two is not missed, and while it
    cannot be opened.
    """
    connection, failures = _connection(), 0
    while True:
        try:
            with connection.open(address()) as channel:
                yield ask()
                while frames := channel.receive(silent_s):
                    failures = 0
                    yield from (msgspec.json.decode(frame, type=answers.Forecasts) for frame in frames)
        except ConnectionError:
            failures = min(failures + 1, MOST_FAILURES)
        time.sleep(pause(failures, None, 0.0))
        yield ask()


def _connection() -> "type[Connection]":
    """Imported when it is needed: all else that the client does takes no library but msgspec."""
    try:
        from btc.feeds.connection import Connection  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnreachableError(f"to watch takes {error.name}: pip install websocket-client") from error
    return Connection
