"""Forecasts as they are made: pushed over a WebSocket, which is opened anew when it breaks, and asked for meanwhile."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from btc import answers
from btc.client.connection import ApiError, UnreachableError, pause

if TYPE_CHECKING:
    from btc.feeds.connection import Connection

SILENT_S: Final = 90.0
"""A forecast is made each minute: a channel that brings none for longer is opened anew."""
NOT_PUSHED: Final = 404
"""What asking where to listen brings where nothing is pushed: then the newest is asked for instead."""
_PASSING: Final = (429, 500, 502, 503, 504)
"""Refusals that the next attempt may not meet."""
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
    """Without end. `address` gives one that opens once; `ask` the newest. Raises what is wrong at first, and later what
    no waiting mends.

    The newest is asked for when the channel is open, so that what is made between the two is not missed, and while it
    cannot be opened, be it that nothing is pushed here at all.
    """
    connection, failures = _connection(), 0
    yield ask()
    while True:
        try:
            with connection.open(address()) as channel:
                yield ask()
                while frames := channel.receive(silent_s):
                    failures = 0
                    yield from (msgspec.json.decode(frame, type=answers.Forecasts) for frame in frames)
        except (ConnectionError, UnreachableError, msgspec.MsgspecError):
            failures = min(failures + 1, MOST_FAILURES)
        except ApiError as error:
            if error.status not in (*_PASSING, NOT_PUSHED):
                raise
            failures = min(failures + 1, MOST_FAILURES)
        time.sleep(pause(failures, None, 0.0))
        yield from _asked(ask)


def _asked(ask: Callable[[], answers.Forecasts]) -> Iterator[answers.Forecasts]:
    """The newest, or nothing while the API cannot be reached or asks for patience."""
    try:
        found = ask()
    except UnreachableError:
        return
    except ApiError as error:
        if error.status not in _PASSING:
            raise
        return
    yield found


def _connection() -> "type[Connection]":
    """Imported when it is needed: all else that the client does takes no library but msgspec."""
    try:
        from btc.feeds.connection import Connection  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnreachableError(f"to watch takes {error.name}: pip install websocket-client") from error
    return Connection
